"""The store on SQLite: a file, one thread that writes and a few that read.

The file belongs to one process at a time. SQLite has one writer in any case, and a thread of its
own is faster than making writers wait for each other in SQLite.
"""

import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from boxoffice_server.ports import KeyTakenError, Repository
from boxoffice_server.storage.errors import StoreLocked, unavailable
from boxoffice_server.storage.lane import Lane
from boxoffice_server.storage.log import Encode
from boxoffice_server.storage.numbered_log import NumberedLog
from boxoffice_server.storage.repository import SqlRepository
from boxoffice_server.storage.schema import Work, check_schema
from boxoffice_server.storage.session import CursorSession
from boxoffice_server.storage.transactions import SqlStore

T = TypeVar("T")

READS_AT_ONCE = 16
BUSY_MILLISECONDS = 5000
SWITCH_SECONDS = 0.0005

# Primary result codes (https://www.sqlite.org/rescode.html) that speak of the file or the disk and
# not of what was asked.
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
    }
)

_OPERATION_KEY = "UNIQUE constraint failed: operations.caller"


class SqliteStore(SqlStore):
    """Implements ports.Store on a SQLite file."""

    def __init__(self, url: str, *, encode: Encode, log: structlog.stdlib.BoundLogger) -> None:
        super().__init__(log)
        self._path = database_path(url)
        self._encode = encode
        self._lock = FileLock(self._path)
        self._writes = _engine(self._path, begin="BEGIN IMMEDIATE", size=1)
        self._reads = _engine(self._path, begin="BEGIN", size=1, read_only=True)
        self._writer = Lane("sqlite-writer", most=1)
        self._reader = Lane("sqlite-reader", most=READS_AT_ONCE)

    async def open(self) -> None:
        self._lock.take()
        try:
            await self._in(self._writer, self._check)
        except BaseException:
            self._release()
            raise
        # SQLite lets go of the interpreter at each statement, and a busy event loop gives it back
        # only after this long; at the usual 5 ms a transaction spends its time waiting.
        sys.setswitchinterval(SWITCH_SECONDS)
        self._is_open = True

    async def close(self) -> None:
        await self._finish_running()
        self._release()

    def _release(self) -> None:
        self._writer.close()
        self._reader.close()
        self._writes.dispose()
        self._reads.dispose()
        self._lock.release()

    def _check(self) -> None:
        with self._writes.begin() as connection:
            check_schema(connection)

    async def _write(self, body: Callable[[Repository], T]) -> T:
        result, appended = await self._in(self._writer, lambda: self._transact(self._writes, body))
        if appended:
            self._tell_advance()
        return result

    async def _read(self, body: Callable[[Repository], T]) -> T:
        result, _ = await self._in(self._reader, lambda: self._transact(self._reads, body))
        return result

    async def _read_once(self, body: Callable[[Repository], T]) -> T:
        return await self._read(body)

    def _transact(self, engine: Engine, body: Callable[[Repository], T]) -> tuple[T, bool]:
        with engine.begin() as connection:
            session = CursorSession(connection)
            log = NumberedLog(session, self._encode)
            return body(SqlRepository(session, log)), log.appended

    async def _in(self, lane: Lane, work: Callable[[], T]) -> T:
        try:
            return await lane.do(work)
        except (DBAPIError, sqlite3.Error) as error:
            if _OPERATION_KEY in str(error):
                raise KeyTakenError from error
            if not _is_unavailable(error):
                raise
            self._log.exception("store.unavailable")
            raise unavailable() from error


class FileLock:
    """Keeps a second process from working on the same file, until it is released or we die."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock, or raise StoreLocked."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode().strip()
            os.close(descriptor)
            raise StoreLocked(self._database, holder=holder) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock. Its file stays: removing it would let two processes hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def database_path(url: str) -> Path:
    """Find the file that a sqlite:/// address names."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise ValueError("a SQLite address names a file, as in sqlite:///boxoffice.db")
    return Path(name).absolute()


def maintain_sqlite(url: str, work: Work) -> None:
    """Do work on a SQLite file that no service has open; makes the file if there is none."""
    path = database_path(url)
    lock = FileLock(path)
    lock.take()
    engine = _engine(path, begin="BEGIN IMMEDIATE", size=1)
    try:
        with engine.begin() as connection:
            work(connection)
    finally:
        engine.dispose()
        lock.release()


def _engine(path: Path, *, begin: str, size: int, read_only: bool = False) -> Engine:
    # What people bought must not reach a log by way of an error's text.
    engine = create_engine(
        f"sqlite:///{path}", pool_size=size, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        # Python's own idea of when to begin is no use for BEGIN IMMEDIATE.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL may lose the last commits when the power fails: not for money.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA query_only = {int(read_only)}")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _is_unavailable(error: DBAPIError | sqlite3.Error) -> bool:
    # Statements that run often are run on the driver's cursor, others by SQLAlchemy.
    cause = error.orig if isinstance(error, DBAPIError) else error
    # An error of the module itself, such as a misused cursor, has no code.
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _UNAVAILABLE
