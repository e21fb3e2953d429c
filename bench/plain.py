"""The baseline of appending: the same rows, through the plain drivers."""

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import make_url

# A row by its columns.
Values: TypeAlias = Mapping[str, Any]

_ORDERS = "SELECT * FROM orders"
_EVENT = "SELECT * FROM log ORDER BY append_id LIMIT 1"
_COUNT = "SELECT count(*), max(position) FROM log"
_LOCK = "SELECT pg_advisory_xact_lock(1)"
_NUMBER = "UPDATE log_meta SET head = head + 1 RETURNING head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What is written: rows of orders in turn, and of the log; by statements of one dialect."""

    update: str
    insert: str
    orders: Sequence[Sequence[object]]
    events: Iterator[Sequence[object]]
    position: int
    high_time: int


def write_sqlite3(url: str, transactions: int) -> float:
    """Write to SQLite from one thread, with the settings of the service."""
    path = make_url(url).database
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        orders = [dict(row) for row in connection.execute(_ORDERS)]
        event = dict(connection.execute(_EVENT).fetchone())
        writes = _writes(orders, event, transactions, parameter="?")
        before = connection.execute(_COUNT).fetchone()[0]
        begin = time.perf_counter()
        for number, values in enumerate(writes.events):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(writes.update, writes.orders[number % len(orders)])
            connection.execute(writes.insert, values)
            connection.execute("COMMIT")
        seconds = time.perf_counter() - begin
        assert connection.execute(_COUNT).fetchone()[0] == before + transactions
    return transactions / seconds


def write_asyncpg(url: str, transactions: int, *, writers: int, numbered: bool) -> float:
    """Write to PostgreSQL over so many connections at once; `numbered` is the control."""
    return asyncio.run(_write_asyncpg(url, transactions, writers=writers, numbered=numbered))


async def _write_asyncpg(url: str, transactions: int, *, writers: int, numbered: bool) -> float:
    connections = [await asyncpg.connect(url) for _ in range(writers)]
    first = connections[0]
    orders = [dict(row) for row in await first.fetch(_ORDERS)]
    event = dict(await first.fetchrow(_EVENT) or {})
    writes = _writes(orders, event, transactions, parameter="$")

    async def write_on(connection: asyncpg.Connection, order: Sequence[object]) -> None:
        for prepared in writes.events:
            values = list(prepared)
            async with connection.transaction():
                await connection.execute(writes.update, *order)
                if numbered:
                    await connection.execute(_LOCK)
                    values[writes.position] = await connection.fetchval(_NUMBER)
                    values[writes.high_time] = event["create_time"]
                await connection.execute(writes.insert, *values)

    before, _ = await first.fetchrow(_COUNT) or (0, 0)
    begin = time.perf_counter()
    await asyncio.gather(*map(write_on, connections, writes.orders))
    seconds = time.perf_counter() - begin
    after, head = await first.fetchrow(_COUNT) or (0, 0)
    assert after == before + transactions
    assert not numbered or head == after
    for connection in connections:
        await connection.close()
    return transactions / seconds


def _writes(
    orders: Sequence[Values], event: Values, transactions: int, *, parameter: str
) -> Writes:
    """Make up rows like those that are there."""
    # All columns but the id, and the id at the end.
    order_columns = [name for name in orders[0] if name != "id"]
    log_columns = [name for name in event if name != "append_id"]
    sets = (f"{name} = {parameter}{number}" for number, name in enumerate(order_columns, 1))
    places = (f"{parameter}{number}" for number in range(1, len(log_columns) + 1))
    unnumbered = {"position": None, "high_time": None}
    events = [
        [
            {**event, **unnumbered, "event_id": f"evt_{uuid.uuid4().hex}"}[name]
            for name in log_columns
        ]
        for _ in range(transactions)
    ]
    return Writes(
        # The columns' names come from our own tables.
        update=(
            f"UPDATE orders SET {', '.join(sets)} WHERE id = {parameter}{len(order_columns) + 1}"  # noqa: S608
        ),
        insert=f"INSERT INTO log ({', '.join(log_columns)}) VALUES ({', '.join(places)})",  # noqa: S608
        orders=[[*(order[name] for name in order_columns), order["id"]] for order in orders],
        events=iter(events),
        position=log_columns.index("position"),
        high_time=log_columns.index("high_time"),
    )
