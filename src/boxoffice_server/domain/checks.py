"""Whether a user may use a group, or a tier of it: decided of all that the user has of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.subscription import Band, Entitlement, StatusCategory

# What is preferred among entitlements that are equal else.
_PREFERRED = (
    StatusCategory.ENGAGED,
    StatusCategory.ACQUIRING,
    StatusCategory.ACTIVE_BUT_LOSING,
    StatusCategory.INACTIVE_AND_LOSING,
    StatusCategory.LOST,
)

Tiers = Mapping[str, int | None]
"""The tiers of a group, with their ranks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether it is allowed; and the entitlement that decides it as it stands, if there is one."""

    allowed: bool
    entitlement: Entitlement | None = None
    band: Band | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    entitlement: Entitlement
    band: Band
    enough: bool

    @property
    def has_access(self) -> bool:
        return self.band.status.category.grants_access


def standing_at(entitlement: Entitlement, time: datetime) -> Band | None:
    """Tell how an entitlement stands at a time that is not in the past; None: it has not begun."""
    return None if time < entitlement.now.from_time else entitlement.at(time)


def standing_as_of(bands: Iterable[Band], time: datetime) -> Band | None:
    """Tell how something with these bands stood or will stand; None: it had not begun."""
    begun = [band for band in bands if band.from_time <= time]
    return begun[-1] if begun else None


def check_question(tiers: Tiers, group: str, minimum_tier: str) -> None:
    """Raise where nobody's catalogue has the group or the tier that is asked for."""
    if not tiers:
        raise BoxofficeError(
            Reason.SUBSCRIPTION_GROUP_NOT_FOUND,
            f"no product of the catalogue has group {group}",
            metadata={"subscription_group": group},
        )
    if minimum_tier and minimum_tier not in tiers:
        raise BoxofficeError(
            Reason.SUBSCRIPTION_TIER_NOT_FOUND,
            f"no product of group {group} has tier {minimum_tier}",
            metadata={"subscription_group": group, "subscription_tier": minimum_tier},
        )


def verdict(
    entitlements: Iterable[Entitlement], tiers: Tiers, minimum_tier: str, now: datetime
) -> Verdict:
    """Decide whether what one user has of one group allows it now, or at least that tier of it."""
    standing = [
        (each, band) for each in entitlements if (band := standing_at(each, now)) is not None
    ]
    return decide(standing, tiers, minimum_tier)


def decide(
    standing: Iterable[tuple[Entitlement, Band]], tiers: Tiers, minimum_tier: str
) -> Verdict:
    """Decide the same of what stands, or stood, as these bands say.

    Where it is not allowed, the verdict names the most recently lost one; where none was lost, the
    best of those that are not enough.
    """
    held = [
        _Held(entitlement=each, band=band, enough=_enough(each, tiers, minimum_tier))
        for each, band in standing
    ]
    if not held:
        return Verdict(allowed=False)
    allowing = [each for each in held if each.has_access and each.enough]
    lost = [each for each in held if not each.has_access]
    if not allowing and lost:
        best = min(
            lost, key=lambda each: (-each.band.access_until.timestamp(), _order(each, tiers))
        )
    else:
        best = min(allowing or held, key=lambda each: _order(each, tiers))
    return Verdict(allowed=bool(allowing), entitlement=best.entitlement, band=best.band)


def _enough(entitlement: Entitlement, tiers: Tiers, minimum_tier: str) -> bool:
    if not minimum_tier or entitlement.subscription_tier == minimum_tier:
        return True
    rank, least = tiers.get(entitlement.subscription_tier), tiers[minimum_tier]
    return rank is not None and least is not None and rank >= least


def _order(held: _Held, tiers: Tiers) -> tuple[bool, int, float, int, str]:
    """Order what is held, the best first: by rank, by how long it lasts, by category, by id."""
    rank = tiers.get(held.entitlement.subscription_tier)
    return (
        rank is None,
        -(rank or 0),
        -_access_until(held),
        _PREFERRED.index(held.band.status.category),
        held.entitlement.id,
    )


def _access_until(held: _Held) -> float:
    return held.band.access_until.timestamp()
