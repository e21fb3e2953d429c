"""Payments: what a vendor has said about one, and where that leaves it.

A payment's state is a pure function of the set of its facts, so neither the order in which facts
arrive nor duplicates among them can change it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import DEFAULT_CURRENCY, Money


class PaymentMethodType(StrEnum):
    """How a customer pays, in Stripe's words."""

    CARD = "card"
    BANCONTACT = "bancontact"
    GIROPAY = "giropay"
    IDEAL = "ideal"


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    PENDING = "pending"
    CANCELLED = "cancelled"
    COMPLETE = "complete"


class PendingReason(StrEnum):
    """Why a payment is pending."""

    PROCESSING = "processing"
    OUTCOME_UNKNOWN = "outcome_unknown"


class PaymentSignal(StrEnum):
    """What one fact says about a payment, freed of the vendor's own words."""

    RECORDED = "recorded"
    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    LEGACY_CHARGE_PENDING = "legacy_charge_pending"
    ATTEMPT_FAILED = "attempt_failed"
    AUTHORISED = "authorised"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    CAPTURED = "captured"


# A vendor's clock counts whole seconds, so facts of one second are told apart by how far each
# stands in the life of one attempt. The order is fixed: whichever is heard first, the same wins.
_RANK = {signal: rank for rank, signal in enumerate(PaymentSignal)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailure:
    """Why an attempt to pay failed, in the vendor's words. Empty strings where it said nothing."""

    code: str
    decline_code: str
    message: str


class FactOrigin(StrEnum):
    """How a fact reached us: told by a notification, or read from an answer to our own call."""

    NOTIFICATION = "notification"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFact:
    """One thing that a vendor said about a payment.

    `id` is the vendor's event id for a notification; for an answer it is made from the call, so
    that asking again adds nothing. `event_time` is the vendor's, in whole seconds.
    """

    id: str
    origin: FactOrigin
    type: str
    resource_type: str
    resource_id: str
    event_time: datetime
    signal: PaymentSignal
    failure: PaymentFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentState:
    """Where a payment stands. A pending reason belongs to PENDING and to nothing else."""

    status: PaymentStatus
    pending_reason: PendingReason | None = None
    last_failure: PaymentFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that is asked for.

    `vendor_idempotency_key` is the key our call carries to the vendor; it is kept before the call.
    """

    id: str
    user_id: str
    order_id: str
    amount: Money
    method_type: PaymentMethodType
    vendor_idempotency_key: str
    stripe_payment_intent_id: str
    state: PaymentState
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays, as the vendor knows them. The Stripe id is empty until Stripe has answered."""

    id: str
    user_id: str
    stripe_customer_id: str
    create_time: datetime


def check_currency(method_type: PaymentMethodType, currency: str) -> None:
    """Raise CURRENCY_NOT_SUPPORTED where this method can't pay in this currency.

    The redirect methods pay in euros only: https://docs.stripe.com/payments/bancontact,
    https://docs.stripe.com/payments/ideal, https://docs.stripe.com/payments/giropay.
    """
    if method_type is not PaymentMethodType.CARD and currency != DEFAULT_CURRENCY:
        raise BoxofficeError(
            Reason.CURRENCY_NOT_SUPPORTED,
            f"{method_type} pays in {DEFAULT_CURRENCY} only, not in {currency}",
            metadata={"payment_method_type": method_type, "currency_code": currency},
        )


def place(fact: PaymentFact) -> tuple[datetime, int, str]:
    """Tell where a fact stands among others: a total order that arrival has no part in."""
    return fact.event_time, _RANK[fact.signal], fact.id


def latest(facts: Iterable[PaymentFact]) -> PaymentFact | None:
    """Find the fact that is furthest on: the same one for every order of the same facts."""
    told = [fact for fact in facts if fact.signal is not PaymentSignal.RECORDED]
    return max(told, key=place, default=None)


def derive_state(facts: Iterable[PaymentFact]) -> PaymentState:
    """Tell where a payment stands from all that was said about it.

    Money that was taken is never untaken by a later word, and a cancelled intent never comes back;
    among all else the latest fact holds. Nothing said yet means that the vendor has not answered.
    """
    known = list(facts)
    signals = {fact.signal for fact in known}
    if PaymentSignal.CAPTURED in signals:
        return PaymentState(status=PaymentStatus.COMPLETE)
    if PaymentSignal.CANCELLED in signals:
        return PaymentState(status=PaymentStatus.CANCELLED)
    last = latest(known)
    if last is None:
        return PaymentState(
            status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN
        )
    return _state_after(last)


def _state_after(fact: PaymentFact) -> PaymentState:
    match fact.signal:
        case PaymentSignal.REQUIRES_PAYMENT_METHOD | PaymentSignal.ATTEMPT_FAILED:
            status = PaymentStatus.REQUIRES_PAYMENT_METHOD
        case PaymentSignal.REQUIRES_CONFIRMATION:
            status = PaymentStatus.REQUIRES_CONFIRMATION
        case PaymentSignal.REQUIRES_ACTION:
            status = PaymentStatus.REQUIRES_ACTION
        case PaymentSignal.PROCESSING | PaymentSignal.LEGACY_CHARGE_PENDING:
            return PaymentState(
                status=PaymentStatus.PENDING, pending_reason=PendingReason.PROCESSING
            )
        case PaymentSignal.AUTHORISED:
            status = PaymentStatus.REQUIRES_CAPTURE
        case PaymentSignal.REFUSED | PaymentSignal.CANCELLED:
            status = PaymentStatus.CANCELLED
        case PaymentSignal.CAPTURED:
            status = PaymentStatus.COMPLETE
        case PaymentSignal.RECORDED:
            raise AssertionError("a recorded fact never says where a payment stands")
        case _:
            assert_never(fact.signal)
    return PaymentState(status=status, last_failure=fact.failure)
