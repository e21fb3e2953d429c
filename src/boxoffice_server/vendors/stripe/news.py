"""What Stripe's refunds, disputes and payment methods say, in the words of the domain.

Their answers are given the object's own beginning as their time: an answer is never newer than a
notification, which has the time of its event.
"""

from datetime import datetime
from typing import Final

from boxoffice_server.domain.payment_method import MethodDetails, MethodNews
from boxoffice_server.domain.refund import (
    DisputeNews,
    DisputeStatus,
    RefundNews,
    RefundReason,
    RefundStatus,
)
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError
from boxoffice_server.vendors.stripe import metadata as keys

# https://docs.stripe.com/api/refunds/object#refund_object-status
_REFUND_STATUSES: Final = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.REQUIRES_ACTION,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELLED,
}
_REFUND_REASONS: Final = {reason.value: reason for reason in RefundReason}
_DISPUTE_STATUSES: Final = {status.value: status for status in DisputeStatus}


def gives_money_back(refund: JsonObject) -> bool:
    """Tell whether a refund is one: Stripe also calls so a hold that has run out.

    https://docs.stripe.com/api/refunds/object#refund_object-reason
    """
    return refund.text("reason") != "expired_uncaptured_charge"


def refund_news(refund: JsonObject, event_time: datetime | None = None) -> RefundNews:
    """Read a refund; without the time of an event it is an answer."""
    status = _REFUND_STATUSES.get(refund.text("status"))
    if status is None:
        raise MalformedObjectError("status is none that a refund has")
    created = refund.time("created")
    return RefundNews(
        stripe_refund_id=refund.identifier("id"),
        refund_id=refund.child("metadata").text(keys.REFUND_ID),
        stripe_payment_intent_id=refund.reference("payment_intent"),
        stripe_charge_id=refund.reference("charge"),
        amount=refund.money(),
        status=status,
        reason=_REFUND_REASONS.get(refund.text("reason")),
        failure_reason=refund.text("failure_reason"),
        event_time=event_time or created,
        create_time=created,
    )


def dispute_news(dispute: JsonObject, event_time: datetime | None = None) -> DisputeNews:
    """Read a dispute; without the time of an event it is an answer.

    A dispute that can't be answered is due at no time, which Stripe writes as null or 0.
    """
    status = _DISPUTE_STATUSES.get(dispute.text("status"))
    if status is None:
        raise MalformedObjectError("status is none that a dispute has")
    created = dispute.time("created")
    evidence = dispute.child("evidence_details")
    return DisputeNews(
        stripe_dispute_id=dispute.identifier("id"),
        stripe_payment_intent_id=dispute.reference("payment_intent"),
        stripe_charge_id=dispute.reference("charge"),
        amount=dispute.money(),
        status=status,
        reason=dispute.text("reason"),
        evidence_due_time=evidence.time("due_by") if evidence.count("due_by") else None,
        event_time=event_time or created,
        create_time=created,
    )


def method_news(method: JsonObject, event_time: datetime | None = None) -> MethodNews:
    """Read a payment method; without the time of an event it is an answer.

    One that has no customer may never have had one, so it is not called detached.
    """
    return MethodNews(
        stripe_payment_method_id=method.identifier("id"),
        stripe_customer_id=method.reference("customer"),
        details=_details(method),
        event_time=event_time or method.time("created"),
        detached=False,
    )


def detached_news(
    method: JsonObject, event_time: datetime, *, stripe_customer_id: str = ""
) -> MethodNews:
    """Read a payment method that was taken from its customer then."""
    return MethodNews(
        stripe_payment_method_id=method.identifier("id"),
        stripe_customer_id=stripe_customer_id,
        details=_details(method),
        event_time=event_time,
        detached=True,
    )


def setup_news(setup_intent: JsonObject, event_time: datetime) -> MethodNews | None:
    """Read which method a setup intent has saved for whom; None where it did it for nobody."""
    method, customer = setup_intent.reference("payment_method"), setup_intent.reference("customer")
    if not method or not customer:
        return None
    return MethodNews(
        stripe_payment_method_id=method,
        stripe_customer_id=customer,
        details=None,
        event_time=event_time,
        detached=False,
    )


def _details(method: JsonObject) -> MethodDetails:
    """Read what a method's own kind tells: only cards have a brand and an end."""
    type_ = method.identifier("type")
    told = method.child(type_)
    return MethodDetails(
        type=type_,
        brand=told.text("brand"),
        exp_month=told.count("exp_month") or 0,
        exp_year=told.count("exp_year") or 0,
        last4=told.text("last4"),
    )
