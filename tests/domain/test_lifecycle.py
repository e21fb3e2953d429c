"""What signals come to that no vendor sends in this way, and what is said of them."""

from dataclasses import replace

from boxoffice_server.domain.signals import GraceStarted, Order, Rank, RetryStarted, Signal
from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from tests.domain.test_other_vendors import bought
from tests.support.apple import facts
from tests.support.telling import APPLE, outcome, outcome_of_signals
from tests.support.trace import Trace, told, when, written

BOUGHT = bought("w1", "0101", "0201", at="0101", first=True)


def grace(day: str, until: str) -> Signal:
    """Grace, signed on a day."""
    return GraceStarted(
        order=Order(time=when(day), rank=Rank.FAILURE, tie=day),
        time=when(day),
        fact_id=f"fact-{day}",
        product="A",
        period_key="w1",
        until=when(until),
    )


RETRY = RetryStarted(
    order=Order(time=when("0203"), rank=Rank.FAILURE, tie="retry"),
    time=when("0203"),
    fact_id="fact-retry",
    product="A",
    period_key="w1",
)


def test_grace_after_retry_can_never_be_and_is_reported() -> None:
    """It is kept out: neither an event nor access comes of it."""
    late = grace("0204", "0210")
    now = outcome_of_signals([BOUGHT, RETRY, late], APPLE)
    (illegal,) = now.story.illegal
    assert illegal.signal == late
    assert illegal.status is EntitlementStatus.IN_BILLING_RETRY
    assert illegal.type is SubscriptionEventType.GRACE_PERIOD_STARTED
    assert illegal.type not in {each.type for each in now.occurrences}
    band = now.at("A", when("0205"))
    assert band is not None
    assert band.status is EntitlementStatus.IN_BILLING_RETRY


def test_grace_that_is_told_again_may_last_longer() -> None:
    """One event, and a later end."""
    now = outcome_of_signals([BOUGHT, grace("0201", "0207"), grace("0203", "0210")], APPLE)
    types = [each.type for each in now.occurrences]
    assert types.count(SubscriptionEventType.GRACE_PERIOD_STARTED) == 1
    band = now.at("A", when("0208"))
    assert band is not None
    assert (band.status, band.expire_time) == (EntitlementStatus.IN_GRACE_PERIOD, when("0210"))


def test_a_signal_about_a_product_that_nothing_is_known_of_says_nothing() -> None:
    """Whatever it says, its fact shows the period too; without one there is nothing to change."""
    assert outcome_of_signals([RETRY, grace("0204", "0210")], APPLE).holdings == ()


def test_a_second_first_purchase_is_a_renewal() -> None:
    """A lineage starts once."""
    again = bought("w2", "0301", "0401", at="0301", first=True)
    now = outcome_of_signals([BOUGHT, again], APPLE)
    assert [each.type for each in now.occurrences] == [
        SubscriptionEventType.STARTED,
        SubscriptionEventType.RENEWED,
    ]


def test_what_silence_was_taken_for_is_forgotten_when_the_vendor_speaks() -> None:
    """Nobody is asked any more about what is over."""
    over = replace(RETRY, order=replace(RETRY.order, time=when("0301")), time=when("0301"))
    now = outcome_of_signals([BOUGHT, over], APPLE)
    assert [each.facets.silent for each in now.story.steps["A"]] == [False, True, False, False]


def test_access_ends_where_it_is_known_to_end() -> None:
    """With grace, with the leeway for what nobody spoke of, and at once where another follows."""
    trace = Trace(
        id="",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:B:0101-0201",
            "0131T18 DID_RENEW w2:A:0201-0301",
            "0301T00:01 DID_FAIL_TO_RENEW/GRACE_PERIOD grace=0307",
        ),
        events=(),
        at=(),
    )
    now = outcome(facts(told(trace)))
    found = [
        f"{holding.product} {band.status.value} {written(band.access_until)}"
        for holding in now.holdings
        for band in holding.bands
    ]
    assert found == [
        "B active_with_renewal 0201",
        "B switched_product 0201",
        "A active_with_renewal 0301T01",
        "A in_grace_period 0307",
        "A in_billing_retry 0307",
        "A expired_from_billing 0307",
    ]
