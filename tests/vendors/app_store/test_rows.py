"""Every row of the table of notifications says what it must, and says it by its fact alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.signals import (
    Cause,
    Expired,
    GraceStarted,
    LossUndone,
    Lost,
    Order,
    Period,
    PeriodSeen,
    PriceAsked,
    Rank,
    RenewalSet,
    RetryStarted,
    Signal,
    Snapshot,
    SwitchAsked,
    Telling,
    TimeAdded,
)
from boxoffice_server.domain.subscription import Base, EntitlementStatus
from boxoffice_server.vendors.app_store.signals import signals
from boxoffice_server.vendors.app_store.table import NO_SUBTYPE, OTHER_SUBTYPES, ROWS, Rule
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    FEBRUARY_7,
    JANUARY_1,
    JANUARY_10,
    OTHER_PRODUCT,
    PERIOD_KEY,
    PRODUCT,
    UUID,
    Json,
    ms,
    told_fact,
)

Said = Callable[[SubscriptionFact], Signal]
PERIOD = Period(
    key=PERIOD_KEY,
    product=PRODUCT,
    start_time=JANUARY_1,
    expire_time=FEBRUARY_1,
    base=Base.PAID,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a notification of the row holds, and what it says. No `said`: the mention alone."""

    said: Said | None = None
    tx: Json = field(default_factory=dict)
    ri: Json = field(default_factory=dict)
    signed: datetime = JANUARY_10


def _common(fact: SubscriptionFact, rank: Rank, time: datetime) -> dict[str, object]:
    return {
        "order": Order(time=fact.sign_time, rank=rank, tie=UUID),
        "time": time,
        "fact_id": fact.id,
        "product": PRODUCT,
    }


def period(telling: Telling, *, first: bool) -> Said:
    """The period of the case, told in this way."""

    def said(fact: SubscriptionFact) -> Signal:
        common = _common(fact, Rank.PERIOD, JANUARY_1)
        return PeriodSeen(
            **common,  # type: ignore[arg-type]
            period=PERIOD,
            telling=telling,
            first=first,
            shown_time=fact.sign_time,
        )

    return said


def dated(*, first: bool) -> Said:
    """The period of the case at the place where it began."""

    def said(fact: SubscriptionFact) -> Signal:
        seen = period(Telling.DATED, first=first)(fact)
        return replace(seen, order=replace(seen.order, time=JANUARY_1))

    return said


def signal(made: type[Signal], rank: Rank, time: datetime, **fields: object) -> Said:
    """A signal of this kind with what all signals have."""
    return lambda fact: made(**_common(fact, rank, time), **fields)  # type: ignore[arg-type]


def toggle(*, enabled: bool, cause: Cause = Cause.PLAIN) -> Said:
    """Renewal switched on or off."""
    return signal(RenewalSet, Rank.TOGGLE, JANUARY_10, enabled=enabled, cause=cause)


def retry(time: datetime) -> Said:
    """Retries from this time on."""
    return signal(RetryStarted, Rank.FAILURE, time, period_key=PERIOD_KEY)


def expired(status: EntitlementStatus, time: datetime) -> Said:
    """The end of the subscription."""
    return signal(Expired, Rank.EXPIRY, time, period_key=PERIOD_KEY, status=status)


def lost(status: EntitlementStatus, time: datetime) -> Said:
    """The loss of the period."""
    return signal(Lost, Rank.LOSS, time, period_key=PERIOD_KEY, status=status)


FIRST = period(Telling.ANNOUNCED, first=True)
NEXT = period(Telling.ANNOUNCED, first=False)
SWITCH = signal(SwitchAsked, Rank.TOGGLE, JANUARY_10, new_product=OTHER_PRODUCT)
TO_OTHER = {"autoRenewProductId": OTHER_PRODUCT}
REVOKED_8 = datetime.fromisoformat("2025-01-08T00:00:00+00:00")
REVOCATION = {"revocationDate": ms(REVOKED_8), "revocationReason": 0}

CASES: Mapping[tuple[str, str], Case] = {
    ("SUBSCRIBED", "INITIAL_BUY"): Case(said=FIRST),
    ("SUBSCRIBED", "RESUBSCRIBE"): Case(said=NEXT),
    ("SUBSCRIBED", NO_SUBTYPE): Case(said=period(Telling.DATED, first=True)),
    ("OFFER_REDEEMED", NO_SUBTYPE): Case(said=dated(first=True)),
    ("OFFER_REDEEMED", "UPGRADE"): Case(said=NEXT),
    ("OFFER_REDEEMED", "DOWNGRADE"): Case(said=SWITCH, ri=TO_OTHER),
    ("OFFER_REDEEMED", "INITIAL_BUY"): Case(said=FIRST),
    ("OFFER_REDEEMED", "RESUBSCRIBE"): Case(said=NEXT),
    ("DID_RENEW", NO_SUBTYPE): Case(said=NEXT),
    ("DID_RENEW", "BILLING_RECOVERY"): Case(said=NEXT),
    ("DID_CHANGE_RENEWAL_PREF", "UPGRADE"): Case(said=NEXT),
    ("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE"): Case(said=SWITCH, ri=TO_OTHER),
    ("DID_CHANGE_RENEWAL_PREF", NO_SUBTYPE): Case(
        said=toggle(enabled=True, cause=Cause.PREFERENCE)
    ),
    ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED"): Case(said=toggle(enabled=False)),
    ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED"): Case(said=toggle(enabled=True)),
    ("DID_CHANGE_RENEWAL_STATUS", NO_SUBTYPE): Case(
        said=toggle(enabled=False), ri={"autoRenewStatus": 0}
    ),
    ("DID_FAIL_TO_RENEW", "GRACE_PERIOD"): Case(
        said=signal(
            GraceStarted, Rank.FAILURE, FEBRUARY_1, period_key=PERIOD_KEY, until=FEBRUARY_7
        ),
        # Seen to be false here: the subtype and the date are what counts.
        ri={"gracePeriodExpiresDate": ms(FEBRUARY_7), "isInBillingRetryPeriod": False},
    ),
    ("DID_FAIL_TO_RENEW", NO_SUBTYPE): Case(said=retry(FEBRUARY_1)),
    ("GRACE_PERIOD_EXPIRED", NO_SUBTYPE): Case(
        said=retry(FEBRUARY_7), ri={"gracePeriodExpiresDate": ms(FEBRUARY_7)}
    ),
    ("EXPIRED", "VOLUNTARY"): Case(
        said=expired(EntitlementStatus.EXPIRED_VOLUNTARILY, FEBRUARY_1), signed=FEBRUARY_7
    ),
    ("EXPIRED", "BILLING_RETRY"): Case(
        said=expired(EntitlementStatus.EXPIRED_FROM_BILLING, FEBRUARY_7), signed=FEBRUARY_7
    ),
    ("EXPIRED", "PRICE_INCREASE"): Case(
        said=expired(EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE, FEBRUARY_1),
        signed=FEBRUARY_7,
    ),
    ("EXPIRED", "PRODUCT_NOT_FOR_SALE"): Case(
        said=expired(EntitlementStatus.EXPIRED_FROM_BILLING, FEBRUARY_1), signed=FEBRUARY_7
    ),
    ("EXPIRED", NO_SUBTYPE): Case(
        said=expired(EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE, FEBRUARY_1),
        ri={"expirationIntent": 3},
    ),
    ("PRICE_INCREASE", "PENDING"): Case(said=signal(PriceAsked, Rank.TOGGLE, JANUARY_10)),
    ("PRICE_INCREASE", "ACCEPTED"): Case(said=toggle(enabled=True, cause=Cause.PRICE)),
    ("REFUND", NO_SUBTYPE): Case(said=lost(EntitlementStatus.REFUNDED, REVOKED_8), tx=REVOCATION),
    ("REFUND_REVERSED", NO_SUBTYPE): Case(
        said=signal(
            LossUndone, Rank.LOSS, JANUARY_10, period_key=PERIOD_KEY, expire_time=FEBRUARY_1
        )
    ),
    ("REFUND_DECLINED", NO_SUBTYPE): Case(),
    ("CONSUMPTION_REQUEST", NO_SUBTYPE): Case(),
    ("REVOKE", NO_SUBTYPE): Case(said=lost(EntitlementStatus.REVOKED, REVOKED_8), tx=REVOCATION),
    ("RENEWAL_EXTENDED", NO_SUBTYPE): Case(
        said=signal(
            TimeAdded, Rank.PERIOD, JANUARY_10, period_key=PERIOD_KEY, expire_time=FEBRUARY_7
        ),
        ri={"renewalDate": ms(FEBRUARY_7)},
    ),
    ("RENEWAL_EXTENSION", "SUMMARY"): Case(),
    ("RENEWAL_EXTENSION", "SUCCESS"): Case(),
    ("RENEWAL_EXTENSION", "FAILURE"): Case(),
    ("ONE_TIME_CHARGE", NO_SUBTYPE): Case(),
    ("EXTERNAL_PURCHASE_TOKEN", "CREATED"): Case(),
    ("EXTERNAL_PURCHASE_TOKEN", "ACTIVE_TOKEN_REMINDER"): Case(),
    ("EXTERNAL_PURCHASE_TOKEN", "UNREPORTED"): Case(),
    ("RESCIND_CONSENT", NO_SUBTYPE): Case(),
    ("METADATA_UPDATE", NO_SUBTYPE): Case(),
    ("MIGRATION", NO_SUBTYPE): Case(),
    ("MIGRATE", NO_SUBTYPE): Case(),
    ("PRICE_CHANGE", NO_SUBTYPE): Case(),
    ("TEST", NO_SUBTYPE): Case(),
}


def _mention(fact: SubscriptionFact) -> PeriodSeen:
    return PeriodSeen(
        order=Order(time=JANUARY_1, rank=Rank.PERIOD, tie=UUID),
        time=JANUARY_1,
        fact_id=fact.id,
        product=PRODUCT,
        period=PERIOD,
        telling=Telling.MENTIONED,
        first=True,
        shown_time=fact.sign_time,
    )


@pytest.mark.parametrize("row", ROWS, ids="/".join)
def test_a_row_says_what_it_must_and_how_things_stood(row: tuple[str, str]) -> None:
    """Exactly one signal for each row that says something, and a snapshot at the end."""
    case = CASES[row]
    fact = told_fact(*row, tx=case.tx, ri=case.ri, signed=case.signed)
    *said, snapshot = signals(fact)
    wanted: list[Signal] = [case.said(fact)] if case.said else []
    if not any(isinstance(each, PeriodSeen) for each in wanted):
        wanted.insert(0, _mention(fact))
    assert said == wanted
    assert isinstance(snapshot, Snapshot)
    assert snapshot.order == Order(time=case.signed, rank=Rank.SNAPSHOT, tie=UUID)


def test_no_case_is_of_a_row_that_is_gone() -> None:
    """And no row is without its case."""
    assert CASES.keys() == ROWS.keys()


def test_every_rule_has_a_row() -> None:
    """A rule that no notification follows is dead."""
    assert set(ROWS.values()) == set(Rule)


@pytest.mark.parametrize("type_", OTHER_SUBTYPES)
def test_a_type_that_is_plain_says_it_whatever_its_subtype(type_: str) -> None:
    """The lists are open: a new subtype of a refund is a refund."""
    case = CASES[type_, NO_SUBTYPE]
    plain, odd = (
        signals(told_fact(type_, subtype, tx=case.tx, ri=case.ri, signed=case.signed))
        for subtype in (NO_SUBTYPE, "NEVER_HEARD_OF")
    )
    assert [(type(each), each.order, each.time) for each in odd] == [
        (type(each), each.order, each.time) for each in plain
    ]


@pytest.mark.parametrize(
    ("type_", "subtype"),
    [
        ("NEVER_HEARD_OF", NO_SUBTYPE),
        ("DID_CHANGE_RENEWAL_PREF", "NEVER_HEARD_OF"),
        ("DID_CHANGE_RENEWAL_STATUS", "NEVER_HEARD_OF"),
        ("PRICE_INCREASE", "NEVER_HEARD_OF"),
        ("PRICE_INCREASE", NO_SUBTYPE),
    ],
)
def test_what_is_unknown_says_how_things_stood_and_nothing_else(type_: str, subtype: str) -> None:
    """Rule R finds what follows from it; no event is made up."""
    fact = told_fact(type_, subtype)
    mention, snapshot = signals(fact)
    assert mention == _mention(fact)
    assert isinstance(snapshot, Snapshot)
