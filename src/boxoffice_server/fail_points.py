"""Named moments of the money path, at which a test may strike.

What holds after a crash is tested by crashing at each of them. The strike is the only state here
that belongs to a module and is not handed in by `app.py`: a fail point lies inside transactions and
in whatever task or thread runs them, and it must cost nothing but a comparison where no test has
installed anything. Nothing but a test sets it.
"""

from enum import StrEnum
from typing import Protocol


class FailPoint(StrEnum):
    """A moment of an operation, or of a notification."""

    RECORDING = "recording"  # inside the transaction that records, at its end
    RECORDED = "recorded"  # it is committed, and the vendor has not been asked
    ASKED = "asked"  # the vendor's answer is held, and nothing of it is kept
    SETTLING = "settling"  # inside the transaction that keeps the answer, at its end
    SETTLED = "settled"  # it is committed, and the caller has not been answered
    KEEPING = "keeping"  # inside the transaction that keeps a notification, at its end
    KEPT = "kept"  # it is committed, and the vendor has not been answered


class Strike(Protocol):
    """What a test does at fail points. `name` is the operation's, or the notification's type."""

    def reach(self, point: FailPoint, name: str) -> None: ...
    async def reach_async(self, point: FailPoint, name: str) -> None: ...


strike: Strike | None = None


def reach(point: FailPoint, name: str) -> None:
    """Pass a fail point inside a transaction."""
    if strike is not None:
        strike.reach(point, name)


async def reach_async(point: FailPoint, name: str) -> None:
    """Pass a fail point between transactions."""
    if strike is not None:
        await strike.reach_async(point, name)
