"""Our view of a subscription beside its vendor's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.stream import RecordKind
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    LineageKey,
    SubscriptionEventType,
    SubscriptionSource,
)
from boxoffice_server.subscriptions.reconciling import DriftReport, Reconciling
from tests.subscriptions.apple import Apple
from tests.subscriptions.desk import KEY, OTHER, Desk, records, sold_product
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    JANUARY_1,
    JANUARY_10,
    OTHER_PRODUCT,
    PRODUCT,
    ms,
    read_fact,
    told_fact,
)

DAY = timedelta(days=1)
TOKEN = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
BOUGHT = told_fact("SUBSCRIBED", "INITIAL_BUY", tx={"appAccountToken": TOKEN}, signed=JANUARY_1)


async def _reconcile(
    desk: Desk, *answer: SubscriptionFact, repair: bool = False, key: LineageKey = KEY
) -> DriftReport:
    reconciling = Reconciling(
        clock=desk.clock,
        subscriptions=desk.subscriptions,
        vendors={SubscriptionSource.APP_STORE: Apple(list(answer))},
    )
    told = await reconciling.ask(key)
    return await desk.store.write(lambda repo: reconciling.compare(repo, key, told, repair=repair))


STANDING = read_fact(
    tx={"appAccountToken": TOKEN, "signedDate": ms(JANUARY_10)},
    ri={"signedDate": ms(JANUARY_10)},
)
SWITCHED_OFF = read_fact(
    tx={"appAccountToken": TOKEN, "signedDate": ms(JANUARY_10)},
    ri={"autoRenewStatus": 0, "signedDate": ms(JANUARY_10)},
)


async def test_what_agrees_has_no_drift(desk: Desk) -> None:
    """A new fact that says what is known already is no difference."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    desk.clock.time = JANUARY_10
    report = await _reconcile(desk, STANDING)
    assert (report.drifts, report.missing_events, report.new_facts) == ((), (), 1)


async def test_drift_is_told_first_and_repaired_when_told_to(desk: Desk) -> None:
    """Telling changes nothing; repairing makes ours what theirs is."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    desk.clock.time = JANUARY_10
    report = await _reconcile(desk, SWITCHED_OFF)
    (drift,) = report.drifts
    assert drift.ours is not None
    assert drift.theirs is not None
    assert drift.ours.now.status is EntitlementStatus.ACTIVE_WITH_RENEWAL
    assert drift.theirs.now.status is EntitlementStatus.ACTIVE_WITHOUT_RENEWAL
    assert [each.type for each in report.missing_events] == [SubscriptionEventType.RENEWAL_DISABLED]
    assert await desk.told() == ["started"]
    assert (await _reconcile(desk, SWITCHED_OFF, repair=True)).drifts == report.drifts
    assert await desk.told() == ["started", "renewal_disabled"]
    assert (await _reconcile(desk, SWITCHED_OFF)).drifts == ()


async def test_a_grant_has_nobody_to_ask(desk: Desk) -> None:
    """What was given by hand is ours alone."""
    grant = replace(KEY, source=SubscriptionSource.MANUAL)
    with pytest.raises(BoxofficeError) as caught:
        await _reconcile(desk, key=grant)
    assert caught.value.reason is Reason.SUBSCRIPTION_NOT_RECONCILABLE


async def test_a_renewal_nobody_told_of_is_found(desk: Desk) -> None:
    """Its event is missing here."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    desk.clock.time = FEBRUARY_1 + DAY
    renewed = read_fact(
        tx={
            "appAccountToken": TOKEN,
            "webOrderLineItemId": "w2",
            "transactionId": "t2",
            "purchaseDate": ms(FEBRUARY_1),
            "expiresDate": ms(FEBRUARY_1 + 28 * DAY),
            "signedDate": ms(FEBRUARY_1 + DAY),
        }
    )
    report = await _reconcile(desk, renewed)
    assert [each.type for each in report.missing_events] == [SubscriptionEventType.RENEWED]
    (drift,) = report.drifts
    assert drift.theirs is not None
    assert drift.theirs.now.expire_time == FEBRUARY_1 + 28 * DAY


async def test_what_is_found_is_published_in_the_order_in_which_it_happened(desk: Desk) -> None:
    """Though the vendor tells of the newest period first."""
    await desk.sell(sold_product())
    await desk.sell(OTHER)
    await desk.hear(BOUGHT, at=JANUARY_1)
    desk.clock.time = FEBRUARY_1 + 10 * DAY
    better, back = (
        read_fact(
            tx={
                "appAccountToken": TOKEN,
                "webOrderLineItemId": f"w-{product}-{begin}",
                "transactionId": f"t-{product}-{begin}",
                "productId": product,
                "purchaseDate": ms(begin),
                "expiresDate": ms(begin + 28 * DAY),
                "signedDate": ms(desk.clock.time),
            }
        )
        for product, begin in ((OTHER_PRODUCT, JANUARY_10), (PRODUCT, FEBRUARY_1))
    )
    await _reconcile(desk, back, better, repair=True)
    log = await records(desk.store, 8)
    assert [each.status for each in log if each.kind is RecordKind.SUBSCRIPTION_EVENT] == [
        "started",
        "switched_product",
        "renewed",
        "switched_product",
        "renewed",
    ]
