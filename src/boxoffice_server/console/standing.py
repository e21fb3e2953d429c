"""What a user may use at some time: decided of all that the user has of each group. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.console.history import Held, History
from boxoffice_server.domain.subscription import Band, Environment, StatusCategory

# What is preferred among what is equal else.
_PREFERRED = (
    StatusCategory.ENGAGED,
    StatusCategory.ACQUIRING,
    StatusCategory.ACTIVE_BUT_LOSING,
    StatusCategory.INACTIVE_AND_LOSING,
    StatusCategory.LOST,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a user stands in a group: which tiers are allowed, the best first.

    `held` and `band` are what decides it: the best that grants access, else what was lost last.
    """

    group: str
    environment: Environment
    tiers: Mapping[str, bool]
    held: Held
    band: Band

    @property
    def is_allowed(self) -> bool:
        """Tell whether any tier is."""
        return self.band.status.category.grants_access


def standings(history: History, time: datetime) -> list[Standing]:
    """Tell how a user stands in each group that they have, or had, something of."""
    found: dict[tuple[Environment, str], list[tuple[Held, Band]]] = {}
    for held in history.held:
        of, band = held.entitlement, held.at(time)
        if band is not None:
            found.setdefault((of.environment, of.subscription_group), []).append((held, band))
    return [
        _standing(group, environment, history.tiers.get(group, {}), having)
        for (environment, group), having in found.items()
    ]


def _standing(
    group: str,
    environment: Environment,
    tiers: Mapping[str, int | None],
    having: list[tuple[Held, Band]],
) -> Standing:
    allowing = [each for each in having if each[1].status.category.grants_access]
    if allowing:
        held, band = min(allowing, key=lambda each: _order(each[0], each[1], tiers))
    else:
        held, band = max(having, key=lambda each: each[1].access_until)
    mine = {each.entitlement.subscription_tier for each, _ in allowing}
    best_first = sorted(tiers, key=lambda tier: (tiers[tier] is None, -(tiers[tier] or 0), tier))
    return Standing(
        group=group,
        environment=environment,
        tiers={tier: _is_enough(mine, tier, tiers) for tier in best_first},
        held=held,
        band=band,
    )


def _is_enough(mine: set[str], tier: str, tiers: Mapping[str, int | None]) -> bool:
    least = tiers[tier]
    if tier in mine or least is None:
        return tier in mine
    ranks = [rank for each in mine if (rank := tiers.get(each)) is not None]
    return max(ranks, default=least - 1) >= least


def _order(
    held: Held, band: Band, tiers: Mapping[str, int | None]
) -> tuple[bool, int, float, int, str]:
    rank = tiers.get(held.entitlement.subscription_tier)
    return (
        rank is None,
        -(rank or 0),
        -band.access_until.timestamp(),
        _PREFERRED.index(band.status.category),
        held.entitlement.id,
    )
