"""All entitlements worked out anew from their facts, and compared with what is kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.subscription import Band, Entitlement
from boxoffice_server.ports import Clock, Repository, Store
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.picture import Picture

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is kept otherwise than its facts have it."""

    lineage_id: str
    what: str


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild has found so far."""

    lineages: int = 0
    facts: int = 0
    entitlements: int = 0
    events: int = 0


class Rebuilding:
    """Rebuilds page by page, so that the service goes on meanwhile."""

    def __init__(self, *, store: Store, clock: Clock, subscriptions: Subscriptions) -> None:
        self._store = store
        self._clock = clock
        self._subscriptions = subscriptions

    async def count(self) -> int:
        """Tell how many lineages there are."""
        return await self._store.read(lambda repo: repo.lineages.count())

    async def page(self, after_id: str) -> list[Lineage]:
        """Answer the next lineages to rebuild; empty at the end."""
        return await self._store.read(
            lambda repo: repo.lineages.page(after_id=after_id, limit=PAGE)
        )

    async def rebuild(self, lineage: Lineage, rebuilt: Rebuilt, *, swap: bool) -> list[Difference]:
        """Work a lineage out anew and answer what differs; with `swap`, write the new result."""

        def work(repo: Repository) -> list[Difference]:
            kept = repo.lineages.lock(lineage.key)
            now = self._clock.now()
            picture = self._subscriptions.pictures.take(repo, lineage.key)
            found = list(_differences(repo, picture, _settled_time(kept, now)))
            rebuilt.lineages += 1
            rebuilt.facts += len(picture.facts)
            rebuilt.entitlements += len(picture.shares)
            rebuilt.events += sum(len(picture.events(each, now)) for each in picture.shares)
            if swap:
                self._subscriptions.bring(repo, lineage.key)
            return found

        return await self._store.write(work)


def _settled_time(lineage: Lineage, now: datetime) -> datetime:
    """Tell until when the clock's changes must have been written: it may be due to be swept."""
    overdue = lineage.next_time
    return now if overdue is None or overdue > now else overdue - timedelta(microseconds=1)


def _differences(repo: Repository, picture: Picture, since: datetime) -> Iterator[Difference]:
    lineage_id = picture.key.id
    kept = {each.id: each for each in repo.entitlements.of_lineage(lineage_id)}
    bands = repo.entitlements.bands(kept.keys())
    for share in picture.shares:
        entitlement = picture.entitlement(share, since)
        if entitlement is None:
            continue
        known = kept.pop(entitlement.id, None)
        if known is None:
            yield Difference(lineage_id=lineage_id, what=f"{entitlement.id} is not kept")
        elif _kept(known, bands[known.id]) != _kept(entitlement, share.bands):
            yield Difference(lineage_id=lineage_id, what=f"{entitlement.id} is kept otherwise")
    for id_ in kept:
        yield Difference(lineage_id=lineage_id, what=f"{id_} follows from no fact")
    events = {each.id: each for each in repo.subscription_events.of_lineage(lineage_id)}
    canonical = {
        event.id: event for share in picture.shares for event in picture.events(share, since)
    }
    for id_ in canonical.keys() - events.keys():
        yield Difference(lineage_id=lineage_id, what=f"{id_} was never published")
    for event in events.values():
        meant = canonical.get(event.id)
        if event.superseded is (meant is not None):
            yield Difference(lineage_id=lineage_id, what=f"{event.id} is marked otherwise")
        elif meant is not None and event != replace(meant, create_time=event.create_time):
            yield Difference(lineage_id=lineage_id, what=f"{event.id} is kept otherwise")


def _kept(entitlement: Entitlement, bands: tuple[Band, ...]) -> tuple[object, ...]:
    """Pick what facts decide; versions and the time of the first writing are ours."""
    bare = replace(
        entitlement,
        version=0,
        create_time=entitlement.now.from_time,
        now=replace(entitlement.now, until_time=None),
    )
    return bare, bands
