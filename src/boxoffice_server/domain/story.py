"""The story of a lineage: what happened, and how each of its products stands from when on."""

from dataclasses import dataclass, replace
from datetime import datetime

from boxoffice_server.domain.facets import Deadline, Facets
from boxoffice_server.domain.signals import Signal
from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """Something that happened to one product of a lineage, whoever holds it.

    `effective_time` is when it changed how things stand, which for an early renewal of the same
    product is before its `event_time`. `fact_ref` is what makes its id. `by_clock`: it follows from
    the passing of time alone, and is news only once `event_time` has come.
    """

    type: SubscriptionEventType
    product: str
    event_time: datetime
    effective_time: datetime
    fact_ref: str
    fact_id: str = ""
    expire_time: datetime | None = None
    new_product: str = ""
    promotion_reference: str = ""
    by_clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `time` on, until the next step, one product stands as these facets say.

    `occurrence` is its number in the story: what put it there. None: nothing was told.
    """

    time: datetime
    facets: Facets
    occurrence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Illegal:
    """A signal that would have made a transition that never is one. It was kept out."""

    signal: Signal
    status: EntitlementStatus | None
    type: SubscriptionEventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that follows from the signals of one lineage."""

    occurrences: tuple[Occurrence, ...]
    steps: dict[str, tuple[Step, ...]]
    illegal: tuple[Illegal, ...]


class Line:
    """One product of a lineage while its story is told."""

    def __init__(self, product: str) -> None:
        self.product = product
        self.steps: list[Step] = []

    @property
    def facets(self) -> Facets | None:
        """Tell how it stands after all that was heard; None while nothing was."""
        return self.steps[-1].facets if self.steps else None

    @property
    def standing(self) -> Facets | None:
        """Tell how it would stand had nothing been lost."""
        facets = self.facets
        return facets if facets is None or facets.before_loss is None else facets.before_loss

    @property
    def status(self) -> EntitlementStatus | None:
        """Tell the status that was told last; None while nothing was. Silence tells nothing."""
        facets = self.facets
        return None if facets is None else replace(facets, silent=False).status

    @property
    def occurrence(self) -> int | None:
        """Tell the number of what put it where it stands; None where nothing was told."""
        return self.steps[-1].occurrence

    def step(self, time: datetime, facets: Facets, occurrence: int | None) -> None:
        """Take a step: never before the last one, whose facets these build on."""
        if self.steps:
            time = max(time, self.steps[-1].time)
        self.steps.append(Step(time=time, facets=facets, occurrence=occurrence))

    def cut(self, time: datetime) -> None:
        """Forget the steps that were to come after this moment: it ended before them."""
        while len(self.steps) > 1 and self.steps[-1].time > time:
            self.steps.pop()


class Notes:
    """What has happened so far, each thing once."""

    def __init__(self) -> None:
        self.occurrences: list[Occurrence] = []
        self._numbers: dict[tuple[str, SubscriptionEventType, str], int] = {}

    def hear(
        self,
        line: Line,
        signal: Signal,
        type_: SubscriptionEventType,
        *,
        fact_ref: str,
        time: datetime | None = None,
        effective_time: datetime | None = None,
        expire_time: datetime | None = None,
        new_product: str = "",
        promotion_reference: str = "",
    ) -> int:
        """Note what a signal tells; answers its number.

        It takes effect when it happened unless told otherwise, and never before what is known.
        """
        time = time or signal.time
        effective_time = effective_time or time
        if line.steps:
            effective_time = max(effective_time, line.steps[-1].time)
        return self._take(
            Occurrence(
                type=type_,
                product=line.product,
                event_time=time,
                effective_time=effective_time,
                fact_ref=fact_ref,
                fact_id=signal.fact_id,
                expire_time=expire_time,
                new_product=new_product,
                promotion_reference=promotion_reference,
            )
        )

    def pass_by(self, line: Line, due: Deadline) -> int | None:
        """Note what the passing of time brings about; None where it does so without a word."""
        if due.type is None:
            return None
        return self._take(
            Occurrence(
                type=due.type,
                product=line.product,
                event_time=due.time,
                effective_time=due.time,
                fact_ref=due.facets.period_key,
                by_clock=True,
            )
        )

    def _take(self, occurrence: Occurrence) -> int:
        """Note what happened, once; answers its number.

        What the clock brought about first and the vendor confirms is the vendor's from then on.
        """
        key = (occurrence.product, occurrence.type, occurrence.fact_ref)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.occurrences)
            self.occurrences.append(occurrence)
        elif self.occurrences[number].by_clock and not occurrence.by_clock:
            known = self.occurrences[number]
            self.occurrences[number] = replace(known, fact_id=occurrence.fact_id, by_clock=False)
        return number
