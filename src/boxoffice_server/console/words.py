"""What statuses, categories, events and causes are called and how they look, on pages."""

from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.facts import FactKind
from boxoffice_server.domain.lineage import Parked
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    StatusCategory,
    SubscriptionSource,
)

SHORT: dict[EntitlementStatus, str] = {
    EntitlementStatus.USING_FREE_TRIAL: "trial",
    EntitlementStatus.USING_INTRODUCTORY_PRICING: "intro",
    EntitlementStatus.USING_PROMOTION: "promotion",
    EntitlementStatus.ACTIVE_WITH_RENEWAL: "active",
    EntitlementStatus.ACTIVE_WITHOUT_RENEWAL: "no renewal",
    EntitlementStatus.SWITCHING_PRODUCT: "switching",
    EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION: "new price?",
    EntitlementStatus.IN_GRACE_PERIOD: "grace",
    EntitlementStatus.IN_BILLING_RETRY: "retry",
    EntitlementStatus.EXPIRED_VOLUNTARILY: "expired",
    EntitlementStatus.SWITCHED_PRODUCT: "switched",
    EntitlementStatus.EXPIRED_FROM_BILLING: "unpaid",
    EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE: "price refused",
    EntitlementStatus.REVOKED: "revoked",
    EntitlementStatus.REFUNDED: "refunded",
    EntitlementStatus.REFUNDED_FOR_ISSUE: "refunded",
}
"""What a status is called where there is little room."""

MEANING: dict[StatusCategory, str] = {
    StatusCategory.ACQUIRING: "access, not at the full price yet",
    StatusCategory.ENGAGED: "access, and will renew",
    StatusCategory.ACTIVE_BUT_LOSING: "access, but about to be lost",
    StatusCategory.INACTIVE_AND_LOSING: "no access, not given up yet",
    StatusCategory.LOST: "no access",
}
"""What a category says, in a few words."""


class Cause(StrEnum):
    """What brought an event about."""

    NOTIFICATION = "notification"
    READ = "read"
    SUBMITTED = "submitted"
    GRANT = "grant"
    LINK = "link"
    CLOCK = "clock"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """Say it in words."""
        match self:
            case Cause.NOTIFICATION:
                return "the vendor told it"
            case Cause.READ:
                return "the vendor was asked"
            case Cause.SUBMITTED:
                return "a purchase was handed in"
            case Cause.GRANT:
                return "given or taken back by hand"
            case Cause.LINK:
                return "the subscription changed hands"
            case Cause.CLOCK:
                return "by the clock"
            case Cause.UNKNOWN:
                return "a fact that is not shown"
            case _:
                assert_never(self)


def cause_of(kind: FactKind) -> Cause:
    """Tell what brought about an event that a fact of this kind is behind."""
    match kind:
        case FactKind.NOTIFICATION:
            return Cause.NOTIFICATION
        case FactKind.READ:
            return Cause.READ
        case FactKind.SUBMITTED:
            return Cause.SUBMITTED
        case FactKind.GRANT:
            return Cause.GRANT
        case _:
            assert_never(kind)


def spoken(value: StrEnum) -> str:
    """Write a name of ours as words."""
    return value.value.replace("_", " ")


def style_of(category: StatusCategory) -> str:
    """Name the class by which the style sheet knows a category."""
    return category.value.replace("_", "-")


def shop(source: SubscriptionSource) -> str:
    """Name a source."""
    match source:
        case SubscriptionSource.APP_STORE:
            return "App Store"
        case SubscriptionSource.MANUAL:
            return "given by hand"
        case _:
            assert_never(source)


def parked_words(parked: Parked) -> str:
    """Say why facts make nothing yet."""
    match parked:
        case Parked.NO_USER:
            return "it is nobody's"
        case Parked.UNKNOWN_PRODUCT:
            return "its product is not in the catalogue"
        case _:
            assert_never(parked)


def is_settled(state: NotificationState) -> bool:
    """Tell whether nothing is left to be done about a notification."""
    return state is NotificationState.APPLIED
