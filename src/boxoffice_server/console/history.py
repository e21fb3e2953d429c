"""All that a page shows of one user, read in one transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from boxoffice_server.console.words import Cause, cause_of
from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.notification import Notification
from boxoffice_server.domain.ownership import Tenure, tenures
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    Environment,
    SubscriptionEvent,
)
from boxoffice_server.ports import Repository, SubscriptionEventFilter

MOST_LANES = 40
MOST_EVENTS = 300
MOST_LINEAGES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An entitlement with all that it was, is and will be, and what its product is called."""

    entitlement: Entitlement
    bands: tuple[Band, ...]
    name: str

    def at(self, time: datetime) -> Band | None:
        """Tell how it stood or will stand at a time; None: it had not begun."""
        begun = [each for each in self.bands if each.from_time <= time]
        return begun[-1] if begun else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event, and why it happened."""

    event: SubscriptionEvent
    cause: Cause
    fact: SubscriptionFact | None = None
    notification: Notification | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A lineage, who held it when, and the links of ours that say so."""

    lineage: Lineage
    held: tuple[Tenure, ...]
    links: Mapping[str, Link]
    facts: tuple[SubscriptionFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What became of a user's subscriptions. `held` is in the order of its lanes.

    `tiers` are those of each group with their ranks. The events are the newest, newest first. What
    was left out is counted, or for events just told.
    """

    user_id: str
    held: tuple[Held, ...] = ()
    events: tuple[Happened, ...] = ()
    owned: tuple[Owned, ...] = ()
    grants: Mapping[str, Grant] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    lanes_left_out: int = 0
    lineages_left_out: int = 0
    events_left_out: bool = False

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is known of the user."""
        return not (self.held or self.events or self.owned)

    @property
    def parked(self) -> list[Owned]:
        """List the lineages that make nothing yet."""
        return [each for each in self.owned if each.lineage.parked is not None]


def load(repo: Repository, user_id: str) -> History:
    """Read what is shown of a user."""
    entitlements = repo.entitlements.of_user(user_id)
    shown = entitlements[:MOST_LANES]
    events = _events(repo, user_id)
    lineage_ids = _lineage_ids(repo, user_id, entitlements)
    owned = tuple(_owned(repo, each) for each in islice(lineage_ids, MOST_LINEAGES))
    return History(
        user_id=user_id,
        held=_held(repo, shown),
        events=_explained(repo, events[:MOST_EVENTS], owned),
        owned=owned,
        grants={each.lineage.id: each for each in repo.grants.of_user(user_id)},
        tiers=repo.subscription_products.tiers({each.subscription_group for each in shown}),
        lanes_left_out=len(entitlements) - len(shown),
        lineages_left_out=len(lineage_ids) - len(owned),
        events_left_out=len(events) > MOST_EVENTS,
    )


def _held(repo: Repository, entitlements: Sequence[Entitlement]) -> tuple[Held, ...]:
    bands = repo.entitlements.bands([each.id for each in entitlements])
    names = {}
    for product_id in {each.source_product_id for each in entitlements}:
        product = repo.subscription_products.get(product_id)
        names[product_id] = product.name if product is not None else product_id
    held = [
        Held(entitlement=each, bands=bands[each.id], name=names[each.source_product_id])
        for each in entitlements
    ]
    return tuple(sorted(held, key=_lane_order))


def _lane_order(held: Held) -> tuple[str, str, datetime, str]:
    of = held.entitlement
    return (of.environment.value, of.subscription_group, held.bands[0].from_time, of.id)


def _events(repo: Repository, user_id: str) -> list[SubscriptionEvent]:
    """List the newest events, the newest first: one more than are shown, where there are."""
    found = []
    for environment in Environment:
        wanted = SubscriptionEventFilter(environment=environment, user_id=user_id, superseded=True)
        found += repo.subscription_events.find(wanted, before_id="", limit=MOST_EVENTS + 1)
    return sorted(found, key=lambda each: (each.event_time, each.create_time, each.id))[::-1]


def _lineage_ids(
    repo: Repository, user_id: str, entitlements: Iterable[Entitlement]
) -> Collection[str]:
    """Find the lineages that have to do with a user, those by their tokens included."""
    found = dict.fromkeys(each.lineage_id for each in entitlements)
    found |= dict.fromkeys(each.key.id for each in repo.lineages.of_user(user_id))
    tokens = [user_id, *(each.token for each in repo.account_tokens.of_user(user_id))]
    for token in dict.fromkeys(tokens):
        keys = repo.subscription_facts.lineages_of_token(token)
        found |= dict.fromkeys(each.id for each in keys)
    return found


def _owned(repo: Repository, lineage_id: str) -> Owned:
    lineage = repo.lineages.get(lineage_id)
    if lineage is None:
        raise LookupError(f"there is no lineage {lineage_id}, which a row speaks of")
    facts, links = repo.subscription_facts.of_lineage(lineage_id), repo.links.of_lineage(lineage_id)
    registered: dict[str, AccountToken] = {}
    for token in {each.account_token for each in facts if each.account_token}:
        account = repo.account_tokens.get(token)
        if account is not None:
            registered[token] = account
    return Owned(
        lineage=lineage,
        held=tenures(facts, links, registered),
        links={each.id: each for each in links},
        facts=tuple(facts),
    )


def _explained(
    repo: Repository, events: Sequence[SubscriptionEvent], owned: Iterable[Owned]
) -> tuple[Happened, ...]:
    facts = {fact.id: fact for each in owned for fact in each.facts}
    handovers = {
        (each.lineage.key.id, tenure.user_id, time)
        for each in owned
        for tenure in each.held
        for time in (tenure.start, tenure.end)
    }
    wanted = {each.notification_id for each in events if each.notification_id}
    notifications = {each.id: each for each in repo.notifications.named(wanted)}
    return tuple(
        Happened(
            event=each,
            cause=_cause(each, facts.get(each.fact_id), handovers),
            fact=facts.get(each.fact_id),
            notification=notifications.get(each.notification_id),
        )
        for each in events
    )


def _cause(
    event: SubscriptionEvent,
    fact: SubscriptionFact | None,
    handovers: Collection[tuple[str, str, datetime]],
) -> Cause:
    if fact is not None:
        return cause_of(fact.kind)
    if event.fact_id:
        return Cause.UNKNOWN
    if (event.lineage_id, event.user_id, event.event_time) in handovers:
        return Cause.LINK
    return Cause.CLOCK
