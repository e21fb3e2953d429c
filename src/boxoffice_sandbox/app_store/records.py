"""What the App Store keeps in the sandbox's file: subscriptions, notifications, deliveries."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from boxoffice_sandbox.app_store.catalogue import (
    Product,
    default_products,
    product_data,
    product_from,
)
from boxoffice_sandbox.app_store.subscription import (
    PRODUCTION,
    Phase,
    Subscription,
    subscription_from,
)
from boxoffice_sandbox.store import Store

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS app_store_subscriptions (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, customer TEXT NOT NULL, family_of TEXT, environment TEXT NOT NULL,
    open INTEGER NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS app_store_customers ON app_store_subscriptions (customer);
CREATE INDEX IF NOT EXISTS app_store_families ON app_store_subscriptions (family_of);
CREATE INDEX IF NOT EXISTS app_store_open ON app_store_subscriptions (open) WHERE open;
CREATE TABLE IF NOT EXISTS app_store_transactions (
    id TEXT PRIMARY KEY, subscription TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS app_store_notifications (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE, type TEXT NOT NULL, subtype TEXT, environment TEXT NOT NULL,
    bundle_id TEXT NOT NULL, customer TEXT, subscription TEXT, signed_at INTEGER NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS app_store_notifications_time
    ON app_store_notifications (environment, signed_at);
CREATE TABLE IF NOT EXISTS app_store_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL, state TEXT NOT NULL, due INTEGER NOT NULL, turn INTEGER NOT NULL,
    sends TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS app_store_deliveries_state ON app_store_deliveries (state, turn);
CREATE INDEX IF NOT EXISTS app_store_deliveries_uuid ON app_store_deliveries (uuid);
CREATE TABLE IF NOT EXISTS app_store_consumption (
    position INTEGER PRIMARY KEY AUTOINCREMENT, transaction_id TEXT NOT NULL, data TEXT NOT NULL
);
"""
_OPEN = (Phase.ACTIVE, Phase.GRACE, Phase.RETRY)
_SPREAD = 900_000_000


class Records:
    """Reads and writes them, and hands out ids."""

    def __init__(self, store: Store, *, seed: str) -> None:
        """Make the tables; the seed makes this file's ids unlike another's."""
        store.add_tables(_SCHEMA)
        self.store = store
        self._seed = seed
        if store.setting("app_store_products") is None:
            self.save_products({product.id: product for product in default_products()})

    def new_id(self, environment: str) -> str:
        """Make the next id of a transaction or of a line in an order, all digits as Apple's."""
        first = 3 if environment == PRODUCTION else 2
        spread = int.from_bytes(sha256(self._seed.encode()).digest()[:8], "big") % _SPREAD
        return str(first * 10**15 + spread * 10**6 + self._count())

    def new_uuid(self) -> str:
        """Make the next id of a notification."""
        text = f"{self._seed}\0notification\0{self._count()}"
        return str(uuid.UUID(bytes=sha256(text.encode()).digest()[:16], version=4))

    def _count(self) -> int:
        number = int(self.store.setting("app_store_counter") or 0) + 1
        self.store.set_setting("app_store_counter", str(number))
        return number

    def products(self) -> dict[str, Product]:
        """Return what is sold, by id."""
        written = json.loads(self.store.setting("app_store_products") or "[]")
        return {data["id"]: product_from(data) for data in written}

    def save_products(self, products: dict[str, Product]) -> None:
        """Write what is sold."""
        written = [product_data(product) for product in products.values()]
        self.store.set_setting("app_store_products", json.dumps(written))

    def save(self, found: Subscription) -> None:
        """Insert or replace a subscription."""
        self.store.run(
            "INSERT INTO app_store_subscriptions "
            "(id, customer, family_of, environment, open, data) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET open = excluded.open, data = excluded.data",
            (
                found.id,
                found.app_transaction_id,
                found.family_of,
                found.environment,
                found.phase in _OPEN,
                json.dumps(found.data()),
            ),
        )
        for transaction in found.transactions:
            self.store.run(
                "INSERT OR IGNORE INTO app_store_transactions VALUES (?, ?)",
                (transaction.id, found.id),
            )

    def by_transaction(self, transaction_id: str) -> Subscription | None:
        """Return the subscription that has a transaction, the original one or any other."""
        found = self._subscriptions(
            "id = (SELECT subscription FROM app_store_transactions WHERE id = ?)", transaction_id
        )
        return found[0] if found else None

    def of_customer(self, customer: str) -> list[Subscription]:
        """Return an Apple account's subscriptions, oldest first."""
        return self._subscriptions("customer = ?", customer)

    def family(self, purchaser: str) -> list[Subscription]:
        """Return those that share a subscription."""
        return self._subscriptions("family_of = ?", purchaser)

    def open(self) -> list[Subscription]:
        """Return those to which something can happen by itself."""
        return self._subscriptions("open")

    def newest(self, limit: int) -> list[Subscription]:
        """Return the latest, newest first."""
        return self._subscriptions("1 ORDER BY position DESC LIMIT ?", limit)

    def _subscriptions(self, where: str, *values: object) -> list[Subscription]:
        order = "" if "ORDER BY" in where else " ORDER BY position"
        rows = self.store.rows(
            f"SELECT data FROM app_store_subscriptions WHERE {where}{order}",  # noqa: S608
            values,
        )
        return [subscription_from(json.loads(row["data"])) for row in rows]

    def last_signed(self) -> int:
        """Return when the latest notification was signed."""
        row = self.store.row("SELECT max(signed_at) AS latest FROM app_store_notifications")
        return int(row["latest"] or 0) if row is not None else 0

    def add_notification(self, values: Json) -> None:
        """Keep a notification."""
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        self.store.run(
            f"INSERT INTO app_store_notifications ({names}) VALUES ({marks})",  # noqa: S608
            tuple(values.values()),
        )

    def notification(self, name: str) -> sqlite3.Row | None:
        """Return a notification by its UUID."""
        return self.store.row("SELECT * FROM app_store_notifications WHERE uuid = ?", (name,))

    def sends(self, name: str) -> list[Json]:
        """Return every attempt to send a notification, oldest first, as Apple tells them."""
        rows = self.store.rows(
            "SELECT sends FROM app_store_deliveries WHERE uuid = ? ORDER BY id", (name,)
        )
        sends = [send for row in rows for send in json.loads(row["sends"])]
        return sorted(sends, key=lambda send: int(send["attemptDate"]))

    def add_delivery(self, name: str, *, state: str, due: int, sends: Sequence[Json] = ()) -> int:
        """Queue a notification behind everything that is queued."""
        return self.store.run(
            "INSERT INTO app_store_deliveries (uuid, state, due, turn, sends) "
            "VALUES (?, ?, ?, (SELECT coalesce(max(turn), 0) + 1 FROM app_store_deliveries), ?)",
            (name, state, due, json.dumps(list(sends))),
        )

    def add_consumption(self, transaction_id: str, data: Json) -> None:
        """Keep what the service says of a purchase's use."""
        self.store.run(
            "INSERT INTO app_store_consumption (transaction_id, data) VALUES (?, ?)",
            (transaction_id, json.dumps(data)),
        )

    def consumption(self) -> list[Json]:
        """Return what the service has said of the use of purchases, oldest first."""
        rows = self.store.rows("SELECT * FROM app_store_consumption ORDER BY position")
        return [{"transaction_id": it["transaction_id"], **json.loads(it["data"])} for it in rows]
