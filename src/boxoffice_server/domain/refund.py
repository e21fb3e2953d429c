"""Money that goes back: refunds, and disputes about payments.

What the vendor says of one is taken only where it is newer than what was heard before, by a total
order that arrival has no part in: so neither order nor duplicates can change where it ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.money import Money


class RefundStatus(StrEnum):
    """Where a refund stands. Later words stand further on in its life, for words of one second."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RefundReason(StrEnum):
    """Why money is given back, in Stripe's words."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    REQUESTED_BY_CUSTOMER = "requested_by_customer"


class DisputeStatus(StrEnum):
    """Where a dispute stands, in Stripe's words, in the order of its life."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


_REFUND_RANK = {status: rank for rank, status in enumerate(RefundStatus)}
_DISPUTE_RANK = {status: rank for rank, status in enumerate(DisputeStatus)}
_SETTLED_WELL = {DisputeStatus.WARNING_CLOSED, DisputeStatus.WON, DisputeStatus.PREVENTED}
_GONE_BACK = {RefundStatus.FAILED, RefundStatus.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money of a payment that is given back.

    `heard_time` is the vendor's time of what is known of it; None until the vendor has answered.
    `succeed_time` is when it was first said to have succeeded, whatever was said since.
    `stripe_refund_id` is empty until then.
    """

    id: str
    payment_id: str
    user_id: str
    amount: Money
    status: RefundStatus
    reason: RefundReason | None
    failure_reason: str
    stripe_refund_id: str
    heard_time: datetime | None
    succeed_time: datetime | None = None
    create_time: datetime
    update_time: datetime

    @property
    def counts(self) -> bool:
        """Tell whether its money is, or may be, on its way back."""
        return self.status not in _GONE_BACK


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundNews:
    """What the vendor says about a refund.

    `refund_id` is ours, from its metadata; empty for one that was made elsewhere. `event_time` is
    the vendor's, in whole seconds.
    """

    stripe_refund_id: str
    refund_id: str
    stripe_payment_intent_id: str
    stripe_charge_id: str
    amount: Money
    status: RefundStatus
    reason: RefundReason | None
    failure_reason: str
    event_time: datetime
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A customer's question to the bank about a payment."""

    id: str
    payment_id: str
    user_id: str
    amount: Money
    status: DisputeStatus
    reason: str
    evidence_due_time: datetime | None
    stripe_dispute_id: str
    heard_time: datetime
    create_time: datetime
    update_time: datetime

    @property
    def stands(self) -> bool:
        """Tell whether it is open or lost."""
        return self.status not in _SETTLED_WELL


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeNews:
    """What the vendor says about a dispute. `event_time` is the vendor's, in whole seconds."""

    stripe_dispute_id: str
    stripe_payment_intent_id: str
    stripe_charge_id: str
    amount: Money
    status: DisputeStatus
    reason: str
    evidence_due_time: datetime | None
    event_time: datetime
    create_time: datetime


def hear_refund(known: Refund, news: RefundNews, now: datetime) -> Refund:
    """Take in what the vendor says; answers the same refund where it is not news."""
    succeeded = _first_success(known.succeed_time, news)
    if succeeded != known.succeed_time:
        known = replace(known, succeed_time=succeeded)
    told = _refund_place(news, news.event_time)
    if known.heard_time is not None and told <= _refund_place(known, known.heard_time):
        return known
    heard = replace(
        known,
        amount=news.amount,
        status=news.status,
        failure_reason=news.failure_reason,
        stripe_refund_id=news.stripe_refund_id,
        heard_time=news.event_time,
    )
    return replace(heard, update_time=now)


def _first_success(known: datetime | None, news: RefundNews) -> datetime | None:
    if news.status is not RefundStatus.SUCCEEDED:
        return known
    return news.event_time if known is None else min(known, news.event_time)


def _refund_place(told: Refund | RefundNews, time: datetime) -> tuple[datetime, int, str, int]:
    """Tell where words about a refund stand among others: a total order, ties of a second too."""
    return time, _REFUND_RANK[told.status], told.failure_reason, told.amount.amount


def refund_elsewhere(news: RefundNews, *, payment_id: str, user_id: str, now: datetime) -> Refund:
    """Make the record of a refund that was not asked for here."""
    return Refund(
        id=hashed_id(Prefix.REFUND, news.stripe_refund_id),
        payment_id=payment_id,
        user_id=user_id,
        amount=news.amount,
        status=news.status,
        reason=news.reason,
        failure_reason=news.failure_reason,
        stripe_refund_id=news.stripe_refund_id,
        heard_time=news.event_time,
        succeed_time=_first_success(None, news),
        create_time=news.create_time,
        update_time=now,
    )


def refunded_amount(refunds: Iterable[Refund]) -> int:
    """Tell how much has gone back."""
    done = RefundStatus.SUCCEEDED
    return sum(each.amount.amount for each in refunds if each.status is done)


def full_refund_time(refunds: Iterable[Refund], captured: int) -> datetime | None:
    """Tell when all that was taken had gone back, by the vendor's clock; None while it has not."""
    done = [each for each in refunds if each.status is RefundStatus.SUCCEEDED]
    if not captured or refunded_amount(done) < captured:
        return None
    return max(each.succeed_time for each in done if each.succeed_time is not None)


def hear_dispute(known: Dispute, news: DisputeNews, now: datetime) -> Dispute:
    """Take in what the vendor says; answers the same dispute where it is not news."""
    if _dispute_place(news, news.event_time) <= _dispute_place(known, known.heard_time):
        return known
    return new_dispute(news, payment_id=known.payment_id, user_id=known.user_id, now=now)


def _dispute_place(
    told: Dispute | DisputeNews, time: datetime
) -> tuple[datetime, int, float, str, int]:
    """Tell where words about a dispute stand among others: a total order, as for refunds."""
    due = 0.0 if told.evidence_due_time is None else told.evidence_due_time.timestamp()
    return time, _DISPUTE_RANK[told.status], due, told.reason, told.amount.amount


def new_dispute(news: DisputeNews, *, payment_id: str, user_id: str, now: datetime) -> Dispute:
    """Make the record of a dispute."""
    return Dispute(
        id=hashed_id(Prefix.DISPUTE, news.stripe_dispute_id),
        payment_id=payment_id,
        user_id=user_id,
        amount=news.amount,
        status=news.status,
        reason=news.reason,
        evidence_due_time=news.evidence_due_time,
        stripe_dispute_id=news.stripe_dispute_id,
        heard_time=news.event_time,
        create_time=news.create_time,
        update_time=now,
    )
