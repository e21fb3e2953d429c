"""The few things that several repositories do with rows.

Statements that run often are written by SQLAlchemy once, and run on the driver's cursor: running
them through SQLAlchemy takes twice as long as the driver does.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    RowMapping,
    Select,
    Table,
    bindparam,
    insert,
    select,
    tuple_,
    update,
)

_KEY = "key_"

Row = Mapping[str, Any]
"""A row, or the values for one, by the names of its columns."""


class Statement:
    """A statement as one dialect writes it."""

    def __init__(
        self,
        dialect_name: str,
        statement: Any,  # noqa: ANN401 -- SQLAlchemy's classes of statements share no public one
        *,
        written: Sequence[str] | None = None,
        answers: Sequence[ColumnElement[Any]] = (),
    ) -> None:
        """Write a statement; `written` are the columns that an INSERT gives values to."""
        dialect = _dialect(dialect_name)
        compiled = statement.compile(dialect=dialect, column_keys=written)
        self._sql: str = compiled.string
        self._parameters: tuple[str, ...] = tuple(compiled.positiontup)
        # What the statement itself gives a value, such as SQLite's OFFSET 0.
        given = compiled.params.items()
        self._given = {name: value for name, value in given if value is not None}
        self._columns = tuple(column.key or "" for column in answers)
        readers = (_reader(column, dialect) for column in answers)
        self._readers = {
            name: read for name, read in zip(self._columns, readers, strict=True) if read
        }

    def count(self, connection: Connection, values: Row) -> int:
        """Run it, and answer how many rows it has changed."""
        cursor = self._run(connection, values)
        return int(cursor.rowcount)

    def rows(self, connection: Connection, values: Row) -> Sequence[Row]:
        """Run it, and answer its rows."""
        found = [
            dict(zip(self._columns, row, strict=True))
            for row in self._run(connection, values).fetchall()
        ]
        for name, read in self._readers.items():
            for row in found:
                row[name] = read(row[name])
        return found

    def tuples(self, connection: Connection, values: Row) -> Sequence[Sequence[Any]]:
        """Run it, and answer its rows as the driver does, their values in the order of columns."""
        found: Sequence[Sequence[Any]] = self._run(connection, values).fetchall()
        return found

    def row(self, connection: Connection, values: Row) -> Row | None:
        """Run it, and answer its row, of which there may be one at most."""
        found = self.rows(connection, values)
        if len(found) > 1:
            raise LookupError("there is more than one row with this key")
        return found[0] if found else None

    def _run(self, connection: Connection, values: Row) -> Any:  # noqa: ANN401 -- any driver's cursor
        cursor = connection.connection.cursor()
        known = {**self._given, **values} if self._given else values
        cursor.execute(self._sql, tuple([known[name] for name in self._parameters]))
        return cursor


@cache
def _dialect(name: str) -> Dialect:
    """Make a dialect; each is loaded only where it is used."""
    if name == "postgresql":
        from sqlalchemy.dialects.postgresql import asyncpg  # noqa: PLC0415 -- see above

        return asyncpg.dialect()  # type: ignore[no-untyped-call]  # it has no types
    from sqlalchemy.dialects.sqlite import pysqlite  # noqa: PLC0415 -- see above

    return pysqlite.dialect()


def _reader(column: ColumnElement[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Find what makes a column's value of the driver's, where that is needed."""
    return column.type.dialect_impl(dialect).result_processor(dialect, None)


def insert_row(connection: Connection, table: Table, values: Row) -> None:
    """Insert a row that must not be there yet."""
    _insert(connection.dialect.name, table, tuple(values)).count(connection, values)


@cache
def _insert(dialect: str, table: Table, written: tuple[str, ...]) -> Statement:
    return Statement(dialect, insert(table), written=written)


def insert_if_absent(connection: Connection, table: Table, values: Row, *key: str) -> bool:
    """Insert a row, unless one with the same key is there; tell whether it was inserted.

    Without a key it is any of the table's keys: one that is not named here would be an error where
    another transaction is at the same row. Waits for a concurrent transaction that has inserted the
    same key but not ended.
    """
    statement = _insert_if_absent(connection.dialect.name, table, tuple(values), key)
    return statement.count(connection, values) == 1


@cache
def _insert_if_absent(
    dialect: str, table: Table, written: tuple[str, ...], key: tuple[str, ...]
) -> Statement:
    return Statement(dialect, insert_unless_there(dialect, table, key), written=written)


def insert_unless_there(dialect: str, table: Table, key: tuple[str, ...]) -> Insert:
    """Make an INSERT that does nothing where the key is there; each dialect has its own class."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- not loaded for SQLite

        return postgresql.insert(table).on_conflict_do_nothing(index_elements=key or None)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415 -- not loaded for PostgreSQL

    return sqlite.insert(table).on_conflict_do_nothing(index_elements=key or None)


def update_row(connection: Connection, table: Table, values: Row, *key: str) -> None:
    """Update the one row that has these values in its key columns, or raise LookupError."""
    changed = tuple(name for name in values if name not in key)
    # A column can't be compared and set by one parameter, so those of the key have names apart.
    parameters = {name: values[name] for name in changed}
    parameters |= {_KEY + name: values[name] for name in key}
    if _update(connection.dialect.name, table, key, changed).count(connection, parameters) != 1:
        raise LookupError(f"no row of {table.name} has this {' and '.join(key)}")


@cache
def _update(
    dialect: str, table: Table, key: tuple[str, ...], changed: tuple[str, ...]
) -> Statement:
    wanted = (table.c[name] == bindparam(_KEY + name) for name in key)
    query = update(table).where(*wanted).values({name: bindparam(name) for name in changed})
    return Statement(dialect, query)


def one_row(connection: Connection, table: Table, *, lock: bool = False, **key: str) -> Row | None:
    """Find one row by its key; locked to the end of the transaction if asked for.

    SQLite has a single writer, so there every transaction that writes holds all locks.
    """
    return _select(connection.dialect.name, table, tuple(key), lock).row(connection, key)


@cache
def _select(
    dialect: str,
    table: Table,
    key: tuple[str, ...],
    lock: bool,  # noqa: FBT001 -- a cache
) -> Statement:
    query = select(table).where(*(table.c[name] == bindparam(name) for name in key))
    if lock:
        query = query.with_for_update(key_share=True)
    return Statement(dialect, query, answers=tuple(table.c))


def latest_first(
    connection: Connection,
    query: Select[Any],
    *,
    time: Column[int],
    key: Column[str],
    before: str,
    limit: int,
) -> Sequence[RowMapping]:
    """Find one page of rows, from the latest time down, those after `before` unless it is empty.

    Rows of one time are told apart by their keys, which need not rise with it.
    """
    if before:
        place = select(time).where(key == before).scalar_subquery()
        query = query.where(tuple_(time, key) < tuple_(place, before))
    query = query.order_by(time.desc(), key.desc()).limit(limit)
    return connection.execute(query).mappings().all()


def newest_first(
    connection: Connection,
    query: Select[Any],
    *,
    key: Column[str],
    before: str,
    limit: int,
    wanted: Sequence[ColumnElement[bool]],
) -> Sequence[RowMapping]:
    """Find one page of rows, from the largest key down, below `before` unless that is empty."""
    if before:
        query = query.where(key < before)
    query = query.where(*wanted).order_by(key.desc()).limit(limit)
    return connection.execute(query).mappings().all()
