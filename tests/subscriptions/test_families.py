"""A vendor that gives a subscription another lineage: it stays one subscription."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.subscription import EntitlementStatus
from tests.subscriptions.desk import KEY, OTHER_USER, USER, Desk, sold_product
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    JANUARY_1,
    JANUARY_10,
    LINEAGE,
    ms,
    told_fact,
)

DAY = timedelta(days=1)
NEW = "2000000100009999"
NEW_KEY = replace(KEY, lineage=NEW)
MARCH_1 = FEBRUARY_1 + 28 * DAY

BOUGHT = replace(told_fact("SUBSCRIBED", "INITIAL_BUY", signed=JANUARY_1), vendor_id="bought")
# Apple's notification of it, with the lineage before it.
MIGRATED = replace(
    told_fact(
        "MIGRATION",
        tx={"originalTransactionId": NEW, "previousOriginalTransactionId": LINEAGE},
        ri={"originalTransactionId": NEW},
        signed=JANUARY_10,
    ),
    vendor_id="migrated",
)
RENEWED = replace(
    told_fact(
        "DID_RENEW",
        tx={
            "originalTransactionId": NEW,
            "webOrderLineItemId": "w2",
            "transactionId": "t2",
            "purchaseDate": ms(FEBRUARY_1),
            "expiresDate": ms(MARCH_1),
        },
        ri={"originalTransactionId": NEW},
        signed=FEBRUARY_1,
    ),
    vendor_id="renewed",
)


@pytest.mark.parametrize("order", list(permutations((BOUGHT, MIGRATED, RENEWED))))
async def test_what_goes_on_under_another_lineage_is_one_subscription(
    desk: Desk, order: tuple[SubscriptionFact, ...]
) -> None:
    """In every order of arrival: one entitlement, with one history."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=FEBRUARY_1 + DAY)
    for fact in order:
        await desk.hear(fact, at=FEBRUARY_1 + DAY)
    entitlement = await desk.entitlement()
    assert entitlement.lineage_id == KEY.id
    assert entitlement.now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    assert entitlement.now.expire_time == MARCH_1
    assert await desk.told() == ["started", "renewed"]
    assert await desk.told(NEW_KEY) == []


async def test_what_was_parked_under_the_new_lineage_is_applied_with_the_old(desk: Desk) -> None:
    """It had no user of its own; the user comes with the lineage before it."""
    await desk.sell(sold_product())
    assert await desk.hear(RENEWED, at=FEBRUARY_1) is NotificationState.PARKED
    await desk.link(BOUGHT, at=FEBRUARY_1)
    assert (await desk.entitlement()).now.expire_time == FEBRUARY_1
    assert await desk.hear(MIGRATED, at=FEBRUARY_1) is NotificationState.APPLIED
    assert (await desk.entitlement()).now.expire_time == MARCH_1


async def test_what_was_told_under_the_new_lineage_is_taken_back(desk: Desk) -> None:
    """Its events are superseded, its entitlement goes, and the old one's tell the same."""
    await desk.sell(sold_product())
    await desk.link(RENEWED, at=FEBRUARY_1)
    assert (await desk.entitlement()).lineage_id == NEW_KEY.id
    await desk.hear(MIGRATED, at=FEBRUARY_1)
    assert [each.superseded for each in await desk.events(NEW_KEY)] == [True]
    entitlement = await desk.entitlement()
    assert entitlement.lineage_id == KEY.id
    assert entitlement.now.expire_time == MARCH_1


async def test_a_purchase_under_the_new_lineage_is_held_by_who_holds_the_old(desk: Desk) -> None:
    """Handing it in moves the whole subscription."""
    await desk.sell(sold_product())
    await desk.link(BOUGHT, at=JANUARY_1)
    await desk.hear(MIGRATED, at=JANUARY_10)
    await desk.link(RENEWED, user=OTHER_USER, at=FEBRUARY_1, reassign=True)
    assert (await desk.entitlement(USER)).now.status is EntitlementStatus.REVOKED
    moved = await desk.entitlement(OTHER_USER)
    assert (moved.lineage_id, moved.now.expire_time) == (KEY.id, MARCH_1)


async def test_lineages_that_go_on_from_each_other_are_no_endless_chain(desk: Desk) -> None:
    """Whatever a vendor claims, it stays one subscription."""
    await desk.sell(sold_product())
    back = replace(
        told_fact("MIGRATION", tx={"previousOriginalTransactionId": NEW}, signed=JANUARY_10),
        vendor_id="back",
    )
    await desk.link(BOUGHT, at=JANUARY_1)
    for fact in (MIGRATED, back):
        await desk.hear(fact, at=FEBRUARY_1 - DAY)
    status = (await desk.entitlement()).now.status
    assert status is EntitlementStatus.ACTIVE_WITH_RENEWAL
