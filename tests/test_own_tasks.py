"""Work that goes on without its caller."""

import asyncio

import pytest

from boxoffice_server.own_tasks import OwnTasks


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
    tasks, work = OwnTasks(unheard.append), Work()

    async def failing() -> None:
        await work.run()
        raise ZeroDivisionError

    caller = asyncio.create_task(tasks.run(failing()))
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
    tasks = OwnTasks(unheard.append)

    async def failing() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await tasks.run(failing())
    await tasks.finish()
    assert unheard == []


async def test_error_that_meets_a_cancellation_is_told() -> None:
    """The caller is cancelled once the error is there, and before it is heard."""
    unheard: list[BaseException] = []
    tasks, work = OwnTasks(unheard.append), Work()

    async def failing() -> None:
        await work.run()
        # Runs first in the next turn of the loop, and the caller after it.
        asyncio.get_running_loop().call_soon(caller.cancel)
        raise ZeroDivisionError

    caller = asyncio.create_task(tasks.run(failing()))
    await work.begun.wait()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await tasks.finish()
    assert [type(error) for error in unheard] == [ZeroDivisionError]


async def test_caller_of_work_that_is_cancelled_waits_no_longer() -> None:
    """As a loop that ends cancels all tasks."""
    tasks, work = OwnTasks(print), Work()
    caller = asyncio.create_task(tasks.run(work.run()))
    await work.begun.wait()
    assert work.task is not None
    work.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await tasks.finish()
    assert not work.ended


async def test_work_of_an_own_task_is_run_within_it() -> None:
    """Whoever finishes the inner one's waits for that, and for no more."""
    outer, inner = OwnTasks(print), OwnTasks(print)
    work, rest = Work(), asyncio.Event()

    async def both() -> str:
        told = await inner.run(work.run())
        await rest.wait()
        return told

    caller = asyncio.create_task(outer.run(both()))
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
    outer, inner = OwnTasks(print), OwnTasks(print)

    async def fail() -> None:
        raise ZeroDivisionError

    async def both() -> None:
        with pytest.raises(ZeroDivisionError):
            await inner.run(fail())

    await outer.run(both())
    await inner.finish()


async def test_child_of_an_own_task_is_none() -> None:
    """It may be cancelled, so what it waits for gets a task."""
    tasks, work = OwnTasks(print), Work()

    async def parent() -> None:
        child = asyncio.create_task(tasks.run(work.run()))
        await work.begun.wait()
        child.cancel()
        with pytest.raises(asyncio.CancelledError):
            await child

    await tasks.run(parent())
    assert not work.ended
    work.may_end.set()
    await tasks.finish()
    assert work.ended
