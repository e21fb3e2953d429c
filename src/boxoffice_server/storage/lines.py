"""The connections to PostgreSQL that a store works on, each handed from transaction to transaction.

SQLAlchemy's own pool takes longer to hand one out and to take it back than a small statement does.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.util import await_only

# A connection that was used more recently than this is taken to be there still.
IDLE_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Line:
    """A connection, as SQLAlchemy sees it and as asyncpg does, and what it has prepared.

    It is kept with the line because asyncpg takes as long again to find a statement as to run it.
    """

    connection: Connection
    # Not by its type, which is loaded only where it is used.
    driver: Any
    prepared: dict[str, Any] = field(default_factory=dict)
    used: float = 0.0

    @classmethod
    def over(cls, connection: Connection) -> "Line":
        """Make a line of a connection that is open."""
        return cls(connection=connection, driver=connection.connection.driver_connection)

    def is_there(self) -> bool:
        """Tell whether the server still answers; asks it only if the line was idle for a while."""
        if self.driver.is_closed():
            return False
        if time.monotonic() - self.used <= IDLE_SECONDS:
            return True
        try:
            await_only(self.driver.execute("SELECT 1"))
        except Exception:  # noqa: BLE001 -- whatever it was, there are other connections
            return False
        return True

    def is_clean(self) -> bool:
        """Tell whether the next transaction may have it; ends what SQLAlchemy thinks is open."""
        if self.connection.invalidated or self.driver.is_closed():
            return False
        if self.connection.in_transaction():
            self.connection.rollback()
        return not self.driver.is_in_transaction()

    def hang_up(self) -> None:
        """Let go of the connection for good."""
        if not self.connection.invalidated:
            self.connection.invalidate()
        self.connection.close()


class Lines:
    """Lends connections, at most so many at a time, to whoever runs in a greenlet.

    `opening` is called before a new one is opened.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        most: int,
        timeout_seconds: float,
        opening: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._opening = opening
        self._timeout = timeout_seconds
        self._room = asyncio.Semaphore(most)
        self._idle: list[Line] = []

    @contextmanager
    def lent(self) -> Iterator[Line]:
        """Lend one to the end of the block; raises TimeoutError if none comes free in time."""
        await_only(self._wait())
        try:
            line = self._pick_up()
            try:
                yield line
            finally:
                self._take_back(line)
        finally:
            self._room.release()

    def close(self) -> None:
        """Hang up on all that are idle."""
        while self._idle:
            self._idle.pop().hang_up()

    async def _wait(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        async with asyncio.timeout(self._timeout):
            await self._room.acquire()

    def _pick_up(self) -> Line:
        # The one that was used last: it is the least likely to be gone.
        while self._idle:
            line = self._idle.pop()
            if line.is_there():
                return line
            line.hang_up()
        self._opening()
        return Line.over(self._engine.connect())

    def _take_back(self, line: Line) -> None:
        if line.is_clean():
            line.used = time.monotonic()
            self._idle.append(line)
        else:
            line.hang_up()
