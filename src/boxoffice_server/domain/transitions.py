"""Which event may follow which status.

`lifecycle` asks before it changes anything, and the tests hold every story to the same table.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    StatusCategory,
    SubscriptionEventType,
)


class Verdict(StrEnum):
    """What an event does to a status.

    MOVES: the status is read anew. STAYS: the event is told and the status remains. ILLEGAL: it can
    never follow this status.
    """

    MOVES = "moves"
    STAYS = "stays"
    ILLEGAL = "illegal"


# The later one prevails over the earlier ones, within one period.
_LOSSES = (
    EntitlementStatus.REVOKED,
    EntitlementStatus.REFUNDED,
    EntitlementStatus.REFUNDED_FOR_ISSUE,
    EntitlementStatus.SWITCHED_PRODUCT,
)

_BASES = {
    EntitlementStatus.USING_FREE_TRIAL,
    EntitlementStatus.USING_INTRODUCTORY_PRICING,
    EntitlementStatus.USING_PROMOTION,
    EntitlementStatus.ACTIVE_WITH_RENEWAL,
}
_FAILED = {EntitlementStatus.IN_GRACE_PERIOD, EntitlementStatus.IN_BILLING_RETRY}
# Statuses that each of these leaves as they are, beside those of what is over: another facet comes
# first, or says the same already.
_STAYS: Mapping[SubscriptionEventType, AbstractSet[EntitlementStatus]] = {
    SubscriptionEventType.RENEWAL_DISABLED: {
        EntitlementStatus.ACTIVE_WITHOUT_RENEWAL,
        EntitlementStatus.IN_BILLING_RETRY,
    },
    SubscriptionEventType.RENEWAL_ENABLED: {*_BASES, *_FAILED},
    SubscriptionEventType.SWITCHING_PRODUCT: {
        EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION,
        *_FAILED,
    },
    SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED: {
        EntitlementStatus.ACTIVE_WITHOUT_RENEWAL,
        EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION,
        *_FAILED,
    },
    SubscriptionEventType.GRACE_PERIOD_STARTED: {
        EntitlementStatus.ACTIVE_WITHOUT_RENEWAL,
        EntitlementStatus.IN_GRACE_PERIOD,
    },
    SubscriptionEventType.BILLING_RETRY_STARTED: {EntitlementStatus.IN_BILLING_RETRY},
}
# What is not known has nothing to switch from, and a vendor gives no grace after it.
_NEVER_FROM = {
    SubscriptionEventType.GRACE_PERIOD_STARTED: EntitlementStatus.IN_BILLING_RETRY,
    SubscriptionEventType.SWITCHED_PRODUCT: None,
}


def loss_prevails(terminal: EntitlementStatus | None, loss: EntitlementStatus) -> bool:
    """Tell whether a loss is what counts from now on, over how it had ended before."""
    if terminal is None or terminal not in _LOSSES:
        return True
    return _LOSSES.index(loss) >= _LOSSES.index(terminal)


def verdict(status: EntitlementStatus | None, event: SubscriptionEventType) -> Verdict:
    """Tell what an event does to a status; None is a product of which nothing is known."""
    match event:
        case (
            SubscriptionEventType.STARTED
            | SubscriptionEventType.STARTED_WITH_FREE_TRIAL
            | SubscriptionEventType.STARTED_WITH_INTRODUCTORY_PRICING
            | SubscriptionEventType.STARTED_WITH_PROMOTION
        ):
            return Verdict.MOVES if status is None else Verdict.ILLEGAL
        case (
            SubscriptionEventType.RENEWED
            | SubscriptionEventType.RENEWED_WITH_FREE_TRIAL
            | SubscriptionEventType.RENEWED_WITH_INTRODUCTORY_PRICING
            | SubscriptionEventType.RENEWED_WITH_PROMOTION
        ):
            return Verdict.MOVES
        case SubscriptionEventType.GRACE_PERIOD_STARTED | SubscriptionEventType.SWITCHED_PRODUCT:
            return Verdict.ILLEGAL if status is _NEVER_FROM[event] else _unless(status, event)
        case (
            SubscriptionEventType.RENEWAL_DISABLED
            | SubscriptionEventType.RENEWAL_ENABLED
            | SubscriptionEventType.SWITCHING_PRODUCT
            | SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED
            | SubscriptionEventType.BILLING_RETRY_STARTED
            | SubscriptionEventType.EXPIRED_VOLUNTARILY
            | SubscriptionEventType.EXPIRED_FROM_BILLING
            | SubscriptionEventType.FAILED_TO_CONFIRM_PRICE_CHANGE
        ):
            return _unless(status, event)
        case (
            SubscriptionEventType.REVOKED
            | SubscriptionEventType.REFUNDED
            | SubscriptionEventType.REFUNDED_FOR_ISSUE
        ):
            prevails = loss_prevails(status, EntitlementStatus(event.value))
            return Verdict.MOVES if prevails else Verdict.STAYS
        case _:
            assert_never(event)


def _unless(status: EntitlementStatus | None, event: SubscriptionEventType) -> Verdict:
    stays = status in _STAYS.get(event, ()) or _is_lost(status)
    return Verdict.STAYS if stays else Verdict.MOVES


def _is_lost(status: EntitlementStatus | None) -> bool:
    return status is not None and status.category is StatusCategory.LOST
