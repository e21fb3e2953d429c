"""Work that goes on without its caller."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from boxoffice_server.own_tasks import OwnTasks

MOST = 8


class Work:
    """Work that waits to be let go on, and what became of it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.task: asyncio.Task[object] | None = None
        self.ended = False

    async def run(self) -> str:
        """Do it."""
        self.task = asyncio.current_task()
        self.begun.set()
        await self.may_end.wait()
        self.ended = True
        return "done"


async def test_work_goes_on_when_its_caller_is_cancelled() -> None:
    """And its error is told, for nobody else hears of it."""
    unheard: list[BaseException] = []
    tasks, work = OwnTasks(unheard.append, most=MOST), Work()

    async def failing() -> None:
        await work.run()
        raise ZeroDivisionError

    caller = asyncio.create_task(tasks.run(failing))
    await work.begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    work.may_end.set()
    await tasks.finish()
    assert work.ended
    assert [type(error) for error in unheard] == [ZeroDivisionError]


async def test_caller_hears_of_an_error() -> None:
    """It is the caller's then, and nobody else is told."""
    unheard: list[BaseException] = []
    tasks = OwnTasks(unheard.append, most=MOST)

    async def failing() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await tasks.run(failing)
    await tasks.finish()
    assert unheard == []


async def test_error_that_meets_a_cancellation_is_told() -> None:
    """The caller is cancelled once the error is there, and before it is heard."""
    unheard: list[BaseException] = []
    tasks, work = OwnTasks(unheard.append, most=MOST), Work()

    async def failing() -> None:
        await work.run()
        # Runs first in the next turn of the loop, and the caller after it.
        asyncio.get_running_loop().call_soon(caller.cancel)
        raise ZeroDivisionError

    caller = asyncio.create_task(tasks.run(failing))
    await work.begun.wait()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await tasks.finish()
    assert [type(error) for error in unheard] == [ZeroDivisionError]


async def test_caller_of_work_that_is_cancelled_waits_no_longer() -> None:
    """As a loop that ends cancels all tasks."""
    tasks, work = OwnTasks(print, most=MOST), Work()
    caller = asyncio.create_task(tasks.run(work.run))
    await work.begun.wait()
    assert work.task is not None
    work.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await tasks.finish()
    assert not work.ended


async def test_work_of_an_own_task_is_run_within_it() -> None:
    """Whoever finishes the inner one's waits for that, and for no more."""
    outer, inner = OwnTasks(print, most=MOST), OwnTasks(print, most=MOST)
    work, rest = Work(), asyncio.Event()

    async def both() -> str:
        told = await inner.run(work.run)
        await rest.wait()
        return told

    caller = asyncio.create_task(outer.run(both))
    await work.begun.wait()
    assert work.task is not caller
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    finishing = asyncio.create_task(inner.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    work.may_end.set()
    await finishing
    assert work.ended
    rest.set()
    await outer.finish()


async def test_error_of_inner_work_comes_through() -> None:
    """As it does of any other."""
    outer, inner = OwnTasks(print, most=MOST), OwnTasks(print, most=MOST)

    async def fail() -> None:
        raise ZeroDivisionError

    async def both() -> None:
        with pytest.raises(ZeroDivisionError):
            await inner.run(fail)

    await outer.run(both)
    await inner.finish()


async def test_child_of_an_own_task_is_none() -> None:
    """It may be cancelled, so what it waits for gets a task."""
    tasks, work = OwnTasks(print, most=MOST), Work()

    async def parent() -> None:
        child = asyncio.create_task(tasks.run(work.run))
        await work.begun.wait()
        child.cancel()
        with pytest.raises(asyncio.CancelledError):
            await child

    await tasks.run(parent)
    assert not work.ended
    work.may_end.set()
    await tasks.finish()
    assert work.ended


async def test_work_waits_for_its_turn_in_the_order_it_came() -> None:
    """As much is run at a time as may, and what a caller who has left waited for is never begun."""
    tasks, works = OwnTasks(print, most=2), [Work() for _ in range(5)]
    callers = [asyncio.create_task(tasks.run(work.run)) for work in works]

    def begun() -> list[int]:
        return [number for number, work in enumerate(works) if work.begun.is_set()]

    await works[1].begun.wait()
    callers[2].cancel()
    await asyncio.wait([callers[2]])
    assert begun() == [0, 1]
    works[1].may_end.set()
    await works[3].begun.wait()
    assert begun() == [0, 1, 3]
    works[0].may_end.set()
    await works[4].begun.wait()
    for work in works:
        work.may_end.set()
    await tasks.finish()
    assert begun() == [0, 1, 3, 4]
    assert [work.ended for work in works] == [True, True, False, True, True]
    assert callers[2].cancelled()


async def test_work_whose_caller_has_left_keeps_its_place() -> None:
    """It is still at work, so the next one waits for its end."""
    tasks, first, second = OwnTasks(print, most=1), Work(), Work()
    caller = asyncio.create_task(tasks.run(first.run))
    await first.begun.wait()
    caller.cancel()
    following = asyncio.create_task(tasks.run(second.run))
    await asyncio.wait([caller])
    assert not second.begun.is_set()
    first.may_end.set()
    second.may_end.set()
    assert await following == "done"
    assert first.ended


async def test_what_refuses_to_begin_takes_no_place() -> None:
    """Its caller hears why, and the next one has its turn."""
    tasks = OwnTasks(print, most=1)

    def refuse() -> Coroutine[Any, Any, None]:
        raise ZeroDivisionError

    async def work() -> str:
        return "done"

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await tasks.run(refuse)
    assert await tasks.run(work) == "done"


async def test_inner_work_does_not_wait_for_a_place() -> None:
    """Those that have one would wait for each other."""
    outer, inner, work = OwnTasks(print, most=1), OwnTasks(print, most=1), Work()
    taken = asyncio.create_task(inner.run(work.run))
    await work.begun.wait()

    async def done() -> str:
        return "done"

    async def both() -> str:
        return await inner.run(done)

    assert await outer.run(both) == "done"
    work.may_end.set()
    await taken
