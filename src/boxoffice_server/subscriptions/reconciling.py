"""Our view of a subscription beside its vendor's: what differs, and how it is repaired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.subscription import (
    Entitlement,
    LineageKey,
    SubscriptionEvent,
    SubscriptionSource,
)
from boxoffice_server.ports import Clock, Repository, SubscriptionVendor
from boxoffice_server.subscriptions.asking import ask
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.picture import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """An entitlement that the vendor would have otherwise. None: there is none on that side."""

    ours: Entitlement | None
    theirs: Entitlement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """How our view of a lineage differs from its vendor's, before any repair."""

    lineage_id: str
    drifts: tuple[Drift, ...]
    missing_events: tuple[SubscriptionEvent, ...]
    new_facts: int
    repaired: bool


class Reconciling:
    """Asks a vendor how a subscription stands, and compares."""

    def __init__(
        self,
        *,
        clock: Clock,
        subscriptions: Subscriptions,
        vendors: Mapping[SubscriptionSource, SubscriptionVendor],
    ) -> None:
        self._clock = clock
        self._subscriptions = subscriptions
        self._vendors = vendors

    async def ask(self, key: LineageKey) -> list[SubscriptionFact]:
        """Ask the vendor of a lineage how it stands."""
        vendor = self._vendors.get(key.source)
        if vendor is None:
            raise BoxofficeError(
                Reason.SUBSCRIPTION_NOT_RECONCILABLE,
                f"a subscription whose source is {key.source} has no vendor to ask",
                metadata={"lineage_id": key.id},
            )
        return await ask(vendor, key, now=self._clock.now())

    def compare(
        self, repo: Repository, key: LineageKey, told: Sequence[SubscriptionFact], *, repair: bool
    ) -> DriftReport:
        """Compare with what the vendor told, and keep that if it is to be repaired."""
        repo.lineages.lock(key)
        now = self._clock.now()
        ours = self._subscriptions.pictures.take(repo, key)
        theirs = self._subscriptions.pictures.take(repo, key, assumed=told)
        known = {event.id for share in ours.shares for event in ours.events(share, now)}
        missing = tuple(
            event
            for share in theirs.shares
            for event in theirs.events(share, now)
            if event.id not in known
        )
        report = DriftReport(
            lineage_id=key.id,
            drifts=self._drifts(ours, theirs),
            missing_events=missing,
            new_facts=len(theirs.facts) - len(ours.facts),
            repaired=repair,
        )
        if repair:
            self._subscriptions.learn(repo, key, told)
        return report

    def _drifts(self, ours: Picture, theirs: Picture) -> tuple[Drift, ...]:
        here, there = self._standing(ours), self._standing(theirs)
        return tuple(
            Drift(ours=here.get(id_), theirs=there.get(id_))
            for id_ in sorted(here.keys() | there.keys())
            if _stands(here.get(id_)) != _stands(there.get(id_))
        )

    def _standing(self, picture: Picture) -> dict[str, Entitlement]:
        now = self._clock.now()
        found = (picture.entitlement(share, now) for share in picture.shares)
        return {each.id: each for each in found if each is not None}


def _stands(entitlement: Entitlement | None) -> tuple[object, ...] | None:
    """Pick what counts as a difference: how it stands, not which fact says so."""
    if entitlement is None:
        return None
    band = entitlement.now
    return (band.status, band.expire_time, band.access_until, band.new_vendor_product_id)
