"""What the App Store Server API refuses, and how it fails on demand."""

import asyncio
import time

import jwt
import pytest
import requests
from appstoreserverlibrary.api_client import (
    APIError,
    GetTransactionHistoryVersion,
)
from appstoreserverlibrary.models.ExtendReasonCode import ExtendReasonCode
from appstoreserverlibrary.models.ExtendRenewalDateRequest import ExtendRenewalDateRequest
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.TransactionHistoryRequest import (
    TransactionHistoryRequest,
)

from boxoffice_sandbox.app_store import trust
from boxoffice_sandbox.app_store.auth import ISSUER_ID, KEY_ID
from tests.sandbox.app_store.harness import (
    BUNDLE,
    START_MS,
    AppStoreDesk,
    Client,
    refusal,
)

V2 = GetTransactionHistoryVersion.V2


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
