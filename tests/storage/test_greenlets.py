"""Plain functions wait for coroutines in greenlets that are kept, which keep nothing of them."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar

import greenlet
import pytest
from sqlalchemy.util import await_only

from boxoffice_server.storage.greenlets import MOST_IDLE, Greenlets

CALLER: ContextVar[str] = ContextVar("CALLER")


class Thing:
    """Something whose end can be seen."""


async def later(value: object) -> object:
    """Answers after a turn of the event loop."""
    await asyncio.sleep(0)
    return value


async def failing() -> None:
    """Fails after a turn of the event loop."""
    await asyncio.sleep(0)
    raise ValueError("from the coroutine")


async def test_work_waits_for_coroutines_and_gets_their_answers() -> None:
    """What a coroutine returns is what `await_only` returns, as often as it is called."""

    def work() -> list[object]:
        return [await_only(later(number)) for number in range(3)]

    assert await Greenlets().run(work) == [0, 1, 2]


async def test_the_greenlet_that_was_free_last_is_used_again() -> None:
    """One after the other, all work is done in the same greenlet, after errors too."""
    greenlets = Greenlets()

    def fail() -> None:
        raise ValueError("the work's")

    first = await greenlets.run(greenlet.getcurrent)
    with pytest.raises(ValueError, match="the work's"):
        await greenlets.run(fail)
    assert await greenlets.run(greenlet.getcurrent) is first


async def test_an_error_of_a_coroutine_is_the_works_to_deal_with() -> None:
    """It is raised where the work waits; what the work raises is raised to who ran it."""

    def dealing() -> str:
        try:
            await_only(failing())
        except ValueError as error:
            return str(await_only(later(f"{error}, dealt with")))
        return "nothing failed"

    greenlets = Greenlets()
    assert await greenlets.run(dealing) == "from the coroutine, dealt with"
    with pytest.raises(ValueError, match="from the coroutine"):
        await greenlets.run(lambda: await_only(failing()))


async def test_a_cancelled_wait_is_cancelled_within_the_work() -> None:
    """The work hears of it, may still wait for something, and the task ends as cancelled."""
    waiting, told = asyncio.Event(), list[object]()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def work() -> None:
        try:
            await_only(wait())
        finally:
            told.append(await_only(later("rolled back")))

    greenlets = Greenlets()
    task = asyncio.create_task(greenlets.run(work))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["rolled back"]
    assert await greenlets.run(lambda: await_only(later("next"))) == "next"


async def test_many_at_once_each_have_a_greenlet_of_their_own() -> None:
    """Work that waits holds up no other, and each gets its own answers."""
    greenlets = Greenlets()
    gate = asyncio.Event()

    async def through(number: int) -> int:
        await gate.wait()
        return number

    def worker(number: int) -> Callable[[], tuple[int, greenlet.greenlet]]:
        return lambda: (await_only(through(number)), greenlet.getcurrent())

    count = 2 * MOST_IDLE
    tasks = [asyncio.create_task(greenlets.run(worker(number))) for number in range(count)]
    await later(None)
    gate.set()
    answers = await asyncio.gather(*tasks)
    assert [number for number, _ in answers] == list(range(count))
    assert len({id(used) for _, used in answers}) == count


async def test_only_so_many_are_kept_after_a_burst() -> None:
    """Those beyond end with their work."""
    greenlets = Greenlets()
    used: list[weakref.ref[greenlet.greenlet]] = []

    def work() -> None:
        used.append(weakref.ref(greenlet.getcurrent()))
        await_only(later(None))

    await asyncio.gather(*(greenlets.run(work) for _ in range(MOST_IDLE + 10)))
    gc.collect()
    assert sum(each() is not None for each in used) == MOST_IDLE


async def test_nothing_of_the_work_is_kept() -> None:
    """Neither what it was, nor what it answered, nor what it raised."""
    greenlets = Greenlets()
    seen: list[weakref.ref[object]] = []

    def seeing(value: object) -> Callable[[], object]:
        def work() -> object:
            return await_only(later(value))

        seen.extend((weakref.ref(work), weakref.ref(value)))
        return work

    class SeenError(Exception):
        pass

    def failing_work() -> None:
        error = SeenError()
        seen.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    await greenlets.run(seeing(Thing()))
    with suppress(SeenError):
        await greenlets.run(failing_work)
    assert [each() for each in seen] == [None, None, None], "without a search for garbage"


@pytest.mark.parametrize("work", [CALLER.get, lambda: await_only(told_by_a_coroutine())])
async def test_work_reads_the_context_of_its_caller(work: Callable[[], str]) -> None:
    """A greenlet that was used by one caller shows the next one that one's own context."""
    greenlets = Greenlets()

    async def call(name: str) -> str:
        CALLER.set(name)
        return await greenlets.run(work)

    for name in ("first", "second"):
        assert await asyncio.create_task(call(name)) == name


async def told_by_a_coroutine() -> str:
    """Tells who the caller is, as a coroutine sees it."""
    await later(None)
    return CALLER.get()
