"""Work that must not stop half-way, whatever becomes of the one who asked for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# All that run in this process, whoever started them.
_own: set[asyncio.Task[Any]] = set()


class OwnTasks:
    """Runs work in tasks of its own, which no caller's cancellation reaches once it has begun.

    At most `most` pieces are run for callers at a time. More wait, in the order they came, and
    those whose callers leave meanwhile never begin: they would take the time of those who still
    wait, and once more is asked for than can be done nobody would be answered in time. Work that
    such a task waits for is run within it, at once. `unheard` is told of an error whose caller has
    left, for nobody else would hear of it.
    """

    def __init__(self, unheard: Callable[[BaseException], None], *, most: int) -> None:
        self._unheard = unheard
        self._room = asyncio.Semaphore(most)
        self._running: set[asyncio.Future[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start work that nobody waits for; it tells of its own errors."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        _own.add(task)
        task.add_done_callback(self._let_go)
        return task

    async def run(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run work to its end, and answer what it answers to a caller who is still there.

        `begin` makes the work once it is its turn; it may refuse by an error.
        """
        if asyncio.current_task() in _own:
            return await self._run_here(begin())
        await self._room.acquire()
        try:
            work = begin()
        except BaseException:
            self._room.release()
            raise
        heard: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.start(self._answer(work, heard))
        try:
            return await heard
        except asyncio.CancelledError:
            if not heard.cancelled() and (error := heard.exception()) is not None:
                # The caller was cancelled while the error was on its way.
                self._unheard(error)
            raise

    async def _answer(self, work: Coroutine[Any, Any, T], heard: asyncio.Future[T]) -> None:
        """Do work, and wake the caller by a future of its own.

        One who waits for the task, behind asyncio.shield, is woken two turns of the loop later.
        """
        try:
            answer = await work
        except Exception as error:  # noqa: BLE001 -- the caller raises it, or it is told
            if heard.cancelled():
                self._unheard(error)
            else:
                heard.set_exception(error)
        else:
            if not heard.cancelled():
                heard.set_result(answer)
        finally:
            self._room.release()
            # Whatever else ends this task ends the caller's waiting.
            heard.cancel()

    async def _run_here(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work within a task that nobody cancels, and have it waited for like any other."""
        ended = asyncio.get_running_loop().create_future()
        self._running.add(ended)
        try:
            return await work
        finally:
            self._running.discard(ended)
            ended.set_result(None)

    async def finish(self) -> None:
        """Wait until nothing runs."""
        while self._running:
            await asyncio.wait(self._running)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        _own.discard(task)
