"""Transactions that change an order and append that to the log, against the rows alone.

The baseline writes rows of the same bytes, made up before, through the plain drivers, and gives
them no number in the log. On PostgreSQL there is a control beside it that numbers them in the
transaction, under an advisory lock: the simple way that the store's numbering does without.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from bench.lab import POSTGRESQL, SQLITE, Lab
from bench.numbered import until_numbered
from bench.plain import write_asyncpg, write_sqlite3
from bench.report import Row, in_turns
from bench.sample import new_order, next_event
from boxoffice_server.api.events import encode_event
from boxoffice_server.domain.order import Order, OrderEvent, created
from boxoffice_server.ports import OrderFilter, Repository, Store
from tests.support.stores import opened_store

WRITERS = 16

PLAIN = "plain"
CONTROL = "control"


def bench_append(lab: Lab) -> list[Row]:
    """Measure how many transactions per second each store takes."""
    sides: list[tuple[str, str, Callable[[str, int], float]]] = [
        (PLAIN, SQLITE, write_sqlite3),
        ("ours", SQLITE, _write_store),
        (PLAIN, POSTGRESQL, partial(write_asyncpg, writers=WRITERS, numbered=False)),
        (CONTROL, POSTGRESQL, partial(write_asyncpg, writers=WRITERS, numbered=True)),
        ("ours", POSTGRESQL, _write_store),
    ]
    measures: dict[str, Callable[[], float]] = {}
    for side, store, write in sides:
        url = lab.database(store)
        asyncio.run(_make_orders(url))
        measures[f"{side} {store}"] = partial(write, url, lab.scale.appends)
    taken = in_turns(lab.scale.rounds, measures)
    rows = [
        (SQLITE, PLAIN, "plain sqlite3, one writer, no numbers"),
        (POSTGRESQL, PLAIN, f"plain asyncpg, {WRITERS} writers, no numbers"),
        (POSTGRESQL, CONTROL, f"plain asyncpg, {WRITERS} writers, numbers under an advisory lock"),
    ]
    return [
        Row(
            measure=f"append and number, {store}",
            unit="transactions/s",
            baseline=taken[f"{side} {store}"],
            ours=taken[f"ours {store}"],
            against=against,
        )
        for store, side, against in rows
    ]


async def _make_orders(url: str) -> None:
    """Make the orders that are written to, one per writer."""

    def insert(repo: Repository) -> None:
        for number in range(WRITERS):
            order = new_order(number)
            repo.orders.insert(order)
            repo.log.append(created(order))

    async with opened_store(url, encode=encode_event) as store:
        await store.write(insert)
        await until_numbered(store, WRITERS)


def _write_store(url: str, transactions: int) -> float:
    return asyncio.run(_write_to_store(url, transactions))


async def _write_to_store(url: str, transactions: int) -> float:
    """Write by all writers at once, and answer the rate until the last event is numbered."""
    numbers = iter(range(transactions))
    written: set[str] = set()

    async def write_on(store: Store, order: Order) -> None:
        for _ in numbers:
            event = next_event(order)
            await store.write(partial(_write, event=event))
            written.add(event.id)
            order = event.order

    async with opened_store(url, encode=encode_event) as store:
        orders, head = await store.read(_orders_and_head)
        begin = time.perf_counter()
        await asyncio.gather(*(write_on(store, order) for order in orders))
        await until_numbered(store, head + transactions)
        seconds = time.perf_counter() - begin
        await _check(store, head, written)
    return transactions / seconds


def _write(repo: Repository, *, event: OrderEvent) -> None:
    repo.orders.update(event.order)
    repo.log.append(event)


def _orders_and_head(repo: Repository) -> tuple[list[Order], int]:
    orders = [
        order
        for number in range(WRITERS)
        for order in repo.orders.find(OrderFilter(user_id=f"user-{number}"), before_id="", limit=1)
    ]
    assert len(orders) == WRITERS
    return orders, repo.log.bounds().head


async def _check(store: Store, after: int, written: set[str]) -> None:
    """See that the log holds what was written, without a hole."""
    records, through = await store.read(
        lambda repo: repo.log.read(after=after, limit=len(written) + 1)
    )
    assert [record.position for record in records] == list(range(after + 1, through + 1))
    assert {record.event_id for record in records} == written
