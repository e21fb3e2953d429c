"""What one call has left in a database, to be written again by hand."""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import make_url

Row: TypeAlias = dict[str, Any]

_OPERATION = "SELECT * FROM operations WHERE request_id = '{}'"
_PAYMENT = "SELECT * FROM payments WHERE id = '{}'"
_ORDERS = "SELECT * FROM orders WHERE payment_id = '{}'"
_FACTS = "SELECT * FROM payment_facts WHERE payment_id = '{}'"
_LOG = "SELECT * FROM log WHERE subject_id IN ('{}', '{}') ORDER BY append_id"

_OPERATION_KEY = ("caller", "operation", "request_id")
# An operation between its two transactions, and a log record that nobody has numbered.
_UNSETTLED: Row = {"answer": None, "settled": False, "owner": "0" * 36}
_UNNUMBERED: Row = {"position": None, "high_time": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A row that is inserted or, with a key, put in the place of the one that has it."""

    table: str
    row: Row
    key: Sequence[str] = ()

    def statement(self, parameter: str) -> str:
        """Write it in SQL."""
        places = [f"{parameter}{number}" for number in range(1, len(self.row) + len(self.key) + 1)]
        # The columns' names come from our own tables.
        if not self.key:
            columns = ", ".join(self.row)
            return f"INSERT INTO {self.table} ({columns}) VALUES ({', '.join(places)})"  # noqa: S608
        set_, found = places[: len(self.row)], places[len(self.row) :]
        pairs = ", ".join(f"{name} = {place}" for name, place in zip(self.row, set_, strict=True))
        wanted = " AND ".join(
            f"{name} = {place}" for name, place in zip(self.key, found, strict=True)
        )
        return f"UPDATE {self.table} SET {pairs} WHERE {wanted}"  # noqa: S608

    @property
    def values(self) -> list[object]:
        """List the parameters of the statement."""
        return [*self.row.values(), *(self.row[name] for name in self.key)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the two transactions of a call write, and all names in it that no other call shares."""

    first: Sequence[Write]
    second: Sequence[Write]
    names: frozenset[str]

    def again(self) -> "Footprint":
        """Write what another call like this one would, equally long."""
        new = {name: uuid.uuid4().hex.rjust(len(name), "0")[: len(name)] for name in self.names}
        return Footprint(
            first=[_renamed(write, new) for write in self.first],
            second=[_renamed(write, new) for write in self.second],
            names=frozenset(new.values()),
        )


async def read_footprint(url: str, request_id: str) -> Footprint:
    """Read what a call that made a payment has written, by its request id."""
    (operation,) = await _fetch(url, _OPERATION.format(request_id))
    (payment,) = await _fetch(url, _PAYMENT.format(operation["resource_id"]))
    orders = await _fetch(url, _ORDERS.format(payment["id"]))
    facts = await _fetch(url, _FACTS.format(payment["id"]))
    log = await _fetch(url, _LOG.format(payment["id"], payment["order_id"]))
    first_log, second_log = (
        [Write(table="log", row=_without_id(record) | _UNNUMBERED) for record in group]
        for _, group in groupby(log, key=lambda record: record["group_label"])
    )
    names = {request_id, operation["id"], *(record["event_id"] for record in log)}
    for row in (payment, *orders):
        names |= {row["id"], row.get("stripe_payment_intent_id"), row.get("stripe_charge_id")}
    return Footprint(
        first=[
            Write(table="operations", row=operation | _UNSETTLED),
            *(Write(table="orders", row=order) for order in orders),
            Write(table="payments", row=payment),
            *first_log,
        ],
        second=[
            *(Write(table="payment_facts", row=fact) for fact in facts),
            Write(table="payments", row=payment, key=("id",)),
            *second_log,
            Write(table="operations", row=operation, key=_OPERATION_KEY),
        ],
        names=frozenset(name for name in names if name),
    )


async def _fetch(url: str, query: str) -> list[Row]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "")) as plain:
            plain.row_factory = sqlite3.Row
            return [dict(row) for row in plain.execute(query)]
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def _without_id(record: Row) -> Row:
    return {name: value for name, value in record.items() if name != "append_id"}


def _renamed(write: Write, names: Mapping[str, str]) -> Write:
    row = {column: _rename(value, names) for column, value in write.row.items()}
    return Write(table=write.table, row=row, key=write.key)


def _rename(value: object, names: Mapping[str, str]) -> object:
    for old, new in names.items():
        if isinstance(value, str):
            value = value.replace(old, new)
        elif isinstance(value, bytes):
            value = value.replace(old.encode(), new.encode())
    return value
