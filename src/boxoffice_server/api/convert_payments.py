"""Between generated messages of payments and the domain, as in convert.py."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from google.protobuf import timestamp_pb2

from boxoffice.common.v1 import money_pb2
from boxoffice.payments.v1 import payment_methods_pb2, payments_pb2, refunds_pb2
from boxoffice_server.api.convert import (
    enum_name,
    enum_text,
    member,
    to_money,
    to_timestamp,
)
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Customer,
    Payment,
    PaymentEvent,
    PaymentEventType,
    PaymentFailure,
    PaymentMethodType,
    PaymentStatus,
    PendingReason,
    Reuse,
)
from boxoffice_server.domain.payment_method import PaymentMethod
from boxoffice_server.domain.refund import (
    Dispute,
    DisputeStatus,
    Refund,
    RefundReason,
    RefundStatus,
)


def to_payment(payment: Payment) -> payments_pb2.Payment:
    """Write a payment."""
    state, currency = payment.state, payment.amount.currency
    return payments_pb2.Payment(
        id=payment.id,
        user_id=payment.user_id,
        order_id=payment.order_id,
        amount=to_money(payment.amount),
        status=_to_status(state.status),
        pending_reason=_to_pending_reason(state.pending_reason),
        payment_method_type=_to_method_type(payment.method_type),
        stripe_payment_intent_id=payment.stripe_payment_intent_id,
        last_error=_to_payment_error(state.last_failure),
        create_time=to_timestamp(payment.create_time),
        update_time=to_timestamp(payment.update_time),
        description=payment.description,
        capture_method=_to_capture_method(payment.capture_method),
        captured_amount=_to_some(payment.captured, currency),
        refunded_amount=_to_some(payment.refunded, currency),
        disputed=payment.disputed,
        action_deadline=_to_time(payment.action_deadline),
        payment_method_id=payment.payment_method_id,
        stripe_charge_id=payment.stripe_charge_id,
        etag=str(payment.version),
    )


def _to_some(amount: int, currency: str) -> money_pb2.Money | None:
    return to_money(Money(amount=amount, currency=currency)) if amount else None


def _to_time(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    return None if time is None else to_timestamp(time)


@cache
def _to_status(status: PaymentStatus) -> payments_pb2.PaymentStatus.ValueType:
    return payments_pb2.PaymentStatus.Value(enum_name(status, "PAYMENT_STATUS"))


@cache
def _to_event_type(type_: PaymentEventType) -> payments_pb2.PaymentEventType.ValueType:
    return payments_pb2.PaymentEventType.Value(enum_name(type_, "PAYMENT_EVENT_TYPE"))


@cache
def _to_method_type(type_: PaymentMethodType) -> payments_pb2.PaymentMethodType.ValueType:
    return payments_pb2.PaymentMethodType.Value(enum_name(type_, "PAYMENT_METHOD_TYPE"))


@cache
def _to_capture_method(method: CaptureMethod) -> payments_pb2.CaptureMethod.ValueType:
    return payments_pb2.CaptureMethod.Value(enum_name(method, "CAPTURE_METHOD"))


@cache
def _to_pending_reason(reason: PendingReason | None) -> payments_pb2.PendingReason.ValueType:
    if reason is None:
        return payments_pb2.PENDING_REASON_UNSPECIFIED
    return payments_pb2.PendingReason.Value(enum_name(reason, "PENDING_REASON"))


def _to_payment_error(failure: PaymentFailure | None) -> payments_pb2.PaymentError | None:
    if failure is None:
        return None
    return payments_pb2.PaymentError(
        code=failure.code, decline_code=failure.decline_code, message=failure.message
    )


def to_payment_event(event: PaymentEvent) -> payments_pb2.PaymentEvent:
    """Write a payment event, without the position that the log gives it."""
    previous = event.previous_status
    return payments_pb2.PaymentEvent(
        id=event.id,
        type=_to_event_type(event.type),
        previous_status=(
            payments_pb2.PAYMENT_STATUS_UNSPECIFIED if previous is None else _to_status(previous)
        ),
        payment=to_payment(event.payment),
        refund=None if event.refund is None else to_refund(event.refund),
        dispute=None if event.dispute is None else to_dispute(event.dispute),
        create_time=to_timestamp(event.create_time),
    )


def to_refund(refund: Refund) -> refunds_pb2.Refund:
    """Write a refund."""
    return refunds_pb2.Refund(
        id=refund.id,
        payment_id=refund.payment_id,
        user_id=refund.user_id,
        amount=to_money(refund.amount),
        status=refunds_pb2.RefundStatus.Value(enum_name(refund.status, "REFUND_STATUS")),
        reason=(
            refunds_pb2.REFUND_REASON_UNSPECIFIED
            if refund.reason is None
            else refunds_pb2.RefundReason.Value(enum_name(refund.reason, "REFUND_REASON"))
        ),
        failure_reason=refund.failure_reason,
        stripe_refund_id=refund.stripe_refund_id,
        create_time=to_timestamp(refund.create_time),
        update_time=to_timestamp(refund.update_time),
    )


def to_dispute(dispute: Dispute) -> refunds_pb2.Dispute:
    """Write a dispute."""
    return refunds_pb2.Dispute(
        id=dispute.id,
        payment_id=dispute.payment_id,
        user_id=dispute.user_id,
        amount=to_money(dispute.amount),
        status=refunds_pb2.DisputeStatus.Value(enum_name(dispute.status, "DISPUTE_STATUS")),
        reason=dispute.reason,
        evidence_due_time=_to_time(dispute.evidence_due_time),
        stripe_dispute_id=dispute.stripe_dispute_id,
        create_time=to_timestamp(dispute.create_time),
        update_time=to_timestamp(dispute.update_time),
    )


def to_method(method: PaymentMethod) -> payment_methods_pb2.PaymentMethod:
    """Write a payment method."""
    details = method.details
    return payment_methods_pb2.PaymentMethod(
        id=method.id,
        user_id=method.user_id,
        stripe_payment_method_id=method.stripe_payment_method_id,
        type=details.type,
        brand=details.brand,
        exp_month=details.exp_month,
        exp_year=details.exp_year,
        last4=details.last4,
        tags=method.tags,
        etag=str(method.version),
        create_time=to_timestamp(method.create_time),
        update_time=to_timestamp(method.update_time),
        detach_time=_to_time(method.detach_time),
    )


def to_customer(customer: Customer) -> payments_pb2.Customer:
    """Write a customer."""
    return payments_pb2.Customer(
        user_id=customer.user_id,
        stripe_customer_id=customer.stripe_customer_id,
        create_time=to_timestamp(customer.create_time),
    )


def from_payment_method_type(
    number: payments_pb2.PaymentMethodType.ValueType, field: str
) -> PaymentMethodType:
    """Read how a customer pays; card where nothing is said."""
    if number == payments_pb2.PAYMENT_METHOD_TYPE_UNSPECIFIED:
        return PaymentMethodType.CARD
    name = enum_text(payments_pb2.PaymentMethodType, number)
    return member(PaymentMethodType, name, "PAYMENT_METHOD_TYPE", field)


def from_capture_method(number: payments_pb2.CaptureMethod.ValueType, field: str) -> CaptureMethod:
    """Read when money is taken; automatically where nothing is said."""
    if number == payments_pb2.CAPTURE_METHOD_UNSPECIFIED:
        return CaptureMethod.AUTOMATIC
    name = enum_text(payments_pb2.CaptureMethod, number)
    return member(CaptureMethod, name, "CAPTURE_METHOD", field)


def from_reuse(number: payments_pb2.PaymentMethodReuse.ValueType, field: str) -> Reuse | None:
    """Read what a method is saved for; None where nothing is said."""
    if number == payments_pb2.PAYMENT_METHOD_REUSE_UNSPECIFIED:
        return None
    name = enum_text(payments_pb2.PaymentMethodReuse, number)
    return member(Reuse, name, "PAYMENT_METHOD_REUSE", field)


def from_refund_reason(
    number: refunds_pb2.RefundReason.ValueType, field: str
) -> RefundReason | None:
    """Read why money is given back; None where nothing is said."""
    if number == refunds_pb2.REFUND_REASON_UNSPECIFIED:
        return None
    name = enum_text(refunds_pb2.RefundReason, number)
    return member(RefundReason, name, "REFUND_REASON", field)


def from_payment_statuses(
    numbers: Iterable[payments_pb2.PaymentStatus.ValueType], field: str
) -> tuple[PaymentStatus, ...]:
    """Read the statuses of a filter."""
    return tuple(
        member(
            PaymentStatus,
            enum_text(payments_pb2.PaymentStatus, number),
            "PAYMENT_STATUS",
            f"{field}[{index}]",
        )
        for index, number in enumerate(numbers)
    )


def from_refund_statuses(
    numbers: Iterable[refunds_pb2.RefundStatus.ValueType], field: str
) -> tuple[RefundStatus, ...]:
    """Read the statuses of a filter."""
    return tuple(
        member(
            RefundStatus,
            enum_text(refunds_pb2.RefundStatus, number),
            "REFUND_STATUS",
            f"{field}[{index}]",
        )
        for index, number in enumerate(numbers)
    )


def from_dispute_statuses(
    numbers: Iterable[refunds_pb2.DisputeStatus.ValueType], field: str
) -> tuple[DisputeStatus, ...]:
    """Read the statuses of a filter."""
    return tuple(
        member(
            DisputeStatus,
            enum_text(refunds_pb2.DisputeStatus, number),
            "DISPUTE_STATUS",
            f"{field}[{index}]",
        )
        for index, number in enumerate(numbers)
    )


def payment_not_found(payment_id: str) -> BoxofficeError:
    """Refuse a payment that is not there."""
    return BoxofficeError(
        Reason.PAYMENT_NOT_FOUND,
        f"there is no payment {payment_id}",
        metadata={"payment_id": payment_id},
    )


def from_amount(amount: int, field: str) -> int:
    """Read an amount that, if it is sent, is something."""
    if amount < 1:
        raise invalid_field(field, "must be at least 1")
    return amount
