"""Whether what a user has of a group allows it: every clause of what a check promises."""

from dataclasses import replace
from itertools import permutations

import pytest

from boxoffice_server.domain.checks import (
    Verdict,
    check_question,
    standing_as_of,
    standing_at,
    verdict,
)
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.subscription import Entitlement, EntitlementStatus, StatusCategory
from tests.support.subscriptions import (
    ACTIVE,
    EXPIRED,
    TRIAL,
    a_band,
    a_subscription_product,
    an_entitlement,
    on,
    three_bands,
)

TIERS = {"gold": 2, "silver": 1, "odd": None}
NOW = on(10)
RETRY = EntitlementStatus.IN_BILLING_RETRY
GRACE = EntitlementStatus.IN_GRACE_PERIOD


def held(
    number: int,
    *,
    tier: str = "gold",
    status: EntitlementStatus = ACTIVE,
    until: float = 30,
) -> Entitlement:
    """What a user has now: access until a day, or lost on it."""
    access = status.category.grants_access
    band = a_band(status, 0, until) if access else a_band(status, 0, None, expire=until)
    product = a_subscription_product(tier=tier, rank=TIERS[tier])
    return an_entitlement(number, product=product, now=band)


def decide(minimum_tier: str, *entitlements: Entitlement) -> tuple[bool, str]:
    """The verdict, and the number of the entitlement it names; the same in any order."""
    found = {verdict(order, TIERS, minimum_tier, NOW) for order in permutations(entitlements)}
    (one,) = found
    return one.allowed, "" if one.entitlement is None else one.entitlement.id


def test_user_without_anything_is_not_allowed() -> None:
    """Nor is one whom nobody has heard of."""
    assert verdict([], TIERS, "", NOW) == Verdict(allowed=False)


@pytest.mark.parametrize("status", EntitlementStatus)
def test_status_decides_about_access(status: EntitlementStatus) -> None:
    """Acquiring, engaged and active but losing have it."""
    expected = status.category not in {StatusCategory.INACTIVE_AND_LOSING, StatusCategory.LOST}
    assert decide("", held(1, status=status)) == (expected, "ent_000001")


@pytest.mark.parametrize(
    ("tier", "minimum_tier", "allowed"),
    [
        ("gold", "", True),
        ("gold", "gold", True),
        ("gold", "silver", True),
        ("silver", "gold", False),
        ("silver", "silver", True),
        # Without a rank a tier is equal to itself only.
        ("odd", "odd", True),
        ("odd", "silver", False),
        ("gold", "odd", False),
        ("odd", "", True),
    ],
)
def test_tier_must_be_enough(*, tier: str, minimum_tier: str, allowed: bool) -> None:
    """By rank, or by being the same."""
    assert decide(minimum_tier, held(1, tier=tier)) == (allowed, "ent_000001")


def test_catalogue_says_what_a_rank_is() -> None:
    """Not the entitlement, which may have been made when the rank was another."""
    stale = replace(held(1, tier="silver"), rank=99)
    assert decide("gold", stale) == (False, "ent_000001")


def test_highest_rank_is_named() -> None:
    """Before one that lasts longer; one without a rank comes last."""
    gold, silver = held(1, tier="gold", until=20), held(2, tier="silver", until=90)
    odd = held(3, tier="odd", until=99)
    assert decide("", gold, silver, odd) == (True, "ent_000001")
    assert decide("", silver, odd) == (True, "ent_000002")


def test_latest_end_is_named_among_equal_ranks() -> None:
    """Before one of a better category."""
    grace, active = held(1, status=GRACE, until=31), held(2, until=30)
    assert decide("", grace, active) == (True, "ent_000001")


def test_category_then_id_decide_among_equal_ends() -> None:
    """Engaged before acquiring before active but losing, then the smaller id."""
    grace, trial, active = held(1, status=GRACE), held(2, status=TRIAL), held(3)
    assert decide("", grace, trial, active) == (True, "ent_000003")
    assert decide("", grace, trial) == (True, "ent_000002")
    assert decide("", active, held(4)) == (True, "ent_000003")


def test_what_has_access_goes_before_what_was_lost() -> None:
    """Whatever its rank."""
    assert decide("", held(1, status=EXPIRED, until=9), held(2, tier="odd")) == (
        True,
        "ent_000002",
    )


def test_most_recently_lost_is_named_where_nothing_allows_it() -> None:
    """Also where another has access, but too low a tier; billing retry has lost it, too."""
    old, late = held(1, status=EXPIRED, until=3), held(2, status=RETRY, tier="odd", until=9)
    assert decide("", old, late) == (False, "ent_000002")
    assert decide("gold", old, held(3, tier="silver")) == (False, "ent_000001")


def test_best_is_named_where_all_are_too_low() -> None:
    """By what decides among those that allow it."""
    assert decide("gold", held(1, tier="odd"), held(2, tier="silver")) == (False, "ent_000002")


def test_verdict_follows_the_clock() -> None:
    """To the instant, with nobody looking in between."""
    trial, active, expired = three_bands(0, length=30)
    entitlement = an_entitlement(1, now=trial, later=(active, expired))

    def at(day: float) -> tuple[bool, EntitlementStatus | None]:
        found = verdict([entitlement], TIERS, "gold", on(day))
        return found.allowed, None if found.band is None else found.band.status

    moment = 1e-9
    assert at(-moment) == (False, None)
    assert at(0) == at(30 - moment) == (True, TRIAL)
    assert at(30) == at(60 - moment) == (True, ACTIVE)
    assert at(60) == at(999) == (False, EXPIRED)


def test_what_has_not_begun_has_no_standing() -> None:
    """Neither now nor as of a time before."""
    bands = three_bands(5)
    assert standing_at(an_entitlement(now=bands[0], later=bands[1:]), on(4)) is None
    assert standing_as_of(bands, on(4)) is None
    assert standing_as_of((), on(4)) is None


def test_standing_as_of_looks_at_the_past_too() -> None:
    """Each band from its first moment on, the last one for ever."""
    bands = three_bands(0, length=30)
    found = [standing_as_of(bands, on(day)) for day in (0, 29, 30, 59, 60, 999)]
    assert found == [bands[0], bands[0], bands[1], bands[1], bands[2], bands[2]]


@pytest.mark.parametrize(
    ("tiers", "minimum_tier", "reason"),
    [
        ({}, "", Reason.SUBSCRIPTION_GROUP_NOT_FOUND),
        ({}, "gold", Reason.SUBSCRIPTION_GROUP_NOT_FOUND),
        (TIERS, "platinum", Reason.SUBSCRIPTION_TIER_NOT_FOUND),
    ],
)
def test_unknown_group_or_tier_is_refused(
    tiers: dict[str, int | None], minimum_tier: str, reason: Reason
) -> None:
    """By the name that the catalogue has not."""
    with pytest.raises(BoxofficeError) as caught:
        check_question(tiers, "premium", minimum_tier)
    assert caught.value.reason is reason
    assert caught.value.metadata["subscription_group"] == "premium"


def test_known_group_and_tier_may_be_asked_for() -> None:
    """Also a tier without a rank."""
    check_question(TIERS, "premium", "")
    check_question(TIERS, "premium", "odd")
