"""The facets of a subscription: what its status is read from, and what time does to them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from boxoffice_server.domain.signals import Cause, ClockRules, Period
from boxoffice_server.domain.subscription import Base, EntitlementStatus, SubscriptionEventType

_EXPIRIES = {
    EntitlementStatus.EXPIRED_VOLUNTARILY: SubscriptionEventType.EXPIRED_VOLUNTARILY,
    EntitlementStatus.EXPIRED_FROM_BILLING: SubscriptionEventType.EXPIRED_FROM_BILLING,
    EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE: (
        SubscriptionEventType.FAILED_TO_CONFIRM_PRICE_CHANGE
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """How one product of a lineage stands.

    `end_time` is when its period ends, `expire_time` when it expires: later where grace is given,
    earlier where it was lost. `silent`: the period ran out and nobody has spoken of it.
    `before_loss` is what a refund or revocation took away, in case it is given back.
    """

    period_key: str
    start_time: datetime
    end_time: datetime
    expire_time: datetime
    base: Base
    promotion_reference: str = ""
    auto_renew: bool = True
    grace_until: datetime | None = None
    retry: bool = False
    silent: bool = False
    price_pending: bool = False
    pending_product: str = ""
    terminal: EntitlementStatus | None = None
    new_product: str = ""
    before_loss: "Facets | None" = None

    @classmethod
    def of(cls, period: Period) -> "Facets":
        """Make the facets of a period that begins: all others are cleared."""
        return cls(
            period_key=period.key,
            start_time=period.start_time,
            end_time=period.expire_time,
            expire_time=period.expire_time,
            base=period.base,
            promotion_reference=period.promotion_reference,
        )

    def fresh(self, *, expire_time: datetime) -> "Facets":
        """Make the facets of the same period with time added: all others are cleared."""
        return Facets(
            period_key=self.period_key,
            start_time=self.start_time,
            end_time=expire_time,
            expire_time=expire_time,
            base=self.base,
            promotion_reference=self.promotion_reference,
        )

    @property
    def is_open(self) -> bool:
        """Tell whether it runs: neither over, nor retried, nor unheard of since it ran out."""
        return self.terminal is None and not self.retry and not self.silent

    @property
    def status(self) -> EntitlementStatus:
        """Read the status: the first facet that is set decides."""
        if self.terminal is not None:
            return self.terminal
        if self.retry or self.silent:
            return EntitlementStatus.IN_BILLING_RETRY
        if not self.auto_renew:
            return EntitlementStatus.ACTIVE_WITHOUT_RENEWAL
        if self.grace_until is not None:
            return EntitlementStatus.IN_GRACE_PERIOD
        if self.price_pending:
            return EntitlementStatus.AWAITING_PRICE_CHANGE_CONFIRMATION
        if self.pending_product:
            return EntitlementStatus.SWITCHING_PRODUCT
        return base_status(self.base)

    @property
    def new_vendor_product_id(self) -> str:
        """Tell the product that follows or has followed, where the status speaks of one."""
        match self.status:
            case EntitlementStatus.SWITCHED_PRODUCT:
                return self.new_product
            case EntitlementStatus.SWITCHING_PRODUCT:
                return self.pending_product
            case _:
                return ""

    def toggled(
        self, type_: SubscriptionEventType, *, new_product: str = "", cause: Cause = Cause.PLAIN
    ) -> "Facets":
        """Set what a toggle sets. What is over or retried stays so: its facets come first."""
        changed = self
        if self.before_loss is not None:
            # It may be given back, as it would stand then.
            before = self.before_loss.toggled(type_, new_product=new_product, cause=cause)
            changed = replace(self, before_loss=before)
        match type_:
            case SubscriptionEventType.RENEWAL_DISABLED:
                return replace(changed, auto_renew=False)
            case SubscriptionEventType.SWITCHING_PRODUCT:
                return replace(changed, auto_renew=True, pending_product=new_product)
            case SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED:
                return replace(changed, price_pending=True)
            case SubscriptionEventType.RENEWAL_ENABLED:
                match cause:
                    case Cause.PLAIN:
                        return replace(changed, auto_renew=True)
                    case Cause.PREFERENCE:
                        return replace(changed, auto_renew=True, pending_product="")
                    case Cause.PRICE:
                        return replace(changed, auto_renew=True, price_pending=False)
                    case _:
                        assert_never(cause)
            case _:
                raise AssertionError(f"{type_} toggles nothing")

    def access_until(self, rules: ClockRules) -> datetime:
        """Tell when access ends if nothing more is heard, or when it ended."""
        waits = self.terminal is None and not self.retry and self.auto_renew
        if waits and self.grace_until is None and not self.price_pending:
            return self.expire_time if rules.ends_by_itself else self.expire_time + rules.leeway
        return self.expire_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """What the passing of time will do, and when. No type: it changes the status without a word.

    `facets` are those until then, `ends` is the status in which they end, if they do.
    """

    time: datetime
    type: SubscriptionEventType | None
    facets: Facets
    ends: EntitlementStatus | None = None

    @property
    def then(self) -> Facets:
        """Make the facets from then on."""
        if self.ends is not None:
            return replace(self.facets, terminal=self.ends)
        if self.type is not None:
            return replace(self.facets, retry=True, grace_until=None)
        return replace(self.facets, silent=True)


def deadline(facets: Facets, rules: ClockRules) -> Deadline | None:
    """Tell what happens next if nothing more is heard; None: nothing ever."""
    if facets.terminal is not None or facets.silent:
        return None
    if facets.retry:
        if rules.retry_limit is None:
            return None
        return _ends(
            facets,
            max(facets.end_time + rules.retry_limit, facets.expire_time),
            EntitlementStatus.EXPIRED_FROM_BILLING,
        )
    if not facets.auto_renew or rules.ends_by_itself:
        return _ends(facets, facets.expire_time, EntitlementStatus.EXPIRED_VOLUNTARILY)
    if facets.grace_until is not None:
        retried = SubscriptionEventType.BILLING_RETRY_STARTED
        return Deadline(time=facets.grace_until, type=retried, facets=facets)
    if facets.price_pending:
        return _ends(facets, facets.expire_time, EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE)
    return Deadline(time=facets.expire_time + rules.leeway, type=None, facets=facets)


def _ends(facets: Facets, time: datetime, status: EntitlementStatus) -> Deadline:
    return Deadline(time=time, type=_EXPIRIES[status], facets=facets, ends=status)


def base_status(base: Base) -> EntitlementStatus:
    """Tell the status of a running period that nothing else is to be said of."""
    match base:
        case Base.PAID:
            return EntitlementStatus.ACTIVE_WITH_RENEWAL
        case Base.TRIAL:
            return EntitlementStatus.USING_FREE_TRIAL
        case Base.INTRODUCTORY:
            return EntitlementStatus.USING_INTRODUCTORY_PRICING
        case Base.PROMOTION:
            return EntitlementStatus.USING_PROMOTION
        case _:
            assert_never(base)


def started_type(base: Base) -> SubscriptionEventType:
    """Tell the event of a first period that was bought so."""
    match base:
        case Base.PAID:
            return SubscriptionEventType.STARTED
        case Base.TRIAL:
            return SubscriptionEventType.STARTED_WITH_FREE_TRIAL
        case Base.INTRODUCTORY:
            return SubscriptionEventType.STARTED_WITH_INTRODUCTORY_PRICING
        case Base.PROMOTION:
            return SubscriptionEventType.STARTED_WITH_PROMOTION
        case _:
            assert_never(base)


def renewed_type(base: Base) -> SubscriptionEventType:
    """Tell the event of a later period that was bought so."""
    match base:
        case Base.PAID:
            return SubscriptionEventType.RENEWED
        case Base.TRIAL:
            return SubscriptionEventType.RENEWED_WITH_FREE_TRIAL
        case Base.INTRODUCTORY:
            return SubscriptionEventType.RENEWED_WITH_INTRODUCTORY_PRICING
        case Base.PROMOTION:
            return SubscriptionEventType.RENEWED_WITH_PROMOTION
        case _:
            assert_never(base)
