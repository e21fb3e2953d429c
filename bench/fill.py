"""Fills a log past the service: its rows are copies of a real event's, with ids of their own."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import make_url

from bench.lab import SQLITE
from bench.numbered import until_numbered
from bench.sample import new_order
from boxoffice_server.api.events import encode_event
from boxoffice_server.domain.order import created
from boxoffice_server.ports import Repository
from tests.support.stores import opened_store

# A row of the log by its columns.
Values: TypeAlias = Mapping[str, Any]

EVENTS_PER_ORDER = 4
_FIRST = "SELECT * FROM log WHERE position = 1"


def fill_log(url: str, store: str, events: int) -> None:
    """Fill the empty log of a database with so many events."""
    asyncio.run(_append_first(url))
    if store == SQLITE:
        _fill_sqlite(url, events)
    else:
        asyncio.run(_fill_postgres(url, events))


async def _append_first(url: str) -> None:
    """Append one real event, and wait until it is numbered."""

    def insert(repo: Repository) -> None:
        order = new_order(0)
        repo.orders.insert(order)
        repo.log.append(created(order))

    async with opened_store(url, encode=encode_event) as store:
        await store.write(insert)
        await until_numbered(store, 1)


def _fill_sqlite(url: str, events: int) -> None:
    path = make_url(url).database
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        first = dict(connection.execute(_FIRST).fetchone())
        columns = _columns(first)
        places = ", ".join("?" * len(columns))
        # The columns' names come from our own tables.
        statement = f"INSERT INTO log ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        connection.executemany(statement, _rows(first, events))
        connection.execute("UPDATE log_meta SET head = ?", (events,))


async def _fill_postgres(url: str, events: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        first = dict(await connection.fetchrow(_FIRST) or {})
        async with connection.transaction():
            await connection.copy_records_to_table(
                "log", columns=_columns(first), records=_rows(first, events)
            )
            await connection.execute("UPDATE log_meta SET head = $1", events)
        # As PostgreSQL would do by itself before long, and then in the middle of a round.
        await connection.execute("VACUUM ANALYZE log")
    finally:
        await connection.close()


def _columns(first: Values) -> list[str]:
    """Name the columns to fill. The database itself numbers the rows as they come."""
    return [name for name in first if name != "append_id"]


def _rows(first: Values, events: int) -> Iterator[list[object]]:
    """Make up the rows behind the first one, up to so many events."""
    columns = _columns(first)
    position_at, group_at, event_at, subject_at, payload_at = map(
        columns.index, ("position", "group_label", "event_id", "subject_id", "payload")
    )
    event_id, order_id = first["event_id"].encode(), first["subject_id"].encode()
    template = [first[name] for name in columns]
    for position in range(2, events + 1):
        # As long as real ids, so that the payload stays what it is.
        event, order = f"evt_{position:032x}", f"ord_{position // EVENTS_PER_ORDER:032x}"
        row = template.copy()
        row[position_at] = position
        row[group_at] = f"{position:032x}"
        row[event_at] = event
        row[subject_at] = order
        payload = first["payload"].replace(event_id, event.encode())
        row[payload_at] = payload.replace(order_id, order.encode())
        yield row
