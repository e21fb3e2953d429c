"""Notifications on their way: sent by Apple's schedule, and lost, doubled and reordered."""

from pathlib import Path

import pytest
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2

from boxoffice_sandbox.app_store import delivery
from tests.sandbox.app_store.harness import DAY, START_MS, AppStoreDesk, Service, app_store, named

HOUR = 3600


def _kinds(store: AppStoreDesk, payloads: list[str], *, production: bool = False) -> list[str]:
    """What each payload tells, verified."""
    read = [store.read(payload, production=production)[0] for payload in payloads]
    return [named(told.rawNotificationType, told.rawSubtype) for told in read]


async def _delivery(store: AppStoreDesk) -> tuple[list[str], list[str]]:
    """The states of the newest notification's deliveries, and how each attempt ended."""
    newest = (await store.notifications())[-1]
    sends = [send for it in newest["deliveries"] for send in it["sends"]]
    states = [it["state"] for it in newest["deliveries"]]
    return states, [send["sendAttemptResult"] for send in sends]


async def _until_delivery(store: AppStoreDesk, *expected: str) -> list[str]:
    """Waits for the newest notification's deliveries to be so; returns how attempts ended."""
    while True:
        states, results = await _delivery(store)
        if states == list(expected):
            return results


async def test_notification_is_sent_as_apple_sends_it(
    store: AppStoreDesk, service: Service
) -> None:
    """One member in the body, and all of it signed."""
    bought = await store.buy(app_account_token="8f0b8b1e-1c7a-4d58-9f57-0f0f4f5f6f7f")
    await service.until_count(1)
    told, transaction, renewal = store.read(service.payloads[0])
    assert told.notificationType is NotificationTypeV2.SUBSCRIBED
    assert transaction is not None
    assert renewal is not None
    assert transaction.originalTransactionId == renewal.originalTransactionId == bought
    assert transaction.purchaseDate == told.signedDate
    assert START_MS <= (told.signedDate or 0) < START_MS + 1000
    assert await _until_delivery(store, "delivered") == ["SUCCESS"]


async def test_sandbox_tries_once(store: AppStoreDesk, service: Service) -> None:
    """In that environment Apple doesn't try again."""
    service.answers = [500]
    await store.buy()
    assert await _until_delivery(store, "failed") == ["UNSUCCESSFUL_HTTP_RESPONSE_CODE"]
    await store.advance(10 * DAY)
    await store.control("app-store/notifications/retry")
    await service.until_offsets(1)
    assert len(service.payloads) == 1


async def test_production_tries_five_times_more(tmp_path: Path, service: Service) -> None:
    """1, 12, 24, 48 and 72 hours after the attempt before; the same payload each time."""
    async with app_store(tmp_path, service.url, environment="Production") as store:
        service.answers = [500, 404, 301, 503, 400, 500]
        await store.buy()
        await service.until_count(1)
        for number, hours in enumerate((1, 12, 24, 48, 72), start=2):
            await _until_delivery(store, "pending")
            await store.advance(hours * HOUR - 1)
            await service.until_offsets(2 * number - 3)
            assert len(service.payloads) == number - 1
            await store.advance(1)
            await service.until_count(number)
        assert len(await _until_delivery(store, "failed")) == 6
        assert len(set(service.payloads)) == 1
        assert _kinds(store, service.payloads[:1], production=True) == ["SUBSCRIBED/INITIAL_BUY"]


async def test_schedule_can_be_set(store: AppStoreDesk, service: Service) -> None:
    """As short as a test wants it."""
    await store.settings(retry_hours=[0.5])
    service.answers = [500]
    await store.buy()
    await service.until_count(1)
    await _until_delivery(store, "pending")
    await store.advance(HOUR // 2)
    await service.until_count(2)
    assert await _until_delivery(store, "delivered") == [
        "UNSUCCESSFUL_HTTP_RESPONSE_CODE",
        "SUCCESS",
    ]


async def test_duplicates_have_the_same_uuid_and_date(
    store: AppStoreDesk, service: Service
) -> None:
    """By mode, and on demand."""
    await store.settings(mode="duplicate")
    await store.buy()
    await service.until_count(2)
    uuid = (await store.notifications())[-1]["uuid"]
    await store.control(f"app-store/notifications/{uuid}/redeliver")
    await service.until_count(3)
    assert len(set(service.payloads)) == 1
    assert store.read(service.payloads[0])[0].notificationUUID == uuid


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("fifo", ["SUBSCRIBED/INITIAL_BUY", "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"]),
        ("reverse", ["DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED", "SUBSCRIBED/INITIAL_BUY"]),
    ],
)
async def test_held_notifications_are_released_in_any_order(
    order: str, expected: list[str], store: AppStoreDesk, service: Service
) -> None:
    """Nothing goes out before."""
    await store.settings(mode="hold")
    bought = await store.buy()
    await store.act(bought, "cancel")
    assert service.payloads == []
    released = await store.control("app-store/notifications/release", {"order": order})
    await service.until_count(2)
    assert _kinds(store, service.payloads) == expected
    assert len(released["released"]) == 2


async def test_release_takes_a_list(store: AppStoreDesk, service: Service) -> None:
    """Also of some only; what isn't held is refused."""
    await store.settings(mode="hold")
    bought = await store.buy()
    for action in ("cancel", "enable"):
        await store.act(bought, action)
    names = [it["uuid"] for it in await store.notifications()]
    chosen = [names[2], names[0]]
    await store.control("app-store/notifications/release", {"order": chosen})
    await service.until_count(2)
    uuids = [store.read(payload)[0].notificationUUID for payload in service.payloads]
    assert uuids == chosen
    status, answer = await store.try_control(
        "app-store/notifications/release", {"order": ["other"]}
    )
    assert status == 400
    assert "Not held: other" in answer["error"]["message"]


async def test_lost_notifications_are_only_in_the_history(
    store: AppStoreDesk, service: Service
) -> None:
    """They never arrive, and can be sent after all."""
    await store.settings(mode="lose")
    await store.buy()
    assert await _delivery(store) == (["lost"], ["NO_RESPONSE"])
    await store.settings(mode="normal")
    uuid = (await store.notifications())[-1]["uuid"]
    await store.control(f"app-store/notifications/{uuid}/redeliver")
    await service.until_count(1)


async def test_delay_is_by_the_sandbox_clock(store: AppStoreDesk, service: Service) -> None:
    """Later ones may overtake."""
    await store.settings(delay_seconds=600)
    bought = await store.buy()
    await store.settings(delay_seconds=0)
    await store.act(bought, "cancel")
    await service.until_count(1)
    await store.advance(600)
    await service.until_count(2)
    assert _kinds(store, service.payloads) == [
        "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
        "SUBSCRIBED/INITIAL_BUY",
    ]


async def test_service_that_is_away_is_no_response(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt is kept in the history, once the service has had its time to start."""
    monkeypatch.setattr(delivery, "_START_PATIENCE_SECONDS", 0.0)
    async with app_store(tmp_path, service.url) as store:
        await store.buy()
        await service.until_count(1)
        await store.settings(service_url="http://127.0.0.1:9")
        await store.buy()
        assert await _until_delivery(store, "failed") == ["NO_RESPONSE"]


async def test_pending_notifications_go_out_after_a_restart(
    tmp_path: Path, service: Service
) -> None:
    """With the payload that was signed before it."""
    async with app_store(tmp_path, service.url) as store:
        await store.settings(delay_seconds=60)
        await store.buy()
    async with app_store(tmp_path, service.url) as store:
        assert service.payloads == []
        await store.advance(60)
        await service.until_count(1)
        assert _kinds(store, service.payloads) == ["SUBSCRIBED/INITIAL_BUY"]


async def test_test_notification_has_no_subscription(store: AppStoreDesk, service: Service) -> None:
    """Only the app and the environment are in its data."""
    await store.control("app-store/notifications/test")
    await service.until_count(1)
    told, transaction, _ = store.read(service.payloads[0])
    assert told.notificationType is NotificationTypeV2.TEST
    assert transaction is None


async def test_unknown_notification_cannot_be_sent_again(store: AppStoreDesk) -> None:
    """It is not there."""
    status, _ = await store.try_control("app-store/notifications/none/redeliver")
    assert status == 404
