"""Subscriptions: the statuses, the events, and what a user is entitled to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.ids import Prefix, hashed_id

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When that expires which never does: what was granted for good."""


class SubscriptionSource(StrEnum):
    """Who says that there is a subscription: a vendor, or a person of ours."""

    APP_STORE = "appStore"
    MANUAL = "manual"


class Environment(StrEnum):
    """Where a purchase was made. It is part of every key: the two never mix."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


class StatusCategory(StrEnum):
    """What a status means for access and for the business."""

    ACQUIRING = "acquiring"
    ENGAGED = "engaged"
    ACTIVE_BUT_LOSING = "active_but_losing"
    INACTIVE_AND_LOSING = "inactive_and_losing"
    LOST = "lost"

    @property
    def grants_access(self) -> bool:
        """Tell whether the user may use what the subscription is for."""
        match self:
            case (
                StatusCategory.ACQUIRING | StatusCategory.ENGAGED | StatusCategory.ACTIVE_BUT_LOSING
            ):
                return True
            case StatusCategory.INACTIVE_AND_LOSING | StatusCategory.LOST:
                return False
            case _:
                assert_never(self)


class EntitlementStatus(StrEnum):
    """How a subscription stands."""

    USING_FREE_TRIAL = "using_free_trial"
    USING_INTRODUCTORY_PRICING = "using_introductory_pricing"
    USING_PROMOTION = "using_promotion"
    ACTIVE_WITH_RENEWAL = "active_with_renewal"
    ACTIVE_WITHOUT_RENEWAL = "active_without_renewal"
    SWITCHING_PRODUCT = "switching_product"
    AWAITING_PRICE_CHANGE_CONFIRMATION = "awaiting_price_change_confirmation"
    IN_GRACE_PERIOD = "in_grace_period"
    IN_BILLING_RETRY = "in_billing_retry"
    EXPIRED_VOLUNTARILY = "expired_voluntarily"
    SWITCHED_PRODUCT = "switched_product"
    EXPIRED_FROM_BILLING = "expired_from_billing"
    FAILED_TO_CONFIRM_PRICE_CHANGE = "failed_to_confirm_price_change"
    REVOKED = "revoked"
    REFUNDED = "refunded"
    REFUNDED_FOR_ISSUE = "refunded_for_issue"

    @property
    def category(self) -> StatusCategory:
        """Tell the category that the status belongs to."""
        match self:
            case (
                EntitlementStatus.USING_FREE_TRIAL
                | EntitlementStatus.USING_INTRODUCTORY_PRICING
                | EntitlementStatus.USING_PROMOTION
            ):
                return StatusCategory.ACQUIRING
            case EntitlementStatus.ACTIVE_WITH_RENEWAL:
                return StatusCategory.ENGAGED
            case (
                EntitlementStatus.ACTIVE_WITHOUT_RENEWAL
                | EntitlementStatus.SWITCHING_PRODUCT
                | EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION
                | EntitlementStatus.IN_GRACE_PERIOD
            ):
                return StatusCategory.ACTIVE_BUT_LOSING
            case EntitlementStatus.IN_BILLING_RETRY:
                return StatusCategory.INACTIVE_AND_LOSING
            case (
                EntitlementStatus.EXPIRED_VOLUNTARILY
                | EntitlementStatus.SWITCHED_PRODUCT
                | EntitlementStatus.EXPIRED_FROM_BILLING
                | EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE
                | EntitlementStatus.REVOKED
                | EntitlementStatus.REFUNDED
                | EntitlementStatus.REFUNDED_FOR_ISSUE
            ):
                return StatusCategory.LOST
            case _:
                assert_never(self)


class SubscriptionEventType(StrEnum):
    """What happens to subscriptions."""

    STARTED = "started"
    STARTED_WITH_FREE_TRIAL = "started_with_free_trial"
    STARTED_WITH_INTRODUCTORY_PRICING = "started_with_introductory_pricing"
    STARTED_WITH_PROMOTION = "started_with_promotion"
    RENEWED = "renewed"
    RENEWED_WITH_FREE_TRIAL = "renewed_with_free_trial"
    RENEWED_WITH_INTRODUCTORY_PRICING = "renewed_with_introductory_pricing"
    RENEWED_WITH_PROMOTION = "renewed_with_promotion"
    RENEWAL_DISABLED = "renewal_disabled"
    RENEWAL_ENABLED = "renewal_enabled"
    EXPIRED_VOLUNTARILY = "expired_voluntarily"
    SWITCHING_PRODUCT = "switching_product"
    SWITCHED_PRODUCT = "switched_product"
    GRACE_PERIOD_STARTED = "grace_period_started"
    BILLING_RETRY_STARTED = "billing_retry_started"
    EXPIRED_FROM_BILLING = "expired_from_billing"
    PRICE_CHANGE_CONFIRMATION_REQUESTED = "price_change_confirmation_requested"
    FAILED_TO_CONFIRM_PRICE_CHANGE = "failed_to_confirm_price_change"
    REVOKED = "revoked"
    REFUNDED = "refunded"
    REFUNDED_FOR_ISSUE = "refunded_for_issue"

    @property
    def published_type(self) -> str:
        """Tell the type under which the event is published to others."""
        return f"payments.subscriptions.{self.value}"

    @property
    def turn(self) -> int:
        """Tell which of several events of one moment comes first.

        What a product ended for is followed by what began instead, and a new period by what is
        different about it: whoever applies events one by one ends up right.
        """
        kind = SubscriptionEventType
        match self:
            case kind.SWITCHED_PRODUCT:
                return 0
            case (
                kind.STARTED
                | kind.STARTED_WITH_FREE_TRIAL
                | kind.STARTED_WITH_INTRODUCTORY_PRICING
                | kind.STARTED_WITH_PROMOTION
                | kind.RENEWED
                | kind.RENEWED_WITH_FREE_TRIAL
                | kind.RENEWED_WITH_INTRODUCTORY_PRICING
                | kind.RENEWED_WITH_PROMOTION
            ):
                return 1
            case (
                kind.RENEWAL_DISABLED
                | kind.RENEWAL_ENABLED
                | kind.SWITCHING_PRODUCT
                | kind.PRICE_CHANGE_CONFIRMATION_REQUESTED
            ):
                return 2
            case kind.GRACE_PERIOD_STARTED | kind.BILLING_RETRY_STARTED:
                return 3
            case (
                kind.EXPIRED_VOLUNTARILY
                | kind.EXPIRED_FROM_BILLING
                | kind.FAILED_TO_CONFIRM_PRICE_CHANGE
            ):
                return 4
            case kind.REVOKED | kind.REFUNDED | kind.REFUNDED_FOR_ISSUE:
                return 5


class Base(StrEnum):
    """How a period of a subscription was bought."""

    PAID = "paid"
    TRIAL = "trial"
    INTRODUCTORY = "introductory"
    PROMOTION = "promotion"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LineageKey:
    """Names one subscription of one payer at its source, through all its periods and products.

    `lineage` is the vendor's: Apple's original transaction id, a grant's id. `app` is the app it
    was bought in: Apple's bundle id; empty for a grant.
    """

    source: SubscriptionSource
    environment: Environment
    app: str
    lineage: str

    @property
    def id(self) -> str:
        """Tell the id that stands for this key."""
        return hashed_id(Prefix.LINEAGE, self.source, self.environment, self.app, self.lineage)

    def entitlement_id(self, vendor_product_id: str, user_id: str) -> str:
        """Tell the id of what one user is entitled to by one product of this lineage."""
        return hashed_id(Prefix.ENTITLEMENT, self.id, vendor_product_id, user_id)

    def event_id(
        self, vendor_product_id: str, user_id: str, type_: SubscriptionEventType, fact_ref: str
    ) -> str:
        """Tell the id of an event: the same fact gives the same event for ever."""
        return hashed_id(Prefix.EVENT, self.id, vendor_product_id, user_id, type_, fact_ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionProduct:
    """What a vendor's product means to us.

    `rank` orders the tiers of a group, greater being better; None: its tier is equal to itself
    only. The same tier of a group has the same rank in all its products. `app` is Apple's bundle
    id; it and `vendor_product_id` are empty for a product that is granted by hand only.
    """

    id: str
    source: SubscriptionSource
    app: str
    vendor_product_id: str
    name: str
    group: str
    tier: str
    rank: int | None
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEvent:
    """Something that happened to a subscription of a user.

    `event_time` is the vendor's moment, `create_time` ours. `fact_id` names the fact behind it and
    `notification_id` the notification that brought the fact; both are empty for what the clock
    brought about. `superseded`: facts that came later contradict it (DESIGN, "Published and
    canonical"). `new_product_id` is the id of our product record, where there is one.
    """

    id: str
    lineage_id: str
    entitlement_id: str
    user_id: str
    source: SubscriptionSource
    environment: Environment
    source_product_id: str
    vendor_product_id: str
    subscription_group: str
    subscription_tier: str
    type: SubscriptionEventType
    event_time: datetime
    create_time: datetime
    expire_time: datetime | None = None
    new_product_id: str = ""
    new_vendor_product_id: str = ""
    promotion_reference: str = ""
    fact_id: str = ""
    notification_id: str = ""
    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """How an entitlement stands from one moment until another; for ever where that is None.

    `access_until` is when access ends, or ended: leeway and grace are in it, so callers compare it
    and not `expire_time`. `event_type` and `fact_id` tell what put it there; an empty `fact_id`
    means the clock, and no event type means that nothing was told: the vendor is silent, or the
    facts before it are missing. `notification_id` names the notification that brought the fact,
    `new_product_id` our record of the product that follows; both are empty where there is none.
    """

    from_time: datetime
    until_time: datetime | None
    status: EntitlementStatus
    expire_time: datetime
    access_until: datetime
    new_product_id: str = ""
    new_vendor_product_id: str = ""
    event_type: SubscriptionEventType | None = None
    event_id: str = ""
    fact_id: str = ""
    notification_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What one user is entitled to by one product of one lineage.

    `now` is the band that was current when it was last looked at, `later` those that follow if
    nothing more is heard. `version` grows with every change of what `now` says.
    """

    id: str
    lineage_id: str
    user_id: str
    source: SubscriptionSource
    environment: Environment
    source_product_id: str
    vendor_product_id: str
    subscription_group: str
    subscription_tier: str
    rank: int | None
    version: int
    create_time: datetime
    now: Band
    later: tuple[Band, ...] = ()

    def at(self, time: datetime) -> Band:
        """Tell how it stands at this time, which is not before `now` begins."""
        current = self.now
        for band in self.later:
            if band.from_time > time:
                break
            current = band
        return current


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementChange:
    """That an entitlement became what it is in this version, as the log tells it.

    `removed`: facts that came later say that it never was; a version of its own tells that.
    """

    entitlement: Entitlement
    create_time: datetime
    removed: bool = False

    @property
    def id(self) -> str:
        """Tell the id of this change: one for each version."""
        return hashed_id(Prefix.EVENT, self.entitlement.id, str(self.entitlement.version))
