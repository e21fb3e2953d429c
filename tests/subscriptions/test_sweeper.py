"""What time alone brings about is made into events, once, by one replica at a time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    LineageKey,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository
from boxoffice_server.subscriptions.engine import Brought
from boxoffice_server.subscriptions.sweeper import MOST_ASKED, SET_ASIDE, Sweeper
from tests.subscriptions.apple import Apple
from tests.subscriptions.desk import KEY, Desk, sold_product
from tests.vendors.app_store.payloads import (
    FEBRUARY_1,
    JANUARY_1,
    JANUARY_10,
    ms,
    read_fact,
    told_fact,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOKEN = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
BOUGHT = told_fact("SUBSCRIBED", "INITIAL_BUY", tx={"appAccountToken": TOKEN}, signed=JANUARY_1)
OFF = replace(
    told_fact(
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        tx={"appAccountToken": TOKEN},
        ri={"autoRenewStatus": 0},
        signed=JANUARY_10,
    ),
    vendor_id="off",
)


def _sweeper(desk: Desk, apple: Apple | None = None, *, instance: str = "one") -> Sweeper:
    return Sweeper(
        store=desk.store,
        clock=desk.clock,
        subscriptions=desk.subscriptions,
        vendors={SubscriptionSource.APP_STORE: apple or Apple()},
        owner=instance,
    )


async def test_an_expiry_that_nobody_told_of_is_published_once(desk: Desk) -> None:
    """When its time has come, and not before."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(OFF, at=JANUARY_10)
    sweeper = _sweeper(desk)
    assert await sweeper.sweep() == 0
    desk.clock.time = FEBRUARY_1
    assert await sweeper.sweep() == 1
    assert await sweeper.sweep() == 0
    assert await desk.told() == ["started", "renewal_disabled", "expired_voluntarily"]


async def test_the_vendors_late_word_changes_nothing(desk: Desk) -> None:
    """It tells the same event, which has the same id; from then on it is the vendor's."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(OFF, at=JANUARY_10)
    desk.clock.time = FEBRUARY_1
    await _sweeper(desk).sweep()
    before = [each.id for each in await desk.events()]
    late = replace(
        told_fact(
            "EXPIRED",
            "VOLUNTARY",
            tx={"appAccountToken": TOKEN},
            ri={"autoRenewStatus": 0},
            signed=FEBRUARY_1 + HOUR,
        ),
        vendor_id="expired",
    )
    assert (await desk.events())[-1].fact_id == ""
    await desk.hear(late, at=FEBRUARY_1 + 2 * HOUR)
    assert [each.id for each in await desk.events()] == before
    assert (await desk.events())[-1].fact_id == late.id


async def test_one_replica_sweeps_at_a_time(desk: Desk) -> None:
    """Another one goes on where it stopped, when its lease is over."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(OFF, at=JANUARY_10)
    desk.clock.time = FEBRUARY_1
    await desk.store.write(
        lambda repo: repo.duties.take("sweep", "one", now=FEBRUARY_1, lease=timedelta(seconds=15))
    )
    other = _sweeper(desk, instance="other")
    assert await other.sweep() == 0
    desk.clock.time = FEBRUARY_1 + timedelta(seconds=15)
    assert await other.sweep() == 1


async def test_replica_that_ends_lets_another_sweep_at_once(desk: Desk) -> None:
    """Its lease ends with it."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(OFF, at=JANUARY_10)
    desk.clock.time = FEBRUARY_1
    await desk.store.write(
        lambda repo: repo.duties.take("sweep", "one", now=FEBRUARY_1, lease=timedelta(seconds=15))
    )
    await _sweeper(desk, instance="one").stop()
    assert await _sweeper(desk, instance="other").sweep() == 1


async def test_a_silent_subscription_is_asked_about(desk: Desk) -> None:
    """What the vendor says then is applied as if it had told it."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    renewed = read_fact(
        tx={
            "webOrderLineItemId": "w2",
            "transactionId": "t2",
            "purchaseDate": ms(FEBRUARY_1),
            "expiresDate": ms(FEBRUARY_1 + 28 * DAY),
            "signedDate": ms(FEBRUARY_1 + HOUR),
        },
        ri={"signedDate": ms(FEBRUARY_1 + HOUR)},
    )
    apple = Apple(answer=[renewed])
    sweeper = _sweeper(desk, apple)
    desk.clock.time = FEBRUARY_1
    assert await sweeper.ask() == 0
    desk.clock.time = FEBRUARY_1 + HOUR
    assert (await desk.entitlement(TOKEN)).at(desk.clock.time).status is (
        EntitlementStatus.IN_BILLING_RETRY
    )
    assert await sweeper.ask() == 1
    assert apple.asked == [KEY]
    assert (await desk.entitlement(TOKEN)).now.expire_time == FEBRUARY_1 + 28 * DAY
    assert await sweeper.ask() == 0


@pytest.mark.parametrize(
    "answer",
    [(), BoxofficeError(Reason.VENDOR_UNAVAILABLE, "Apple is away")],
    ids=["nothing", "away"],
)
async def test_a_vendor_that_has_nothing_to_say_is_asked_more_and_more_seldom(
    desk: Desk, answer: Sequence[SubscriptionFact] | BoxofficeError
) -> None:
    """First after an hour, in the end once a day."""
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    apple = Apple(answer=answer)
    sweeper = _sweeper(desk, apple)
    begun = FEBRUARY_1 + HOUR
    asked = []
    for hours in range(80):
        desk.clock.time = begun + hours * HOUR
        if await sweeper.ask():
            asked.append(hours)
    assert asked == [0, 1, 2, 4, 8, 16, 32, 56]


async def test_a_round_asks_about_a_few_only(desk: Desk) -> None:
    """However many are silent at once, the vendor is not stampeded."""
    await desk.sell(sold_product())
    for number in range(MOST_ASKED + 2):
        key = replace(KEY, lineage=f"{number:04}")
        await desk.hear(replace(BOUGHT, lineage=key), at=JANUARY_1)
    desk.clock.time = FEBRUARY_1 + HOUR
    apple = Apple()
    assert await _sweeper(desk, apple).ask() == MOST_ASKED
    assert len(apple.asked) == MOST_ASKED


async def test_what_cannot_be_swept_holds_up_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set aside, and tried again later."""
    await desk.sell(sold_product())
    broken = replace(KEY, lineage="broken")
    for key in (broken, KEY):
        await desk.hear(replace(BOUGHT, lineage=key), at=JANUARY_1)
        await desk.hear(replace(OFF, lineage=key), at=JANUARY_10)
    bring = desk.subscriptions.bring

    def faulty(repo: Repository, key: LineageKey) -> Brought:
        if key == broken:
            raise LookupError("a fault of ours")
        return bring(repo, key)

    monkeypatch.setattr(desk.subscriptions, "bring", faulty)
    desk.clock.time = FEBRUARY_1
    assert await _sweeper(desk).sweep() == 2
    assert "expired_voluntarily" in await desk.told()
    lineage = await desk.store.read(lambda repo: repo.lineages.get(broken.id))
    assert lineage is not None
    assert lineage.next_time == FEBRUARY_1 + SET_ASIDE
