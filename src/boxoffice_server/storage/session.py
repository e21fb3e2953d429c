"""What one transaction asks of its database: what it reads at once, what it writes together.

A transaction that writes need not wait for each of its rows. On PostgreSQL, where each statement is
a way there and back, rows are gathered and sent as one statement: before anything is read of their
tables, and before the transaction commits. What is wrong with them is told then. And a transaction
that locks nothing and writes once, at its end, is that one statement: PostgreSQL is not told of it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from boxoffice_server.storage.lines import Line

# Rows that are written together at most: PostgreSQL keeps a plan for each combination.
MOST_TOGETHER = 16

# https://www.postgresql.org/docs/current/errcodes-appendix.html: division by zero
_REFUSED = "22012"

_PARAMETER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A statement that writes, which need not be sent at once.

    `row` names the row it writes, the table first, or the table alone where any of its rows may be
    written: two writes to one row are never sent together.
    `tell` is called with how many rows it has written, and then with what `answers` names:
    aggregates over what the statement returns. `must` is a condition over them too: nothing of the
    transaction is kept where it doesn't hold, which `tell` knows as well, and raises. What is
    `first` says that something is as it was known to be: nothing is read before it is sent.
    """

    sql: str
    arguments: tuple[Any, ...]
    row: tuple[str, ...]
    tell: Callable[..., None]
    answers: tuple[str, ...] = ()
    must: str = ""
    first: bool = False


class RefusedError(Exception):
    """Something that was taken for granted is not so: nothing of the transaction is kept.

    It is to be run again, with nothing assumed and begun from the start.
    """


ONE = "count(*) = 1"
"""The condition that just one row was written."""


def unheeded(_count: int) -> None:
    """Say nothing of how many rows were written: any number is right."""


class Session(ABC):
    """One transaction's way to its database."""

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect.name
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """Give SQLAlchemy's own connection, for searches: all that was written is there."""
        self.flush()
        return self._connection

    @abstractmethod
    def rows(self, sql: str, arguments: tuple[Any, ...], *, of: str = "") -> Sequence[Any]:
        """Run a statement now, and answer its rows as the driver does.

        `of` is the one table that it reads, if it reads no other and locks nothing.
        """

    @abstractmethod
    def lock(self, sql: str) -> None:
        """Run a statement now that reads nothing, and takes locks to the transaction's end."""

    @abstractmethod
    def count(self, sql: str, arguments: tuple[Any, ...]) -> int:
        """Run a statement now, and answer how many rows it has written."""

    @abstractmethod
    def write(self, write: Write) -> None:
        """Write at the next flush, or before."""

    @abstractmethod
    def flush(self) -> None:
        """Send what was written and is not sent yet."""


class CursorSession(Session):
    """A transaction on a database in this process: nothing is gained by waiting."""

    def rows(self, sql: str, arguments: tuple[Any, ...], *, of: str = "") -> Sequence[Any]:
        del of
        found: Sequence[Any] = self._run(sql, arguments).fetchall()
        return found

    def lock(self, sql: str) -> None:
        self._run(sql, ())

    def count(self, sql: str, arguments: tuple[Any, ...]) -> int:
        return int(self._run(sql, arguments).rowcount)

    def write(self, write: Write) -> None:
        write.tell(self.count(write.sql, write.arguments))

    def flush(self) -> None:
        """Everything is sent already."""

    def _run(self, sql: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 -- any driver's cursor
        cursor = self._connection.connection.cursor()
        cursor.execute(sql, arguments)
        return cursor


class GatheringSession(Session):
    """A transaction on PostgreSQL, on asyncpg's own connection.

    `gather` may add what is to be written last of all, each time that writes are sent. One that
    `begins` tells PostgreSQL of every transaction whose writes have conditions.
    """

    def __init__(self, line: Line, begin: str = "BEGIN", *, begins: bool = False) -> None:
        super().__init__(line.connection)
        self._begin_by = begin
        self._begins = begins
        self._is_begun = False
        self._driver = line.driver
        self._prepared = line.prepared
        self._waiting: list[Write] = []
        self._rows: set[Hashable] = set()
        self._tables: set[str] = set()
        self._is_single = False
        self._is_spent = False
        self._is_assuming = False
        self.gather: Callable[[], Sequence[Write]] = tuple

    @property
    def connection(self) -> Connection:
        self.flush()
        self._begin()
        return self._connection

    def _begin(self) -> None:
        if not self._is_begun and not self._is_single:
            self._is_begun = True
            await_only(self._driver.execute(self._begin_by))

    @contextmanager
    def transaction(self, *, at_once: bool = False) -> Iterator[None]:
        """Commit at the end of the block, or roll back if that raises.

        It begins with the first statement that needs it, unless that is to be `at_once`.
        """
        if at_once:
            self._begin()
        try:
            yield
            if writes := self._gathered():
                if self._begins and any(write.must for write in writes):
                    self._begin()
                self._send(writes)
            if self._is_begun:
                await_only(self._driver.execute("COMMIT"))
        except BaseException as error:
            refused = getattr(error, "sqlstate", "") == _REFUSED
            if hasattr(error, "sqlstate") and not refused:
                # It may be that the tables have changed since.
                self._prepared.clear()
            if not self._driver.is_closed() and self._driver.is_in_transaction():
                await_only(self._driver.execute("ROLLBACK"))
            if refused or (self._is_assuming and isinstance(error, Exception)):
                # What it failed for may not be so.
                raise RefusedError from error
            raise

    @contextmanager
    def single(self) -> Iterator[None]:
        """Run one statement by itself."""
        self._is_single = True
        yield

    def rows(self, sql: str, arguments: tuple[Any, ...], *, of: str = "") -> Sequence[Any]:
        if not of or of in self._tables or self._is_assuming:
            self.flush()
            self._begin()
        return self._run(sql, arguments)

    def lock(self, sql: str) -> None:
        if not self._is_begun:
            self._is_begun = True
            sql = f"{self._begin_by}; {sql}"
        await_only(self._driver.execute(sql))

    def count(self, sql: str, arguments: tuple[Any, ...]) -> int:
        self._check_writable()
        self.flush()
        self._begin()
        self._run(sql, arguments)
        # Such as "UPDATE 1", or "INSERT 0 1".
        return int(self._prepared[sql].get_statusmsg().rpartition(" ")[2])

    def write(self, write: Write) -> None:
        self._check_writable()
        table = write.row[:1]
        overlaps = table[0] in self._tables if write.row == table else table in self._rows
        if overlaps or write.row in self._rows or len(self._waiting) == MOST_TOGETHER:
            self.flush()
        self._waiting.append(write)
        self._is_assuming = self._is_assuming or write.first
        self._rows.add(write.row)
        self._tables.add(write.row[0])

    def flush(self) -> None:
        if writes := self._gathered():
            self._begin()
            self._send(writes)

    def _gathered(self) -> list[Write]:
        return [*self._waiting, *self.gather()]

    def _send(self, writes: Sequence[Write]) -> None:
        self._waiting.clear()
        self._rows.clear()
        self._tables.clear()
        self._is_assuming = False
        # Where PostgreSQL can still take back all of it, `tell` knows better what is wrong.
        sql = _together(
            tuple(
                (write.sql, write.answers, "" if self._is_begun else write.must) for write in writes
            )
        )
        arguments = [each for write in writes for each in write.arguments]
        (told,) = self._run(sql, arguments)
        answers = iter(told)
        for write in writes:
            write.tell(*(next(answers) for _ in range(1 + len(write.answers))))

    def _check_writable(self) -> None:
        if self._is_single:
            raise AssertionError("whatever only reads is read-only")

    def _run(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        if self._is_single and self._is_spent:
            raise AssertionError("two statements may see two states: they need a transaction")
        self._is_spent = True
        prepared = self._prepared.get(sql)
        if prepared is None:
            prepared = self._prepared[sql] = await_only(self._driver.prepare(sql))
        found: Sequence[Any] = await_only(prepared.fetch(*arguments))
        return found


@cache
def _together(parts: tuple[tuple[str, tuple[str, ...], str], ...]) -> str:
    """Write one statement that does what several do, each on rows of its own.

    A condition that doesn't hold is a division by zero, which fails all of it.
    """
    sent, told, arguments = [], [], 0
    for number, (sql, answers, must) in enumerate(parts):
        moved = _PARAMETER.sub(partial(_moved, by=arguments), sql)
        arguments += max(map(int, _PARAMETER.findall(sql)))
        returning = "" if answers or sql.startswith("SELECT") else " RETURNING 1"
        sent.append(f"w{number} AS ({moved}{returning})")
        count = f"count(*) / ({must})::int" if must else "count(*)"
        told += [f"(SELECT {each} FROM w{number})" for each in (count, *answers)]  # noqa: S608 -- all our own
    return f"WITH {', '.join(sent)} SELECT {', '.join(told)}"


def _moved(parameter: re.Match[str], *, by: int) -> str:
    return f"${int(parameter[1]) + by}"
