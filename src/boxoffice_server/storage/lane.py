"""A thread that works for an event loop, and hands over many results at once.

Passing work to a thread and back costs as much as a small query; under load it is paid once for
several of them.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

MOST_SECONDS = 0.002

Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]
Result = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Lane:
    """Does its work in the order it was given, one piece after the other.

    `most` is how many results may wait for each other before they are handed over; nor do they wait
    for longer than it takes to notice.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Have work done; the future belongs to the running loop."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return future

    def close(self) -> None:
        """Finish what was given, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            until = time.monotonic() + MOST_SECONDS
            results = [_attempt(job)]
            last = False
            while len(results) < self._most and not self._jobs.empty() and time.monotonic() < until:
                following = self._jobs.get()
                if following is None:
                    last = True
                    break
                results.append(_attempt(following))
            job[1].get_loop().call_soon_threadsafe(_hand_over, results)
            if last:
                return


def _attempt(job: Job) -> Result:
    work, future = job
    try:
        return future, work(), None
    except BaseException as error:  # noqa: BLE001 -- handed to whoever waits
        return future, None, error


def _hand_over(results: Sequence[Result]) -> None:
    for future, value, error in results:
        # Whoever waited may have been cancelled.
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
