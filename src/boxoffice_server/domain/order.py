"""Orders: one sale each, whose status follows from facts and never from their order of arrival."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    FactOrigin,
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    derive_state,
    latest,
    place,
)
from boxoffice_server.domain.product import DataValue, Product


class OrderStatus(StrEnum):
    """Where an order stands."""

    CREATED = "created"
    FAILED = "failed"
    CHARGE_CREATED = "charge_created"
    PAID = "paid"
    TASK_STARTED = "task_started"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class OrderEventType(StrEnum):
    """What changed about an order."""

    CREATED = "created"
    STATUS_CHANGED = "status_changed"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualStatus:
    """A status that a person has set, and why.

    `over` is what money had said about the order until then; None where nobody has noted it.
    """

    status: OrderStatus
    reason: str
    actor: str
    create_time: datetime
    over: OrderStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One sale of one product to one user.

    `user_id` pays, `target_user_id` receives, `created_by` is the service that asked for it.
    `product` is the product as it was sold, `manual` what people have decided about its status,
    oldest first. `version` rises by one at every change.
    """

    id: str
    user_id: str
    target_user_id: str
    created_by: str
    status: OrderStatus
    price: Money
    product: Product
    data: dict[str, DataValue]
    tags: tuple[str, ...]
    payment_id: str
    vendor_events: tuple[PaymentFact, ...]
    manual: tuple[ManualStatus, ...] = ()
    version: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One change of an order: the order just after it, and the status just before.

    `previous_status` is None for the event that made the order. The id follows from the order and
    its version, so the same change always has the same event.
    """

    type: OrderEventType
    previous_status: OrderStatus | None
    order: Order
    create_time: datetime

    @property
    def id(self) -> str:
        """Tell the event's id."""
        return hashed_id(Prefix.EVENT, self.order.id, str(self.order.version))


def created(order: Order) -> OrderEvent:
    """Make the event that tells of a new order."""
    return OrderEvent(
        type=OrderEventType.CREATED,
        previous_status=None,
        order=order,
        create_time=order.create_time,
    )


# What money says about an order holds over what a person said before.
_UNDECIDED = {OrderStatus.CREATED, OrderStatus.FAILED, OrderStatus.CHARGE_CREATED}


def derive_status(
    facts: Iterable[PaymentFact],
    *,
    task_started: bool,
    manual: Iterable[ManualStatus] = (),
    refund_time: datetime | None = None,
) -> OrderStatus:
    """Tell an order's status from all that is known: a pure function of sets.

    `task_started` says that the order's task was acknowledged, or that it has none; `refund_time`
    when all the money had gone back. Money that arrives for a cancelled order makes it paid all the
    same. What a person has set holds until something decisive is heard later: money taken, given
    back, or a payment given up.
    """
    known = list(facts)
    word = max(manual, key=lambda each: (each.create_time, each.status, each.reason), default=None)
    if word is None:
        return (
            OrderStatus.REFUNDED if refund_time else _told_status(known, task_started=task_started)
        )
    status = _told_since(word, known, refund_time)
    if status in _UNDECIDED:
        status = word.status
    return OrderStatus.TASK_STARTED if status is OrderStatus.PAID and task_started else status


def _told_since(
    word: ManualStatus, known: list[PaymentFact], refund_time: datetime | None
) -> OrderStatus:
    """Tell what money has said about an order since a person's word.

    A vendor's clock counts whole seconds. Of what it says of the word's own second only that is
    later which the person had not been told; money that comes then is not hidden by the word.
    """
    if refund_time is not None and refund_time > word.create_time:
        return OrderStatus.REFUNDED
    later = [fact for fact in known if fact.event_time > word.create_time]
    status = _told_status(later, task_started=False)
    if word.over is None or status not in _UNDECIDED:
        return status
    second = word.create_time.replace(microsecond=0)
    if refund_time is not None and refund_time >= second:
        status = OrderStatus.REFUNDED
    else:
        told = [fact for fact in known if fact.event_time >= second]
        status = _told_status(told, task_started=False)
    return OrderStatus.CREATED if status is word.over else status


def _told_status(known: list[PaymentFact], *, task_started: bool) -> OrderStatus:
    match derive_state(known).status:
        case PaymentStatus.COMPLETE:
            return OrderStatus.TASK_STARTED if task_started else OrderStatus.PAID
        case (
            PaymentStatus.CANCELLED
            | PaymentStatus.PENDING
            | PaymentStatus.REQUIRES_PAYMENT_METHOD
            | PaymentStatus.REQUIRES_CONFIRMATION
            | PaymentStatus.REQUIRES_ACTION
            | PaymentStatus.REQUIRES_CAPTURE
        ):
            return _unpaid_status(known)
        case unknown:
            assert_never(unknown)


def _unpaid_status(facts: list[PaymentFact]) -> OrderStatus:
    if any(fact.signal is PaymentSignal.CANCELLED for fact in facts):
        return OrderStatus.CANCELLED
    last = latest(facts)
    if last is None:
        return OrderStatus.CREATED
    match last.signal:
        case PaymentSignal.ATTEMPT_FAILED | PaymentSignal.REFUSED:
            return OrderStatus.FAILED
        case PaymentSignal.LEGACY_CHARGE_PENDING:
            return OrderStatus.CHARGE_CREATED
        case _:
            return OrderStatus.CREATED


def change(
    order: Order,
    *,
    now: datetime,
    status: OrderStatus | None = None,
    tags: tuple[str, ...] | None = None,
    facts: Iterable[PaymentFact] | None = None,
    manual: tuple[ManualStatus, ...] | None = None,
) -> OrderEvent | None:
    """Change an order; None if nothing about it would differ.

    Only facts that came by notification are shown on an order, oldest first by the vendor's clock.
    """
    new_status = order.status if status is None else status
    new_tags = order.tags if tags is None else tags
    shown = order.vendor_events if facts is None else _shown(facts)
    decided = order.manual if manual is None else manual
    if (new_status, new_tags, shown, decided) == (
        order.status,
        order.tags,
        order.vendor_events,
        order.manual,
    ):
        return None
    changed = replace(
        order,
        status=new_status,
        tags=new_tags,
        vendor_events=shown,
        manual=decided,
        version=order.version + 1,
        update_time=now,
    )
    moved = new_status is not order.status
    return OrderEvent(
        type=OrderEventType.STATUS_CHANGED if moved else OrderEventType.UPDATED,
        previous_status=order.status,
        order=changed,
        create_time=now,
    )


# That an intent was made moves no order: it says nothing that the order itself doesn't.
_UNMOVING = {PaymentSignal.REQUIRES_PAYMENT_METHOD, PaymentSignal.REQUIRES_CONFIRMATION}


def _shown(facts: Iterable[PaymentFact]) -> tuple[PaymentFact, ...]:
    told = {
        fact
        for fact in facts
        if fact.origin is FactOrigin.NOTIFICATION and fact.signal not in _UNMOVING
    }
    return tuple(sorted(told, key=place))


PAID_STATUSES = frozenset({OrderStatus.PAID, OrderStatus.TASK_STARTED})
"""The statuses of an order whose money is there."""


def check_order_cancellable(order: Order, state: PaymentState) -> None:
    """Raise ORDER_NOT_CANCELLABLE for an order that is paid, or about to be."""
    paid = order.status in {*PAID_STATUSES, OrderStatus.REFUNDED}
    paid = paid or state.status is PaymentStatus.COMPLETE
    if paid or state.pending_reason is PendingReason.PROCESSING:
        raise wrong_status(order, Reason.ORDER_NOT_CANCELLABLE, "can't be cancelled")


def check_chargeable(order: Order, flow: PaymentFlow, state: PaymentState) -> None:
    """Raise ORDER_NOT_CHARGEABLE unless the order waits for a legacy charge."""
    waits = {OrderStatus.CREATED, OrderStatus.FAILED}
    free = state.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    if flow is not PaymentFlow.LEGACY_CHARGE or order.status not in waits or not free:
        raise wrong_status(order, Reason.ORDER_NOT_CHARGEABLE, "can't be charged")


def wrong_status(order: Order, reason: Reason, what: str) -> BoxofficeError:
    """Refuse what can't be done with an order of this status."""
    return BoxofficeError(
        reason,
        f"order {order.id} is {order.status} and {what}",
        metadata={"order_id": order.id, "status": order.status},
    )
