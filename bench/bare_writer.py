"""The baseline of payments at a rate: the same rows in two transactions, and nothing else.

They are made up before, written through the plain drivers, and a wait lies between the two, as long
as Stripe takes. There is no call, no request to Stripe, and no number in the log.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import asyncpg
from sqlalchemy import make_url

from bench.canned_stripe import DELAY_SECONDS
from bench.child import Answer, obey
from bench.footprint import Footprint, Write, read_footprint
from bench.open_loop import at_rate
from boxoffice_server.runtime import run

CONNECTIONS = 16

Transact = Callable[[Sequence[Write]], Awaitable[None]]


class Writer:
    """Writes what calls to a service have written, to a database of its own."""

    def __init__(self) -> None:
        self._footprints: dict[str, Footprint] = {}
        self._transact: Transact
        self._close: Callable[[], Awaitable[None]] | None = None

    async def open(self, *, database: str) -> Answer:
        """Connect to the database."""
        opened = _open_sqlite3 if database.startswith("sqlite") else _open_asyncpg
        self._transact, self._close = await opened(database)
        return {}

    async def close(self) -> None:
        """Disconnect."""
        if self._close is not None:
            await self._close()

    async def learn(self, *, name: str, database: str, request_id: str) -> Answer:
        """Read what a call has written to the service's database."""
        self._footprints[name] = await read_footprint(database, request_id)
        return {}

    async def write_at_rate(self, *, name: str, rate: float, calls: int) -> Answer:
        """Write what so many calls would, at a rate."""
        prepared = [self._footprints[name].again() for _ in range(calls)]

        async def call(number: int) -> float:
            await self._transact(prepared[number].first)
            began = time.perf_counter()
            await asyncio.sleep(DELAY_SECONDS)
            waited = time.perf_counter() - began
            await self._transact(prepared[number].second)
            return waited

        used = time.process_time()
        told = await at_rate(rate, calls, call, lambda waited: waited)
        return {**told, "used": time.process_time() - used}


async def _open_asyncpg(url: str) -> tuple[Transact, Callable[[], Awaitable[None]]]:
    connections: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        connections.put_nowait(await asyncpg.connect(url))

    async def transact(writes: Sequence[Write]) -> None:
        connection = await connections.get()
        async with connection.transaction():
            for write in writes:
                await connection.execute(write.statement("$"), *write.values)
        connections.put_nowait(connection)

    async def close() -> None:
        for _ in range(CONNECTIONS):
            await (await connections.get()).close()

    return transact, close


async def _open_sqlite3(url: str) -> tuple[Transact, Callable[[], Awaitable[None]]]:
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(make_url(url).database or "", isolation_level=None)
        # The settings of the service.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    connection = await loop.run_in_executor(thread, connect)

    def write_all(writes: Sequence[Write]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for write in writes:
            connection.execute(write.statement("?"), write.values)
        connection.execute("COMMIT")

    async def transact(writes: Sequence[Write]) -> None:
        await loop.run_in_executor(thread, write_all, writes)

    async def close() -> None:
        await loop.run_in_executor(thread, connection.close)
        thread.shutdown()

    return transact, close


async def main() -> None:
    """Write as standard input says, until it ends."""
    writer = Writer()
    await obey({"open": writer.open, "learn": writer.learn, "write_at_rate": writer.write_at_rate})
    await writer.close()


if __name__ == "__main__":
    run(main())
