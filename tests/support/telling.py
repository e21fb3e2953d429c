"""What facts come to, as a caller would be told of it: events and statuses of one user's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.lifecycle import tell
from boxoffice_server.domain.ownership import Holding, Tenure, share_out
from boxoffice_server.domain.signals import ClockRules, Signal
from boxoffice_server.domain.story import Occurrence, Story
from boxoffice_server.domain.subscription import (
    Band,
    Environment,
    LineageKey,
    SubscriptionSource,
)
from boxoffice_server.vendors.app_store.signals import signals

APPLE = ClockRules(leeway=timedelta(hours=1), retry_limit=timedelta(days=60))
NEVER = datetime.max.replace(tzinfo=UTC)
USER = "user-1"
MINE = Tenure(
    user_id=USER, start=datetime.min.replace(tzinfo=UTC), end=NEVER, ref="from-the-beginning"
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that follows for the one user who holds a lineage."""

    key: LineageKey
    story: Story
    holdings: tuple[Holding, ...]

    def event_id(self, what: Occurrence) -> str:
        """The id under which it is published."""
        return self.key.event_id(what.product, USER, what.type, what.fact_ref)

    @property
    def occurrences(self) -> list[Occurrence]:
        """All that happened, by its time."""
        found = [each for holding in self.holdings for each in holding.occurrences]
        return sorted(found, key=lambda each: (each.event_time, each.product, each.type))

    @property
    def canonical(self) -> dict[str, Occurrence]:
        """All that happened, by its id."""
        found = {self.event_id(each): each for each in self.occurrences}
        assert len(found) == len(self.occurrences) == len(self.story.occurrences)
        return found

    def at(self, product: str, time: datetime) -> Band | None:
        """How a product stands at a time; None while there is nothing."""
        current = None
        for holding in self.holdings:
            for band in holding.bands:
                if holding.product == product and band.from_time <= time:
                    current = band
        return current


def outcome_of_signals(said: Iterable[Signal], rules: ClockRules, lineage: str = "o1") -> Outcome:
    """What signals come to."""
    key = LineageKey(
        source=SubscriptionSource.APP_STORE,
        environment=Environment.SANDBOX,
        app="com.example.boxoffice",
        lineage=lineage,
    )
    story = tell(said, rules)
    return Outcome(key=key, story=story, holdings=tuple(share_out(story, [MINE], key, rules)))


@lru_cache(maxsize=4096)
def _read(fact: SubscriptionFact) -> tuple[Signal, ...]:
    return tuple(signals(fact))


def outcome(facts: Iterable[SubscriptionFact], lineage: str = "o1") -> Outcome:
    """What facts of one lineage come to; each counts once, as the store keeps it."""
    kept = {each.id: each for each in facts if each.lineage.lineage == lineage}
    said = [signal for each in kept.values() for signal in _read(each)]
    return outcome_of_signals(said, APPLE, lineage)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What was published while facts arrived, when each for the first time; and the last word."""

    times: dict[str, datetime]
    told: dict[str, Occurrence]
    last: Outcome

    @property
    def superseded(self) -> list[Occurrence]:
        """What was published and is not true any more."""
        canonical = self.last.canonical
        return [each for id_, each in self.told.items() if id_ not in canonical]


def publish(arrivals: Sequence[tuple[datetime, Outcome]]) -> Publication:
    """Publish as the engine does: whatever is known by then, what the clock does when it has come.

    An arrival is a time and what all facts that have come by then come to.
    """
    times: dict[str, datetime] = {}
    told: dict[str, Occurrence] = {}
    ends = [time for time, _ in arrivals[1:]] + [NEVER]
    for (time, now), end in zip(arrivals, ends, strict=True):
        for id_, each in now.canonical.items():
            known = max(time, each.event_time) if each.by_clock else time
            if id_ not in times and (known < end or not each.by_clock):
                times[id_] = known
                told[id_] = each
    return Publication(times=times, told=told, last=arrivals[-1][1])
