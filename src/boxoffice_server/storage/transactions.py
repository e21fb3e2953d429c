"""What both stores do alike: own their transactions, and tell listeners that the log has grown."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from boxoffice_server.own_tasks import OwnTasks
from boxoffice_server.ports import Repository
from boxoffice_server.storage.errors import unavailable

T = TypeVar("T")

# How many transactions of callers are begun at a time: enough that the store always has one to run,
# and few, for what has begun is run even if its caller has left.
MOST_WRITES = 16
MOST_READS = 32


class SqlStore(ABC):
    """Implements ports.Store, but for how a transaction is run."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._listeners: dict[object, Callable[[], None]] = {}
        # Reads never wait for writes.
        self._writing = OwnTasks(self._tell_unheard, most=MOST_WRITES)
        self._reading = OwnTasks(self._tell_unheard, most=MOST_READS)
        self._is_open = False

    async def write(self, body: Callable[[Repository], T]) -> T:
        return await self._run(self._writing, lambda: self._write(body))

    async def read(self, body: Callable[[Repository], T]) -> T:
        return await self._run(self._reading, lambda: self._read(body))

    async def read_once(self, body: Callable[[Repository], T]) -> T:
        return await self._run(self._reading, lambda: self._read_once(body))

    @abstractmethod
    async def _write(self, body: Callable[[Repository], T]) -> T:
        """Run a transaction that changes things."""

    @abstractmethod
    async def _read(self, body: Callable[[Repository], T]) -> T:
        """Run a transaction that only reads."""

    @abstractmethod
    async def _read_once(self, body: Callable[[Repository], T]) -> T:
        """Run a body that runs one statement."""

    async def _run(self, own: OwnTasks, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a transaction in a task of its own, which nobody cancels once it has begun."""

        def begin_if_open() -> Coroutine[Any, Any, T]:
            if not self._is_open:
                raise unavailable()
            return begin()

        return await own.run(begin_if_open)

    def _tell_unheard(self, error: BaseException) -> None:
        self._log.warning("store.transaction_failed_unheard", exc_info=error)

    async def _finish_running(self) -> None:
        """Refuse new transactions and wait for those that run."""
        self._is_open = False
        await self._writing.finish()
        await self._reading.finish()

    def on_advance(self, callback: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._listeners[key] = callback

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def _tell_advance(self) -> None:
        # By the loop, so that a listener's fault does not become a writer's.
        loop = asyncio.get_running_loop()
        for callback in self._listeners.values():
            loop.call_soon(callback)
