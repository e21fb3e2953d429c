"""Google's and Stripe's subscriptions need no other words: their signals, told by hand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from boxoffice_server.domain.signals import (
    ClockRules,
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
    Telling,
)
from boxoffice_server.domain.subscription import Base, EntitlementStatus
from tests.support.telling import outcome_of_signals
from tests.support.trace import Trace, happened, stands, when
from tests.support.trace_run import as_told, check_legality, standing

GOOGLE = ClockRules(leeway=timedelta(hours=24), retry_limit=None)
STRIPE = ClockRules(leeway=timedelta(hours=2), retry_limit=None)


def _order(time: datetime, rank: Rank, tie: str) -> Order:
    return Order(time=time, rank=rank, tie=tie)


def bought(
    key: str, start: str, end: str, *, at: str, base: Base = Base.PAID, first: bool = False
) -> Signal:
    """A period that was announced."""
    return PeriodSeen(
        order=_order(when(at), Rank.PERIOD, key),
        time=when(start),
        fact_id=f"fact-{key}",
        product="A",
        period=Period(
            key=key, product="A", start_time=when(start), expire_time=when(end), base=base
        ),
        telling=Telling.ANNOUNCED,
        first=first,
        shown_time=when(at),
    )


# RTDN 4, 2, 6, 5 and 1, each with what the subscription was like when it was read.
T24_SIGNALS: Sequence[Signal] = (
    bought("o0", "0101", "0108", at="0101", base=Base.TRIAL, first=True),
    bought("o1", "0108", "0208", at="0108"),
    GraceStarted(
        order=_order(when("0208"), Rank.FAILURE, "m3"),
        time=when("0208"),
        fact_id="fact-m3",
        product="A",
        period_key="o1",
        until=when("0215"),
    ),
    RetryStarted(
        order=_order(when("0215"), Rank.FAILURE, "m4"),
        time=when("0215"),
        fact_id="fact-m4",
        product="A",
        period_key="o1",
    ),
    bought("o2", "0301", "0401", at="0301"),
)
T24 = Trace(
    id="T24 Google: trial, renewal, grace, hold, recovered",
    told=(),
    events=(
        "0101 A started_with_free_trial exp=0108",
        "0108 A renewed exp=0208",
        "0208 A grace_period_started exp=0215",
        "0215 A billing_retry_started",
        "0301 A renewed exp=0401",
    ),
    at=(
        "0105 A=using_free_trial/0108",
        "0210 A=in_grace_period/0215",
        "0220 A=in_billing_retry/0215",
        "0302 A=active_with_renewal/0401",
        "0401T23 A=active_with_renewal/0401",
        "0402 A=in_billing_retry/0401",
    ),
)

# The subscription that was created incomplete says nothing; the invoice that was paid does.
T28_SIGNALS: Sequence[Signal] = (
    bought("in1", "0101", "0201", at="0101", first=True),
    RenewalSet(
        order=_order(when("0110"), Rank.TOGGLE, "evt-3"),
        time=when("0110"),
        fact_id="fact-3",
        product="A",
        enabled=False,
        expire_time=when("0201"),
    ),
    Expired(
        order=_order(when("0201"), Rank.EXPIRY, "evt-4"),
        time=when("0201"),
        fact_id="fact-4",
        product="A",
        period_key="in1",
        status=EntitlementStatus.EXPIRED_VOLUNTARILY,
    ),
)
T28 = Trace(
    id="T28 Stripe: paid before it is created; to end with its period; deleted",
    told=(),
    events=(
        "0101 A started exp=0201",
        "0110 A renewal_disabled exp=0201",
        "0201 A expired_voluntarily",
    ),
    at=(
        "0105 A=active_with_renewal/0201",
        "0111 A=active_without_renewal/0201",
        "0202 A=expired_voluntarily/0201",
    ),
)


@pytest.mark.parametrize(
    ("trace", "said", "rules"), [(T24, T24_SIGNALS, GOOGLE), (T28, T28_SIGNALS, STRIPE)], ids=str
)
def test_the_domain_takes_another_vendor_unchanged(
    trace: Trace, said: Sequence[Signal], rules: ClockRules
) -> None:
    """In every order, by nothing but its signals and its clock."""
    for order in permutations(said):
        now = outcome_of_signals(order, rules)
        found = [str(as_told("o1", each)) for each in now.occurrences]
        assert sorted(found) == sorted(str(happened(text)) for text in trace.events)
        for asked in stands(trace):
            assert standing(now, asked) == asked
        check_legality(now)


def test_only_a_vendor_that_says_so_gives_up_by_the_clock() -> None:
    """Google and Stripe are asked; their retries have no end that is known beforehand."""
    now = outcome_of_signals(T24_SIGNALS[:4], GOOGLE)
    band = now.at("A", when("20300101"))
    assert band is not None
    assert band.status is EntitlementStatus.IN_BILLING_RETRY


BY_HAND = ClockRules(leeway=timedelta(), retry_limit=None, ends_by_itself=True)
GRANTED = bought("g1", "0110", "0210", at="0101", base=Base.PROMOTION, first=True)


def _revoked(day: str) -> Signal:
    return Lost(
        order=_order(when(day), Rank.LOSS, "revoked"),
        time=when(day),
        fact_id="fact-revoked",
        product="A",
        period_key="g1",
        status=EntitlementStatus.REVOKED,
    )


@pytest.mark.parametrize(
    ("said", "events", "at"),
    [
        (
            [GRANTED],
            ["0110 A started_with_promotion exp=0210", "0210 A expired_voluntarily clk"],
            ["0109 A=none", "0209T23 A=using_promotion/0210", "0210 A=expired_voluntarily/0210"],
        ),
        (
            [GRANTED, _revoked("0120")],
            ["0110 A started_with_promotion exp=0210", "0120 A revoked"],
            ["0119 A=using_promotion/0210", "0120 A=revoked/0120"],
        ),
        (
            [GRANTED, _revoked("0105")],
            ["0110 A started_with_promotion exp=0210", "0105 A revoked"],
            ["0109 A=none", "0110 A=revoked/0110"],
        ),
    ],
    ids=["to its end", "revoked", "revoked before it begins"],
)
def test_what_is_granted_by_hand_ends_by_itself(
    said: Sequence[Signal], events: Sequence[str], at: Sequence[str]
) -> None:
    """Nobody is expected to say so, and there is no leeway."""
    trace = Trace(id="", told=(), events=tuple(events), at=tuple(at))
    for order in permutations(said):
        now = outcome_of_signals(order, BY_HAND)
        found = [str(as_told("o1", each)) for each in now.occurrences]
        assert sorted(found) == sorted(str(happened(text)) for text in trace.events)
        for asked in stands(trace):
            assert standing(now, asked) == asked
            band = now.at("A", asked.time)
            assert band is None or band.access_until <= band.expire_time
