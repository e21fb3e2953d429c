"""The command line's own pieces; tests/e2e runs it as a process."""

import asyncio
import subprocess
import sys

import pytest

from boxoffice_server.__main__ import _unless_stopped


async def never() -> None:
    """Wait for what will not come."""
    await asyncio.Event().wait()


async def fail() -> None:
    """Fail at once."""
    raise LookupError("nothing there")


async def test_service_that_is_told_to_end_does_not_wait_for_its_sandbox() -> None:
    """SIGTERM counts from the first moment on."""
    stop = asyncio.Event()
    waiting = asyncio.create_task(_unless_stopped(never(), stop))
    stop.set()
    async with asyncio.timeout(5):
        await waiting


async def test_sandbox_that_does_not_start_is_told() -> None:
    """What went wrong reaches whoever waits."""
    with pytest.raises(LookupError, match="nothing there"):
        await _unless_stopped(fail(), asyncio.Event())


async def test_sandbox_that_is_ready_ends_the_wait() -> None:
    """Nothing of the wait is left running."""
    before = asyncio.all_tasks()
    await _unless_stopped(asyncio.sleep(0), asyncio.Event())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


def test_service_starts_without_what_only_a_command_needs() -> None:
    """What shows progress on a terminal would slow down each start."""
    program = (
        "import sys, boxoffice_server.__main__ as main; main._import_structlog();"
        "import boxoffice_server.app, structlog;"
        "assert not {'rich', 'boxoffice_server.reconcile_command'} & set(sys.modules);"
        "import rich"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
