"""Everything that can be done on demand, and every type of notification that comes of it."""

from typing import Any

import pytest

from tests.sandbox.app_store.harness import DAY, TOKEN, AppStoreDesk, Service, app_store, named

TWIN = {
    "id": "premium_twin",
    "group": "premium",
    "tier": "premium",
    "level": 1,
    "period": "P1M",
    "price": 9_990,
}
Steps = list[tuple[str, dict[str, Any]]]

Life = tuple[str, str | None, Steps, list[str]]

LIVES: list[Life] = [
    (
        "premium_monthly",
        None,
        [("cancel", {}), ("enable", {}), ("renew", {})],
        [
            "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
            "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
            "DID_RENEW",
        ],
    ),
    (
        "premium_monthly",
        None,
        [("cancel", {}), ("skip", {}), ("resubscribe", {"offer": "win_back"})],
        [
            "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
            "EXPIRED/VOLUNTARY",
            "SUBSCRIBED/RESUBSCRIBE",
        ],
    ),
    (
        "premium_monthly",
        None,
        [("fail", {"grace_days": 16}), ("recover", {}), ("fail", {}), ("skip", {})],
        [
            "DID_FAIL_TO_RENEW/GRACE_PERIOD",
            "DID_RENEW/BILLING_RECOVERY",
            "DID_FAIL_TO_RENEW",
            "EXPIRED/BILLING_RETRY",
        ],
    ),
    (
        "premium_monthly",
        None,
        [("fail", {"grace_days": 16}), ("skip", {})],
        ["DID_FAIL_TO_RENEW/GRACE_PERIOD", "GRACE_PERIOD_EXPIRED"],
    ),
    (
        "premium_monthly",
        None,
        [("fail", {"later": True}), ("mend", {}), ("renew", {})],
        ["DID_RENEW"],
    ),
    (
        "essential_monthly",
        "trial",
        [
            ("change", {"product": "premium_monthly"}),
            ("change", {"product": "premium_twin"}),
            ("change", {"product": "essential_monthly"}),
            ("change", {"product": "premium_twin"}),
        ],
        [
            "DID_CHANGE_RENEWAL_PREF/UPGRADE",
            "DID_CHANGE_RENEWAL_PREF/UPGRADE",
            "DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
            "DID_CHANGE_RENEWAL_PREF",
        ],
    ),
    (
        "essential_monthly",
        None,
        [
            ("redeem", {"offer": "spring", "at_once": True}),
            ("change", {"product": "premium_monthly", "offer": "code"}),
            ("change", {"product": "essential_monthly", "offer": "spring"}),
        ],
        ["OFFER_REDEEMED", "OFFER_REDEEMED/UPGRADE", "OFFER_REDEEMED/DOWNGRADE"],
    ),
    (
        "premium_monthly",
        None,
        [("price", {"price": 12_990}), ("accept_price", {}), ("skip", {}), ("price", {})],
        [
            "PRICE_INCREASE/PENDING",
            "PRICE_INCREASE/ACCEPTED",
            "DID_RENEW",
            "PRICE_INCREASE/PENDING",
        ],
    ),
    (
        "premium_monthly",
        None,
        [("price", {}), ("refuse_price", {}), ("skip", {})],
        [
            "PRICE_INCREASE/PENDING",
            "DID_CHANGE_RENEWAL_STATUS",
            "EXPIRED/PRICE_INCREASE",
        ],
    ),
    (
        "premium_monthly",
        None,
        [
            ("consumption", {}),
            ("decline_refund", {}),
            ("refund", {"reason": 1, "percentage": 50}),
            ("reverse", {}),
            ("extend", {"days": 10}),
        ],
        ["CONSUMPTION_REQUEST", "REFUND_DECLINED", "REFUND", "REFUND_REVERSED", "RENEWAL_EXTENDED"],
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: "-".join(step for step, _ in life[2]))
async def test_lives_are_told_as_apple_tells_them(
    life: Life, store: AppStoreDesk, service: Service
) -> None:
    """Every payload is verified, and its status is the subscription's."""
    product, offer, steps, expected = life
    await store.control("app-store/products", TWIN)
    given = {} if offer is None else {"offer": offer}
    bought = await store.buy(product, app_account_token=TOKEN, **given)
    statuses = ["active"]
    for action, words in steps:
        statuses.append((await store.act(bought, action, **words))["status"])
    await service.until_count(len(expected) + 1)
    read = [store.read(payload) for payload in service.payloads]
    kinds = [named(told.rawNotificationType, told.rawSubtype) for told, _, _ in read]
    assert kinds == ["SUBSCRIBED/INITIAL_BUY", *expected]
    numbers = {"active": 1, "expired": 2, "retry": 3, "grace": 4, "revoked": 5}
    assert read[-1][0].data is not None
    assert read[-1][0].data.rawStatus == numbers[statuses[-1]]
    for _, transaction, renewal in read:
        assert transaction is not None
        assert renewal is not None
        assert transaction.originalTransactionId == renewal.originalTransactionId == bought
        assert transaction.appAccountToken == renewal.appAccountToken == TOKEN


async def test_what_is_no_longer_sold_expires(store: AppStoreDesk, service: Service) -> None:
    """Nor can it be bought."""
    await store.buy()
    await store.control("app-store/products", {"id": "premium_monthly", "for_sale": False})
    status, _ = await store.try_control("app-store/subscriptions", {"product": "premium_monthly"})
    assert status == 400
    await store.advance(31 * DAY)
    await service.until_count(2)
    assert (await store.told())[-1] == "EXPIRED/PRODUCT_NOT_FOR_SALE"


async def test_family_follows_its_purchaser(store: AppStoreDesk, service: Service) -> None:
    """Renewals, choices and the end reach the member; a refund revokes, with its reason."""
    bought = await store.buy(app_account_token=TOKEN)
    member = (await store.act(bought, "share"))["id"]
    await store.act(bought, "renew")
    await store.act(bought, "change", product="essential_monthly")
    await store.act(bought, "cancel")
    await store.act(bought, "refund", reason=1)
    await service.until_count(10)
    told: dict[str, list[str]] = {}
    for payload in service.payloads:
        read, transaction, _ = store.read(payload)
        assert transaction is not None
        kind = named(read.rawNotificationType, read.rawSubtype)
        told.setdefault(str(transaction.originalTransactionId), []).append(kind)
    assert told[bought][1:-1] == told[member][1:-1]
    assert (told[bought][-1], told[member][-1]) == ("REFUND", "REVOKE")
    _, revoked, _ = store.read(service.payloads[-1])
    assert revoked is not None
    assert (revoked.rawRevocationReason, revoked.appAccountToken) == (1, None)
    status, _ = await store.try_control(f"app-store/subscriptions/{member}/cancel", {})
    assert status == 400


async def test_member_can_be_revoked_alone(quiet: AppStoreDesk) -> None:
    """The purchaser's subscription goes on."""
    bought = await quiet.buy()
    member = (await quiet.act(bought, "share"))["id"]
    assert (await quiet.act(member, "revoke"))["status"] == "revoked"
    found = await quiet.control(f"app-store/subscriptions/{bought}", verb="GET")
    assert found["status"] == "active"


async def test_purchase_can_be_told_as_another_type(quiet: AppStoreDesk) -> None:
    """As old notifications did, or as none does."""
    await quiet.control(
        "app-store/subscriptions", {"product": "premium_monthly", "as": "SUBSCRIBED"}
    )
    bought = await quiet.buy(**{"as": "OFFER_REDEEMED/INITIAL_BUY"})
    await quiet.act(bought, "cancel", **{"as": "SOMETHING_NEW/LATER"})
    assert await quiet.told() == [
        "SUBSCRIBED",
        "OFFER_REDEEMED/INITIAL_BUY",
        "SOMETHING_NEW/LATER",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"type": "ONE_TIME_CHARGE"},
        {"type": "METADATA_UPDATE"},
        {"type": "MIGRATION", "transaction": {"previousOriginalTransactionId": "1"}},
        {"type": "PRICE_CHANGE"},
        {"type": "RENEWAL_EXTENSION", "subtype": "FAILURE"},
        {"type": "EXPIRED", "renewal": {"expirationIntent": None}},
    ],
    ids=lambda given: given["type"],
)
async def test_any_notification_of_a_subscription_can_be_sent(
    given: dict[str, Any], store: AppStoreDesk, service: Service
) -> None:
    """With members more or less in what is signed."""
    bought = await store.buy()
    answer = await store.control("app-store/notifications", {"subscription": bought, **given})
    await service.until_count(2)
    told, transaction, renewal = store.read(service.payloads[1])
    assert told.notificationUUID == answer["id"]
    assert told.rawNotificationType == given["type"]
    assert told.rawSubtype == given.get("subtype")
    assert transaction is not None
    assert renewal is not None
    assert renewal.expirationIntent is None


@pytest.mark.parametrize(
    ("given", "member"),
    [
        (
            {
                "type": "RENEWAL_EXTENSION",
                "subtype": "SUMMARY",
                "instead": {
                    "summary": {
                        "requestIdentifier": "r-1",
                        "environment": "Sandbox",
                        "bundleId": "com.example.boxoffice",
                        "productId": "premium_monthly",
                        "succeededCount": 3,
                        "failedCount": 0,
                    }
                },
            },
            "summary",
        ),
        *(
            (
                {
                    "type": "EXTERNAL_PURCHASE_TOKEN",
                    "subtype": subtype,
                    "instead": {
                        "externalPurchaseToken": {
                            "externalPurchaseId": "SANDBOX_1",
                            "tokenCreationDate": 1,
                            "bundleId": "com.example.boxoffice",
                        }
                    },
                },
                "externalPurchaseToken",
            )
            for subtype in ("CREATED", "ACTIVE_TOKEN_REMINDER", "UNREPORTED")
        ),
        (
            {
                "type": "RESCIND_CONSENT",
                "instead": {
                    "appData": {"bundleId": "com.example.boxoffice", "environment": "Sandbox"}
                },
            },
            "appData",
        ),
    ],
)
async def test_notifications_without_data_can_be_sent(
    given: dict[str, Any], member: str, store: AppStoreDesk, service: Service
) -> None:
    """With what they have instead."""
    await store.control("app-store/notifications", given)
    await service.until_count(1)
    told, transaction, _ = store.read(service.payloads[0])
    assert transaction is None
    assert told.data is None
    assert getattr(told, member) is not None


async def test_production_is_told_as_production(tmp_path: Any, service: Service) -> None:  # noqa: ANN401
    """With the app's number, and for the judge of that environment only."""
    async with app_store(tmp_path, service.url, environment="Production") as store:
        bought = await store.buy()
        assert bought.startswith("3")
        await service.until_count(1)
        told, transaction, _ = store.read(service.payloads[0], production=True)
        assert told.data is not None
        assert told.data.appAppleId == 1_234_567_890
        assert transaction is not None
        assert transaction.rawEnvironment == "Production"


async def test_judge_with_online_checks_is_content(store: AppStoreDesk, service: Service) -> None:
    """The library asks the sandbox's own OCSP; where that fails it wants to ask again."""
    await store.buy()
    await service.until_count(1)
    payload = service.payloads[0]
    judge = store.judge(online=True)
    await store.ask(judge.verify_and_decode_notification, payload)
    await store.control("faults", {"kind": "status", "status": 503, "path": "/ocsp"})
    with pytest.raises(Exception, match="RETRYABLE_VERIFICATION_FAILURE"):
        await store.ask(store.judge(online=True).verify_and_decode_notification, payload)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("subscriptions", {}, "product is missing"),
        ("subscriptions", {"product": "none"}, "No such product"),
        ("subscriptions", {"product": "premium_monthly", "offer": "none"}, "has no offer"),
        ("subscriptions", {"product": "premium_monthly", "environment": "Xcode"}, "environment"),
        ("subscriptions", {"product": "premium_monthly", "app_account_token": "me"}, "UUID"),
        ("subscriptions", {"product": "premium_monthly", "colour": "red"}, "Unknown member"),
        ("subscriptions/1/cancel", {}, "No such subscription"),
        ("subscriptions/1/dance", {}, "Unknown action dance"),
        ("settings", {"mode": "sideways"}, "mode must be one of"),
        ("settings", {"environment": "Xcode"}, "environment must be"),
        ("settings", {"early_renewal_seconds": 90_000}, "early_renewal_seconds"),
        ("settings", {"retry_hours": [0]}, "retry_hours"),
        ("settings", {"delay_seconds": -1}, "delay_seconds"),
        ("products", {"id": "x"}, "no product"),
        ("products", {"id": "premium_monthly", "period": "P0M"}, "no period"),
        ("notifications", {}, "type is missing"),
        ("notifications/release", {"order": "sideways"}, "order must be"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    path: str, body: dict[str, Any], reason: str, quiet: AppStoreDesk
) -> None:
    """With a reason, and without a trace."""
    status, answer = await quiet.try_control(f"app-store/{path}", body)
    assert status in (400, 404)
    assert reason in answer["error"]["message"]
    assert await quiet.told() == []


async def test_offers_of_a_new_product_can_be_bought(quiet: AppStoreDesk) -> None:
    """Products are made with their offers by kind and mode."""
    offer = {"id": "gift", "kind": "code", "mode": "PAY_UP_FRONT", "period": "P1W", "price": 500}
    await quiet.control("app-store/products", {**TWIN, "offers": [offer]})
    bought = await quiet.buy("premium_twin", offer="gift")
    found = await quiet.control(f"app-store/subscriptions/{bought}", verb="GET")
    assert (found["offer"], found["price"]) == ("gift", 500)


async def test_about_says_what_a_service_is_set_up_with(quiet: AppStoreDesk) -> None:
    """Names of the key, and no key."""
    about = await quiet.control("app-store", verb="GET")
    assert about["key_id"] == "BOXOFFICE1"
    assert about["issuer_id"] == "b0c0ff1c-e5a4-4d0b-8000-5a4db0c0ff1c"
    assert "service_key" not in about["settings"]
