"""Purchases that a device hands in: a signed transaction, its id, or an old receipt.

Only what Apple has signed counts: ids and receipts are nothing but what to ask the App Store for.
"""

import re
from datetime import datetime
from typing import Final

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.ports import SubmittedPurchase
from boxoffice_server.vendors.app_store.answers import invalid
from boxoffice_server.vendors.app_store.client import AppStoreClient
from boxoffice_server.vendors.app_store.facts import Signed, transaction_fact
from boxoffice_server.vendors.app_store.online import in_thread
from boxoffice_server.vendors.app_store.verification import AppStoreVerification
from boxoffice_server.vendors.json_object import MalformedObjectError

# Apple's transaction ids are numbers of some 16 digits. One becomes part of a path.
_TRANSACTION_ID: Final = re.compile(r"[0-9]{1,32}")
_REFUSALS: Final = frozenset(
    {
        Reason.SIGNATURE_INVALID,
        Reason.TIMESTAMP_OUT_OF_TOLERANCE,
        Reason.NOTIFICATION_MALFORMED,
    }
)


class AppStoreSubmissions:
    """Reads purchases that are handed in."""

    def __init__(self, *, verification: AppStoreVerification, client: AppStoreClient) -> None:
        self._verification = verification
        self._client = client

    async def read(self, purchase: SubmittedPurchase, *, now: datetime) -> SubscriptionFact:
        if purchase.signed_transaction:
            fact = await self._signed(purchase.signed_transaction, now)
        elif purchase.receipt:
            found = await in_thread(lambda: _transaction_id(purchase.receipt))
            fact = await self._asked(found, now)
        else:
            fact = await self._asked(purchase.transaction_id, now)
        if fact is None:
            raise invalid("it is no subscription")
        return fact

    async def _signed(self, signed: str, now: datetime) -> SubscriptionFact | None:
        try:
            told = await self._verification.transaction(signed, now=now)
            return transaction_fact(
                Signed(transaction=told.fields), kind=FactKind.SUBMITTED, record_time=now
            )
        except MalformedObjectError as error:
            raise invalid(str(error)) from error
        except BoxofficeError as error:
            if error.reason not in _REFUSALS:
                raise
            raise invalid(error.message) from error

    async def _asked(self, transaction_id: str, now: datetime) -> SubscriptionFact | None:
        if not _TRANSACTION_ID.fullmatch(transaction_id):
            raise invalid("a transaction's id has only digits")
        return await self._client.transaction(transaction_id, now=now)


def _transaction_id(receipt: str) -> str:
    """Find a transaction in a receipt of an app, or in one of a purchase, which is older still."""
    from appstoreserverlibrary.receipt_utility import ReceiptUtility  # noqa: PLC0415

    utility = ReceiptUtility()
    for extract in (
        utility.extract_transaction_id_from_app_receipt,
        utility.extract_transaction_id_from_transaction_receipt,
    ):
        try:
            found = extract(receipt)
        except (ValueError, RecursionError):
            # Not of this kind. Base64 and UTF-8 that are none are ValueErrors too.
            continue
        if isinstance(found, str):
            return found
    raise invalid("the receipt holds no purchase")
