"""Random lives of subscriptions: what follows from their facts is what their own books say.

Whatever fails is shrunk, and shown as a trace. BOXOFFICE_TESTS_LIVES asks for more of them.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from boxoffice_server.domain.facts import SubscriptionFact
from tests.support.apple import Told, facts
from tests.support.lives import Life
from tests.support.living import live
from tests.support.telling import Outcome, outcome, publish
from tests.support.trace import Happened
from tests.support.trace_run import as_told, check_legality

LIVES = int(os.environ.get("BOXOFFICE_TESTS_LIVES", "120"))
MOST_MOVES = 8
TOGGLES = {
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
    "DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
    "DID_CHANGE_RENEWAL_PREF",
    "PRICE_INCREASE/PENDING",
    "PRICE_INCREASE/ACCEPTED",
}
TOGGLED = {
    "renewal_disabled",
    "renewal_enabled",
    "switching_product",
    "price_change_confirmation_requested",
}

seeds = st.integers(min_value=0, max_value=2**16)
some_lives = settings(
    max_examples=LIVES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Draw a life."""

    def choose(below: int) -> int:
        return draw(st.integers(min_value=0, max_value=below - 1))

    life = live(choose, choose(MOST_MOVES + 1))
    note(str(life))
    return life


def written(events: Sequence[Happened]) -> list[str]:
    """Write events so that they compare, whoever told of them."""
    return sorted(str(replace(each, by_clock=False)) for each in events)


def found(now: Outcome) -> list[Happened]:
    """Tell what happened, as lives write it."""
    return [as_told("o1", each) for each in now.occurrences]


def check_standings(life: Life, now: Outcome, *, but: Sequence[Told] = ()) -> None:
    """Hold the whole past and future of each product against the life's books."""
    for each in life.standings:
        for time in (each.time - timedelta(seconds=1), each.time):
            if any(one.signed <= time < one.bought.start for one in but if one.bought):
                continue
            expected, band = life.at(each.product, time), now.at(each.product, time)
            stood = None if band is None else (band.status.value, band.expire_time)
            wanted = None if expected is None else (expected.status, expected.expires)
            assert stood == wanted, (each.product, time)


@some_lives
@given(lives(), seeds)
def test_every_order_of_arrival_tells_the_life(life: Life, seed: int) -> None:
    """With duplicates, without what the clock knows, and with purchases that were only read."""
    chance = random.Random(seed)
    read = [each for each in life.told if each.bought is not None and chance.random() < 0.2]
    lost = [each for each in life.clockwork if chance.random() < 0.5]
    for each in (*read, *lost):
        note(f"read instead, or lost: {each}")
    arrived = _arrived(life.told, read, lost)
    again = chance.choices(arrived, k=2) if arrived else []
    now = outcome(chance.sample([*arrived, *again], len(arrived) + len(again)))
    assert written(found(now)) == written(life.events)
    assert not now.story.illegal
    check_standings(life, now, but=read)
    check_legality(now)


def _arrived(
    told: Sequence[Told], read: Sequence[Told], lost: Sequence[Told]
) -> list[SubscriptionFact]:
    """Leave out what was lost, and read the transactions of what nobody announced, much later."""
    time = max(each.signed for each in told) + timedelta(days=400)
    reads = [
        Told(type="READ", signed=time, arrived=time, of=each.bought.key)
        for each in read
        if each.bought is not None
    ]
    lines = [*told, *reads]
    return [
        fact
        for fact, each in zip(facts(lines), lines, strict=True)
        if each not in read and each not in lost
    ]


@some_lives
@given(lives(), seeds)
def test_what_is_true_in_the_end_was_published_once(life: Life, seed: int) -> None:
    """Fact after fact, in any order, while the clock runs: only the rest is superseded."""
    chance = random.Random(seed)
    time = max(each.signed for each in life.told)
    shuffled = chance.sample(facts(life.told), len(life.told))
    stages = []
    for index in range(len(shuffled)):
        stages.append((time, outcome(shuffled[: index + 1])))
        time += timedelta(days=chance.randrange(30))
    publication = publish(stages)
    assert publication.last.canonical.keys() <= publication.told.keys()


@some_lives
@given(lives())
def test_nothing_is_superseded_where_facts_come_in_their_order(life: Life) -> None:
    """What is published as it is signed, and as the clock runs, is true for ever."""
    all_facts = facts(life.told)
    stages = [
        (each.signed, outcome(all_facts[: index + 1])) for index, each in enumerate(life.told)
    ]
    ordered = sorted(stages, key=lambda stage: stage[0])
    assert [time for time, _ in stages] == [time for time, _ in ordered]
    publication = publish(stages)
    assert publication.superseded == []
    assert publication.told.keys() == publication.last.canonical.keys()


@some_lives
@given(lives())
def test_each_fact_in_its_turn_tells_how_things_stand_then(life: Life) -> None:
    """As they are signed, one after the other: nothing is needed from the future."""
    all_facts = facts(life.told)
    for index, each in enumerate(life.told):
        now = outcome(all_facts[: index + 1])
        check_legality(now)
        for product in {standing.product for standing in life.standings}:
            expected = life.at(product, each.signed, known=each.signed)
            band = now.at(product, each.signed)
            stood = None if band is None else (band.status.value, band.expire_time)
            wanted = None if expected is None else (expected.status, expected.expires)
            assert stood == wanted, (product, each.signed)


@some_lives
@given(lives(), seeds)
def test_what_toggles_were_lost_the_next_snapshot_makes_up(life: Life, seed: int) -> None:
    """From then on all stands as it must, and whatever is no toggle happened as it did."""
    assume(not life.is_reversed_late)
    chance = random.Random(seed)
    lost = [each for each in life.told if each.type in TOGGLES and chance.random() < 0.5]
    for each in lost:
        note(f"lost: {each}")
    last = max(life.now, *(each.signed for each in life.told)) + timedelta(minutes=1)
    lines = [*life.told, Told(type="STATUS", signed=last, arrived=last)]
    heard = [fact for fact, each in zip(facts(lines), lines, strict=True) if each not in lost]
    now = outcome(chance.sample(heard, len(heard)))
    expected, band = life.at(life.it.name, last), now.at(life.it.name, last)
    assert expected is not None
    assert band is not None
    assert (band.status.value, band.expire_time) == (expected.status, expected.expires)
    rest = [each for each in found(now) if each.type not in TOGGLED and each.time <= last]
    wanted = [each for each in life.events if each.type not in TOGGLED and each.time <= last]
    assert written(rest) == written(wanted)
