"""Whose a subscription is, from when until when, and so what each user is entitled to.

A story tells of a lineage; here it is shared out among those who held it. Pure, like the story.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from boxoffice_server.domain.facets import Facets, renewed_type
from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.signals import ClockRules
from boxoffice_server.domain.story import Occurrence, Step, Story
from boxoffice_server.domain.subscription import (
    Band,
    EntitlementStatus,
    LineageKey,
    StatusCategory,
    SubscriptionEventType,
)

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
_ENDS = {
    each
    for each in SubscriptionEventType
    if each.value in set(EntitlementStatus)
    and EntitlementStatus(each.value).category is StatusCategory.LOST
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """From `start` until before `end` a lineage is a user's; nobody's where `user_id` is empty.

    `ref` names what began it.
    """

    user_id: str
    start: datetime
    end: datetime
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one user had of one product of a lineage: how it stood, and what happened."""

    user_id: str
    product: str
    bands: tuple[Band, ...]
    occurrences: tuple[Occurrence, ...]


def tenures(
    facts: Iterable[SubscriptionFact],
    links: Iterable[Link],
    registered: Mapping[str, AccountToken],
) -> tuple[Tenure, ...]:
    """Tell who held a lineage, and when.

    A token that the app passed with a purchase links from that purchase on, unless the purchase
    before had it too: a token that was registered before the user was detached, to its user; one
    that nobody registered, to the user whose id it is. The first holder's time reaches back to the
    beginning.
    """
    claims = [(each.time, each.id, each.user_id) for each in links]
    claims += _claims_by_token(facts, registered)
    found: list[Tenure] = []
    for time, ref, user_id in sorted(claims):
        if found and found[-1].user_id == user_id:
            continue
        if not found:
            found.append(Tenure(user_id=user_id, start=_BEGINNING, end=_END, ref=ref))
            continue
        found[-1] = replace(found[-1], end=time)
        found.append(Tenure(user_id=user_id, start=time, end=_END, ref=ref))
    return tuple(each for each in found if each.user_id and each.start < each.end)


def _claims_by_token(
    facts: Iterable[SubscriptionFact], registered: Mapping[str, AccountToken]
) -> Iterator[tuple[datetime, str, str]]:
    """Tell from when on which token makes a lineage whose, and what names that."""
    passed: dict[datetime, tuple[datetime, str, str]] = {}
    for fact in facts:
        if fact.account_token and fact.token_time is not None:
            told = (fact.sign_time, fact.id, fact.account_token)
            passed[fact.token_time] = max(told, passed.get(fact.token_time, told))
    before = ""
    for time, (_, _, token) in sorted(passed.items()):
        if token == before:
            continue
        before = token
        account = registered.get(token)
        if account is None:
            yield (time, f"{token}:{time.isoformat()}", token)
        elif account.end_time is None or time < account.end_time:
            yield (time, f"{token}:{time.isoformat()}", account.user_id)


def share_out(
    story: Story, held: Sequence[Tenure], key: LineageKey, rules: ClockRules
) -> list[Holding]:
    """Share a story out among those who held the lineage."""
    holdings = []
    for product, steps in story.steps.items():
        for user_id in sorted({each.user_id for each in held}):
            mine = [each for each in held if each.user_id == user_id]
            holding = _Holder(story, key, rules, user_id, product).hold(steps, mine)
            if holding is not None:
                holdings.append(holding)
    return holdings


class _Holder:
    """Makes out what one user had of one product."""

    def __init__(
        self, story: Story, key: LineageKey, rules: ClockRules, user_id: str, product: str
    ) -> None:
        self._story = story
        self._key = key
        self._rules = rules
        self._user_id = user_id
        self._product = product
        self._bands: list[Band] = []
        self._occurrences: list[Occurrence] = []

    def hold(self, steps: Sequence[Step], held: Sequence[Tenure]) -> Holding | None:
        for tenure in held:
            self._take_over(steps, tenure)
            self._run(steps, tenure)
            self._hand_over(steps, tenure)
        if not self._bands and not self._occurrences:
            return None
        return Holding(
            user_id=self._user_id,
            product=self._product,
            bands=_close(self._bands),
            occurrences=tuple(self._occurrences),
        )

    def _take_over(self, steps: Sequence[Step], tenure: Tenure) -> None:
        """Begin with what still runs at that moment; what was lost before stays with its holder."""
        facets = _at(steps, tenure.start)
        if facets is None or facets.status.category is StatusCategory.LOST:
            return
        if any(_begins(each, facets, tenure.start) for each in steps):
            return
        occurrence = None
        if facets.status.category.grants_access:
            occurrence = self._happens(
                renewed_type(facets.base),
                tenure,
                expire_time=facets.expire_time,
                promotion_reference=facets.promotion_reference,
            )
        if not facets.auto_renew and not facets.retry:
            occurrence = self._happens(SubscriptionEventType.RENEWAL_DISABLED, tenure)
        self._bands.append(self._band(tenure.start, facets, occurrence))

    def _run(self, steps: Sequence[Step], tenure: Tenure) -> None:
        for each in self._story.occurrences:
            if each.product == self._product and _is_in(
                each.effective_time, tenure, ends=each.type in _ENDS
            ):
                self._occurrences.append(each)
        for step in steps:
            if not _is_in(step.time, tenure, ends=step.facets.terminal is not None):
                continue
            number = step.occurrence
            occurrence = None if number is None else self._story.occurrences[number]
            self._bands.append(self._band(step.time, step.facets, occurrence))

    def _hand_over(self, steps: Sequence[Step], tenure: Tenure) -> None:
        facets = _at(steps, tenure.end) if tenure.end < _END else None
        if facets is None or facets.status.category is StatusCategory.LOST:
            return
        revoked = Occurrence(
            type=SubscriptionEventType.REVOKED,
            product=self._product,
            event_time=tenure.end,
            effective_time=tenure.end,
            fact_ref=f"{tenure.ref}:end",
        )
        self._occurrences.append(revoked)
        ended = replace(
            facets,
            terminal=EntitlementStatus.REVOKED,
            expire_time=min(facets.expire_time, tenure.end),
        )
        self._bands.append(self._band(tenure.end, ended, revoked))

    def _happens(
        self,
        type_: SubscriptionEventType,
        tenure: Tenure,
        *,
        expire_time: datetime | None = None,
        promotion_reference: str = "",
    ) -> Occurrence:
        occurrence = Occurrence(
            type=type_,
            product=self._product,
            event_time=tenure.start,
            effective_time=tenure.start,
            fact_ref=tenure.ref,
            expire_time=expire_time,
            promotion_reference=promotion_reference,
        )
        self._occurrences.append(occurrence)
        return occurrence

    def _band(self, time: datetime, facets: Facets, occurrence: Occurrence | None) -> Band:
        type_, event_id, fact_id = None, "", ""
        if occurrence is not None:
            type_, fact_id = occurrence.type, occurrence.fact_id
            event_id = self._key.event_id(
                self._product, self._user_id, occurrence.type, occurrence.fact_ref
            )
        return Band(
            from_time=time,
            until_time=None,
            status=facets.status,
            expire_time=facets.expire_time,
            access_until=facets.access_until(self._rules),
            new_vendor_product_id=facets.new_vendor_product_id,
            event_type=type_,
            event_id=event_id,
            fact_id=fact_id,
        )


def _is_in(time: datetime, tenure: Tenure, *, ends: bool) -> bool:
    """Tell whether something happened to a holder: what ends at a change of hands is the old one's.

    Whoever buys another product with another account's token has not seen the first one end.
    """
    if ends:
        return tenure.start < time <= tenure.end
    return tenure.start <= time < tenure.end


def _begins(step: Step, facets: Facets, time: datetime) -> bool:
    """Tell whether a new period begins at this very moment, which needs no other word."""
    return step.time == time and step.facets.period_key != facets.period_key


def _at(steps: Sequence[Step], time: datetime) -> Facets | None:
    """Tell how it stood at this moment, but for what begins then; None if there was nothing."""
    facets = None
    for step in steps:
        if step.time > time or (step.time == time and step.facets.terminal is None):
            break
        facets = step.facets
    return facets


def _close(bands: Sequence[Band]) -> tuple[Band, ...]:
    """End each band where the next begins, and leave out those that never were."""
    closed: list[Band] = []
    for band in bands:
        while closed and closed[-1].from_time >= band.from_time:
            closed.pop()
        if closed:
            closed[-1] = _until(closed[-1], band)
        closed.append(band)
    return tuple(closed)


def _until(band: Band, following: Band) -> Band:
    """End a band where the next begins, and access with it where that gives none."""
    access_until = band.access_until
    if not following.status.category.grants_access:
        access_until = min(access_until, following.from_time)
    return replace(band, until_time=following.from_time, access_until=access_until)
