"""What is given by hand."""

from datetime import datetime, timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    Environment,
    SubscriptionProduct,
    SubscriptionSource,
)
from tests.subscriptions.desk import USER, Desk
from tests.vendors.app_store.payloads import JANUARY_1, JANUARY_10

DAY = timedelta(days=1)

GIFT = SubscriptionProduct(
    id="spr_gift",
    source=SubscriptionSource.MANUAL,
    app="",
    vendor_product_id="",
    name="A gift",
    group="pro",
    tier="gold",
    rank=1,
    create_time=JANUARY_1,
    update_time=JANUARY_1,
)


def _grant(until: datetime | None) -> Grant:
    return Grant(
        id="grt_1",
        product_id=GIFT.id,
        user_id=USER,
        environment=Environment.PRODUCTION,
        from_time=JANUARY_1,
        until_time=until,
        reason="a prize",
        actor="test",
        create_time=JANUARY_1,
    )


async def _give(desk: Desk, until: datetime | None) -> Grant:
    await desk.sell(GIFT)
    grant = _grant(until)
    desk.clock.time = JANUARY_1
    await desk.store.write(lambda repo: desk.granting.grant(repo, grant))
    return grant


async def test_a_grant_lasts_until_its_time(desk: Desk) -> None:
    """It is a promotion while it lasts, and ends by itself at the very moment."""
    grant = await _give(desk, JANUARY_10)
    entitlement = await desk.entitlement()
    assert entitlement.now.status is EntitlementStatus.USING_PROMOTION
    assert entitlement.now.access_until == JANUARY_10
    assert entitlement.at(JANUARY_10).status is EntitlementStatus.EXPIRED_VOLUNTARILY
    await desk.look(at=JANUARY_10, key=grant.lineage)
    assert await desk.told(grant.lineage) == ["started_with_promotion", "expired_voluntarily"]


async def test_a_grant_for_good_never_ends(desk: Desk) -> None:
    """Not by itself."""
    await _give(desk, None)
    entitlement = await desk.entitlement()
    later = entitlement.at(JANUARY_1 + 3650 * DAY)
    assert later.status is EntitlementStatus.USING_PROMOTION


async def test_a_grant_can_be_taken_back_once(desk: Desk) -> None:
    """What was taken back, or has ended, can't be."""
    grant = await _give(desk, None)
    desk.clock.time = JANUARY_10
    revoked = await desk.store.write(
        lambda repo: desk.granting.revoke(repo, grant.id, reason="a mistake", actor="test")
    )
    assert (revoked.revoke_time, revoked.revoke_reason) == (JANUARY_10, "a mistake")
    assert (await desk.entitlement()).now.status is EntitlementStatus.REVOKED
    assert await desk.told(grant.lineage) == ["started_with_promotion", "revoked"]
    with pytest.raises(BoxofficeError) as caught:
        await desk.store.write(
            lambda repo: desk.granting.revoke(repo, grant.id, reason="", actor="test")
        )
    assert caught.value.reason is Reason.GRANT_ENDED


async def test_what_was_never_given_cannot_be_taken_back(desk: Desk) -> None:
    """There is no such grant."""
    with pytest.raises(BoxofficeError) as caught:
        await desk.store.write(
            lambda repo: desk.granting.revoke(repo, "grt_none", reason="", actor="test")
        )
    assert caught.value.reason is Reason.GRANT_NOT_FOUND
