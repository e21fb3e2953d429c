"""Whose a subscription is: links, tokens, and users that go."""

from dataclasses import replace
from datetime import timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.subscription import EntitlementStatus
from tests.subscriptions.desk import OTHER_USER, USER, Desk, sold_product
from tests.vendors.app_store.payloads import FEBRUARY_1, JANUARY_1, JANUARY_10, ms, told_fact

DAY = timedelta(days=1)
BOUGHT = told_fact("SUBSCRIBED", "INITIAL_BUY", signed=JANUARY_1)
RENEWED = replace(
    told_fact(
        "DID_RENEW",
        tx={
            "webOrderLineItemId": "w2",
            "transactionId": "t2",
            "purchaseDate": ms(FEBRUARY_1),
            "expiresDate": ms(FEBRUARY_1 + 28 * DAY),
        },
        signed=FEBRUARY_1,
    ),
    vendor_id="renewed",
)


async def _held_by(desk: Desk, user: str) -> list[tuple[str, str]]:
    return [(each.user_id, each.type.value) for each in await desk.events() if not each.superseded]


async def test_a_purchase_of_another_user_is_refused(desk: Desk) -> None:
    """Unless it is to be moved; nothing changes."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=JANUARY_1)
    with pytest.raises(BoxofficeError) as caught:
        await desk.link(BOUGHT, user=OTHER_USER, at=JANUARY_10)
    assert caught.value.reason is Reason.SUBSCRIPTION_HELD
    assert await desk.entitlements(OTHER_USER) == []


async def test_handing_in_what_one_holds_changes_nothing(desk: Desk) -> None:
    """A second device of the same user hands in the same purchase."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=JANUARY_1)
    await desk.link(BOUGHT, at=JANUARY_10)
    assert await desk.told() == ["started"]
    assert (await desk.entitlement()).version == 1


async def test_a_moved_purchase_ends_for_one_and_begins_for_the_other(desk: Desk) -> None:
    """At the moment it is moved; history stays with whoever held it."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=JANUARY_1)
    await desk.link(BOUGHT, user=OTHER_USER, at=JANUARY_10, reassign=True)
    old, new = await desk.entitlement(), await desk.entitlement(OTHER_USER)
    assert (old.now.status, old.now.expire_time) == (EntitlementStatus.REVOKED, JANUARY_10)
    assert (new.now.status, new.now.from_time) == (
        EntitlementStatus.ACTIVE_WITH_RENEWAL,
        JANUARY_10,
    )
    assert sorted(await _held_by(desk, USER)) == sorted(
        [(USER, "started"), (USER, "revoked"), (OTHER_USER, "renewed")]
    )
    await desk.hear(RENEWED, at=FEBRUARY_1)
    assert (await desk.entitlement()).now.status is EntitlementStatus.REVOKED
    assert (await desk.entitlement(OTHER_USER)).now.expire_time == FEBRUARY_1 + 28 * DAY


async def test_a_detached_users_purchases_can_be_claimed_again(desk: Desk) -> None:
    """By anyone, without moving them; until then they are nobody's."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=JANUARY_1)
    desk.clock.time = JANUARY_10
    detached = await desk.store.write(lambda repo: desk.linking.detach(repo, USER, actor="test"))
    assert len(detached.lineage_ids) == 1
    assert (await desk.entitlement()).now.status is EntitlementStatus.REVOKED
    await desk.link(BOUGHT, user=OTHER_USER, at=JANUARY_10 + DAY)
    status = (await desk.entitlement(OTHER_USER)).now.status
    assert status is EntitlementStatus.ACTIVE_WITH_RENEWAL


async def test_the_token_of_a_detached_user_links_no_later_purchase(desk: Desk) -> None:
    """Whether it was registered or is the user's id; earlier purchases stay what they were."""
    token = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
    await desk.sell(sold_product())
    desk.clock.time = JANUARY_1
    await desk.store.write(lambda repo: desk.linking.detach(repo, token, actor="test"))
    later = told_fact(
        "SUBSCRIBED",
        "INITIAL_BUY",
        tx={"appAccountToken": token, "purchaseDate": ms(JANUARY_10)},
        signed=JANUARY_10,
    )
    await desk.hear(later, at=JANUARY_10)
    assert await desk.entitlements(token) == []
