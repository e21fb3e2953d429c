"""Apple's own client of the App Store Server API, for one app on one server.

Imported where it is first needed, in a thread, as judge.py is.
https://developer.apple.com/documentation/appstoreserverapi
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import requests
from appstoreserverlibrary.api_client import (
    APIError,
    APIException,
    AppStoreServerAPIClient,
    GetTransactionHistoryVersion,
)
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.TransactionHistoryRequest import (
    Order,
    ProductType,
    TransactionHistoryRequest,
)

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.vendors.app_store.answers import (
    Credentials,
    Page,
    Status,
    not_found,
    refused,
    unavailable,
)
from boxoffice_server.vendors.app_store.recipients import Recipient

T = TypeVar("T")

_RATE_LIMITED: Final = 429
_SERVER_FAULT: Final = 500
_UNAUTHORISED: Final = 401
_UNKNOWN: Final = frozenset(
    {
        APIError.ACCOUNT_NOT_FOUND,
        APIError.ORIGINAL_TRANSACTION_ID_NOT_FOUND,
        APIError.TRANSACTION_ID_NOT_FOUND,
        APIError.INVALID_TRANSACTION_ID,
        APIError.INVALID_ORIGINAL_TRANSACTION_ID,
    }
)
_RETRYABLE: Final = frozenset(
    {
        APIError.ACCOUNT_NOT_FOUND_RETRYABLE,
        APIError.APP_NOT_FOUND_RETRYABLE,
        APIError.ORIGINAL_TRANSACTION_ID_NOT_FOUND_RETRYABLE,
    }
)


class Connection(AppStoreServerAPIClient):
    """The library's client, at an address and with a patience of ours.

    Its tokens are made anew for each request and hold for five minutes.
    """

    def __init__(
        self, credentials: Credentials, recipient: Recipient, *, base: str, patience: timedelta
    ) -> None:
        super().__init__(
            credentials.private_key(),
            credentials.key_id,
            credentials.issuer_id,
            recipient.app.bundle_id,
            Environment(recipient.environment),
        )
        # Where it is empty the library knows Apple's own.
        self._base_url = base or self._base_url
        self._patience = patience.total_seconds()

    def _execute_request(  # noqa: PLR0917 -- as the library calls it
        self,
        method: str,
        url: str,
        params: Any,  # noqa: ANN401 -- as the library has it
        headers: dict[str, str],
        json: dict[str, Any] | None,
        data: bytes | None,
    ) -> requests.Response:
        """Send a request. A redirect is none that Apple makes, and would take the token along."""
        return requests.request(
            method,
            url,
            params=params,
            headers=headers,
            json=json,
            data=data,
            timeout=self._patience,
            allow_redirects=False,
        )

    def transaction(self, transaction_id: str) -> str:
        """Read one transaction, signed."""
        answer = _asked(lambda: self.get_transaction_info(transaction_id))
        return _signed(answer.signedTransactionInfo)

    def statuses(self, transaction_id: str) -> list[Status]:
        """Read how all subscriptions of a transaction's customer stand, signed."""
        answer = _asked(lambda: self.get_all_subscription_statuses(transaction_id))
        return [
            Status(
                number=each.rawStatus,
                transaction=_signed(each.signedTransactionInfo),
                renewal=each.signedRenewalInfo,
            )
            for group in answer.data or []
            for each in group.lastTransactions or []
        ]

    def history(self, transaction_id: str, after: str | None) -> Page:
        """Read a page of the signed transactions of a transaction's customer, oldest first."""
        wanted = TransactionHistoryRequest(
            sort=Order.ASCENDING, productTypes=[ProductType.AUTO_RENEWABLE]
        )
        version = GetTransactionHistoryVersion.V2
        answer = _asked(
            lambda: self.get_transaction_history(transaction_id, after, wanted, version),
        )
        return _page(answer.signedTransactions, answer.revision, has_more=answer.hasMore)

    def notifications(
        self, since: datetime, until: datetime, *, only_failures: bool, after: str | None
    ) -> Page:
        """Read a page of the notifications that were sent between two times, signed."""
        wanted = NotificationHistoryRequest(
            startDate=_milliseconds(since),
            endDate=_milliseconds(until),
            onlyFailures=only_failures or None,
        )
        answer = _asked(lambda: self.get_notification_history(after, wanted))
        items = [each.signedPayload for each in answer.notificationHistory or []]
        return _page(items, answer.paginationToken, has_more=answer.hasMore)

    def request_test(self) -> str:
        """Have a test notification sent; answers the token under which Apple tells of it."""
        return _signed(_asked(self.request_test_notification).testNotificationToken)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except requests.RequestException as error:
        raise unavailable("the App Store can't be reached") from error
    except APIException as error:
        raise _refusal(error) from error
    except Exception as error:
        # Neither an answer nor an error of Apple's: no JSON, or of a shape that its models refuse.
        raise unavailable("the App Store's answer can't be read") from error


def _refusal(error: APIException) -> BoxofficeError:
    """Say what an error of Apple's means.

    https://developer.apple.com/documentation/appstoreserverapi/error-codes
    """
    code = str(error.raw_api_error or error.http_status_code)
    if error.api_error in _UNKNOWN:
        return not_found()
    if (
        error.api_error in _RETRYABLE
        or error.http_status_code in {_RATE_LIMITED, _UNAUTHORISED}
        or error.http_status_code >= _SERVER_FAULT
    ):
        return unavailable("the App Store has no answer now", vendor_code=code)
    return refused(error.error_message or "no reason given", vendor_code=code)


def _page(items: Sequence[str | None] | None, after: str | None, *, has_more: bool | None) -> Page:
    signed = tuple(_signed(each) for each in items or [])
    if has_more and not after:
        raise unavailable("the App Store's answer can't be read")
    return Page(signed=signed, after=after if has_more else None)


def _signed(text: str | None) -> str:
    if not text:
        raise unavailable("the App Store's answer can't be read")
    return text


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
