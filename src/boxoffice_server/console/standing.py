"""What a user may use at some time: decided of all that the user has of each group. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.console.history import Held, History
from boxoffice_server.domain.checks import decide
from boxoffice_server.domain.subscription import Band, Environment


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
    standing = [(held.entitlement, band) for held, band in having]
    decisive = decide(standing, tiers, "").entitlement
    held, band = next(each for each in having if each[0].entitlement is decisive)
    best_first = sorted(tiers, key=lambda tier: (tiers[tier] is None, -(tiers[tier] or 0), tier))
    return Standing(
        group=group,
        environment=environment,
        tiers={tier: decide(standing, tiers, tier).allowed for tier in best_first},
        held=held,
        band=band,
    )
