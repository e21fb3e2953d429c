"""Orders: one sale each, whose status follows from facts and never from their order of arrival."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    FactOrigin,
    PaymentFact,
    PaymentSignal,
    PaymentStatus,
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
class Order:
    """One sale of one product to one user.

    `user_id` pays, `target_user_id` receives, `created_by` is the service that asked for it.
    `product` is the product as it was sold. `version` rises by one at every change.
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


def derive_status(facts: Iterable[PaymentFact], *, task_started: bool) -> OrderStatus:
    """Tell an order's status from all that is known: a pure function of sets.

    `task_started` says that the order's task was acknowledged, or that it has none. Money that
    arrives for a cancelled order makes it paid all the same.
    """
    known = list(facts)
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
) -> OrderEvent | None:
    """Change an order; None if nothing about it would differ.

    Only facts that came by notification are shown on an order, oldest first by the vendor's clock.
    """
    new_status = order.status if status is None else status
    new_tags = order.tags if tags is None else tags
    shown = order.vendor_events if facts is None else _shown(facts)
    if (new_status, new_tags, shown) == (order.status, order.tags, order.vendor_events):
        return None
    changed = replace(
        order,
        status=new_status,
        tags=new_tags,
        vendor_events=shown,
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
