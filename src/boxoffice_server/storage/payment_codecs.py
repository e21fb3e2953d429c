"""How payments, and what belongs to them, are written as rows, and read from them."""

import json

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Customer,
    Payment,
    PaymentFlow,
    PaymentMethodType,
    PaymentState,
    PaymentStatus,
    PendingReason,
    Reuse,
)
from boxoffice_server.domain.payment_method import MethodDetails, PaymentMethod
from boxoffice_server.domain.refund import (
    Dispute,
    DisputeStatus,
    Refund,
    RefundReason,
    RefundStatus,
)
from boxoffice_server.storage.codecs import Row, Values, from_failure, text, to_failure
from boxoffice_server.storage.times import (
    from_microseconds,
    from_microseconds_or_none,
    to_microseconds,
    to_microseconds_or_none,
)


def from_payment(payment: Payment) -> Values:
    """Write a payment as a row."""
    state = payment.state
    return {
        "id": payment.id,
        "user_id": payment.user_id,
        "order_id": payment.order_id,
        "created_by": payment.created_by,
        "description": payment.description,
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "flow": payment.flow.value,
        "method_type": payment.method_type.value,
        "capture_method": payment.capture_method.value,
        "reuse": None if payment.reuse is None else payment.reuse.value,
        "off_session": payment.off_session,
        "payment_method_id": payment.payment_method_id,
        "stripe_payment_intent_id": payment.stripe_payment_intent_id or None,
        "stripe_charge_id": payment.stripe_charge_id or None,
        "status": state.status.value,
        "pending_reason": None if state.pending_reason is None else state.pending_reason.value,
        "last_failure": from_failure(state.last_failure),
        "authorised": payment.authorised,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "refund_time": to_microseconds_or_none(payment.refund_time),
        "disputed": payment.disputed,
        "action_deadline": to_microseconds_or_none(payment.action_deadline),
        "version": payment.version,
        "create_time": to_microseconds(payment.create_time),
        "update_time": to_microseconds(payment.update_time),
    }


def to_payment(row: Row) -> Payment:
    """Read a payment from its row."""
    reason, reuse = row["pending_reason"], row["reuse"]
    return Payment(
        id=row["id"],
        user_id=row["user_id"],
        order_id=row["order_id"],
        created_by=row["created_by"],
        description=row["description"],
        amount=Money(amount=row["amount"], currency=row["currency"]),
        flow=PaymentFlow(row["flow"]),
        method_type=PaymentMethodType(row["method_type"]),
        capture_method=CaptureMethod(row["capture_method"]),
        reuse=None if reuse is None else Reuse(reuse),
        off_session=row["off_session"],
        payment_method_id=row["payment_method_id"],
        stripe_payment_intent_id=row["stripe_payment_intent_id"] or "",
        stripe_charge_id=row["stripe_charge_id"] or "",
        state=PaymentState(
            status=PaymentStatus(row["status"]),
            pending_reason=None if reason is None else PendingReason(reason),
            last_failure=to_failure(row["last_failure"]),
        ),
        authorised=row["authorised"],
        captured=row["captured"],
        refunded=row["refunded"],
        refund_time=from_microseconds_or_none(row["refund_time"]),
        disputed=row["disputed"],
        action_deadline=from_microseconds_or_none(row["action_deadline"]),
        version=row["version"],
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )


def from_customer(customer: Customer) -> Values:
    """Write a customer as a row."""
    return {
        "id": customer.id,
        "user_id": customer.user_id,
        "stripe_customer_id": customer.stripe_customer_id or None,
        "create_time": to_microseconds(customer.create_time),
    }


def to_customer(row: Row) -> Customer:
    """Read a customer from its row."""
    return Customer(
        id=row["id"],
        user_id=row["user_id"],
        stripe_customer_id=row["stripe_customer_id"] or "",
        create_time=from_microseconds(row["create_time"]),
    )


def from_refund(refund: Refund) -> Values:
    """Write a refund as a row."""
    return {
        "id": refund.id,
        "payment_id": refund.payment_id,
        "user_id": refund.user_id,
        "amount": refund.amount.amount,
        "currency": refund.amount.currency,
        "status": refund.status.value,
        "reason": None if refund.reason is None else refund.reason.value,
        "failure_reason": refund.failure_reason,
        "stripe_refund_id": refund.stripe_refund_id or None,
        "heard_time": to_microseconds_or_none(refund.heard_time),
        "succeed_time": to_microseconds_or_none(refund.succeed_time),
        "create_time": to_microseconds(refund.create_time),
        "update_time": to_microseconds(refund.update_time),
    }


def to_refund(row: Row) -> Refund:
    """Read a refund from its row."""
    reason = row["reason"]
    return Refund(
        id=row["id"],
        payment_id=row["payment_id"],
        user_id=row["user_id"],
        amount=Money(amount=row["amount"], currency=row["currency"]),
        status=RefundStatus(row["status"]),
        reason=None if reason is None else RefundReason(reason),
        failure_reason=row["failure_reason"],
        stripe_refund_id=row["stripe_refund_id"] or "",
        heard_time=from_microseconds_or_none(row["heard_time"]),
        succeed_time=from_microseconds_or_none(row["succeed_time"]),
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )


def from_dispute(dispute: Dispute) -> Values:
    """Write a dispute as a row."""
    return {
        "id": dispute.id,
        "payment_id": dispute.payment_id,
        "user_id": dispute.user_id,
        "amount": dispute.amount.amount,
        "currency": dispute.amount.currency,
        "status": dispute.status.value,
        "reason": dispute.reason,
        "evidence_due_time": to_microseconds_or_none(dispute.evidence_due_time),
        "stripe_dispute_id": dispute.stripe_dispute_id,
        "heard_time": to_microseconds(dispute.heard_time),
        "create_time": to_microseconds(dispute.create_time),
        "update_time": to_microseconds(dispute.update_time),
    }


def to_dispute(row: Row) -> Dispute:
    """Read a dispute from its row."""
    return Dispute(
        id=row["id"],
        payment_id=row["payment_id"],
        user_id=row["user_id"],
        amount=Money(amount=row["amount"], currency=row["currency"]),
        status=DisputeStatus(row["status"]),
        reason=row["reason"],
        evidence_due_time=from_microseconds_or_none(row["evidence_due_time"]),
        stripe_dispute_id=row["stripe_dispute_id"],
        heard_time=from_microseconds(row["heard_time"]),
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )


def from_method(method: PaymentMethod) -> Values:
    """Write a payment method as a row."""
    details = method.details
    return {
        "id": method.id,
        "user_id": method.user_id,
        "stripe_payment_method_id": method.stripe_payment_method_id,
        "type": details.type,
        "brand": details.brand,
        "exp_month": details.exp_month,
        "exp_year": details.exp_year,
        "last4": details.last4,
        "tags": text(method.tags),
        "heard_time": to_microseconds(method.heard_time),
        "detach_time": to_microseconds_or_none(method.detach_time),
        "version": method.version,
        "create_time": to_microseconds(method.create_time),
        "update_time": to_microseconds(method.update_time),
    }


def to_method(row: Row) -> PaymentMethod:
    """Read a payment method from its row."""
    return PaymentMethod(
        id=row["id"],
        user_id=row["user_id"],
        stripe_payment_method_id=row["stripe_payment_method_id"],
        details=MethodDetails(
            type=row["type"],
            brand=row["brand"],
            exp_month=row["exp_month"],
            exp_year=row["exp_year"],
            last4=row["last4"],
        ),
        tags=tuple(json.loads(row["tags"])),
        heard_time=from_microseconds(row["heard_time"]),
        detach_time=from_microseconds_or_none(row["detach_time"]),
        version=row["version"],
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )
