"""What must hold after anything that may befall the service: it is checked against Stripe's books.

Whoever audits reads three books: the tables, which no call shows in full; Stripe's objects; and the
stream of everything that has happened. No case of a test is known here, so that each check holds
after all of them.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.payment import PaymentStatus
from boxoffice_server.vendors.stripe import metadata
from tests.support.calls import frames
from tests.support.service import Account, wait_until
from tests.support.story import check_frames

Row = dict[str, Any]
Tables = dict[str, list[Row]]
# Amounts by currency.
Sums = Counter[str]

MOST_LISTED = 100
# The types of notifications that a release of ours reads, whatever they say.
UNDERSTOOD = "payment_intent."
TABLES = ("orders", "products", "payments", "customers", "notifications", "operations")
QUERIES: Mapping[str, str] = {
    **{table: f"SELECT * FROM {table}" for table in TABLES},  # noqa: S608 -- names of our own
    "log": "SELECT * FROM log ORDER BY position",
    "log_meta": "SELECT * FROM log_meta",
    "open_operations": "SELECT * FROM operations WHERE answer IS NULL AND NOT settled",
    "unnumbered": "SELECT * FROM log WHERE position IS NULL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What Stripe has of one account."""

    intents: list[Row]
    customers: list[Row]
    events: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The books of one service that runs, and has nothing to do just now."""

    grpc_address: str
    database_url: str
    account: Account
    # How long whoever settles what was left open may take.
    patience_seconds: float = 10

    def check(self) -> None:
        """Wait until everything is settled, and check all that must hold then."""
        self.wait_settled()
        tables, vendor = self.tables(*QUERIES), self._vendor()
        orders_told = self._watch_orders()
        check_money(tables, vendor)
        check_intents(tables, vendor)
        check_customers(tables, vendor)
        check_inbox(tables, vendor)
        check_orders(tables, orders_told)
        check_log(tables)

    def wait_settled(self) -> None:
        """Wait until no operation is open, whoever has to settle it, and every event is visible."""

        def settled() -> bool:
            return not any(self.tables("open_operations", "unnumbered").values())

        fault = "operations are left open, or events unnumbered"
        wait_until(settled, fault, seconds=self.patience_seconds)

    def tables(self, *names: str) -> Tables:
        """Read tables, past the service, as they are at one moment."""
        if self.database_url.startswith("sqlite:///"):
            return self._read_sqlite(names)
        return asyncio.run(self._read_postgres(names))

    def _read_sqlite(self, names: Iterable[str]) -> Tables:
        path = self.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.isolation_level = None
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            return {
                name: [dict(row) for row in connection.execute(QUERIES[name])] for name in names
            }

    async def _read_postgres(self, names: Iterable[str]) -> Tables:
        connection = await asyncpg.connect(self.database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return {
                    name: [dict(row) for row in await connection.fetch(QUERIES[name])]
                    for name in names
                }
        finally:
            await connection.close()

    def _vendor(self) -> Vendor:
        listed = {
            kind: self.account.everything(kind)
            for kind in ("payment_intents", "customers", "events")
        }
        for kind, objects in listed.items():
            assert len(objects) < MOST_LISTED, f"there are more {kind} than are checked"
        return Vendor(
            intents=listed["payment_intents"],
            customers=listed["customers"],
            events=listed["events"],
        )

    def _watch_orders(self) -> list[pb.OrderEvent]:
        """Watch from the beginning of the log until the stream has caught up."""
        seen: list[pb.WatchOrdersResponse] = []
        with grpc.insecure_channel(self.grpc_address) as channel:
            start = streams_pb2.START_POSITION_EARLIEST
            for frame in frames(OrdersServiceStub(channel), start_position=start):
                seen.append(frame)
                if frame.HasField("caught_up"):
                    break
        check_frames(seen)
        return [event for frame in seen for event in frame.events]


def check_money(tables: Tables, vendor: Vendor) -> None:
    """Check that the same sums were settled here and at Stripe, intent by intent."""
    here = {each["stripe_payment_intent_id"]: _settled_here(each) for each in tables["payments"]}
    there = {each["id"]: _settled_there(each) for each in vendor.intents}
    alike("settled by intent", _not_zero(here), _not_zero(there))
    alike("settled in all", _sum(here.values()), _sum(there.values()))


def _settled_here(payment: Row) -> Sums:
    complete = payment["status"] == PaymentStatus.COMPLETE
    return Counter({payment["currency"]: payment["amount"]} if complete else {})


def _settled_there(intent: Row) -> Sums:
    succeeded = intent["status"] == "succeeded"
    return Counter({intent["currency"]: intent["amount_received"]} if succeeded else {})


def _not_zero(sums: Mapping[str, Sums]) -> dict[str, Sums]:
    return {key: each for key, each in sums.items() if each}


def _sum(parts: Iterable[Sums]) -> Sums:
    total: Sums = Counter()
    for part in parts:
        total.update(part)
    return total


def check_intents(tables: Tables, vendor: Vendor) -> None:
    """Check that each intent at Stripe is known here, as that of its payment.

    So no payment has two, let alone two that succeeded.
    """
    here = {
        (each["id"], each["stripe_payment_intent_id"])
        for each in tables["payments"]
        if each["stripe_payment_intent_id"]
    }
    there = [(each["metadata"].get(metadata.PAYMENT_ID), each["id"]) for each in vendor.intents]
    alike("intents", Counter(here), Counter(there))


def check_customers(tables: Tables, vendor: Vendor) -> None:
    """Check that each user is one customer at Stripe, and the one that is known here."""
    here = [(each["user_id"], each["stripe_customer_id"]) for each in tables["customers"]]
    there = [(each["metadata"].get(metadata.USER_ID), each["id"]) for each in vendor.customers]
    alike("customers", Counter(here), Counter(there))


def check_inbox(tables: Tables, vendor: Vendor) -> None:
    """Check that all that Stripe has told is kept, once, and what this release knows is applied."""
    kept = Counter(each["vendor_event_id"] for each in tables["notifications"])
    alike("notifications", kept, Counter(each["id"] for each in vendor.events))
    unread = {
        each["type"]
        for each in tables["notifications"]
        if each["state"] == NotificationState.PARKED and each["type"].startswith(UNDERSTOOD)
    }
    assert not unread, f"notifications parked: {unread}"


def check_orders(tables: Tables, told: Sequence[pb.OrderEvent]) -> None:
    """Check that each change of an order is told of once, in order, and nothing else is."""
    orders = {each["id"]: each for each in tables["orders"]}
    alike("orders told of", {event.order.id for event in told}, set(orders))
    for order_id, order in orders.items():
        events = [event for event in told if event.order.id == order_id]
        _check_versions(order, [event.id for event in events])
        statuses = [e.order.status for e in events if e.type != pb.ORDER_EVENT_TYPE_UPDATED]
        names = [pb.OrderStatus.Name(each).removeprefix("ORDER_STATUS_") for each in statuses]
        # No order of any case comes back to where it was.
        assert len(names) == len(set(names)), f"order {order_id} went through {names}"
        alike("status told last", names[-1].lower(), order["status"])


def check_log(tables: Tables) -> None:
    """Check that the log is dense, and tells of each version of each subject once, in order."""
    (meta,) = tables["log_meta"]
    positions = [each["position"] for each in tables["log"]]
    alike("positions", positions, list(range(meta["earliest"], meta["head"] + 1)))
    for subject in tables["orders"] + tables["products"]:
        told = [each["event_id"] for each in tables["log"] if each["subject_id"] == subject["id"]]
        _check_versions(subject, told)


def _check_versions(subject: Row, event_ids: list[str]) -> None:
    """Check that a subject's events are those of all its versions: their ids follow from them."""
    versions = range(1, subject["version"] + 1)
    due = [hashed_id(Prefix.EVENT, subject["id"], str(version)) for version in versions]
    alike(f"events of {subject['id']}", event_ids, due)


def alike(what: str, one: object, other: object) -> None:
    """Check that two books say the same; first what was found here, or told."""
    assert one == other, f"{what}: {one} is not {other}"
