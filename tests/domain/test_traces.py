"""Stories of subscriptions, and what must come of them: in every order in which they may arrive."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.domain import change_traces, failure_traces, gap_traces, refund_traces, spec_traces
from tests.support.apple import facts
from tests.support.telling import outcome
from tests.support.trace import Trace, told
from tests.support.trace_run import (
    arrivals,
    check_events,
    check_legality,
    check_statuses,
    lineages,
    orders,
)

TRACES = (
    *spec_traces.TRACES,
    *failure_traces.TRACES,
    *refund_traces.TRACES,
    *change_traces.TRACES,
    *gap_traces.TRACES,
)
all_traces = pytest.mark.parametrize("trace", TRACES, ids=str)


@all_traces
def test_a_trace_tells_what_happened(trace: Trace) -> None:
    """Each event is what it must be, and is published when it is first known."""
    check_events(trace)


@all_traces
def test_a_trace_tells_how_things_stood(trace: Trace) -> None:
    """From what had arrived by then, and the clock."""
    check_statuses(trace)


@all_traces
def test_no_order_of_arrival_makes_a_difference(trace: Trace) -> None:
    """Neither do duplicates: the same events under the same ids, the same bands."""
    written = list({each.id: each for each in facts(told(trace))}.values())
    for lineage in lineages(written):
        mine = [each for each in written if each.lineage.lineage == lineage]
        expected = outcome(mine, lineage)
        for order in orders(mine):
            found = outcome(order, lineage)
            assert found.canonical == expected.canonical
            assert found.holdings == expected.holdings


@all_traces
def test_what_is_canonical_was_published_once(trace: Trace) -> None:
    """Whatever the order of arrival: nothing that is true in the end was left out."""
    shuffle = random.Random(11)
    written = facts(told(trace))
    for _ in range(12):
        shuffled = shuffle.sample(written, len(written))
        time = min(each.sign_time for each in shuffled)
        late = []
        for each in shuffled:
            time = max(time, each.sign_time)
            late.append(replace(each, record_time=time))
        for lineage in lineages(late):
            publication = arrivals(late, lineage)
            assert publication.last.canonical.keys() <= publication.told.keys()


@all_traces
def test_every_step_is_a_legal_one(trace: Trace) -> None:
    """At every stage of its arrival."""
    written = facts(told(trace))
    for lineage in lineages(written):
        for count in range(1, len(written) + 1):
            check_legality(outcome(written[:count], lineage))


@all_traces
def test_whatever_is_lost_the_rest_makes_a_legal_story(trace: Trace) -> None:
    """Of some of the facts alone, in any order: each moment has one status, by the table."""
    chance = random.Random(13)
    written = list({each.id: each for each in facts(told(trace))}.values())
    for _ in range(15):
        heard = chance.sample(written, chance.randint(1, len(written)))
        for lineage in lineages(heard):
            now = outcome(heard, lineage)
            check_legality(now)
            assert outcome(chance.sample(heard, len(heard)), lineage).holdings == now.holdings
            for holding in now.holdings:
                for band, following in pairwise(holding.bands):
                    assert band.from_time < following.from_time == band.until_time
                assert holding.bands[-1].until_time is None
