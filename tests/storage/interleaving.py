"""Transactions on PostgreSQL, held open between their steps, so that a race can be written down."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from boxoffice_server.domain.order import Order, OrderEvent, change
from boxoffice_server.domain.stream import LogRecord
from boxoffice_server.ports import Repository
from boxoffice_server.storage.lines import Line
from boxoffice_server.storage.log_keys import keys_of
from boxoffice_server.storage.orders import SqlOrders
from boxoffice_server.storage.postgres import _engine
from boxoffice_server.storage.repository import SqlRepository
from boxoffice_server.storage.session import GatheringSession
from boxoffice_server.storage.unnumbered_log import UnnumberedLog
from tests.storage.samples import at
from tests.support.stores import plain_encode, until

# How many transactions are open at once.
MOST = 16


class Transaction:
    """One transaction that takes its steps when it is told to."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._repository: SqlRepository | None = None
        self._flush: Callable[[], None]

    def _step(self, connection: Connection, body: Callable[[SqlRepository], object]) -> None:
        if self._repository is None:
            # It has begun already.
            session = GatheringSession(Line.over(connection), "SELECT 1")
            self._repository = SqlRepository(session, UnnumberedLog(session, plain_encode))
            self._flush = session.flush
        body(self._repository)
        self._flush()

    async def append(self, event: OrderEvent) -> None:
        """Appends an event as the store does."""
        await self.run(lambda repo: repo.log.append(event))

    async def run(self, body: Callable[[SqlRepository], object]) -> None:
        """Takes a step as the store does, to its end."""
        await self._connection.run_sync(self._step, body)

    async def change(self, order_id: str, tag: str) -> None:
        """Locks an order, changes it, and appends that it was."""

        def body(repo: Repository) -> None:
            order = repo.orders.get(order_id, lock=True)
            assert order is not None
            event = change(order, now=at(0), tags=(tag,))
            assert event is not None
            repo.orders.update(event.order)
            repo.log.append(event)

        await self.run(body)

    async def write_something_else(self) -> None:
        """Writes a row that is no event, by which the transaction gets its xid."""
        await self.execute(
            "INSERT INTO customers VALUES (gen_random_uuid(), gen_random_uuid(), NULL, 0)"
        )

    async def take_append_id(self) -> int:
        """Takes an append id without inserting, as if the insert had stopped on its way."""
        result = await self._connection.execute(text("SELECT nextval('log_append_id_seq')"))
        return int(result.scalar_one())

    async def append_as(self, event: OrderEvent, append_id: int) -> None:
        """Inserts an event under an id that was taken before."""
        values = {**keys_of(event), "payload": b"", "append_id": append_id}

        def body(repo: SqlRepository) -> None:
            log = repo.log
            log._append({**values, "group_label": log.group})

        await self.run(body)

    async def execute(self, statement: str) -> None:
        """Executes a statement."""
        await self._connection.execute(text(statement))

    async def commit(self) -> None:
        """Commits, and ends the transaction."""
        await self._connection.exec_driver_sql("COMMIT")


class Database:
    """A PostgreSQL database on which transactions are interleaved by hand."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self._stack = stack
        self.engine: AsyncEngine = _engine(url, isolation_level="AUTOCOMMIT", most=MOST)

    async def begin(self) -> Transaction:
        """Begins a transaction, rolled back in the end unless it commits."""
        connection = await self._stack.enter_async_context(self.engine.connect())
        await connection.exec_driver_sql("BEGIN")
        return Transaction(connection)

    async def connect(self) -> asyncpg.Connection:
        """Opens a connection that commits each statement."""
        connection = await asyncpg.connect(self.url)
        self._stack.push_async_callback(connection.close)
        return connection

    async def keep(self, *orders: Order) -> None:
        """Keeps orders without an event."""

        def body(connection: Connection) -> None:
            session = GatheringSession(Line.over(connection))
            with session.transaction():
                for order in orders:
                    SqlOrders(session).insert(order)

        async with self.engine.begin() as connection:
            await connection.run_sync(body)

    async def log(self) -> list[LogRecord]:
        """Reads all that is numbered."""

        def body(connection: Connection) -> list[LogRecord]:
            session = GatheringSession(Line.over(connection))
            with session.transaction():
                return UnnumberedLog(session, plain_encode).read(after=0, limit=100_000)[0]

        async with self.engine.connect() as connection:
            return await connection.run_sync(body)


@asynccontextmanager
async def interleaved(url: str) -> AsyncIterator[Database]:
    """Opens a database whose records nobody numbers but the test."""
    async with AsyncExitStack() as stack:
        database = Database(url, stack)
        stack.push_async_callback(database.engine.dispose)
        yield database


async def until_waiting(url: str) -> None:
    """Waits until a transaction in this database waits for another."""
    connection = await asyncpg.connect(url)

    async def waiting() -> bool:
        query = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(await connection.fetchval(query))

    await until(waiting)
    await connection.close()
