"""The App Store Server API, asked by Apple's own client."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from appstoreserverlibrary.api_client import (
    APIError,
    APIException,
    GetTransactionHistoryVersion,
)
from appstoreserverlibrary.models.ConsumptionRequest import ConsumptionRequest
from appstoreserverlibrary.models.DeliveryStatus import DeliveryStatus
from appstoreserverlibrary.models.ExtendReasonCode import ExtendReasonCode
from appstoreserverlibrary.models.ExtendRenewalDateRequest import ExtendRenewalDateRequest
from appstoreserverlibrary.models.InAppOwnershipType import InAppOwnershipType
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2
from appstoreserverlibrary.models.SendAttemptResult import SendAttemptResult
from appstoreserverlibrary.models.Status import Status
from appstoreserverlibrary.models.TransactionHistoryRequest import (
    Order,
    ProductType,
    TransactionHistoryRequest,
)
from appstoreserverlibrary.models.UpdateAppAccountTokenRequest import UpdateAppAccountTokenRequest
from appstoreserverlibrary.receipt_utility import ReceiptUtility

from boxoffice_sandbox.app_store import trust
from boxoffice_sandbox.app_store.auth import ISSUER_ID, KEY_ID
from tests.sandbox.app_store.harness import (
    BUNDLE,
    DAY,
    START_MS,
    TOKEN,
    AppStoreDesk,
    Client,
    Service,
)

V2 = GetTransactionHistoryVersion.V2


async def refusal(store: AppStoreDesk, call: Callable[..., Any], *words: Any) -> APIException:  # noqa: ANN401
    """What Apple's client raises."""
    with pytest.raises(APIException) as refused:
        await store.ask(call, *words)
    return refused.value


async def test_statuses_are_of_all_that_a_customer_has(quiet: AppStoreDesk) -> None:
    """Asked by any transaction of any of their lineages."""
    first = await quiet.buy(app_account_token=TOKEN)
    await quiet.act(first, "fail")
    second = (await quiet.act(first, "resubscribe"))["id"]
    renewed = (await quiet.act(second, "renew"))["object"]["transaction_ids"][-1]
    await quiet.buy()
    for name in (first, second, renewed):
        answer = await quiet.ask(quiet.client.get_all_subscription_statuses, name)
        assert (answer.bundleId, answer.rawEnvironment) == (BUNDLE, "Sandbox")
        assert answer.data is not None
        (group,) = answer.data
        found = group.lastTransactions or []
        assert [(it.originalTransactionId, it.status) for it in found] == [
            (first, Status.BILLING_RETRY),
            (second, Status.ACTIVE),
        ]
        judge = quiet.judge()
        latest = judge.verify_and_decode_signed_transaction(found[1].signedTransactionInfo or "")
        assert (latest.transactionId, latest.appAccountToken) == (renewed, TOKEN)
        renewal = judge.verify_and_decode_renewal_info(found[1].signedRenewalInfo or "")
        assert renewal.originalTransactionId == second
    filtered = await quiet.ask(
        quiet.client.get_all_subscription_statuses, first, [Status.ACTIVE, Status.EXPIRED]
    )
    assert filtered.data is not None
    assert len(filtered.data[0].lastTransactions or []) == 1


async def test_transaction_is_told_as_it_is_now(quiet: AppStoreDesk) -> None:
    """Not as it was when it was sold."""
    bought = await quiet.buy()
    await quiet.act(bought, "refund", reason=1)
    answer = await quiet.ask(quiet.client.get_transaction_info, bought)
    judge = quiet.judge()
    found = judge.verify_and_decode_signed_transaction(answer.signedTransactionInfo or "")
    assert found.rawRevocationReason == 1


async def test_history_pages_by_when_transactions_changed(quiet: AppStoreDesk) -> None:
    """Twenty at a time; what changes later comes last, and the revision goes on from there."""
    bought = await quiet.buy()
    await quiet.advance(365 * 2 * DAY)
    ask = quiet.client.get_transaction_history
    names: list[str] = []
    revision, more = None, True
    while more:
        page = await quiet.ask(ask, bought, revision, TransactionHistoryRequest(), V2)
        names += _ids(quiet, page.signedTransactions)
        revision, more = page.revision, bool(page.hasMore)
        assert len(page.signedTransactions or []) == (20 if more else len(names) - 20)
    summary = await quiet.control(f"app-store/subscriptions/{bought}", verb="GET")
    assert names == summary["transaction_ids"]
    assert len(names) == 24
    await quiet.act(bought, "refund", transaction=names[3])
    page = await quiet.ask(ask, bought, revision, TransactionHistoryRequest(), V2)
    assert _ids(quiet, page.signedTransactions) == [names[3]]
    assert not page.hasMore
    newest = TransactionHistoryRequest(sort=Order.DESCENDING)
    page = await quiet.ask(ask, bought, None, newest, V2)
    assert _ids(quiet, page.signedTransactions)[:2] == [names[3], names[-1]]
    page = await quiet.ask(ask, bought, page.revision, newest, V2)
    assert len(page.signedTransactions or []) == 4


def _ids(store: AppStoreDesk, signed: list[str] | None) -> list[str]:
    judge = store.judge()
    found = [judge.verify_and_decode_signed_transaction(it) for it in signed or []]
    return [str(it.transactionId) for it in found]


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (TransactionHistoryRequest(revoked=True), 1),
        (TransactionHistoryRequest(revoked=False), 2),
        (TransactionHistoryRequest(productIds=["premium_monthly"]), 1),
        (TransactionHistoryRequest(productTypes=[ProductType.CONSUMABLE]), 0),
        (TransactionHistoryRequest(productTypes=[ProductType.AUTO_RENEWABLE]), 3),
        (TransactionHistoryRequest(inAppOwnershipType=InAppOwnershipType.FAMILY_SHARED), 0),
        (TransactionHistoryRequest(subscriptionGroupIdentifiers=["1"]), 0),
        (TransactionHistoryRequest(startDate=START_MS + DAY * 1000), 1),
        (TransactionHistoryRequest(endDate=START_MS + DAY * 1000), 2),
    ],
)
async def test_history_is_filtered(
    asked: TransactionHistoryRequest, count: int, quiet: AppStoreDesk
) -> None:
    """By what Apple filters by."""
    bought = await quiet.buy("essential_monthly")
    await quiet.act(bought, "change", product="premium_monthly")
    await quiet.act(bought, "refund", transaction=bought)
    await quiet.act(bought, "change", product="essential_monthly")
    await quiet.act(bought, "renew")
    page = await quiet.ask(quiet.client.get_transaction_history, bought, None, asked, V2)
    assert len(page.signedTransactions or []) == count


async def test_notification_history_pages_and_filters(
    store: AppStoreDesk, service: Service
) -> None:
    """As they were when they were sent, with the attempts to send them."""
    bought = await store.buy()
    other = await store.buy()
    for _ in range(10):
        await store.act(bought, "cancel")
        await store.act(bought, "enable")
    await service.until_count(22)
    await store.settings(mode="lose")
    await store.act(other, "refund")
    ask = store.client.get_notification_history
    asked = NotificationHistoryRequest(startDate=START_MS - DAY * 1000, endDate=START_MS + 10_000)
    first = await store.ask(ask, None, asked)
    assert len(first.notificationHistory or []) == 20
    assert first.hasMore
    second = await store.ask(ask, first.paginationToken, asked)
    items = [*(first.notificationHistory or []), *(second.notificationHistory or [])]
    assert not second.hasMore
    assert len(items) == 23
    assert [it.signedPayload for it in items[:22]] == service.payloads
    sends = items[0].sendAttempts or []
    assert [it.sendAttemptResult for it in sends] == [SendAttemptResult.SUCCESS]
    for filters, count in (
        ({"transactionId": other}, 2),
        ({"notificationType": NotificationTypeV2.SUBSCRIBED}, 2),
        ({"onlyFailures": True}, 1),
    ):
        narrowed = NotificationHistoryRequest(
            startDate=asked.startDate, endDate=asked.endDate, **filters
        )
        page = await store.ask(ask, None, narrowed)
        assert len(page.notificationHistory or []) == count, filters
    (lost,) = page.notificationHistory or []
    told, _, _ = store.read(lost.signedPayload or "")
    assert told.notificationType is NotificationTypeV2.REFUND


async def test_test_notification_is_requested_and_followed(
    store: AppStoreDesk, service: Service
) -> None:
    """By its token."""
    answer = await store.ask(store.client.request_test_notification)
    await service.until_count(1)
    token = answer.testNotificationToken
    result = None
    while result is not SendAttemptResult.SUCCESS:
        status = await store.ask(store.client.get_test_notification_status, token)
        result = status.sendAttempts[0].sendAttemptResult if status.sendAttempts else None
    assert status.signedPayload == service.payloads[0]


async def test_consumption_is_taken(quiet: AppStoreDesk) -> None:
    """And kept for tests to see."""
    bought = await quiet.buy()
    await quiet.act(bought, "consumption", reason="UNSATISFIED_WITH_PURCHASE")
    said = ConsumptionRequest(
        customerConsented=True,
        sampleContentProvided=False,
        deliveryStatus=DeliveryStatus.DELIVERED,
    )
    await quiet.ask(quiet.client.send_consumption_information, bought, said)
    kept = (await quiet.control("app-store/consumption", verb="GET"))["consumption"]
    assert kept[0]["transaction_id"] == bought
    assert kept[0]["deliveryStatus"] == "DELIVERED"
    said.customerConsented = False
    refused = await refusal(quiet, quiet.client.send_consumption_information, bought, said)
    assert refused.api_error is APIError.INVALID_CUSTOMER_CONSENTED


async def test_renewal_date_is_extended(store: AppStoreDesk, service: Service) -> None:
    """And told."""
    bought = await store.buy()
    asked = ExtendRenewalDateRequest(
        extendByDays=10,
        extendReasonCode=ExtendReasonCode.CUSTOMER_SATISFACTION,
        requestIdentifier="r-1",
    )
    extend = store.client.extend_subscription_renewal_date
    answer = await store.ask(extend, bought, asked)
    assert answer.success
    await service.until_count(2)
    told, sold, renewal = store.read(service.payloads[1])
    assert told.notificationType is NotificationTypeV2.RENEWAL_EXTENDED
    assert sold is not None
    assert renewal is not None
    assert renewal.renewalDate == answer.effectiveDate
    assert answer.effectiveDate == (sold.expiresDate or 0) + 10 * DAY * 1000
    for changes, error in (
        ({"extendByDays": 91}, APIError.INVALID_EXTEND_BY_DAYS),
        ({"extendReasonCode": None}, APIError.INVALID_EXTEND_REASON_CODE),
        ({"requestIdentifier": ""}, APIError.INVALID_REQUEST_IDENTIFIER),
    ):
        fields: dict[str, Any] = {
            "extendByDays": 1,
            "extendReasonCode": ExtendReasonCode.OTHER,
            "requestIdentifier": "r-2",
            **changes,
        }
        refused = await refusal(store, extend, bought, ExtendRenewalDateRequest(**fields))
        assert refused.api_error is error
    await store.act(bought, "refund")
    refused = await refusal(store, extend, bought, asked)
    assert refused.api_error is APIError.SUBSCRIPTION_EXTENSION_INELIGIBLE


async def test_account_token_can_be_set_later(quiet: AppStoreDesk) -> None:
    """All of the lineage's transactions carry it then."""
    bought = await quiet.buy()
    await quiet.ask(
        quiet.client.set_app_account_token,
        bought,
        UpdateAppAccountTokenRequest(appAccountToken=TOKEN),
    )
    answer = await quiet.ask(quiet.client.get_transaction_info, bought)
    judge = quiet.judge()
    found = judge.verify_and_decode_signed_transaction(answer.signedTransactionInfo or "")
    assert found.appAccountToken == TOKEN


async def test_unknown_and_malformed_ids_are_refused_in_apples_words(quiet: AppStoreDesk) -> None:
    """Each with its number."""
    client = quiet.client
    nothing = TransactionHistoryRequest()
    asked = NotificationHistoryRequest(startDate=START_MS, endDate=START_MS + 1)
    for call, words, error in (
        (client.get_transaction_info, ("1",), APIError.TRANSACTION_ID_NOT_FOUND),
        (client.get_transaction_info, ("x",), APIError.INVALID_TRANSACTION_ID),
        (client.get_all_subscription_statuses, ("1",), APIError.TRANSACTION_ID_NOT_FOUND),
        (
            client.get_transaction_history,
            ("1", None, nothing, V2),
            APIError.TRANSACTION_ID_NOT_FOUND,
        ),
        (
            client.get_test_notification_status,
            ("none",),
            APIError.TEST_NOTIFICATION_NOT_FOUND,
        ),
        (client.request_test_notification, (), APIError.SERVER_NOTIFICATION_URL_NOT_FOUND),
        (client.get_notification_history, ("x", asked), APIError.INVALID_PAGINATION_TOKEN),
        (
            client.get_notification_history,
            (None, NotificationHistoryRequest(startDate=2, endDate=1)),
            APIError.START_DATE_AFTER_END_DATE,
        ),
        (
            client.get_notification_history,
            (None, NotificationHistoryRequest(startDate=1, endDate=2)),
            APIError.START_DATE_TOO_FAR_IN_PAST,
        ),
        (
            client.get_notification_history,
            (None, NotificationHistoryRequest(endDate=2)),
            APIError.INVALID_START_DATE,
        ),
        (
            client.extend_subscription_renewal_date,
            ("1", ExtendRenewalDateRequest()),
            APIError.ORIGINAL_TRANSACTION_ID_NOT_FOUND,
        ),
    ):
        refused = await refusal(quiet, call, *words)
        assert refused.api_error is error, (call, refused.error_message)
    bought = await quiet.buy()
    bad = TransactionHistoryRequest(startDate=2, endDate=1)
    refused = await refusal(quiet, client.get_transaction_history, bought, None, bad, V2)
    assert refused.api_error is APIError.START_DATE_AFTER_END_DATE
    refused = await refusal(quiet, client.get_transaction_history, bought, "?", nothing, V2)
    assert refused.api_error is APIError.INVALID_REQUEST_REVISION


async def test_environments_are_apart(quiet: AppStoreDesk) -> None:
    """What was bought in production isn't there for the sandbox, and the other way round."""
    sold = await quiet.buy(environment="Production")
    refused = await refusal(quiet, quiet.client.get_transaction_info, sold)
    assert refused.api_error is APIError.TRANSACTION_ID_NOT_FOUND
    await quiet.settings(environment="Production")
    answer = await quiet.ask(quiet.client.get_all_subscription_statuses, sold)
    assert (answer.rawEnvironment, answer.appAppleId) == ("Production", 1_234_567_890)


@pytest.mark.parametrize(
    "other",
    [
        {"key_id": "OTHER"},
        {"issuer_id": "other"},
        {"bundle_id": "com.example.other"},
        {"key": "other"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_token_must_be_good(other: dict[str, str], quiet: AppStoreDesk) -> None:
    """Key id, issuer, app and signature."""
    key = trust.new_private_key().encode() if "key" in other else quiet.key
    names = {name: value for name, value in other.items() if name != "key"}
    client = Client(quiet.address, key, **names)
    refused = await refusal(quiet, client.get_transaction_info, "1")
    assert (refused.http_status_code, refused.api_error) == (401, None)


@pytest.mark.parametrize(
    ("audience", "lifetime"),
    [("other", 60), ("appstoreconnect-v1", -60), ("appstoreconnect-v1", 4000)],
)
async def test_token_has_its_audience_and_a_short_life(
    audience: str, lifetime: int, quiet: AppStoreDesk
) -> None:
    """At most an hour, and not over."""
    claims = {"iss": ISSUER_ID, "bid": BUNDLE, "aud": audience, "exp": time.time() + lifetime}
    token = jwt.encode(claims, quiet.key.decode(), algorithm="ES256", headers={"kid": KEY_ID})
    url = f"http://{quiet.address}/app-store/inApps/v1/transactions/1"
    headers = {"Authorization": f"Bearer {token}"}
    answer = await asyncio.to_thread(requests.get, url, headers=headers, timeout=10)
    assert answer.status_code == 401


async def test_faults_strike_in_apples_words(quiet: AppStoreDesk) -> None:
    """A limit says when to come back; then it works again."""
    bought = await quiet.buy()
    ask = quiet.client.get_transaction_info
    path = "/inApps/v1/transactions"
    for status, error in ((429, APIError.RATE_LIMIT_EXCEEDED), (500, APIError.GENERAL_INTERNAL)):
        await quiet.control("faults", {"kind": "status", "status": status, "path": path})
        refused = await refusal(quiet, ask, bought)
        assert (refused.http_status_code, refused.api_error) == (status, error)
    for status in (401, 503):
        await quiet.control("faults", {"kind": "status", "status": status, "path": path})
        assert (await refusal(quiet, ask, bought)).http_status_code == status
    for kind in ("reset_before", "reset_after", "truncate"):
        await quiet.control("faults", {"kind": kind, "path": path})
        with pytest.raises(requests.exceptions.RequestException):
            await quiet.ask(ask, bought)
    for kind in ("latency", "late"):
        await quiet.control("faults", {"kind": kind, "seconds": 0.05, "path": path})
        begun = time.monotonic()
        assert (await quiet.ask(ask, bought)).signedTransactionInfo
        assert time.monotonic() - begun >= 0.05


async def test_fault_after_the_work_leaves_it_done(quiet: AppStoreDesk) -> None:
    """The caller is told of an error, and the date was moved all the same."""
    bought = await quiet.buy()
    asked = ExtendRenewalDateRequest(
        extendByDays=1, extendReasonCode=ExtendReasonCode.OTHER, requestIdentifier="r"
    )
    await quiet.control(
        "faults", {"kind": "status", "processed": True, "path": "/inApps/v1/subscriptions/extend"}
    )
    extend = quiet.client.extend_subscription_renewal_date
    assert (await refusal(quiet, extend, bought, asked)).http_status_code == 500
    assert await quiet.told() == ["SUBSCRIBED/INITIAL_BUY", "RENEWAL_EXTENDED"]


async def test_proof_leads_to_the_transaction(quiet: AppStoreDesk) -> None:
    """By its JWS, its id, or the receipt of an old app, which Apple's library reads."""
    bought = await quiet.buy(app_account_token=TOKEN)
    renewed = (await quiet.act(bought, "renew"))["object"]["transaction_ids"][-1]
    proof = await quiet.control(f"app-store/subscriptions/{bought}/proof", verb="GET")
    assert (proof["transaction_id"], proof["original_transaction_id"]) == (renewed, bought)
    judge = quiet.judge()
    signed = judge.verify_and_decode_signed_transaction(proof["signed_transaction"])
    assert (signed.transactionId, signed.appAccountToken) == (renewed, TOKEN)
    read = ReceiptUtility().extract_transaction_id_from_app_receipt(proof["receipt"])
    assert read == renewed
