"""What one fact of the App Store's says, in the words that all vendors share.

Each fact is looked at alone: what follows from many of them is not decided here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict

from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.domain.signals import (
    Cause,
    Expired,
    GraceStarted,
    LossUndone,
    Lost,
    Order,
    PeriodSeen,
    PriceAsked,
    Rank,
    RenewalSet,
    RetryStarted,
    Signal,
    SwitchAsked,
    Telling,
    TimeAdded,
)
from boxoffice_server.domain.subscription import EntitlementStatus
from boxoffice_server.vendors.app_store.facts import Story, read_story
from boxoffice_server.vendors.app_store.payload import FAMILY_REVOKE, Renewal, Transaction
from boxoffice_server.vendors.app_store.snapshots import period_snapshot, snapshot
from boxoffice_server.vendors.app_store.table import Rule, rule_for

# https://developer.apple.com/documentation/appstoreserverapi/expirationintent
_INTENTS: Final[Mapping[int, EntitlementStatus]] = {
    1: EntitlementStatus.EXPIRED_VOLUNTARILY,
    2: EntitlementStatus.EXPIRED_FROM_BILLING,
    3: EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE,
    # The product was not for sale: the renewal failed, and is not tried again.
    4: EntitlementStatus.EXPIRED_FROM_BILLING,
}
# https://developer.apple.com/documentation/appstoreserverapi/revocationreason
_FOR_ISSUE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A fact that shows a period, with its parts at hand."""

    fact: SubscriptionFact
    transaction: Transaction
    renewal: Renewal | None

    @property
    def signed(self) -> datetime:
        """When it was signed: the order of all that Apple says."""
        return self.fact.sign_time

    @property
    def expiry(self) -> datetime:
        """When the period ends."""
        return self.transaction.period.expire_time

    @property
    def grace_until(self) -> datetime | None:
        """Until when a grace period lasts, or lasted."""
        return self.renewal.grace_until if self.renewal else None

    @property
    def over(self) -> datetime:
        """When access ends: with the period, or with the grace that follows it."""
        return max(self.expiry, self.grace_until or self.expiry)

    def common(self, rank: Rank, *, time: datetime, ordered: datetime | None = None) -> "_Common":
        """Fill what all signals have."""
        return {
            "order": Order(time=ordered or self.signed, rank=rank, tie=self.fact.vendor_id),
            "time": time,
            "fact_id": self.fact.id,
            "product": self.transaction.period.product,
        }


class _Common(TypedDict):
    order: Order
    time: datetime
    fact_id: str
    product: str


def signals(fact: SubscriptionFact) -> list[Signal]:
    """Tell all that a fact says; nothing where it speaks of no subscription."""
    story = read_story(fact)
    told: list[Signal] = []
    if story.transaction is not None:
        told += _about(
            story, _Told(fact=fact, transaction=story.transaction, renewal=story.renewal)
        )
    if story.renewal is not None:
        told.append(snapshot(fact, story.transaction, story.renewal))
    elif story.transaction is not None:
        told.append(period_snapshot(fact, story.transaction))
    return told


def _about(story: Story, told: _Told) -> list[Signal]:
    if told.fact.kind is not FactKind.NOTIFICATION:
        return [_shown(told, Telling.DATED), *_loss_found(told), *_end_found(told)]
    said = _SAYINGS[rule_for(story.type, story.subtype)](told)
    if any(isinstance(each, PeriodSeen) for each in said):
        return said
    return [_shown(told, Telling.MENTIONED), *said]


def _shown(told: _Told, telling: Telling) -> PeriodSeen:
    """Show the period of a fact that does not announce it, at the place where it began."""
    start = told.transaction.period.start_time
    return _period(
        told, telling, first=_looks_first(told.transaction), ordered=min(told.signed, start)
    )


def _looks_first(transaction: Transaction) -> bool:
    return transaction.period.start_time == transaction.original_purchase_time


def _period(
    told: _Told, telling: Telling, *, first: bool, ordered: datetime | None = None
) -> PeriodSeen:
    period = told.transaction.period
    return PeriodSeen(
        **told.common(Rank.PERIOD, time=period.start_time, ordered=ordered),
        period=period,
        telling=telling,
        first=first,
        shown_time=told.signed,
    )


def _first_period(told: _Told) -> list[Signal]:
    return [_period(told, Telling.ANNOUNCED, first=True)]


def _next_period(told: _Told) -> list[Signal]:
    return [_period(told, Telling.ANNOUNCED, first=False)]


def _some_period(told: _Told) -> list[Signal]:
    return [_period(told, Telling.DATED, first=_looks_first(told.transaction))]


def _offer_period(told: _Told) -> list[Signal]:
    """Show the period, which is the old one where the offer waits for the next."""
    return [_shown(told, Telling.DATED)]


def _switch_asked(told: _Told) -> list[Signal]:
    next_product = told.renewal.next_product if told.renewal else ""
    if next_product in ("", told.transaction.period.product):
        return []
    return [SwitchAsked(**told.common(Rank.TOGGLE, time=told.signed), new_product=next_product)]


def _switch_undone(told: _Told) -> list[Signal]:
    return [_renewal_set(told, enabled=True, cause=Cause.PREFERENCE)]


def _price_agreed(told: _Told) -> list[Signal]:
    return [_renewal_set(told, enabled=True, cause=Cause.PRICE)]


def _renewal_off(told: _Told) -> list[Signal]:
    return [_renewal_set(told, enabled=False)] if _runs(told) else []


def _renewal_on(told: _Told) -> list[Signal]:
    return [_renewal_set(told, enabled=True)] if _runs(told) else []


def _renewal_by_status(told: _Told) -> list[Signal]:
    auto_renew = told.renewal.auto_renew if told.renewal else None
    if auto_renew is None or not _runs(told):
        return []
    return [_renewal_set(told, enabled=auto_renew)]


def _runs(told: _Told) -> bool:
    """Tell whether access went on when this was signed.

    After that Apple closes a subscription that it could not renew, which is no choice of anyone's.
    """
    return told.signed < max(_extended_until(told), told.over)


def _renewal_set(told: _Told, *, enabled: bool, cause: Cause = Cause.PLAIN) -> RenewalSet:
    common = told.common(Rank.TOGGLE, time=told.signed)
    return RenewalSet(**common, enabled=enabled, cause=cause)


def _price_asked(told: _Told) -> list[Signal]:
    return [PriceAsked(**told.common(Rank.TOGGLE, time=told.signed))]


def _grace(told: _Told) -> list[Signal]:
    # A failure never ends what was paid for.
    return _grace_from(told, max(told.signed, told.expiry))


def _grace_from(told: _Told, time: datetime) -> list[Signal]:
    """Say that access goes on; without a date nobody knows for how long, and nothing is said."""
    until = told.grace_until
    if until is None:
        return []
    common = told.common(Rank.FAILURE, time=time)
    return [GraceStarted(**common, period_key=told.transaction.period.key, until=until)]


def _retry(told: _Told) -> list[Signal]:
    return _retry_from(told, max(told.signed, told.expiry))


def _grace_over(told: _Told) -> list[Signal]:
    return _retry_from(told, told.grace_until or told.signed)


def _retry_from(told: _Told, time: datetime) -> list[Signal]:
    common = told.common(Rank.FAILURE, time=time)
    return [RetryStarted(**common, period_key=told.transaction.period.key)]


def _expired_by_choice(told: _Told) -> list[Signal]:
    renewal = told.renewal
    if renewal is not None and renewal.is_in_retry:
        return _expired(told, EntitlementStatus.EXPIRED_VOLUNTARILY, told.signed)
    return _expired(told, EntitlementStatus.EXPIRED_VOLUNTARILY, told.over)


def _expired_by_billing(told: _Told) -> list[Signal]:
    return _expired(told, EntitlementStatus.EXPIRED_FROM_BILLING, told.signed)


def _expired_by_price(told: _Told) -> list[Signal]:
    return _expired(told, EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE, told.expiry)


def _expired_unsold(told: _Told) -> list[Signal]:
    return _expired(told, EntitlementStatus.EXPIRED_FROM_BILLING, told.expiry)


def _expired_by_intent(told: _Told) -> list[Signal]:
    return _expired(told, _intended(told.renewal), told.expiry)


def _intended(renewal: Renewal | None) -> EntitlementStatus:
    """Tell why a subscription ended, of which no subtype tells it."""
    intent = renewal.expiration_intent if renewal else None
    known = _INTENTS.get(intent) if intent is not None else None
    if known is not None:
        return known
    if renewal is not None and renewal.auto_renew is False:
        return EntitlementStatus.EXPIRED_VOLUNTARILY
    return EntitlementStatus.EXPIRED_FROM_BILLING


def _expired(told: _Told, status: EntitlementStatus, time: datetime) -> list[Signal]:
    common = told.common(Rank.EXPIRY, time=time)
    return [Expired(**common, period_key=told.transaction.period.key, status=status)]


def _refunded(told: _Told) -> list[Signal]:
    return _lost(told, _refund_status(told.transaction))


def _revoked(told: _Told) -> list[Signal]:
    return _lost(told, EntitlementStatus.REVOKED)


def _refund_status(transaction: Transaction) -> EntitlementStatus:
    if transaction.is_family_shared or transaction.revocation_type == FAMILY_REVOKE:
        # Whoever got the money back, it was not this member of the family.
        return EntitlementStatus.REVOKED
    if transaction.revocation_reason == _FOR_ISSUE:
        return EntitlementStatus.REFUNDED_FOR_ISSUE
    return EntitlementStatus.REFUNDED


def _lost(
    told: _Told, status: EntitlementStatus, *, ordered: datetime | None = None
) -> list[Signal]:
    if told.transaction.is_upgraded:
        # The rest of a period that was changed for a better one: nothing is lost by it.
        return []
    time = told.transaction.revocation_time or told.signed
    common = told.common(Rank.LOSS, time=time, ordered=ordered)
    return [Lost(**common, period_key=told.transaction.period.key, status=status)]


def _loss_found(told: _Told) -> list[Signal]:
    """Tell of a loss whose notification may never have come, at the place where it happened."""
    time = told.transaction.revocation_time
    if time is None:
        return []
    return _lost(told, _refund_status(told.transaction), ordered=min(told.signed, time))


def _end_found(told: _Told) -> list[Signal]:
    """Tell of a failure or an end whose notification may never have come."""
    renewal = told.renewal
    if renewal is None or told.signed < told.expiry or told.transaction.revocation_time is not None:
        return []
    if renewal.grace_until is not None and told.signed < renewal.grace_until:
        return _grace_from(told, told.expiry)
    if renewal.is_in_retry:
        return _retry_from(told, told.grace_until or told.expiry)
    if renewal.expiration_intent is None:
        return []
    status = _intended(renewal)
    if status is EntitlementStatus.EXPIRED_FROM_BILLING:
        return _expired_by_billing(told)
    return _expired(told, status, told.over)


def _refund_undone(told: _Told) -> list[Signal]:
    common = told.common(Rank.LOSS, time=told.signed)
    period = told.transaction.period
    return [LossUndone(**common, period_key=period.key, expire_time=period.expire_time)]


def _extended(told: _Told) -> list[Signal]:
    """Say how far the period was extended."""
    common = told.common(Rank.PERIOD, time=told.signed)
    return [
        TimeAdded(
            **common,
            period_key=told.transaction.period.key,
            expire_time=_extended_until(told),
        )
    ]


def _extended_until(told: _Told) -> datetime:
    """Tell when a period ends: the transaction itself may keep its old end."""
    renewal_time = told.renewal.renewal_time if told.renewal else None
    return max(told.expiry, renewal_time or told.expiry)


def _nothing(_told: _Told) -> list[Signal]:
    return []


_SAYINGS: Final[Mapping[Rule, Callable[[_Told], list[Signal]]]] = {
    Rule.FIRST_PERIOD: _first_period,
    Rule.NEXT_PERIOD: _next_period,
    Rule.SOME_PERIOD: _some_period,
    Rule.OFFER_PERIOD: _offer_period,
    Rule.SWITCH_ASKED: _switch_asked,
    Rule.SWITCH_UNDONE: _switch_undone,
    Rule.RENEWAL_OFF: _renewal_off,
    Rule.RENEWAL_ON: _renewal_on,
    Rule.RENEWAL_BY_STATUS: _renewal_by_status,
    Rule.GRACE: _grace,
    Rule.RETRY: _retry,
    Rule.GRACE_OVER: _grace_over,
    Rule.EXPIRED_BY_CHOICE: _expired_by_choice,
    Rule.EXPIRED_BY_BILLING: _expired_by_billing,
    Rule.EXPIRED_BY_PRICE: _expired_by_price,
    Rule.EXPIRED_UNSOLD: _expired_unsold,
    Rule.EXPIRED_BY_INTENT: _expired_by_intent,
    Rule.PRICE_ASKED: _price_asked,
    Rule.PRICE_AGREED: _price_agreed,
    Rule.REFUNDED: _refunded,
    Rule.REFUND_UNDONE: _refund_undone,
    Rule.REVOKED: _revoked,
    Rule.EXTENDED: _extended,
    Rule.NOTHING: _nothing,
}
