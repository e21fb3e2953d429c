"""The App Store at work: it changes subscriptions, keeps them, and signs what is told of them."""

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from boxoffice_sandbox.app_store import passing, settings
from boxoffice_sandbox.app_store.catalogue import Product
from boxoffice_sandbox.app_store.life import Moment, Notice
from boxoffice_sandbox.app_store.notifications import signed_notification
from boxoffice_sandbox.app_store.records import Records
from boxoffice_sandbox.app_store.settings import AppStoreSettings, DeliveryMode
from boxoffice_sandbox.app_store.subscription import Subscription, renewal_info
from boxoffice_sandbox.app_store.trust import Trust
from boxoffice_sandbox.clock import Clock
from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]


class Shop:
    """Everything that has happened in the App Store, and the way to make more happen."""

    def __init__(
        self, records: Records, *, trust: Trust, clock: Clock, defaults: AppStoreSettings
    ) -> None:
        """Take where it is kept, what signs, and the time."""
        self.records = records
        self._trust = trust
        self._clock = clock
        self._defaults = defaults
        self.settings = settings.read(records.store, defaults)
        self._last_signed = records.last_signed()
        self.on_change: Callable[[], None] = lambda: None
        """Called when there may be something to send, or to wait for."""

    def change_settings(self, changes: Json) -> AppStoreSettings:
        """Change how the App Store behaves."""
        with self.records.store.transaction():
            self.settings = settings.change(self.records.store, self._defaults, changes)
        self.on_change()
        return self.settings

    def now(self) -> int:
        """Return the time, later than anything that was signed."""
        return max(self._clock.now_milliseconds(), self._last_signed + 1)

    def clock_now(self) -> int:
        """Return the time as the clock shows it."""
        return self._clock.now_milliseconds()

    def get(self, transaction_id: str) -> Subscription:
        """Return the subscription that has a transaction."""
        found = self.records.by_transaction(transaction_id)
        if found is None:
            message = f"No such subscription: {transaction_id}"
            raise invalid_request(message, code="resource_missing", status=404)
        return found

    @contextmanager
    def acting(self) -> Iterator[Moment]:
        """Open one moment: what is saved and told in it is kept, or nothing is."""
        with self.records.store.transaction():
            moment = self._moment(self.now())
            yield moment
            for notice in moment.notices:
                self._keep(notice)
        self.on_change()

    def _moment(self, now: int, products: dict[str, Product] | None = None) -> Moment:
        sold = self.records.products() if products is None else products
        return Moment(now=now, products=sold, new_id=self.records.new_id)

    def next_due(self) -> int | None:
        """Return when something happens by itself next, if ever."""
        products = self.records.products()
        dues = [self._due(found, products) for found in self.records.open()]
        return min((due for due in dues if due is not None), default=None)

    def due(self, found: Subscription) -> int | None:
        """Return when something happens to a subscription by itself, if ever."""
        return self._due(found, self.records.products())

    def _due(self, found: Subscription, products: dict[str, Product]) -> int | None:
        return passing.due(found, products, early=self.settings.early_renewal_seconds * 1000)

    def catch_up(self) -> int:
        """Let everything happen that is due, each at its instant and in order; return how much."""
        now, happened = self._clock.now_milliseconds(), 0
        products = self.records.products()
        waiting = {found.id: found for found in self.records.open()}
        heap = [
            (due, found.id)
            for found in waiting.values()
            if (due := self._due(found, products)) is not None and due <= now
        ]
        if not heap:
            return 0
        heapq.heapify(heap)
        changed: dict[str, Subscription] = {}
        with self.records.store.transaction():
            while heap:
                due, name = heapq.heappop(heap)
                found = waiting[name]
                moment = self._moment(due, products)
                passing.happen(moment, found)
                changed[name] = found
                for notice in moment.notices:
                    self._keep(notice)
                happened += 1
                following = self._due(found, products)
                if following is not None and following <= now:
                    heapq.heappush(heap, (following, name))
            for found in changed.values():
                self.records.save(found)
        self.on_change()
        return happened

    def _keep(self, notice: Notice) -> None:
        """Sign a notice, keep it, and queue it for the service."""
        signed_at = max(notice.at, self._last_signed + 1)
        self._last_signed = signed_at
        name = self.records.new_uuid()
        payload = signed_notification(notice, self._trust.sign, uuid=name, signed_at=signed_at)
        told = notice.transaction or {}
        self.records.add_notification(
            {
                "uuid": name,
                "type": notice.type,
                "subtype": notice.subtype,
                "environment": notice.environment,
                "bundle_id": notice.bundle_id,
                "customer": told.get("appTransactionId"),
                "subscription": told.get("originalTransactionId"),
                "signed_at": signed_at,
                "payload": payload,
            }
        )
        self._queue(name, signed_at)

    def _queue(self, name: str, signed_at: int) -> None:
        if not self.settings.service_url:
            return
        due = self.clock_now() + round(self.settings.delay_seconds * 1000)
        match self.settings.mode:
            case DeliveryMode.HOLD:
                self.records.add_delivery(name, state="held", due=due)
            case DeliveryMode.LOSE:
                sends = [{"attemptDate": signed_at, "sendAttemptResult": "NO_RESPONSE"}]
                self.records.add_delivery(name, state="lost", due=due, sends=sends)
            case DeliveryMode.DUPLICATE:
                for _ in range(2):
                    self.records.add_delivery(name, state="pending", due=due)
            case DeliveryMode.NORMAL:
                self.records.add_delivery(name, state="pending", due=due)

    def newest_notification(self) -> str:
        """Return the UUID of the notification that was signed last."""
        row = self.records.store.row(
            "SELECT uuid FROM app_store_notifications ORDER BY position DESC LIMIT 1"
        )
        return "" if row is None else str(row["uuid"])

    def sign(self, payload: Json) -> str:
        """Sign something now, as the Server API answers it."""
        self._last_signed = self.now()
        return self._trust.sign({**payload, "signedDate": self._last_signed})

    def signed_transaction(self, found: Subscription, transaction_id: str | None = None) -> str:
        """Sign a transaction of a subscription as it is now, by default the current one."""
        chosen = found.current
        for transaction in found.transactions:
            if transaction.id == transaction_id:
                chosen = transaction
        return self.sign(chosen.fields)

    def signed_renewal(self, found: Subscription) -> str:
        """Sign what a subscription is to become."""
        return self.sign(renewal_info(found, self.records.products()))
