"""The one way in for vendor notifications, whichever door they came through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.notification import (
    Notification,
    NotificationState,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.order import Order
from boxoffice_server.ports import NotificationSource, Repository, Store
from boxoffice_server.settlement import settle

MAX_BODY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A notification as it is kept, and whether it had been kept before."""

    notification: Notification
    duplicate: bool
    revived: bool = False


class Intake:
    """Verifies, keeps and applies notifications.

    Nothing is kept that is not verified; everything that is verified is kept, in one transaction
    with all that follows from it.
    """

    def __init__(
        self, *, store: Store, clock: BusinessClock, sources: Mapping[Source, NotificationSource]
    ) -> None:
        self._store = store
        self._clock = clock
        self._sources = sources
        self._log = structlog.get_logger(part="intake")

    async def deliver(self, source: Source, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Take one notification; returns once it is durable."""
        vendor = self._sources[source]
        verified = vendor.verify(headers, body, now=self._clock.now())
        offset = vendor.clock_offset(verified)
        tidings = self._tidings(vendor, verified)

        def keep(repo: Repository) -> Delivered:
            known = repo.notifications.by_vendor_event(source, verified.vendor_event_id)
            if known is not None:
                return Delivered(notification=known, duplicate=True)
            received = self._received(verified)
            if not repo.notifications.insert(received):
                raise _KeptMeanwhileError
            if offset is not None:
                repo.log.append_clock(offset, self._clock.now())
                moved = replace(received, state=NotificationState.APPLIED)
                repo.notifications.update(moved)
                return Delivered(notification=moved, duplicate=False)
            return self._apply(repo, received, tidings)

        try:
            delivered = await self._store.write(keep)
        except _KeptMeanwhileError:
            delivered = await self._store.write(keep)
        if offset is not None and not delivered.duplicate:
            self._clock.set_offset(offset)
        self._tell(delivered)
        return delivered

    def reapply(self, repo: Repository, notification: Notification) -> Delivered:
        """Apply a kept notification again, inside a transaction that has locked it."""
        tidings = self._tidings(self._sources[notification.source], notification)
        return self._apply(repo, notification, tidings)

    def _received(self, verified: VerifiedNotification) -> Notification:
        now = self._clock.now()
        return Notification(
            id=new_id(Prefix.NOTIFICATION, now),
            source=verified.source,
            vendor_event_id=verified.vendor_event_id,
            type=verified.type,
            resource_id=verified.resource_id,
            event_time=verified.event_time,
            receive_time=now,
            state=NotificationState.PARKED,
            order_id="",
            body=verified.body,
        )

    def _tidings(
        self, vendor: NotificationSource, notification: VerifiedNotification | Notification
    ) -> Tidings | None:
        """Read what it says. A signed notification that can't be read is parked, never refused."""
        try:
            return vendor.tidings(notification)
        except BoxofficeError as error:
            if error.reason is not Reason.NOTIFICATION_MALFORMED:
                raise
            self._log.error(
                "a signed notification can't be read and is parked",
                source=notification.source,
                vendor_event_id=notification.vendor_event_id,
                type=notification.type,
                fault=error.message,
            )
            return None

    def _apply(
        self, repo: Repository, notification: Notification, tidings: Tidings | None
    ) -> Delivered:
        if tidings is None:
            return Delivered(notification=notification, duplicate=False)
        order = _find_order(repo, tidings)
        if order is None:
            kept = replace(notification, state=NotificationState.UNRELATED)
            repo.notifications.update(kept)
            return Delivered(notification=kept, duplicate=False)
        settled = settle(
            repo,
            order,
            [tidings.fact],
            clock=self._clock,
            stripe_payment_intent_id=tidings.stripe_payment_intent_id,
        )
        kept = replace(notification, state=NotificationState.APPLIED, order_id=order.id)
        repo.notifications.update(kept)
        return Delivered(notification=kept, duplicate=False, revived=settled.revived)

    def _tell(self, delivered: Delivered) -> None:
        kept = delivered.notification
        self._log.info(
            "notification",
            source=kept.source,
            vendor_event_id=kept.vendor_event_id,
            type=kept.type,
            state=kept.state,
            order_id=kept.order_id,
            duplicate=delivered.duplicate,
        )
        if delivered.revived:
            self._log.error("money arrived for a cancelled order", order_id=kept.order_id)


class _KeptMeanwhileError(Exception):
    """Another transaction kept the same notification: read it back."""


def _find_order(repo: Repository, tidings: Tidings) -> Order | None:
    """Find and lock the order a notification belongs to; None if it is none of ours.

    The intent's id is proof. Where our own answer from the vendor is not in yet, the payment's id
    in the metadata leads there, for we alone write it. What a customer's device may have written
    counts only where amount, currency and payer agree.
    """
    if tidings.stripe_payment_intent_id:
        return _order_of_intent(repo, tidings)
    order = repo.orders.get(tidings.order_id, lock=True) if tidings.order_id else None
    if order is None or tidings.amount != order.price:
        return None
    return order if not tidings.untrusted or tidings.user_id == order.user_id else None


def _order_of_intent(repo: Repository, tidings: Tidings) -> Order | None:
    intent = tidings.stripe_payment_intent_id
    payment = repo.payments.by_intent(intent)
    if payment is None and tidings.payment_id:
        payment = repo.payments.get(tidings.payment_id)
    if payment is None or tidings.amount != payment.amount:
        return None
    order = repo.orders.get(payment.order_id, lock=True)
    # Read again under the order's lock: the payment may have learned its intent meanwhile.
    payment = repo.payments.get(payment.id)
    if payment is None or payment.stripe_payment_intent_id not in ("", intent):
        return None
    return order
