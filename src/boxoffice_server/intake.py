"""The one way in for vendor notifications, whichever door they came through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

import structlog

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.notification import (
    Nothing,
    Notification,
    NotificationState,
    PaymentTidings,
    Quarantine,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.order import Order, OrderStatus
from boxoffice_server.domain.payment import Payment, PaymentFlow
from boxoffice_server.domain.payment_method import MethodNews
from boxoffice_server.domain.refund import DisputeNews, RefundNews
from boxoffice_server.fail_points import FailPoint, reach, reach_async
from boxoffice_server.operations.charges import charge_operation
from boxoffice_server.operations.engine import Operations
from boxoffice_server.operations.methods import hear, learn_operation
from boxoffice_server.ports import (
    NotificationFilter,
    NotificationSource,
    Repository,
    Store,
    SubscriptionFacts,
)
from boxoffice_server.settlement import Locked, Settled, Settlement, lock_payment

MAX_BODY_BYTES = 256 * 1024
# How many notifications that have been waiting are applied at once.
MOST_WAITING = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A notification as it is kept, and whether it had been kept before."""

    notification: Notification
    duplicate: bool
    revived: bool = False


class Intake:
    """Verifies, keeps and applies notifications.

    Nothing is kept that is not verified; everything that is verified is kept, in one transaction
    with all that follows from it. Without `subscriptions` facts about those are parked.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: BusinessClock,
        sources: Mapping[Source, NotificationSource],
        settlement: Settlement,
        operations: Operations,
        subscriptions: SubscriptionFacts | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sources = sources
        self._settlement = settlement
        self._operations = operations
        self._subscriptions = subscriptions
        self._log = structlog.get_logger(part="intake")

    async def deliver(self, source: Source, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Take one notification; returns once it is durable."""
        verified = await self._vendor(source).verify(headers, body, now=self._clock.now())
        return await self.take(verified)

    async def take(self, verified: VerifiedNotification) -> Delivered:
        """Keep and apply a notification that is known to be the vendor's."""
        vendor = self._vendor(verified.source)
        offset = vendor.clock_offset(verified)
        tidings = self._tidings(vendor, verified)

        def keep(repo: Repository) -> Delivered:
            delivered = self._keep(repo, verified, tidings, offset)
            reach(FailPoint.KEEPING, verified.type)
            return delivered

        try:
            delivered = await self._store.write(keep)
        except _KeptMeanwhileError:
            delivered = await self._store.write(keep)
        if offset is not None and not delivered.duplicate:
            self._clock.set_offset(offset)
        self.tell(delivered)
        await reach_async(FailPoint.KEPT, verified.type)
        return delivered

    def _vendor(self, source: Source) -> NotificationSource:
        vendor = self._sources.get(source)
        if vendor is None:
            raise BoxofficeError(
                Reason.SOURCE_NOT_CONFIGURED,
                f"the service is not set up for notifications of {source}",
                metadata={"source": source},
            )
        return vendor

    def _keep(
        self,
        repo: Repository,
        verified: VerifiedNotification,
        tidings: Tidings | None,
        offset: int | None,
    ) -> Delivered:
        known = repo.notifications.by_vendor_event(verified.source, verified.vendor_event_id)
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

    def reapply(self, repo: Repository, notification: Notification) -> Delivered:
        """Apply a kept notification again, inside a transaction that has locked it."""
        tidings = self._tidings(self._vendor(notification.source), notification)
        return self._apply(repo, notification, tidings)

    async def apply_waiting(self) -> int:
        """Apply the notifications whose payment has become known; answers how many there were.

        One that can't be applied is parked, so that it keeps nobody else waiting.
        """
        wanted = NotificationFilter(state=NotificationState.WAITING)
        waiting = await self._store.read(
            lambda repo: repo.notifications.find(wanted, before_id="", limit=MOST_WAITING)
        )
        for each in waiting:
            try:
                self.tell(await self._store.write(partial(self._again, notification_id=each.id)))
            except BoxofficeError:
                # The store is away: all of them can wait.
                raise
            except Exception:  # noqa: BLE001 -- told in the log; it must not hold up all behind it
                self._log.exception("a waiting notification can't be applied and is parked")
                parked = replace(each, state=NotificationState.PARKED)
                await self._store.write(partial(_update, notification=parked))
        return len(waiting)

    def _again(self, repo: Repository, *, notification_id: str) -> Delivered:
        kept = repo.notifications.get(notification_id, lock=True)
        if kept is None:
            raise AssertionError(f"notification {notification_id} is gone")
        return self.reapply(repo, kept)

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
            payment_id="",
            related_id="",
            body=verified.body,
        )

    def _tidings(
        self, vendor: NotificationSource, notification: VerifiedNotification | Notification
    ) -> Tidings | None:
        """Read what it says. A signed notification that can't be read is parked, never refused."""
        try:
            tidings = vendor.tidings(notification)
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
        if isinstance(tidings, Quarantine):
            self._log.error(
                "a signed notification is not for us and is quarantined",
                source=notification.source,
                vendor_event_id=notification.vendor_event_id,
                type=notification.type,
                why=tidings.why,
            )
        return tidings

    def _apply(
        self, repo: Repository, notification: Notification, tidings: Tidings | None
    ) -> Delivered:
        match tidings:
            case None:
                return _kept(repo, notification, NotificationState.PARKED)
            case MethodNews():
                return _kept(repo, notification, self._apply_method(repo, tidings))
            case SubscriptionFact():
                return _kept(repo, notification, self._hear(repo, notification, tidings))
            case Quarantine():
                return _kept(repo, notification, NotificationState.QUARANTINED)
            case Nothing():
                return _kept(repo, notification, NotificationState.UNRELATED)
            case PaymentTidings() | RefundNews() | DisputeNews():
                return self._apply_to_payment(repo, notification, tidings)
            case _:
                assert_never(tidings)

    def _hear(
        self, repo: Repository, notification: Notification, fact: SubscriptionFact
    ) -> NotificationState:
        """Have a fact about a subscription kept; tells what became of its notification."""
        if self._subscriptions is None:
            return NotificationState.PARKED
        kept = replace(fact, notification_id=notification.id, record_time=notification.receive_time)
        return self._subscriptions.hear(repo, kept)

    def _apply_to_payment(
        self,
        repo: Repository,
        notification: Notification,
        tidings: PaymentTidings | RefundNews | DisputeNews,
    ) -> Delivered:
        locked = _find_payment(repo, tidings)
        related = tidings.stripe_payment_intent_id or tidings.stripe_charge_id
        if locked is None and related:
            # Another transaction may be about to learn whose it is.
            repo.notifications.hold(related)
            locked = _find_payment(repo, tidings)
        if locked is None:
            kept = replace(notification, state=NotificationState.UNRELATED, related_id=related)
            repo.notifications.update(kept)
            return Delivered(notification=kept, duplicate=False)
        settled = self._settle(repo, locked, tidings)
        kept = replace(
            notification,
            state=NotificationState.APPLIED,
            order_id=locked.payment.order_id,
            payment_id=locked.payment.id,
        )
        repo.notifications.update(kept)
        return Delivered(notification=kept, duplicate=False, revived=settled.revived)

    def _settle(
        self, repo: Repository, locked: Locked, tidings: PaymentTidings | RefundNews | DisputeNews
    ) -> Settled:
        match tidings:
            case RefundNews():
                return self._settlement.hear_refund(repo, locked, tidings)
            case DisputeNews():
                return self._settlement.hear_dispute(repo, locked, tidings)
            case PaymentTidings():
                settled = self._settlement.settle(
                    repo,
                    locked,
                    [tidings.fact],
                    stripe_payment_intent_id=tidings.stripe_payment_intent_id,
                    stripe_charge_id=tidings.stripe_charge_id,
                )
                if tidings.chargeable_source_id:
                    self._charge(repo, settled, tidings.chargeable_source_id)
                return settled
            case _:
                assert_never(tidings)

    def _charge(self, repo: Repository, settled: Settled, source_id: str) -> None:
        """Have a Source charged for the order that it was made for, once this is committed."""
        order = settled.order
        if (
            order is not None
            and settled.payment.flow is PaymentFlow.LEGACY_CHARGE
            and order.status in {OrderStatus.CREATED, OrderStatus.FAILED}
        ):
            now = self._clock.now()
            self._operations.schedule(
                repo,
                charge_operation(order, source_id, id_=new_id(Prefix.OPERATION, now), now=now),
            )

    def _apply_method(self, repo: Repository, news: MethodNews) -> NotificationState:
        """Keep what is said about a payment method of one of our users."""
        owner = repo.customers.by_stripe_id(news.stripe_customer_id)
        if owner is None:
            return NotificationState.UNRELATED
        now = self._clock.now()
        if hear(repo, news, user_id=owner.user_id, now=now) is None:
            self._operations.schedule(
                repo, learn_operation(news, id_=new_id(Prefix.OPERATION, now), now=now)
            )
        return NotificationState.APPLIED

    def tell(self, delivered: Delivered) -> None:
        """Tell of a notification that was committed: the janitor and the log, and so people."""
        self._operations.stir()
        kept = delivered.notification
        self._log.info(
            "notification",
            source=kept.source,
            vendor_event_id=kept.vendor_event_id,
            type=kept.type,
            state=kept.state,
            order_id=kept.order_id,
            payment_id=kept.payment_id,
            duplicate=delivered.duplicate,
        )
        if delivered.revived:
            self._log.error("money arrived for a cancelled order", order_id=kept.order_id)


def _kept(repo: Repository, notification: Notification, state: NotificationState) -> Delivered:
    """Keep what became of a notification that is about no payment."""
    kept = replace(notification, state=state)
    if kept != notification:
        repo.notifications.update(kept)
    return Delivered(notification=kept, duplicate=False)


def _update(repo: Repository, *, notification: Notification) -> None:
    repo.notifications.update(notification)


class _KeptMeanwhileError(Exception):
    """Another transaction kept the same notification: read it back."""


def _find_payment(
    repo: Repository, tidings: PaymentTidings | RefundNews | DisputeNews
) -> Locked | None:
    """Find and lock the payment a notification belongs to; None if it is none of ours.

    The intent's id is proof, and so is the charge's. Where our own answer from the vendor is not in
    yet, the payment's id in the metadata leads there, for we alone write it. What a customer's
    device may have written counts only where amount, currency and payer agree.
    """
    if isinstance(tidings, PaymentTidings):
        payment = _of_tidings(repo, tidings)
    else:
        payment = _of_intent_or_charge(repo, tidings)
        if payment is None and isinstance(tidings, RefundNews) and tidings.refund_id:
            refund = repo.refunds.get(tidings.refund_id)
            payment = repo.payments.get(refund.payment_id) if refund is not None else None
    locked = lock_payment(repo, payment) if payment is not None else None
    # Looked at again under the lock: the payment may have learned its intent meanwhile.
    intent = tidings.stripe_payment_intent_id
    if locked is not None and intent:
        known = locked.payment.stripe_payment_intent_id
        return locked if known in ("", intent) else None
    return locked


def _of_intent_or_charge(
    repo: Repository, tidings: PaymentTidings | RefundNews | DisputeNews
) -> Payment | None:
    payment = None
    if tidings.stripe_payment_intent_id:
        payment = repo.payments.by_intent(tidings.stripe_payment_intent_id)
    if payment is None and tidings.stripe_charge_id:
        payment = repo.payments.by_charge(tidings.stripe_charge_id)
    return payment


def _of_tidings(repo: Repository, tidings: PaymentTidings) -> Payment | None:
    payment = _of_intent_or_charge(repo, tidings)
    if payment is None and tidings.payment_id and not tidings.untrusted:
        payment = repo.payments.get(tidings.payment_id)
    if payment is None and tidings.order_id and not tidings.stripe_payment_intent_id:
        order = repo.orders.get(tidings.order_id)
        payment = _of_order(repo, order, tidings) if order is not None else None
    if payment is None or tidings.amount != payment.amount:
        return None
    return payment


def _of_order(repo: Repository, order: Order, tidings: PaymentTidings) -> Payment | None:
    if tidings.untrusted and tidings.user_id != order.user_id:
        return None
    return repo.payments.get(order.payment_id)
