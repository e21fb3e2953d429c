"""How the process runs: on which event loop, and when it looks for garbage."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the process's one event loop: uvloop's where that is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 -- see above
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def spare_what_stays() -> None:
    """Leave all that is there now out of the searches for garbage: none of it ever becomes that.

    A full search of the modules alone holds up everything for 50 to 75 ms, so this is called once a
    service is ready and before it has any work.
    """
    gc.collect()
    gc.freeze()
