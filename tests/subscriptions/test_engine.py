"""Facts become events and entitlements, whatever comes first."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from boxoffice_server.domain.lineage import Parked
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.stream import RecordKind
from boxoffice_server.domain.subscription import EntitlementStatus
from tests.subscriptions.desk import KEY, OTHER, USER, Desk, records, sold_product
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    JANUARY_1,
    JANUARY_10,
    OTHER_PRODUCT,
    ms,
    told_fact,
)

DAY = timedelta(days=1)
TOKEN = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
MARCH_1 = FEBRUARY_1 + 28 * DAY

BOUGHT = replace(
    told_fact("SUBSCRIBED", "INITIAL_BUY", tx={"appAccountToken": TOKEN}, signed=JANUARY_1),
    vendor_id="bought",
)
SWITCHED_OFF = replace(
    told_fact(
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        tx={"appAccountToken": TOKEN},
        ri={"autoRenewStatus": 0},
        signed=JANUARY_10,
    ),
    vendor_id="off",
)
RENEWED = replace(
    told_fact(
        "DID_RENEW",
        tx={
            "appAccountToken": TOKEN,
            "webOrderLineItemId": "w2",
            "transactionId": "t2",
            "purchaseDate": ms(FEBRUARY_1),
            "expiresDate": ms(MARCH_1),
        },
        signed=FEBRUARY_1 - timedelta(hours=4),
    ),
    vendor_id="renewed",
)


async def test_a_purchase_with_a_token_is_the_users_at_once(desk: Desk) -> None:
    """A token that nobody registered is the id of its user."""
    await desk.sell(sold_product())
    assert await desk.hear(BOUGHT, at=JANUARY_1) is NotificationState.APPLIED
    assert await desk.told() == ["started"]
    entitlement = await desk.entitlement(TOKEN)
    assert entitlement.now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    assert entitlement.now.fact_id == BOUGHT.id
    assert entitlement.now.access_until == FEBRUARY_1 + timedelta(hours=1)
    assert (entitlement.version, entitlement.subscription_tier) == (1, "gold")


async def test_a_fact_that_comes_again_changes_nothing(desk: Desk) -> None:
    """Neither an event, nor a version, nor a record in the log."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(BOUGHT, at=JANUARY_1 + DAY)
    await desk.hear(SWITCHED_OFF, at=JANUARY_10)
    assert [each.kind for each in await records(desk.store, 4)] == [
        RecordKind.SUBSCRIPTION_EVENT,
        RecordKind.ENTITLEMENT,
    ] * 2
    assert (await desk.entitlement(TOKEN)).version == 2


async def test_a_purchase_without_a_user_waits_for_one(desk: Desk) -> None:
    """What came before the link is applied when the link comes, its notification too."""
    await desk.sell(sold_product())
    fact = told_fact("SUBSCRIBED", "INITIAL_BUY", signed=JANUARY_1)
    assert await desk.hear(fact, at=JANUARY_1) is NotificationState.PARKED
    assert await desk.told() == []
    lineage = await desk.store.read(lambda repo: repo.lineages.get(KEY.id))
    assert lineage is not None
    assert lineage.parked is Parked.NO_USER
    await desk.link(fact, at=JANUARY_10)
    assert await desk.told() == ["started"]
    assert (await desk.entitlement()).now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    linked = await desk.store.read(lambda repo: repo.lineages.get(KEY.id))
    assert linked is not None
    assert (linked.parked, linked.user_id) == (None, USER)


async def test_a_product_nobody_knows_parks_its_facts_until_it_is_known(desk: Desk) -> None:
    """Then nothing was lost."""
    assert await desk.hear(BOUGHT, at=JANUARY_1) is NotificationState.PARKED
    await desk.hear(SWITCHED_OFF, at=JANUARY_10)
    assert await desk.entitlements(TOKEN) == []
    await desk.sell(sold_product())
    assert await desk.told() == ["started", "renewal_disabled"]
    status = (await desk.entitlement(TOKEN)).now.status
    assert status is EntitlementStatus.ACTIVE_WITHOUT_RENEWAL


@pytest.mark.parametrize("order", list(permutations((BOUGHT, SWITCHED_OFF, RENEWED))))
async def test_every_order_of_arrival_ends_the_same(desk: Desk, order: tuple[object, ...]) -> None:
    """The same canonical events with the same ids, and the same entitlement."""
    await desk.sell(sold_product())
    for fact in order:
        await desk.hear(fact, at=FEBRUARY_1 + DAY)  # type: ignore[arg-type]  # they are facts
    assert await desk.told() == ["started", "renewal_disabled", "renewed"]
    entitlement = await desk.entitlement(TOKEN)
    assert entitlement.now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    assert entitlement.now.expire_time == MARCH_1


async def test_time_alone_ends_a_subscription_that_does_not_renew(desk: Desk) -> None:
    """At the very moment for who reads, and as an event once the clock was looked at."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(SWITCHED_OFF, at=JANUARY_10)
    entitlement = await desk.entitlement(TOKEN)
    just_before = entitlement.at(FEBRUARY_1 - timedelta(microseconds=1))
    assert just_before.status is EntitlementStatus.ACTIVE_WITHOUT_RENEWAL
    assert entitlement.at(FEBRUARY_1).status is EntitlementStatus.EXPIRED_VOLUNTARILY
    lineage = await desk.store.read(lambda repo: repo.lineages.get(KEY.id))
    assert lineage is not None
    assert lineage.next_time == FEBRUARY_1
    await desk.look(at=FEBRUARY_1)
    assert await desk.told() == ["started", "renewal_disabled", "expired_voluntarily"]
    ended = await desk.entitlement(TOKEN)
    assert ended.now.status is EntitlementStatus.EXPIRED_VOLUNTARILY
    assert ended.version == 3


async def test_what_the_clock_said_too_early_is_superseded(desk: Desk) -> None:
    """A renewal that comes late corrects it; what was published stays, marked."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(SWITCHED_OFF, at=JANUARY_10)
    await desk.look(at=FEBRUARY_1 + DAY)
    await desk.hear(RENEWED, at=FEBRUARY_1 + 2 * DAY)
    assert await desk.told() == ["started", "renewal_disabled", "renewed"]
    superseded = [each.type.value for each in await desk.events() if each.superseded]
    assert superseded == ["expired_voluntarily"]


async def test_an_early_change_of_product_waits_for_its_moment(desk: Desk) -> None:
    """The new product is nobody's before, and the old one stays as long as it was paid for."""
    await desk.sell(sold_product())
    await desk.sell(OTHER)
    await desk.hear(BOUGHT, at=JANUARY_1)
    changed = replace(
        told_fact(
            "DID_RENEW",
            tx={
                "appAccountToken": TOKEN,
                "productId": OTHER_PRODUCT,
                "webOrderLineItemId": "w2",
                "transactionId": "t2",
                "purchaseDate": ms(FEBRUARY_1),
                "expiresDate": ms(MARCH_1),
            },
            ri={"productId": OTHER_PRODUCT, "autoRenewProductId": OTHER_PRODUCT},
            signed=FEBRUARY_1 - timedelta(hours=6),
        ),
        vendor_id="changed",
    )
    await desk.hear(changed, at=FEBRUARY_1 - timedelta(hours=6))
    assert (await desk.entitlement(TOKEN)).now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    assert await desk.told() == ["started", "renewed", "switched_product"]
    await desk.look(at=FEBRUARY_1)
    statuses = {each.subscription_tier: each.now for each in await desk.entitlements(TOKEN)}
    assert statuses["gold"].status is EntitlementStatus.SWITCHED_PRODUCT
    assert statuses["gold"].new_product_id == OTHER.id
    assert statuses["platinum"].status is EntitlementStatus.ACTIVE_WITH_RENEWAL


async def test_every_change_is_told_in_the_log(desk: Desk) -> None:
    """Events and entitlements stand there in the order in which they came about."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(SWITCHED_OFF, at=JANUARY_10)
    told = [(each.kind, each.status) for each in await records(desk.store, 4)]
    assert told == [
        (RecordKind.SUBSCRIPTION_EVENT, "started"),
        (RecordKind.ENTITLEMENT, "active_with_renewal"),
        (RecordKind.SUBSCRIPTION_EVENT, "renewal_disabled"),
        (RecordKind.ENTITLEMENT, "active_without_renewal"),
    ]


async def test_events_of_one_moment_come_in_the_order_in_which_they_make_sense(desk: Desk) -> None:
    """An end goes before what began instead, and a period before what is different about it."""
    token = {"appAccountToken": TOKEN}
    better = {
        **token,
        "productId": OTHER_PRODUCT,
        "webOrderLineItemId": "w2",
        "transactionId": "t2",
        "purchaseDate": ms(JANUARY_10),
    }
    upgraded = told_fact("DID_CHANGE_RENEWAL_PREF", "UPGRADE", tx=better, signed=JANUARY_10)
    given_back = {**better, "revocationDate": ms(JANUARY_10 + DAY), "revocationReason": 0}
    refunded = told_fact("REFUND", tx=given_back, signed=JANUARY_10 + DAY)
    back = told_fact(
        "REFUND_REVERSED",
        tx=better,
        ri={"autoRenewStatus": 0, "productId": OTHER_PRODUCT},
        signed=JANUARY_10 + 2 * DAY,
    )
    await desk.sell(sold_product())
    await desk.sell(OTHER)
    await desk.hear(BOUGHT, at=JANUARY_1)
    for number, fact in enumerate((upgraded, refunded, back)):
        named = replace(fact, vendor_id=f"later-{number}")
        await desk.hear(named, at=fact.sign_time)
    log = await records(desk.store, 11)
    told = [each.status for each in log if each.kind is RecordKind.SUBSCRIPTION_EVENT]
    assert told == [
        "started",
        "switched_product",
        "renewed",
        "refunded",
        "renewed",
        "renewal_disabled",
    ]
