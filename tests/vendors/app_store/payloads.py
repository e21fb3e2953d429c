"""What the App Store signs, as plain JSON: one subscription of January 2025."""

from collections.abc import Mapping
from datetime import UTC, datetime

from boxoffice_server.domain.facts import FactKind, SubscriptionFact
from boxoffice_server.vendors.app_store.facts import (
    Signed,
    notification_fact,
    transaction_fact,
)
from boxoffice_server.vendors.json_object import JsonObject

BUNDLE = "com.example.boxoffice"
LINEAGE = "2000000100000001"
PRODUCT = "com.example.pro.monthly"
OTHER_PRODUCT = "com.example.pro.yearly"
PERIOD_KEY = "2000000900000001"
UUID = "2c4b8e2a-0b0a-4a0e-9d6f-1a2b3c4d5e6f"

JANUARY_1 = datetime(2025, 1, 1, tzinfo=UTC)
JANUARY_10 = datetime(2025, 1, 10, 12, 0, 0, 123000, tzinfo=UTC)
FEBRUARY_1 = datetime(2025, 2, 1, tzinfo=UTC)
FEBRUARY_7 = datetime(2025, 2, 7, tzinfo=UTC)
RECORDED = datetime(2025, 3, 1, tzinfo=UTC)

Json = Mapping[str, object]


def ms(time: datetime) -> int:
    """A time as Apple writes it."""
    return round(time.timestamp() * 1000)


def transaction(**fields: object) -> dict[str, object]:
    """A transaction; fields that are None are left out."""
    told: dict[str, object] = {
        "transactionId": "2000000100000007",
        "originalTransactionId": LINEAGE,
        "webOrderLineItemId": PERIOD_KEY,
        "bundleId": BUNDLE,
        "productId": PRODUCT,
        "subscriptionGroupIdentifier": "21000001",
        "purchaseDate": ms(JANUARY_1),
        "originalPurchaseDate": ms(JANUARY_1),
        "expiresDate": ms(FEBRUARY_1),
        "quantity": 1,
        "type": "Auto-Renewable Subscription",
        "inAppOwnershipType": "PURCHASED",
        "signedDate": ms(JANUARY_10),
        "environment": "Sandbox",
        "transactionReason": "PURCHASE",
        "storefront": "BEL",
        "storefrontId": "143446",
        "price": 9990,
        "currency": "EUR",
    }
    return without_none(told | fields)


def renewal(**fields: object) -> dict[str, object]:
    """A renewal info; fields that are None are left out."""
    told: dict[str, object] = {
        "originalTransactionId": LINEAGE,
        "autoRenewProductId": PRODUCT,
        "productId": PRODUCT,
        "autoRenewStatus": 1,
        "renewalDate": ms(FEBRUARY_1),
        "signedDate": ms(JANUARY_10),
        "environment": "Sandbox",
    }
    return without_none(told | fields)


def notification(type_: str, subtype: str = "", **fields: object) -> dict[str, object]:
    """The outer payload of a notification, without what is signed inside it."""
    told: dict[str, object] = {
        "notificationType": type_,
        "subtype": subtype or None,
        "notificationUUID": UUID,
        "version": "2.0",
        "signedDate": ms(JANUARY_10),
        "data": {"bundleId": BUNDLE, "bundleVersion": "1", "environment": "Sandbox", "status": 1},
    }
    return without_none(told | fields)


def without_none(told: dict[str, object]) -> dict[str, object]:
    """Leave out what is None."""
    return {name: value for name, value in told.items() if value is not None}


def told_fact(
    type_: str,
    subtype: str = "",
    *,
    tx: Json | None = None,
    ri: Json | None = None,
    signed: datetime = JANUARY_10,
) -> SubscriptionFact:
    """The fact of a notification with these fields of its transaction and renewal info changed."""
    fact = notification_fact(
        JsonObject(notification(type_, subtype, signedDate=ms(signed))),
        Signed(transaction=transaction(**(tx or {})), renewal=renewal(**(ri or {})), status=1),
        notification_id="ntf_1",
        record_time=RECORDED,
    )
    assert fact is not None
    return fact


def read_fact(
    *, tx: Json | None = None, ri: Json | None = None, kind: FactKind = FactKind.READ
) -> SubscriptionFact:
    """The fact of a transaction that was read, with a renewal info if one is given."""
    fact = transaction_fact(
        Signed(
            transaction=transaction(**(tx or {})),
            renewal=None if ri is None else renewal(**ri),
        ),
        kind=kind,
        record_time=RECORDED,
    )
    assert fact is not None
    return fact
