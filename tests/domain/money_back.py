"""A payment that took money, and what may go back of it."""

from datetime import timedelta

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import Payment, PaymentState, PaymentStatus
from boxoffice_server.domain.refund import (
    Dispute,
    DisputeNews,
    DisputeStatus,
    Refund,
    RefundNews,
    RefundReason,
    RefundStatus,
    new_dispute,
)
from tests.domain.facts import START

PAYMENT = Payment(
    id="pay_1",
    user_id="user-1",
    order_id="ord_1",
    created_by="caller",
    description="Ticket",
    amount=Money(amount=1250, currency="eur"),
    state=PaymentState(status=PaymentStatus.COMPLETE),
    captured=1250,
    create_time=START,
    update_time=START,
)


def a_refund(
    number: int = 1,
    *,
    amount: int = 1250,
    status: RefundStatus = RefundStatus.PENDING,
    heard: int | None = None,
) -> Refund:
    """A refund that was asked for here; `heard` is the second of what is known of it."""
    heard_time = None if heard is None else START + timedelta(seconds=heard)
    return Refund(
        id=f"rfd_{number}",
        payment_id=PAYMENT.id,
        user_id=PAYMENT.user_id,
        amount=Money(amount=amount, currency="eur"),
        status=status,
        reason=RefundReason.REQUESTED_BY_CUSTOMER,
        failure_reason="",
        stripe_refund_id="" if heard is None else f"re_{number}",
        heard_time=heard_time,
        succeed_time=heard_time if status is RefundStatus.SUCCEEDED else None,
        create_time=START,
        update_time=START,
    )


def refund_news(
    status: RefundStatus = RefundStatus.SUCCEEDED,
    *,
    number: int = 1,
    second: int = 1,
    amount: int = 1250,
    failure_reason: str = "",
    refund_id: str = "",
) -> RefundNews:
    """What the vendor says about a refund; one of ours carries our id."""
    return RefundNews(
        stripe_refund_id=f"re_{number}",
        refund_id=refund_id,
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        amount=Money(amount=amount, currency="eur"),
        status=status,
        reason=None,
        failure_reason=failure_reason,
        event_time=START + timedelta(seconds=second),
        create_time=START,
    )


def dispute_news(
    status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE,
    *,
    number: int = 1,
    second: int = 1,
    reason: str = "fraudulent",
    due: int | None = 900,
) -> DisputeNews:
    """What the vendor says about a dispute."""
    return DisputeNews(
        stripe_dispute_id=f"dp_{number}",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        amount=Money(amount=1250, currency="eur"),
        status=status,
        reason=reason,
        evidence_due_time=None if due is None else START + timedelta(seconds=due),
        event_time=START + timedelta(seconds=second),
        create_time=START,
    )


def a_dispute(status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE) -> Dispute:
    """A dispute, as it was heard of first."""
    news = dispute_news(status)
    return new_dispute(news, payment_id=PAYMENT.id, user_id=PAYMENT.user_id, now=START)
