"""Greenlets, in which plain functions wait for coroutines by SQLAlchemy's `await_only`.

SQLAlchemy makes one for each function. Python takes memory from the system for the stack of each,
and gives it back in the end, which takes longer than to switch to one that is kept.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import greenlet

T = TypeVar("T")

# What more there are after a burst, each with a stack of 16 kB, are let go.
MOST_IDLE = 64
_ENDED = object()


class Greenlets:
    """Runs functions in greenlets, each in the one that was free last.

    All must run on one thread.
    """

    def __init__(self) -> None:
        self._idle: list[_Worker[Any]] = []

    async def run(self, work: Callable[[], T]) -> T:
        """Run work, and wait for what it gives to `await_only`; its errors are raised here.

        Where the wait is cancelled or fails, that is raised within the work.
        """
        worker: _Worker[T] = self._idle.pop() if self._idle else _Worker()
        worker.place.work = work
        # What it reads of the context is its caller's.
        worker.gr_context = greenlet.getcurrent().gr_context
        step = worker.switch()
        while step is not _ENDED:
            try:
                value = await step
            except BaseException:  # noqa: BLE001 -- for the work to deal with
                step = worker.throw(*sys.exc_info())
            else:
                step = worker.switch(value)
        worker.gr_context = None
        if len(self._idle) < MOST_IDLE:
            self._idle.append(worker)
        return worker.place.take_result()


class _Place(Generic[T]):
    """Where work is laid, done, and taken from; nothing stays."""

    work: Callable[[], T]

    def __init__(self) -> None:
        self._result: list[T] = []
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do the work."""
        try:
            self._result.append(self.work())
        except BaseException as error:  # noqa: BLE001 -- raised where the result is asked for
            self._error = error
        del self.work

    def take_result(self) -> T:
        """Answer what the work did, or raise what it raised."""
        if self._error is None:
            return self._result.pop()
        try:
            raise self._error
        finally:
            self._error = None


class _Worker(greenlet.greenlet, Generic[T]):
    """A greenlet that does work after work, until nobody holds it any more."""

    # What `await_only` knows a greenlet by that it may be called in.
    __sqlalchemy_greenlet_provider__ = True

    def __init__(self) -> None:
        self.place = _Place[T]()
        # It must not know itself, for a cycle through the stack of a greenlet is never found.
        super().__init__(partial(_work_on, self.place, greenlet.getcurrent()))


def _work_on(place: _Place[T], caller: greenlet.greenlet) -> None:
    """Work whenever it is switched to."""
    while True:
        place.do()
        caller.switch(_ENDED)
