"""The few things that several repositories do with rows."""

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
    insert,
    update,
)


def insert_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row that must not be there yet."""
    connection.execute(insert(table), values)


def insert_if_absent(
    connection: Connection, table: Table, values: Mapping[str, Any], *key: str
) -> bool:
    """Insert a row, unless one with the same key is there; tell whether it was inserted.

    Waits for a concurrent transaction that has inserted the same key but not ended.
    """
    statement = insert_unless_there(connection.dialect.name, table, key)
    return connection.execute(statement, values).rowcount == 1


@cache
def insert_unless_there(dialect: str, table: Table, key: tuple[str, ...]) -> Insert:
    """Make an INSERT that does nothing where the key is there; each dialect has its own class."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- not loaded for SQLite

        return postgresql.insert(table).on_conflict_do_nothing(index_elements=key)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415 -- not loaded for PostgreSQL

    return sqlite.insert(table).on_conflict_do_nothing(index_elements=key)


def update_row(connection: Connection, table: Table, values: Mapping[str, Any], *key: str) -> None:
    """Update the one row that has these values in its key columns, or raise LookupError."""
    wanted = [table.c[name] == values[name] for name in key]
    rest = {name: value for name, value in values.items() if name not in key}
    if connection.execute(update(table).where(*wanted).values(rest)).rowcount != 1:
        raise LookupError(f"no row of {table.name} has this {' and '.join(key)}")


def one_row(connection: Connection, query: Select[Any], *, lock: bool = False) -> RowMapping | None:
    """Find one row by its key; locked to the end of the transaction if asked for.

    SQLite has a single writer, so there every transaction that writes holds all locks.
    """
    if lock:
        query = query.with_for_update(key_share=True)
    return connection.execute(query).mappings().one_or_none()


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
