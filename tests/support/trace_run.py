"""Runs traces: what they come to, in whatever order they arrive."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from math import factorial

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.story import Occurrence, Step
from boxoffice_server.domain.subscription import EntitlementStatus
from tests.domain.legal import allowed, allowed_untold
from tests.support.apple import facts
from tests.support.telling import Outcome, Publication, outcome, publish
from tests.support.trace import Happened, Stands, Trace, happened, stands, told, written

MOST_ORDERS = 200


def as_told(lineage: str, found: Occurrence) -> Happened:
    """Write an event as a trace does."""
    return Happened(
        lineage=lineage,
        product=found.product,
        type=found.type.value,
        time=found.event_time,
        known=found.event_time,
        expire_time=found.expire_time,
        new_product=found.new_product,
        promotion=found.promotion_reference,
        by_clock=found.by_clock,
    )


def lineages(written_facts: Iterable[SubscriptionFact]) -> list[str]:
    """Name the lineages that facts are of."""
    return sorted({each.lineage.lineage for each in written_facts})


def arrivals(trace_facts: Sequence[SubscriptionFact], lineage: str) -> Publication:
    """Publish what one lineage comes to, fact after fact."""
    mine = [each for each in trace_facts if each.lineage.lineage == lineage]
    ordered = sorted(mine, key=lambda each: each.record_time)
    stages = [
        (each.record_time, outcome(ordered[: index + 1], lineage))
        for index, each in enumerate(ordered)
    ]
    return publish(stages)


def check_events(trace: Trace) -> None:
    """Hold what happened, and when it was published, against the trace."""
    all_facts = facts(told(trace))
    expected = [happened(text) for text in trace.events]
    found, superseded = [], []
    for lineage in lineages(all_facts):
        publication = arrivals(all_facts, lineage)
        last = publication.last
        for each in last.occurrences:
            known = publication.times[last.event_id(each)]
            found.append(f"{as_told(lineage, each)} known={written(known)}")
        superseded += [str(as_told(lineage, each)) for each in publication.superseded]
    assert sorted(found) == sorted(f"{each} known={written(each.known)}" for each in expected), (
        found
    )
    assert sorted(superseded) == sorted(str(happened(text)) for text in trace.superseded)


def check_statuses(trace: Trace) -> None:
    """Hold how it stood, from the facts that had come by then, against the trace."""
    all_facts = facts(told(trace))
    expected = stands(trace)
    found = []
    for each in expected:
        known = [fact for fact in all_facts if fact.record_time <= each.time]
        found.append(str(standing(outcome(known, each.lineage), each)))
    assert found == [str(each) for each in expected]


def standing(now: Outcome, asked: Stands) -> Stands:
    """Tell how a product stands when a trace asks."""
    band = now.at(asked.product, asked.time)
    return replace(
        asked,
        status="" if band is None else band.status.value,
        expire_time=None if band is None else band.expire_time,
    )


def orders(items: Sequence[SubscriptionFact]) -> Iterator[list[SubscriptionFact]]:
    """All orders of a few; of many, some that never change; each with duplicates now and then."""
    if factorial(len(items)) <= factorial(6):
        yield from (list(each) for each in permutations(items))
        return
    shuffle = random.Random(7)
    for _ in range(MOST_ORDERS):
        again = shuffle.choices(items, k=2)
        yield shuffle.sample([*items, *again], len(items) + 2)


def check_legality(now: Outcome) -> None:
    """Hold each product's story against the table of what may follow what."""
    for product, steps in now.story.steps.items():
        before: EntitlementStatus | None = None
        seen: set[int] = set()
        for step in steps:
            after = step.facets.status
            _check_step(now, product, before, step, seen)
            before = after


def _check_step(
    now: Outcome, product: str, before: EntitlementStatus | None, step: Step, seen: set[int]
) -> None:
    after = step.facets.status
    if step.occurrence is None:
        assert after in allowed_untold(before), (product, before, after)
        return
    if step.occurrence in seen:
        assert after is before or after in allowed_untold(before), (product, before, after)
        return
    seen.add(step.occurrence)
    type_ = now.story.occurrences[step.occurrence].type
    assert after in allowed(before, type_), (product, before, type_, after)
