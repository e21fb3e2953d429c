"""On which event loop the process runs, and what it looks for garbage in."""

import asyncio
import gc
import sys

import pytest
import uvloop

from boxoffice_server.runtime import run, spare_what_stays


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_uvloop_is_taken_where_it_is_installed() -> None:
    """Nothing needs to be set."""
    assert isinstance(run(_loop()), uvloop.Loop)


def test_without_uvloop_the_loop_is_that_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is no need."""
    # Python's own way to say that a module is not to be found.
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert not isinstance(run(_loop()), uvloop.Loop)


def test_a_search_for_garbage_passes_by_what_was_there_at_the_start() -> None:
    """What comes later is looked through as ever."""
    try:
        spare_what_stays()
        assert gc.get_freeze_count() > 0
        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()
