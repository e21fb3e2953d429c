"""What was known at another time: entitlements worked out from what was recorded by then."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from boxoffice_server.domain.subscription import Band, Entitlement
from boxoffice_server.ports import EntitlementFilter, Repository
from boxoffice_server.subscriptions.picture import Pictures

# A user has some dozens of subscriptions at most.
MOST_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """An entitlement as it was known to stand."""

    entitlement: Entitlement
    band: Band

    @property
    def id(self) -> str:
        """The entitlement's id."""
        return self.entitlement.id


def recall(
    repo: Repository,
    pictures: Pictures,
    wanted: EntitlementFilter,
    *,
    known_at: datetime,
    as_of: datetime,
) -> list[Recalled]:
    """Tell how a user's entitlements stood at one time from what was recorded by another."""
    rows = repo.entitlements.find(replace(wanted, statuses=()), before_id="", limit=MOST_ROWS)
    kept = {each.id: each for each in rows}
    lineages = {each.lineage_id for each in rows}
    lineages |= {each.key.id for each in repo.lineages.of_user(wanted.user_id)}
    found = [
        _as_kept(each, kept)
        for lineage_id in sorted(lineages)
        for each in _of_lineage(repo, pictures, lineage_id, known_at=known_at, as_of=as_of)
        if _matches(each.entitlement, wanted)
    ]
    return sorted(found, key=lambda each: (each.entitlement.create_time, each.id), reverse=True)


def _of_lineage(
    repo: Repository, pictures: Pictures, lineage_id: str, *, known_at: datetime, as_of: datetime
) -> Iterable[Recalled]:
    lineage = repo.lineages.get(lineage_id)
    if lineage is None:
        return
    picture = pictures.take(repo, lineage.key, known_at=known_at)
    for share in picture.shares:
        entitlement = picture.entitlement(share, as_of)
        if entitlement is not None:
            yield Recalled(entitlement=entitlement, band=entitlement.now)


def _as_kept(recalled: Recalled, kept: dict[str, Entitlement]) -> Recalled:
    """Take over what facts don't tell from what is kept now; of the version nothing is known."""
    known = kept.get(recalled.id)
    if known is None:
        return recalled
    entitlement = replace(recalled.entitlement, create_time=known.create_time)
    return replace(recalled, entitlement=entitlement)


def _matches(entitlement: Entitlement, wanted: EntitlementFilter) -> bool:
    return (
        entitlement.user_id == wanted.user_id
        and entitlement.environment is wanted.environment
        and (not wanted.groups or entitlement.subscription_group in wanted.groups)
        and wanted.source in {None, entitlement.source}
    )
