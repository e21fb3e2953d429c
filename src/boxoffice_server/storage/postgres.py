"""The store on PostgreSQL: any number of processes on one database."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from boxoffice_server.ports import KeyTakenError, Repository
from boxoffice_server.storage.errors import unavailable
from boxoffice_server.storage.greenlets import Greenlets
from boxoffice_server.storage.known import Known
from boxoffice_server.storage.lines import Lines
from boxoffice_server.storage.log import Encode
from boxoffice_server.storage.repository import SqlRepository
from boxoffice_server.storage.schema import Work, check_schema
from boxoffice_server.storage.sequencer import CHANNEL, Sequencer, set_within
from boxoffice_server.storage.session import GatheringSession, RefusedError
from boxoffice_server.storage.transactions import SqlStore
from boxoffice_server.storage.unnumbered_log import UnnumberedLog

T = TypeVar("T")

# More of them, each with caches of its own, take longer where many transactions come at once.
POOL = 8
POOL_TIMEOUT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 10
ATTEMPTS = 6
FIRST_BACKOFF_SECONDS = 0.1
MOST_BACKOFF_SECONDS = 5.0
# How often a connection that only listens is asked whether it is still there.
LISTEN_CHECK_SECONDS = 5.0

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_RETRYABLE = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_UNAVAILABLE_CLASSES = ("08", "53")  # connection exception, insufficient resources
_UNAVAILABLE = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05"})  # shut down or starting

# Pages are read in the order of an index. On a table that grew faster than its statistics,
# PostgreSQL would rather collect all that is left of it and sort that for every page.
_POOL_SETTINGS = {"enable_bitmapscan": "off", "jit": "off"}

# The sequencer's queries look at a few rows of a large table, but on a young table PostgreSQL's
# statistics don't say so yet.
_SEQUENCER_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # Whoever numbers is done in milliseconds; a process that hangs in there is worth an alarm.
    "lock_timeout": "1000",
}
_OPERATION_KEY = "pk_operations"
_MIGRATION_LOCK = 0x626F786D69677261


_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
# One view of the data for the whole transaction, as on SQLite.
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore(SqlStore):
    """Implements ports.Store on a PostgreSQL database."""

    def __init__(self, url: str, *, encode: Encode, log: structlog.stdlib.BoundLogger) -> None:
        super().__init__(log)
        self._url = url
        self._encode = encode
        self._engine = _engine(url, isolation_level="AUTOCOMMIT")
        self._known = Known()
        self._greenlets = Greenlets()
        self._lines = Lines(
            self._engine.sync_engine,
            most=POOL,
            timeout_seconds=POOL_TIMEOUT_SECONDS,
            opening=self._known.forget,
        )
        self._sequencer = Sequencer(numbered=self._tell_advance, log=log)
        self._sequencer_pid = 0
        # The log's as it was when something was last appended.
        self._log_id: uuid.UUID | None = None
        self._background: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        try:
            await self._guarded(self._check)
        except BaseException:
            await self._engine.dispose()
            raise
        self._is_open = True
        loop = asyncio.get_running_loop()
        for name, work in (("sequencer", self._number), ("listener", self._listen)):
            self._background.append(loop.create_task(self._keep(name, work), name=name))

    async def close(self) -> None:
        await self._finish_running()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._greenlets.run(self._lines.close)
        await self._engine.dispose()

    async def _check(self) -> None:
        async with self._engine.connect() as connection:
            await connection.run_sync(check_schema)

    async def _write(self, body: Callable[[Repository], T]) -> T:
        work = partial(self._transact, body, _BEGIN, GatheringSession.transaction)
        try:
            hopeful = partial(work, log_id=self._log_id, known=self._known)
            result, appended = await self._guarded(hopeful)
        except RefusedError:
            # Once more, with nothing assumed, and no token before its records are sent.
            self._known.forget()
            result, appended = await self._guarded(work)
        if appended:
            self._sequencer.nudge()
        return result

    async def _read(self, body: Callable[[Repository], T]) -> T:
        # What it reads first is of the same moment as all else.
        opened = partial(GatheringSession.transaction, at_once=True)
        result, _ = await self._guarded(partial(self._transact, body, _BEGIN_READING, opened))
        return result

    async def _read_once(self, body: Callable[[Repository], T]) -> T:
        result, _ = await self._guarded(partial(self._transact, body, "", GatheringSession.single))
        return result

    async def _transact(
        self,
        body: Callable[[Repository], T],
        begin: str,
        opened: Callable[[GatheringSession], AbstractContextManager[None]],
        *,
        log_id: uuid.UUID | None = None,
        known: Known | None = None,
    ) -> tuple[T, bool]:
        def transact() -> tuple[T, bool]:
            with self._lines.lent() as line:
                session = GatheringSession(line, begin, begins=known is None)
                with opened(session):
                    log = UnnumberedLog(session, self._encode, log_id=log_id)
                    repository = SqlRepository(session, log, known)
                    result = body(repository)
                if log.writer is not None:
                    repository.keep_sales(log.writer)
                self._log_id = log.log_id or self._log_id
                return result, log.appended

        # One greenlet for all of it; AsyncEngine takes one for each step on the way.
        return await self._greenlets.run(transact)

    async def _guarded(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this again where PostgreSQL asks for it, and tell a store that is away from a fault.

        A lost connection is no reason to try again: the work may have been committed.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await work()
            except Exception as error:
                if _sqlstate(error) in _RETRYABLE and attempt < ATTEMPTS:
                    await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311
                elif getattr(_driver_error(error), "constraint_name", None) == _OPERATION_KEY:
                    raise KeyTakenError from error
                elif is_unavailable(error) or _sqlstate(error) in _RETRYABLE:
                    self._log.exception("store.unavailable")
                    raise unavailable() from error
                else:
                    raise
        raise AssertionError("the last attempt answers or raises")

    # -- what runs along --------------------------------------------------------------------------

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep something running, whatever becomes of it; an end is an alarm."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started = time.monotonic()
            try:
                await work()
            except Exception:  # noqa: BLE001 -- the log gets all of it
                self._log.exception("store.background_failed", what=name)
            if time.monotonic() - started > MOST_BACKOFF_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311
            backoff = min(2 * backoff, MOST_BACKOFF_SECONDS)

    async def _number(self) -> None:
        async with _connection(self._url, _SEQUENCER_SETTINGS) as connection:
            self._sequencer_pid = connection.get_server_pid()
            # Whatever was numbered as the connection before was lost.
            self._tell_advance()
            await self._sequencer.run(connection)

    async def _listen(self) -> None:
        async with _connection(self._url) as connection:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._hear_advance)
            # Whatever was numbered while nobody listened.
            self._tell_advance()
            while not await set_within(lost, LISTEN_CHECK_SECONDS):
                await connection.execute("SELECT 1", timeout=LISTEN_CHECK_SECONDS)
        raise ConnectionResetError("PostgreSQL has ended the connection that listens")

    def _hear_advance(self, _connection: object, pid: int, _channel: str, _payload: object) -> None:
        """Tell that another process has numbered; this one's sequencer tells of itself."""
        if pid != self._sequencer_pid:
            self._tell_advance()


def maintain_postgres(url: str, work: Work) -> None:
    """Do work on a PostgreSQL database; concurrent callers take turns."""
    asyncio.run(_maintain(url, work))


async def _maintain(url: str, work: Work) -> None:
    engine = _engine(url)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            await connection.run_sync(work)
    except Exception as error:
        if is_unavailable(error):
            raise unavailable() from error
        raise
    finally:
        await engine.dispose()


def _engine(url: str, *, isolation_level: str = "READ COMMITTED", most: int = POOL) -> AsyncEngine:
    # asyncpg reads the address itself: it knows all of libpq's parameters, such as a socket folder.
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(_connect, url, _POOL_SETTINGS),
        pool_size=most,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        isolation_level=isolation_level,
        # What people bought must not reach a log by way of an error's text.
        hide_parameters=True,
    )


async def _connect(url: str, settings: dict[str, str] | None = None) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "boxoffice", **(settings or {})},
        )
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        # Whoever maintains the database has it take no connections for now.
        raise ConnectionRefusedError(str(error)) from error


@asynccontextmanager
async def _connection(
    url: str, settings: dict[str, str] | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection outside the pool."""
    connection = await _connect(url, settings)
    try:
        yield connection
    finally:
        # Nothing here is worth waiting for: an open transaction is to be rolled back.
        connection.terminate()


def is_unavailable(error: Exception) -> bool:
    """Tell whether this speaks of the way to the database rather than of what was asked."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = _driver_error(error)
    if isinstance(cause, OSError | asyncpg.InternalClientError):
        return True
    # The driver refuses to work on a connection that was lost before.
    if isinstance(cause, asyncpg.InterfaceError) and "closed" in str(cause):
        return True
    state = _sqlstate(error)
    return state.startswith(_UNAVAILABLE_CLASSES) or state in _UNAVAILABLE


def _sqlstate(error: Exception) -> str:
    return getattr(_driver_error(error), "sqlstate", None) or ""


def _driver_error(error: Exception) -> object:
    """Find what asyncpg has raised: SQLAlchemy wraps that, and so does its view of the driver."""
    return getattr(error, "driver_exception", None) or error
