"""The few things that several repositories do with rows.

Statements that run often are written by SQLAlchemy once, and run on the driver itself: running them
through SQLAlchemy takes twice as long as the driver does.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
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

from boxoffice_server.storage.session import ONE, Session, Write, unheeded

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
        of: str = "",
    ) -> None:
        """Write a statement; `written` are the columns that an INSERT gives values to.

        `of` is the one table that it reads, if it reads no other and locks nothing.
        """
        dialect = _dialect(dialect_name)
        compiled = statement.compile(dialect=dialect, column_keys=written)
        self.sql: str = compiled.string
        self._of = of
        self._parameters: tuple[str, ...] = tuple(compiled.positiontup)
        # What the statement itself gives a value, such as SQLite's OFFSET 0.
        given = compiled.params.items()
        self._given = {name: value for name, value in given if value is not None}
        self._columns = tuple(column.key or "" for column in answers)
        readers = (_reader(column, dialect) for column in answers)
        self._readers = {
            name: read for name, read in zip(self._columns, readers, strict=True) if read
        }

    def count(self, session: Session, values: Row) -> int:
        """Run it, and answer how many rows it has changed."""
        return session.count(self.sql, self.arguments(values))

    def rows(self, session: Session, values: Row) -> Sequence[Row]:
        """Run it, and answer its rows."""
        found = [
            dict(zip(self._columns, row, strict=True))
            for row in session.rows(self.sql, self.arguments(values), of=self._of)
        ]
        for name, read in self._readers.items():
            for row in found:
                row[name] = read(row[name])
        return found

    def tuples(self, session: Session, values: Row) -> Sequence[Sequence[Any]]:
        """Run it, and answer its rows as the driver does, their values in the order of columns."""
        return session.rows(self.sql, self.arguments(values))

    def row(self, session: Session, values: Row) -> Row | None:
        """Run it, and answer its row, of which there may be one at most."""
        found = self.rows(session, values)
        if len(found) > 1:
            raise LookupError("there is more than one row with this key")
        return found[0] if found else None

    def write(
        self,
        session: Session,
        values: Row,
        *,
        row: tuple[str, ...],
        tell: Callable[[int], None] = unheeded,
        must: str = "",
    ) -> None:
        """Run it with the other writes of the transaction: see Write."""
        arguments = self.arguments(values)
        session.write(Write(sql=self.sql, arguments=arguments, row=row, tell=tell, must=must))

    def arguments(self, values: Row) -> tuple[Any, ...]:
        """Put values in the order in which the statement takes them."""
        known = {**self._given, **values} if self._given else values
        return tuple([known[name] for name in self._parameters])


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


def insert_row(session: Session, table: Table, values: Row, *key: str) -> None:
    """Insert a row that must not be there yet. Its key is its id, unless another is named."""
    row = (table.name, *(values[name] for name in key or ("id",)))
    _insert(session.dialect, table, tuple(values)).write(session, values, row=row)


@cache
def _insert(dialect: str, table: Table, written: tuple[str, ...]) -> Statement:
    return Statement(dialect, insert(table), written=written)


def insert_if_absent(session: Session, table: Table, values: Row, *key: str) -> bool:
    """Insert a row, unless one with the same key is there; tell whether it was inserted.

    Without a key it is any of the table's keys: one that is not named here would be an error where
    another transaction is at the same row. Waits for a concurrent transaction that has inserted the
    same key but not ended.
    """
    return _insert_if_absent(session.dialect, table, tuple(values), key).count(session, values) == 1


def keep_row(session: Session, table: Table, values: Row, *key: str) -> None:
    """Insert a row, unless one with the same key is there."""
    row = (table.name, *(values[name] for name in key))
    _insert_if_absent(session.dialect, table, tuple(values), key).write(session, values, row=row)


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


def update_row(session: Session, table: Table, values: Row, *key: str) -> None:
    """Update the one row that has these values in its key columns, or raise LookupError."""
    changed = tuple(name for name in values if name not in key)
    # A column can't be compared and set by one parameter, so those of the key have names apart.
    parameters = {name: values[name] for name in changed}
    parameters |= {_KEY + name: values[name] for name in key}
    statement = _update(session.dialect, table, key, changed)

    def check(count: int) -> None:
        if count != 1:
            raise LookupError(f"no row of {table.name} has this {' and '.join(key)}")

    row = (table.name, *(values[name] for name in key))
    statement.write(session, parameters, row=row, tell=check, must=ONE)


@cache
def _update(
    dialect: str, table: Table, key: tuple[str, ...], changed: tuple[str, ...]
) -> Statement:
    wanted = (table.c[name] == bindparam(_KEY + name) for name in key)
    query = update(table).where(*wanted).values({name: bindparam(name) for name in changed})
    return Statement(dialect, query)


def one_row(session: Session, table: Table, *, lock: bool = False, **key: str) -> Row | None:
    """Find one row by its key; locked to the end of the transaction if asked for.

    SQLite has a single writer, so there every transaction that writes holds all locks.
    """
    return _select(session.dialect, table, tuple(key), lock).row(session, key)


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
    return Statement(dialect, query, answers=tuple(table.c), of="" if lock else table.name)


def lock_rows(session: Session, keys: Sequence[tuple[Table, str]]) -> Sequence[Row] | None:
    """Lock a row of each of these tables by its id, in their order; None unless all are there."""
    tables = tuple(table for table, _ in keys)
    found = _lock_each(session.dialect, tables).row(
        session, {table.name: row_id for table, row_id in keys}
    )
    if found is None:
        return None
    values = iter(found.values())
    return [{column.name: next(values) for column in table.c} for table in tables]


@cache
def _lock_each(dialect: str, tables: tuple[Table, ...]) -> Statement:
    """Write what locks rows of several tables: PostgreSQL does it in the order of FROM.

    https://github.com/postgres/postgres/blob/REL_16_STABLE/src/backend/executor/nodeLockRows.c
    """
    columns = [
        column.label(f"{table.name}_{column.name}") for table in tables for column in table.c
    ]
    wanted = (table.c.id == bindparam(table.name) for table in tables)
    query = select(*columns).select_from(*tables).where(*wanted).with_for_update(key_share=True)
    return Statement(dialect, query, answers=columns)


def latest_first(
    session: Session,
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
    return session.connection.execute(query).mappings().all()


def newest_first(
    session: Session,
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
    return session.connection.execute(query).mappings().all()
