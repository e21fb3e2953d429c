"""Where facts become events and entitlements: the one place where these are written.

Everything happens inside a transaction that holds the lineage's lock, and always in the same way:
the whole picture is worked out anew, and what is kept is brought in line with it. So it does not
matter what brought it about: a notification, a purchase handed in, a link, a product that became
known, or the passing of time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementChange,
    LineageKey,
    SubscriptionEvent,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Clock, Repository, SubscriptionReader
from boxoffice_server.subscriptions.picture import Picture, Pictures

# How soon, and how late, a vendor is asked again about a subscription that has gone silent.
FIRST_ASK = timedelta(hours=1)
LAST_ASK = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A lineage that was brought in line with its facts, and the picture that they make."""

    lineage: Lineage
    picture: Picture


class Subscriptions:
    """Keeps facts, and brings what is known of users in line with them."""

    def __init__(
        self, *, clock: Clock, readers: Mapping[SubscriptionSource, SubscriptionReader]
    ) -> None:
        self.pictures = Pictures(readers)
        self._clock = clock
        self._log = structlog.get_logger(part="subscriptions")

    def hear(self, repo: Repository, fact: SubscriptionFact) -> NotificationState:
        """Keep a fact and all that follows from it; a fact that was kept before changes nothing.

        PARKED: it is kept, and makes nothing until its user or its product is known.
        """
        brought = self.learn(repo, fact.lineage, [fact])
        return NotificationState.PARKED if brought.lineage.parked else NotificationState.APPLIED

    def learn(
        self, repo: Repository, key: LineageKey, facts: Sequence[SubscriptionFact]
    ) -> Brought:
        """Keep all that a vendor has answered about a lineage, and what follows from all of it.

        One by one, they would publish what holds only until the next of them is read.
        """
        self.keep(repo, key, facts)
        brought = self.bring(repo, key)
        for fact in facts:
            self._tell_illegal(brought.picture, fact)
        return brought

    def keep(self, repo: Repository, key: LineageKey, facts: Sequence[SubscriptionFact]) -> None:
        """Keep facts of a lineage, which is locked, and make nothing of them yet."""
        repo.lineages.lock(key)
        for fact in facts:
            repo.subscription_facts.insert_if_absent(fact)

    def bring(self, repo: Repository, key: LineageKey) -> Brought:
        """Bring what is kept of a lineage in line with its facts, its links and the clock.

        Where it goes on from another one, all of it is that one's.
        """
        brought = self._bring(repo, repo.lineages.lock(key))
        root = brought.picture.root
        if root == key:
            return brought
        brought = self._bring(repo, repo.lineages.lock(root))
        if not brought.lineage.parked:
            _apply_parked(repo, brought.picture)
        return brought

    def catalogue_changed(self, repo: Repository, product: SubscriptionProduct) -> None:
        """Apply what waited for a product, or what is to be told of it under another name."""
        keys = repo.subscription_facts.lineages_of_product(
            product.source, product.app, product.vendor_product_id
        )
        for key in sorted(keys, key=lambda each: each.id):
            self.bring(repo, key)

    def _bring(self, repo: Repository, lineage: Lineage) -> Brought:
        now = self._clock.now()
        picture = self.pictures.take(repo, lineage.key)
        self._publish(repo, picture, now)
        self._entitle(repo, picture, now)
        kept = Lineage(
            key=lineage.key,
            user_id=picture.holder(now),
            next_time=_next_time(picture, now),
            poll_time=_poll_time(picture.silent_time, lineage.poll_time),
            parked=picture.parked,
        )
        if kept != lineage:
            repo.lineages.update(kept)
        if lineage.parked and not kept.parked:
            _apply_parked(repo, picture)
        return Brought(lineage=kept, picture=picture)

    def _publish(self, repo: Repository, picture: Picture, now: datetime) -> None:
        """Publish the events that are new, and mark those that later facts contradict.

        What was published stays as it was told. What is kept of it follows the facts: the vendor's
        word for what the clock knew first, a date that has moved.
        """
        stored = {each.id: each for each in repo.subscription_events.of_lineage(picture.key.id)}
        canonical = {
            event.id: event for share in picture.shares for event in picture.events(share, now)
        }
        for event in sorted(canonical.values(), key=_moment):
            known = stored.get(event.id)
            if known is None:
                repo.subscription_events.insert_if_absent(event)
                repo.log.append(event)
            elif known != (kept := replace(event, create_time=known.create_time)):
                repo.subscription_events.update(kept)
        for event in stored.values():
            if event.id not in canonical and not event.superseded:
                repo.subscription_events.update(replace(event, superseded=True))

    def _entitle(self, repo: Repository, picture: Picture, now: datetime) -> None:
        """Write the entitlements as they are now, and tell of each that has changed."""
        stored = {each.id: each for each in repo.entitlements.of_lineage(picture.key.id)}
        versions = repo.entitlements.versions(picture.key.id)
        for share in picture.shares:
            entitlement = picture.entitlement(share, now)
            if entitlement is None:
                continue
            known = stored.pop(entitlement.id, None)
            if known is not None:
                entitlement = replace(
                    entitlement, version=known.version, create_time=known.create_time
                )
            if known is None or _told(known) != _told(entitlement):
                version = versions.get(entitlement.id, 0) + 1
                entitlement = replace(entitlement, version=version)
                repo.log.append(EntitlementChange(entitlement=entitlement, create_time=now))
            repo.entitlements.upsert(entitlement, share.bands)
        for gone in stored.values():
            removed = replace(gone, version=versions[gone.id] + 1)
            repo.entitlements.remove(gone.id, removed.version)
            repo.log.append(EntitlementChange(entitlement=removed, create_time=now, removed=True))

    def _tell_illegal(self, picture: Picture, fact: SubscriptionFact) -> None:
        for illegal in picture.story.illegal:
            if illegal.signal.fact_id == fact.id:
                self._log.error(
                    "a fact asks for a transition that never is one; it is kept out",
                    fact_id=fact.id,
                    lineage_id=picture.key.id,
                    status=illegal.status,
                    event=illegal.type,
                )


def _moment(event: SubscriptionEvent) -> tuple[datetime, int, str]:
    return (event.event_time, event.type.turn, event.id)


def _told(entitlement: Entitlement) -> tuple[Band, str, str, int | None]:
    """Pick what a change of is news. What is to come is none before it comes."""
    return (
        replace(entitlement.now, until_time=None),
        entitlement.subscription_group,
        entitlement.subscription_tier,
        entitlement.rank,
    )


def _next_time(picture: Picture, now: datetime) -> datetime | None:
    """Tell when the clock alone changes something next."""
    bands = [each.from_time for share in picture.shares for each in share.bands]
    clock = [
        each.event_time
        for share in picture.shares
        for each in share.holding.occurrences
        if each.by_clock
    ]
    return min((each for each in (*bands, *clock) if each > now), default=None)


def _poll_time(silent_time: datetime | None, asked: datetime | None) -> datetime | None:
    """Tell when to ask the vendor: when it should have spoken, or later if it was asked since."""
    if silent_time is None or asked is None:
        return silent_time
    return max(silent_time, asked)


def _apply_parked(repo: Repository, picture: Picture) -> None:
    """Tell of the notifications that waited that they are applied."""
    for fact in picture.facts.values():
        if not fact.notification_id:
            continue
        kept = repo.notifications.get(fact.notification_id, lock=True)
        if kept is not None and kept.state is NotificationState.PARKED:
            repo.notifications.update(replace(kept, state=NotificationState.APPLIED))
