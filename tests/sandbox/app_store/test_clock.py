"""The clock and the App Store: what is due happens at its instant; the service is told first."""

import asyncio
from pathlib import Path

from tests.sandbox.app_store.harness import DAY, START_MS, AppStoreDesk, Service, app_store, named

HOUR = 3600


async def test_advance_lets_everything_happen_in_order(
    store: AppStoreDesk, service: Service
) -> None:
    """Across subscriptions, each signed at its instant."""
    monthly = await store.buy("premium_monthly")
    trial = await store.buy("essential_monthly", offer="trial")
    await store.act(trial, "cancel")
    await store.act(monthly, "fail", grace_days=3, later=True)
    await store.advance(100 * DAY)
    await service.until_count(7)
    read = [store.read(payload) for payload in service.payloads]
    assert [named(told.rawNotificationType, told.rawSubtype) for told, _, _ in read] == [
        "SUBSCRIBED/INITIAL_BUY",
        "SUBSCRIBED/INITIAL_BUY",
        "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "EXPIRED/VOLUNTARY",
        "DID_FAIL_TO_RENEW/GRACE_PERIOD",
        "GRACE_PERIOD_EXPIRED",
        "EXPIRED/BILLING_RETRY",
    ]
    dates = [told.signedDate or 0 for told, _, _ in read]
    assert dates == sorted(dates)
    ended, failed = read[3][1], read[4][1]
    assert ended is not None
    assert failed is not None
    assert dates[3] == ended.expiresDate
    assert dates[4] == failed.expiresDate
    assert dates[5] == dates[4] + 3 * DAY * 1000
    assert dates[6] == dates[4] + 60 * DAY * 1000


async def test_service_clock_moves_before_notifications_go_out(
    store: AppStoreDesk, service: Service
) -> None:
    """By the key of the service's account."""
    await store.buy()
    await service.until_count(1)
    answer = await store.advance(40 * DAY)
    assert "warning" not in answer
    await service.until_count(2)
    assert service.order[-2:] == ["clock", "notification"]
    assert service.offsets[-1] == answer["offset_seconds"] == 40 * DAY
    assert service.keys[-1] == "Bearer sk_test_boxoffice_default"


async def test_service_that_does_not_take_the_time_is_a_warning(
    store: AppStoreDesk, service: Service
) -> None:
    """The sandbox's clock moves all the same, and notifications go out."""
    await store.buy()
    await service.until_count(1)
    service.clock_answer = 404
    answer = await store.advance(40 * DAY)
    assert answer["warning"].endswith("/sandbox/clock did not take the time: 404")
    await service.until_count(2)
    await store.settings(service_url="http://127.0.0.1:9")
    answer = await store.advance(1)
    assert "was not told the time" in answer["warning"]
    assert answer["offset_seconds"] == 40 * DAY + 1


async def test_another_service_is_told_the_time_before_anything_else(
    store: AppStoreDesk, service: Service
) -> None:
    """What is signed would be ahead of it; one that was told is not told again."""
    await store.buy()
    await store.advance(40 * DAY)
    async with Service() as other:
        await store.settings(service_url=other.url)
        uuid = (await store.notifications())[-1]["uuid"]
        await store.control(f"app-store/notifications/{uuid}/redeliver")
        await other.until_count(1)
        await store.control(f"app-store/notifications/{uuid}/redeliver")
        await other.until_count(2)
        assert other.order == ["clock", "notification", "notification"]
        assert other.offsets == [40 * DAY]
        await store.settings(service_url=service.url)


async def test_service_is_told_the_time_after_a_restart(tmp_path: Path, service: Service) -> None:
    """Unless there is nothing to tell."""
    async with app_store(tmp_path, service.url) as store:
        await store.advance(DAY)
    del service.offsets[:]
    async with app_store(tmp_path, service.url):
        await service.until(lambda it: it.offsets == [DAY])


async def test_renewal_is_early_where_it_is_set_so(store: AppStoreDesk, service: Service) -> None:
    """As Apple does, up to a day before; the period begins when the one before ends."""
    await store.settings(early_renewal_seconds=8 * HOUR)
    await store.buy()
    await store.advance(31 * DAY)
    await service.until_count(2)
    told, renewed, _ = store.read(service.payloads[1])
    assert renewed is not None
    assert renewed.purchaseDate == (told.signedDate or 0) + 8 * HOUR * 1000


async def test_renew_moves_the_clock_as_far_as_it_must(
    store: AppStoreDesk, service: Service
) -> None:
    """To the end of the period, or a little before."""
    bought = await store.buy()
    first = (await store.act(bought, "renew"))["object"]
    second = (await store.act(bought, "renew", early_seconds=HOUR))["object"]
    assert len(second["transaction_ids"]) == 3
    assert second["renewal_at"] > first["renewal_at"]
    await service.until_count(3)
    told, renewed, _ = store.read(service.payloads[2])
    assert renewed is not None
    early = (renewed.purchaseDate or 0) - (told.signedDate or 0)
    assert (HOUR - 1) * 1000 <= early <= HOUR * 1000


async def test_skip_moves_to_what_is_next(quiet: AppStoreDesk) -> None:
    """Grace, its end, the end of the retries; then nothing is to come."""
    bought = await quiet.buy()
    states = [(await quiet.act(bought, "fail", grace_days=16))["status"]]
    states += [(await quiet.act(bought, "skip"))["status"] for _ in range(2)]
    assert states == ["grace", "retry", "expired"]
    status, answer = await quiet.try_control(f"app-store/subscriptions/{bought}/skip")
    assert status == 400
    assert "nothing is to come" in answer["error"]["message"]


async def test_what_will_not_renew_is_not_moved(quiet: AppStoreDesk) -> None:
    """Nor is the clock."""
    bought = await quiet.buy()
    await quiet.act(bought, "cancel")
    status, _ = await quiet.try_control(f"app-store/subscriptions/{bought}/renew")
    assert status == 400
    assert (await quiet.control("clock", verb="GET"))["offset_seconds"] == 0


async def test_time_passes_by_itself_too(tmp_path: Path, service: Service) -> None:
    """A sandbox that is left alone renews when it is due."""
    async with app_store(tmp_path, service.url, frozen=False) as store:
        await store.control(
            "app-store/products",
            {
                "id": "minutes",
                "group": "g",
                "tier": "t",
                "level": 1,
                "period": "PT1M",
                "price": 990,
            },
        )
        await store.buy("minutes")
        await store.advance(59)
        async with asyncio.timeout(5):
            await service.until_count(2)
        assert await store.told() == ["SUBSCRIBED/INITIAL_BUY", "DID_RENEW"]


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Subscriptions, settings, products, the key and the root."""
    async with app_store(tmp_path) as store:
        bought = await store.buy()
        await store.act(bought, "price", price=12_990)
        await store.settings(early_renewal_seconds=60)
        await store.control("app-store/products", {"id": "premium_monthly", "for_sale": False})
        before = await store.control(f"app-store/subscriptions/{bought}", verb="GET")
        root, key = store.root, store.key
        await store.advance(DAY)
    async with app_store(tmp_path) as store:
        after = await store.control(f"app-store/subscriptions/{bought}", verb="GET")
        assert after == before
        assert (store.root, store.key) == (root, key)
        about = await store.control("app-store", verb="GET")
        assert about["settings"]["early_renewal_seconds"] == 60
        sold = (await store.control("app-store/products", verb="GET"))["products"]
        assert [it["for_sale"] for it in sold if it["id"] == "premium_monthly"] == [False]
        other = await store.buy("essential_monthly")
        assert other != bought
        assert (await store.notifications())[-1]["signed_at"] >= START_MS + DAY * 1000
