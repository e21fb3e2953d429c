"""The App Store Server API, asked by Apple's own client."""

from typing import Any

import pytest
from appstoreserverlibrary.api_client import (
    APIError,
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

from tests.sandbox.app_store.harness import (
    BUNDLE,
    DAY,
    START_MS,
    TOKEN,
    AppStoreDesk,
    Service,
    refusal,
)

V2 = GetTransactionHistoryVersion.V2


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
    await store.settings(mode="hold")
    await store.act(other, "reverse")
    page = await store.ask(ask, None, narrowed)
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
    refused = await refusal(
        quiet,
        quiet.client.set_app_account_token,
        bought,
        UpdateAppAccountTokenRequest(appAccountToken="me"),
    )
    assert refused.api_error is APIError.INVALID_APP_ACCOUNT_TOKEN_UUID_ERROR


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
