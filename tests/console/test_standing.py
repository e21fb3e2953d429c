"""What a user may use, in words."""

from dataclasses import replace

import pytest

from boxoffice_server.console.history import Held
from boxoffice_server.console.standing import standings
from boxoffice_server.domain.subscription import EntitlementStatus
from tests.console.histories import held, history
from tests.support.subscriptions import ACTIVE, EXPIRED, TRIAL, a_band, on, three_bands


def _tier(having: Held, tier: str) -> Held:
    return replace(having, entitlement=replace(having.entitlement, subscription_tier=tier))


@pytest.mark.parametrize(
    ("day", "status", "allowed"), [(1, TRIAL, True), (30, ACTIVE, True), (60, EXPIRED, False)]
)
def test_it_is_told_as_of_any_time(day: float, status: EntitlementStatus, allowed: bool) -> None:  # noqa: FBT001 -- a parameter
    """A band begins at its very moment."""
    (standing,) = standings(history(held(*three_bands())), on(day))
    assert (standing.band.status, standing.is_allowed) == (status, allowed)
    assert standing.tiers == {"platinum": False, "gold": allowed}


def test_before_it_began_there_is_nothing() -> None:
    """Not even a refusal."""
    assert standings(history(held(*three_bands())), on(-1)) == []


def test_a_better_tier_is_enough_for_the_others() -> None:
    """Its entitlement decides, though the other one lasts longer."""
    better = _tier(held(a_band(ACTIVE, 0, 10), number=2), "platinum")
    (standing,) = standings(history(held(a_band(ACTIVE, 0, 90)), better), on(5))
    assert standing.tiers == {"platinum": True, "gold": True}
    assert standing.held is better


def test_a_tier_without_a_rank_is_equal_to_itself_only() -> None:
    """Neither more nor less than the others."""
    odd = _tier(held(a_band(ACTIVE, 0, 10)), "odd")
    known = replace(history(odd), tiers={"premium": {"gold": 2, "odd": None}})
    (standing,) = standings(known, on(5))
    assert standing.tiers == {"gold": False, "odd": True}


def test_where_nothing_is_allowed_the_last_one_lost_is_told() -> None:
    """By when its access ended."""
    early = held(a_band(EXPIRED, 0, None, expire=1))
    late = held(a_band(EXPIRED, 0, None, expire=3), number=2)
    (standing,) = standings(history(late, early), on(5))
    assert standing.held is late
    assert not standing.is_allowed
