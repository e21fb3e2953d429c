"""Payments: what a vendor has said about one, and where that leaves it.

A payment's state is a pure function of the set of its facts, so neither the order in which facts
arrive nor duplicates among them can change it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.refund import Dispute, Refund


class PaymentMethodType(StrEnum):
    """How a customer pays, in Stripe's words."""

    CARD = "card"
    BANCONTACT = "bancontact"
    GIROPAY = "giropay"
    IDEAL = "ideal"


class PaymentFlow(StrEnum):
    """By which of Stripe's ways a payment is made."""

    INTENT = "intent"
    LEGACY_CHARGE = "legacy_charge"


class CaptureMethod(StrEnum):
    """Whether money is taken as soon as it can be, or held until it is captured."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Reuse(StrEnum):
    """What a payment method is saved for."""

    ON_SESSION = "on_session"
    OFF_SESSION = "off_session"


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
    AUTHENTICATION_REQUIRED = "authentication_required"
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
    that asking again adds nothing. `event_time` is the vendor's, in whole seconds. `amount` is how
    much is held or was taken, in the minor unit of the payment's currency; None where it says none.
    """

    id: str
    origin: FactOrigin
    type: str
    resource_type: str
    resource_id: str
    event_time: datetime
    signal: PaymentSignal
    failure: PaymentFailure | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentState:
    """Where a payment stands. A pending reason belongs to PENDING and to nothing else."""

    status: PaymentStatus
    pending_reason: PendingReason | None = None
    last_failure: PaymentFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that is asked for.

    `order_id` is empty for an ad-hoc payment. `payment_method_id` is our id of the saved method it
    was asked for with, and empty where the customer gives one. `captured`, `authorised` and
    `refunded` are in the minor unit of the amount's currency; `refund_time` is when all of it had
    gone back. `action_deadline` is until when the customer may authenticate what was tried off
    session. `version` rises by one at every change.
    """

    id: str
    user_id: str
    order_id: str
    created_by: str
    description: str
    amount: Money
    flow: PaymentFlow = PaymentFlow.INTENT
    method_type: PaymentMethodType = PaymentMethodType.CARD
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    reuse: Reuse | None = None
    off_session: bool = False
    payment_method_id: str = ""
    stripe_payment_intent_id: str = ""
    stripe_charge_id: str = ""
    state: PaymentState
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    refund_time: datetime | None = None
    disputed: bool = False
    action_deadline: datetime | None = None
    version: int = 1
    create_time: datetime
    update_time: datetime


class PaymentEventType(StrEnum):
    """What changed about a payment."""

    CREATED = "created"
    STATUS_CHANGED = "status_changed"
    UPDATED = "updated"
    REFUND_CHANGED = "refund_changed"
    DISPUTE_CHANGED = "dispute_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """One change of a payment: the payment just after it, and the status just before.

    `previous_status` is None for the event that made the payment. The id follows from the payment
    and its version, so the same change always has the same event.
    """

    type: PaymentEventType
    previous_status: PaymentStatus | None
    payment: Payment
    refund: Refund | None = None
    dispute: Dispute | None = None
    create_time: datetime

    @property
    def id(self) -> str:
        """Tell the event's id."""
        return hashed_id(Prefix.EVENT, self.payment.id, str(self.payment.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays, as the vendor knows them. The Stripe id is empty until Stripe has answered."""

    id: str
    user_id: str
    stripe_customer_id: str
    create_time: datetime


# Of notifications only the one that an intent was made says these: an attempt that failed says so.
_MADE = frozenset({PaymentSignal.REQUIRES_PAYMENT_METHOD, PaymentSignal.REQUIRES_CONFIRMATION})


def meant_for(payment: Payment, fact: PaymentFact) -> PaymentFact:
    """Free a fact of what it can't mean for this payment.

    One call makes and confirms an intent off session
    (https://docs.stripe.com/api/payment_intents/create#create_payment_intent-confirm). The
    notification that it was made may outrun the call's answer, and asks nobody for anything.
    """
    if payment.off_session and fact.origin is FactOrigin.NOTIFICATION and fact.signal in _MADE:
        return replace(fact, signal=PaymentSignal.RECORDED)
    return fact


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
        case PaymentSignal.REQUIRES_ACTION | PaymentSignal.AUTHENTICATION_REQUIRED:
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


def captured_amount(facts: Iterable[PaymentFact], asked: int) -> int:
    """Tell how much was taken: what the vendor says, else what was asked for."""
    told = [fact for fact in facts if fact.signal is PaymentSignal.CAPTURED]
    if not told:
        return 0
    return max((fact.amount for fact in told if fact.amount is not None), default=asked)


def authorised_amount(facts: Iterable[PaymentFact], asked: int) -> int:
    """Tell how much is held, while it is: nothing once it was taken or let go, whenever heard."""
    known = list(facts)
    last = latest(known)
    if last is None or derive_state(known).status is not PaymentStatus.REQUIRES_CAPTURE:
        return 0
    return asked if last.amount is None else last.amount


def authentication_time(facts: Iterable[PaymentFact]) -> datetime | None:
    """Tell when the bank first asked for a customer who was not there; None: it never did."""
    asked = PaymentSignal.AUTHENTICATION_REQUIRED
    return min((fact.event_time for fact in facts if fact.signal is asked), default=None)


def created(payment: Payment) -> PaymentEvent:
    """Make the event that tells of a new payment."""
    return PaymentEvent(
        type=PaymentEventType.CREATED,
        previous_status=None,
        payment=payment,
        create_time=payment.create_time,
    )


def change(
    payment: Payment,
    changed: Payment,
    *,
    now: datetime,
    refund: Refund | None = None,
    dispute: Dispute | None = None,
) -> PaymentEvent | None:
    """Tell of a payment that became another, or of its refund or dispute; None: nothing changed.

    The versions and times of the one given are left to this function.
    """
    if changed == payment and refund is None and dispute is None:
        return None
    if changed.state.status is not payment.state.status:
        type_ = PaymentEventType.STATUS_CHANGED
    elif refund is not None:
        type_ = PaymentEventType.REFUND_CHANGED
    elif dispute is not None:
        type_ = PaymentEventType.DISPUTE_CHANGED
    else:
        type_ = PaymentEventType.UPDATED
    return PaymentEvent(
        type=type_,
        previous_status=payment.state.status,
        payment=replace(changed, version=payment.version + 1, update_time=now),
        refund=refund,
        dispute=dispute,
        create_time=now,
    )


CUSTOMERS_TURN = frozenset(
    {
        PaymentStatus.REQUIRES_ACTION,
        PaymentStatus.REQUIRES_CONFIRMATION,
        PaymentStatus.REQUIRES_PAYMENT_METHOD,
    }
)
"""Where it is the customer who has to do something."""

ENDED = frozenset({PaymentStatus.COMPLETE, PaymentStatus.CANCELLED})
"""Where no customer can do anything any more."""
