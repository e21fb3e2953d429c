"""The few things that several repositories do with rows.

Statements that run often are made once: SQLAlchemy takes as long to make one as to run it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    RowMapping,
    Select,
    Table,
    Update,
    bindparam,
    insert,
    select,
    update,
)

_KEY = "key_"


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row that must not be there yet."""
    connection.execute(_insert(table), values)


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


def insert_if_absent(
    connection: Connection, table: Table, values: Mapping[str, Any], *key: str
) -> bool:
    """Insert a row, unless one with the same key is there; tell whether it was inserted.

    Without a key it is any of the table's keys: one that is not named here would be an error where
    another transaction is at the same row. Waits for a concurrent transaction that has inserted the
    same key but not ended.
    """
    statement = insert_unless_there(connection.dialect.name, table, key)
    return connection.execute(statement, values).rowcount == 1


@cache
def insert_unless_there(dialect: str, table: Table, key: tuple[str, ...]) -> Insert:
    """Make an INSERT that does nothing where the key is there; each dialect has its own class."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- not loaded for SQLite

        return postgresql.insert(table).on_conflict_do_nothing(index_elements=key or None)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415 -- not loaded for PostgreSQL

    return sqlite.insert(table).on_conflict_do_nothing(index_elements=key or None)


def update_row(connection: Connection, table: Table, values: Mapping[str, Any], *key: str) -> None:
    """Update the one row that has these values in its key columns, or raise LookupError."""
    changed = tuple(name for name in values if name not in key)
    # A column can't be compared and set by one parameter, so those of the key have names apart.
    parameters = {name: values[name] for name in changed}
    parameters |= {_KEY + name: values[name] for name in key}
    if connection.execute(_update(table, key, changed), parameters).rowcount != 1:
        raise LookupError(f"no row of {table.name} has this {' and '.join(key)}")


@cache
def _update(table: Table, key: tuple[str, ...], changed: tuple[str, ...]) -> Update:
    wanted = (table.c[name] == bindparam(_KEY + name) for name in key)
    return update(table).where(*wanted).values({name: bindparam(name) for name in changed})


def one_row(
    connection: Connection, table: Table, *, lock: bool = False, **key: str
) -> RowMapping | None:
    """Find one row by its key; locked to the end of the transaction if asked for.

    SQLite has a single writer, so there every transaction that writes holds all locks.
    """
    return connection.execute(_select(table, tuple(key), lock), key).mappings().one_or_none()


@cache
def _select(table: Table, key: tuple[str, ...], lock: bool) -> Select[Any]:  # noqa: FBT001 -- a cache
    query = select(table).where(*(table.c[name] == bindparam(name) for name in key))
    return query.with_for_update(key_share=True) if lock else query


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
