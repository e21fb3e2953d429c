"""What a fact says by its values: offers, conditions of time, losses, and how things stood."""

from datetime import datetime, timedelta

import pytest

from boxoffice_server.domain.facts import FactKind
from boxoffice_server.domain.signals import (
    Expired,
    GraceStarted,
    Lost,
    Order,
    Period,
    PeriodSeen,
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
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    FEBRUARY_7,
    JANUARY_1,
    JANUARY_10,
    OTHER_PRODUCT,
    PERIOD_KEY,
    PRODUCT,
    Json,
    ms,
    read_fact,
    told_fact,
)

DAY = timedelta(days=1)


def _period(tx: Json) -> Period:
    return _seen(tx).period


def _seen(tx: Json) -> PeriodSeen:
    (seen,) = (
        each
        for each in signals(told_fact("SUBSCRIBED", "INITIAL_BUY", tx=tx))
        if isinstance(each, PeriodSeen)
    )
    return seen


def _snapshot(*, tx: Json | None = None, ri: Json | None = None) -> Snapshot:
    last = signals(told_fact("CONSUMPTION_REQUEST", tx=tx, ri=ri))[-1]
    assert isinstance(last, Snapshot)
    return last


@pytest.mark.parametrize(
    ("tx", "base", "reference"),
    [
        ({}, Base.PAID, ""),
        ({"offerType": 1, "offerDiscountType": "FREE_TRIAL"}, Base.TRIAL, ""),
        ({"offerType": 1, "offerDiscountType": "PAY_AS_YOU_GO"}, Base.INTRODUCTORY, ""),
        ({"offerType": 1, "offerDiscountType": "PAY_UP_FRONT"}, Base.INTRODUCTORY, ""),
        ({"offerType": 1, "offerDiscountType": "NEVER_HEARD_OF"}, Base.INTRODUCTORY, ""),
        ({"offerType": 1, "price": 0}, Base.TRIAL, ""),
        ({"offerType": 1, "price": 990}, Base.INTRODUCTORY, ""),
        ({"offerType": 1, "price": None}, Base.INTRODUCTORY, ""),
        ({"offerType": 2, "offerIdentifier": "spring"}, Base.PROMOTION, "spring"),
        ({"offerType": 3, "offerIdentifier": "spring"}, Base.PROMOTION, "spring"),
        ({"offerType": 4, "offerIdentifier": "spring"}, Base.PROMOTION, "spring"),
        ({"offerType": 3}, Base.PROMOTION, ""),
        ({"offerType": 9, "offerIdentifier": "spring"}, Base.PROMOTION, "spring"),
        ({"offerType": 9}, Base.PROMOTION, "unknown:9"),
    ],
)
def test_an_offer_tells_how_the_period_was_bought(tx: Json, base: Base, reference: str) -> None:
    """The kind of offer goes before how it is paid, and promotions say which one they were."""
    period = _period(tx)
    assert (period.base, period.promotion_reference) == (base, reference)


@pytest.mark.parametrize("offer_type", [2, 3, 4])
def test_a_promotion_that_is_free_is_a_promotion(offer_type: int) -> None:
    """D1: only promotions carry their reference."""
    tx = {"offerType": offer_type, "offerDiscountType": "FREE_TRIAL", "offerIdentifier": "spring"}
    assert _period(tx).base is Base.PROMOTION


def test_an_offer_that_is_redeemed_shows_its_period_which_may_be_the_old_one() -> None:
    """D2: Apple does not say whether the period is new; who knows all periods sees it."""
    seen, _ = signals(told_fact("OFFER_REDEEMED"))
    assert isinstance(seen, PeriodSeen)
    assert (seen.telling, seen.first) == (Telling.DATED, True)
    assert seen.order.time == JANUARY_1


def test_a_purchase_of_no_known_subtype_is_told_first_by_its_dates() -> None:
    """Apple always sends a subtype; without one nothing else tells."""
    earlier = {"originalPurchaseDate": ms(JANUARY_1 - DAY)}
    seen, _ = signals(told_fact("SUBSCRIBED", tx=earlier))
    assert isinstance(seen, PeriodSeen)
    assert (seen.telling, seen.first) == (Telling.DATED, False)


def test_without_a_line_item_the_transaction_names_the_period() -> None:
    """The line item stays the same when a purchase is restored."""
    assert _period({}).key == PERIOD_KEY
    assert _period({"webOrderLineItemId": None, "transactionId": "77"}).key == "77"


@pytest.mark.parametrize("subtype", ["AUTO_RENEW_DISABLED", "AUTO_RENEW_ENABLED", ""])
def test_a_switch_after_the_expiry_is_nobodys_choice(subtype: str) -> None:
    """Apple closes a dead retry that way; during grace it is a choice."""

    def said(**ri: object) -> bool:
        fact = told_fact("DID_CHANGE_RENEWAL_STATUS", subtype, ri=ri, signed=FEBRUARY_1)
        return any(isinstance(each, RenewalSet) for each in signals(fact))

    assert not said()
    assert not said(gracePeriodExpiresDate=ms(FEBRUARY_1))
    assert said(gracePeriodExpiresDate=ms(FEBRUARY_7))


def test_a_switch_that_does_not_say_which_way_says_nothing() -> None:
    """Neither a subtype nor a status: nothing was told."""
    fact = told_fact("DID_CHANGE_RENEWAL_STATUS", ri={"autoRenewStatus": None})
    assert not any(isinstance(each, RenewalSet) for each in signals(fact))


def test_a_product_that_is_to_be_followed_by_itself_is_no_switch() -> None:
    """A downgrade without another product tells of none."""
    for product in (PRODUCT, None):
        fact = told_fact("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE", ri={"autoRenewProductId": product})
        assert not any(isinstance(each, SwitchAsked) for each in signals(fact))


def test_a_failure_after_the_expiry_counts_from_when_it_was_told() -> None:
    """Before the expiry it counts from there: a failure never ends what was paid for."""
    grace = {"gracePeriodExpiresDate": ms(FEBRUARY_7)}
    late = FEBRUARY_1 + DAY
    _, started, _ = signals(told_fact("DID_FAIL_TO_RENEW", "GRACE_PERIOD", ri=grace, signed=late))
    assert isinstance(started, GraceStarted)
    assert (started.time, started.until) == (late, FEBRUARY_7)
    _, retry, _ = signals(told_fact("DID_FAIL_TO_RENEW", signed=late))
    assert isinstance(retry, RetryStarted)
    assert retry.time == late


def test_a_grace_period_without_an_end_says_nothing() -> None:
    """Access must not go on for ever, and must not end by a guess."""
    fact = told_fact("DID_FAIL_TO_RENEW", "GRACE_PERIOD")
    assert [type(each) for each in signals(fact)] == [PeriodSeen, Snapshot]


def test_a_grace_period_that_ended_without_a_date_ended_when_it_was_told() -> None:
    """Apple tells at the end of the grace period."""
    _, retry, _ = signals(told_fact("GRACE_PERIOD_EXPIRED", signed=FEBRUARY_7))
    assert isinstance(retry, RetryStarted)
    assert retry.time == FEBRUARY_7


def test_who_leaves_during_grace_leaves_at_its_end_and_during_retries_at_once() -> None:
    """The end of access is the end of the subscription."""

    def time(**ri: object) -> object:
        _, over, _ = signals(told_fact("EXPIRED", "VOLUNTARY", ri=ri, signed=FEBRUARY_7 + DAY))
        assert isinstance(over, Expired)
        return over.time

    assert time() == FEBRUARY_1
    assert time(gracePeriodExpiresDate=ms(FEBRUARY_7)) == FEBRUARY_7
    assert time(isInBillingRetryPeriod=True) == FEBRUARY_7 + DAY


@pytest.mark.parametrize(
    ("ri", "status"),
    [
        ({"expirationIntent": 1}, EntitlementStatus.EXPIRED_VOLUNTARILY),
        ({"expirationIntent": 2}, EntitlementStatus.EXPIRED_FROM_BILLING),
        ({"expirationIntent": 3}, EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE),
        ({"expirationIntent": 4}, EntitlementStatus.EXPIRED_FROM_BILLING),
        ({"expirationIntent": 5}, EntitlementStatus.EXPIRED_FROM_BILLING),
        ({"expirationIntent": 9, "autoRenewStatus": 0}, EntitlementStatus.EXPIRED_VOLUNTARILY),
        ({"autoRenewStatus": 0}, EntitlementStatus.EXPIRED_VOLUNTARILY),
        ({"autoRenewStatus": 1}, EntitlementStatus.EXPIRED_FROM_BILLING),
        ({"autoRenewStatus": None}, EntitlementStatus.EXPIRED_FROM_BILLING),
    ],
)
def test_an_expiry_that_does_not_say_why_is_told_by_its_intent(
    ri: Json, status: EntitlementStatus
) -> None:
    """D4: an error of Apple's or an unknown intent counts by whether renewal was on."""
    _, over, _ = signals(told_fact("EXPIRED", ri=ri))
    assert isinstance(over, Expired)
    assert over.status is status


@pytest.mark.parametrize(
    ("tx", "status"),
    [
        ({"revocationReason": 1}, EntitlementStatus.REFUNDED_FOR_ISSUE),
        ({"revocationReason": 0}, EntitlementStatus.REFUNDED),
        ({"revocationReason": 9}, EntitlementStatus.REFUNDED),
        ({}, EntitlementStatus.REFUNDED),
        (
            {"revocationReason": 0, "revocationType": "REFUND_PRORATED", "revocationPercentage": 9},
            EntitlementStatus.REFUNDED,
        ),
        (
            {"revocationReason": 1, "inAppOwnershipType": "FAMILY_SHARED"},
            EntitlementStatus.REVOKED,
        ),
        (
            {"revocationReason": 1, "revocationType": "FAMILY_REVOKE"},
            EntitlementStatus.REVOKED,
        ),
    ],
)
def test_a_refund_tells_what_the_period_was_lost_to(tx: Json, status: EntitlementStatus) -> None:
    """D5: a part of the price counts as all; a family's member was refunded nothing."""
    _, lost, _ = signals(told_fact("REFUND", tx={"revocationDate": ms(JANUARY_1 + DAY), **tx}))
    assert isinstance(lost, Lost)
    assert (lost.status, lost.time) == (status, JANUARY_1 + DAY)


@pytest.mark.parametrize("type_", ["REFUND", "REVOKE"])
def test_a_period_that_was_changed_for_a_better_one_is_not_lost(type_: str) -> None:
    """Apple gives the rest of it back when a customer upgrades."""
    fact = told_fact(type_, tx={"revocationDate": ms(JANUARY_10), "isUpgraded": True})
    assert not any(isinstance(each, Lost) for each in signals(fact))


def test_a_loss_without_a_date_happened_when_it_was_told() -> None:
    """Apple always sends the date; without it the signature's is the nearest."""
    _, lost, _ = signals(told_fact("REVOKE"))
    assert isinstance(lost, Lost)
    assert lost.time == JANUARY_10


@pytest.mark.parametrize(
    ("renewal_date", "until"),
    [(ms(FEBRUARY_7), FEBRUARY_7), (ms(JANUARY_10), FEBRUARY_1), (None, FEBRUARY_1)],
)
def test_added_time_ends_at_the_later_of_two_dates(
    renewal_date: int | None, until: datetime
) -> None:
    """D7: the transaction's own end may stay what it was."""
    _, added, _ = signals(told_fact("RENEWAL_EXTENDED", ri={"renewalDate": renewal_date}))
    assert isinstance(added, TimeAdded)
    assert added.expire_time == until


def test_a_snapshot_tells_how_things_stood() -> None:
    """A subscription that renews by itself, with nothing pending."""
    snapshot = _snapshot()
    assert (snapshot.product, snapshot.period_key) == (PRODUCT, PERIOD_KEY)
    assert snapshot.auto_renew is True
    assert snapshot.pending_product == ""
    assert (snapshot.price_pending, snapshot.price_agreed) == (None, None)
    assert snapshot.lost is False


@pytest.mark.parametrize(
    ("ri", "pending"),
    [
        ({"autoRenewProductId": OTHER_PRODUCT}, OTHER_PRODUCT),
        ({"autoRenewProductId": OTHER_PRODUCT, "autoRenewStatus": 0}, None),
        ({"autoRenewProductId": None}, None),
        ({"autoRenewStatus": 0}, ""),
    ],
)
def test_a_snapshot_tells_which_product_is_to_follow(ri: Json, pending: str | None) -> None:
    """While renewal is off nothing is said of another one: it may be on again."""
    assert _snapshot(ri=ri).pending_product == pending


@pytest.mark.parametrize(("status", "told"), [(0, (True, False)), (1, (False, True))])
def test_a_snapshot_tells_whether_a_price_was_agreed_to(
    status: int, told: tuple[bool, bool]
) -> None:
    """Absent, it tells neither."""
    snapshot = _snapshot(ri={"priceIncreaseStatus": status})
    assert (snapshot.price_pending, snapshot.price_agreed) == told


def test_a_snapshot_tells_of_renewal_and_of_a_loss() -> None:
    """Each by its own field, and unknown where it is absent."""
    assert _snapshot(ri={"autoRenewStatus": 0}).auto_renew is False
    assert _snapshot(ri={"autoRenewStatus": None}).auto_renew is None
    assert _snapshot(tx={"revocationDate": ms(JANUARY_10)}).lost is True
    assert _snapshot(ri={"productId": None}).product == PRODUCT


def test_what_was_read_falls_into_its_place_and_tells_by_its_dates() -> None:
    """The vendor's history fills gaps where they were."""
    for kind in (FactKind.READ, FactKind.SUBMITTED):
        seen, snapshot = signals(read_fact(kind=kind))
        assert isinstance(snapshot, Snapshot)
        assert (snapshot.lost, snapshot.auto_renew) == (False, None)
        assert isinstance(seen, PeriodSeen)
        assert (seen.telling, seen.first) == (Telling.DATED, True)
        assert seen.order.time == JANUARY_1
        assert (seen.time, seen.shown_time) == (JANUARY_1, JANUARY_10)


def test_a_period_that_was_read_before_it_began_stands_where_it_was_signed() -> None:
    """Apple renews up to a day early."""
    later = {"purchaseDate": ms(FEBRUARY_1), "expiresDate": ms(FEBRUARY_7)}
    seen, _ = signals(read_fact(tx=later))
    assert isinstance(seen, PeriodSeen)
    assert (seen.order.time, seen.first) == (JANUARY_10, False)


def test_a_loss_that_was_read_stands_where_it_happened() -> None:
    """A refund whose notification never came is found by reading."""
    revoked = JANUARY_1 + DAY
    fact = read_fact(tx={"revocationDate": ms(revoked), "revocationReason": 1}, ri={})
    _, lost, snapshot = signals(fact)
    assert isinstance(lost, Lost)
    assert lost.order == Order(time=revoked, rank=Rank.LOSS, tie=fact.vendor_id)
    assert lost.status is EntitlementStatus.REFUNDED_FOR_ISSUE
    assert isinstance(snapshot, Snapshot)


def _found(ri: Json) -> Signal:
    """What is said of the end by a status that was read after it, with its place in between."""
    signed = {"signedDate": ms(FEBRUARY_7)}
    seen, found, snapshot = signals(read_fact(tx=signed, ri={**ri, **signed}))
    assert isinstance(seen, PeriodSeen)
    assert isinstance(snapshot, Snapshot)
    return found


def test_a_status_that_was_read_tells_of_grace_that_still_lasts() -> None:
    """It began when the period ended; its notification may never have come."""
    found = _found({"gracePeriodExpiresDate": ms(FEBRUARY_7 + DAY), "isInBillingRetryPeriod": True})
    assert isinstance(found, GraceStarted)
    assert (found.time, found.until) == (FEBRUARY_1, FEBRUARY_7 + DAY)


@pytest.mark.parametrize(
    ("grace", "time"), [(None, FEBRUARY_1), (ms(FEBRUARY_1 + DAY), FEBRUARY_1 + DAY)]
)
def test_a_status_that_was_read_tells_of_retries(grace: int | None, time: datetime) -> None:
    """They began when the period ended, or grace."""
    found = _found({"gracePeriodExpiresDate": grace, "isInBillingRetryPeriod": True})
    assert isinstance(found, RetryStarted)
    assert found.time == time


@pytest.mark.parametrize(
    ("intent", "status", "time"),
    [
        (1, EntitlementStatus.EXPIRED_VOLUNTARILY, FEBRUARY_1),
        (2, EntitlementStatus.EXPIRED_FROM_BILLING, FEBRUARY_7),
        (3, EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE, FEBRUARY_1),
    ],
)
def test_a_status_that_was_read_tells_how_it_ended(
    intent: int, status: EntitlementStatus, time: datetime
) -> None:
    """When Apple gave up is not told: it was by then."""
    found = _found({"expirationIntent": intent, "autoRenewStatus": 0})
    assert isinstance(found, Expired)
    assert (found.status, found.time) == (status, time)


def test_a_status_that_was_read_in_time_tells_of_no_end() -> None:
    """Nor does one of a period that was lost."""
    assert len(signals(read_fact(ri={"expirationIntent": 1}))) == 2
    lost = {"signedDate": ms(FEBRUARY_7), "revocationDate": ms(JANUARY_10)}
    said = signals(read_fact(tx=lost, ri={"expirationIntent": 1}))
    assert not any(isinstance(each, Expired) for each in said)
