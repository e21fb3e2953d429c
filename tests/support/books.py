"""What must hold after anything that may befall the service: it is checked against Stripe's books.

Whoever audits reads three books: the tables, which no call shows in full; Stripe's objects; and the
streams of everything that has happened. No case of a test is known here, so that each check holds
after all of them.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support import book_checks as checks
from tests.support.book_checks import Row, Tables, Told, Vendor
from tests.support.calls import WATCH_SECONDS
from tests.support.service import Account, wait_until
from tests.support.story import check_frames

MOST_LISTED = 100
TABLES = (
    *("customers", "disputes", "notifications", "operations", "orders"),
    *("payment_methods", "payments", "products", "refunds"),
)
QUERIES: Mapping[str, str] = {
    **{table: f"SELECT * FROM {table}" for table in TABLES},  # noqa: S608 -- names of our own
    "log": "SELECT * FROM log ORDER BY position",
    "log_meta": "SELECT * FROM log_meta",
    "open_operations": "SELECT * FROM operations WHERE answer IS NULL AND NOT settled",
    "unnumbered": "SELECT * FROM log WHERE position IS NULL",
    "waiting": "SELECT * FROM notifications WHERE state = 'waiting'",
}
OPEN = ("open_operations", "unnumbered", "waiting")


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
        tables, vendor, told = self.tables(*QUERIES), self._vendor(), self.told()
        checks.check_money(tables, vendor)
        checks.check_payments_of_vendor(tables, vendor)
        checks.check_refunds(tables, vendor)
        checks.check_disputes(tables, vendor)
        checks.check_customers(tables, vendor)
        checks.check_methods(tables, vendor)
        checks.check_inbox(tables, vendor)
        checks.check_operations(tables)
        checks.check_orders(tables, told)
        checks.check_payments(tables, told)
        checks.check_log(tables)

    def wait_settled(self) -> None:
        """Wait until nothing is open, whoever has to settle it, and every event is visible."""
        left: list[Tables] = []

        def settled() -> bool:
            left[:] = [self.tables(*OPEN)]
            return not any(left[0].values())

        fault = "operations are left open, or events unnumbered, or notifications waiting"
        try:
            wait_until(settled, fault, seconds=self.patience_seconds)
        except AssertionError as error:
            error.add_note(str({name: rows for name, rows in left[0].items() if rows}))
            raise

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
        customers = self._listed("customers")
        told = self.account.told()
        return Vendor(
            intents=self._listed("payment_intents"),
            charges=self._listed("charges"),
            refunds=self._listed("refunds"),
            disputes=self._listed("disputes"),
            customers=customers,
            methods=[
                method
                for each in customers
                for method in self._listed(f"customers/{each['id']}/payment_methods")
            ],
            events=[each for each in self._listed("events") if each["id"] in told],
        )

    def _listed(self, kind: str) -> list[Row]:
        listed = self.account.everything(kind)
        assert len(listed) < MOST_LISTED, f"there are more {kind} than are checked"
        return listed

    def told(self) -> Told:
        """Watch both streams from the beginning of the log until they have caught up."""
        start = streams_pb2.START_POSITION_EARLIEST
        with grpc.insecure_channel(self.grpc_address) as channel:
            orders, payments = OrdersServiceStub(channel), PaymentsServiceStub(channel)
            watched_orders = _until_caught_up(
                orders.WatchOrders,
                orders_pb2.WatchOrdersRequest(start_position=start),
            )
            watched_payments = _until_caught_up(
                payments.WatchPayments,
                payments_pb2.WatchPaymentsRequest(start_position=start),
            )
        return Told(orders=watched_orders, payments=watched_payments)


def _until_caught_up(watch: Any, request: object) -> list[Any]:  # noqa: ANN401 -- either stream's
    seen: list[Any] = []
    call = watch(request, timeout=WATCH_SECONDS)
    try:
        for frame in call:
            seen.append(frame)
            if frame.HasField("caught_up"):
                break
    finally:
        call.cancel()
    check_frames(seen)
    return [event for frame in seen for event in frame.events]
