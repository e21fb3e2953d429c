"""What the App Store signs, read from the verified JSON itself.

The library's objects drop fields that they don't know. The meaning of each field is Apple's:
https://developer.apple.com/documentation/appstoreserverapi/jwstransactiondecodedpayload and
https://developer.apple.com/documentation/appstoreserverapi/jwsrenewalinfodecodedpayload.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from boxoffice_server.domain.signals import Period
from boxoffice_server.domain.subscription import Base, Environment
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError

SUBSCRIPTION_TYPE: Final = "Auto-Renewable Subscription"
FAMILY_SHARED: Final = "FAMILY_SHARED"
FAMILY_REVOKE: Final = "FAMILY_REVOKE"

ENVIRONMENTS: Final[Mapping[str, Environment]] = {
    "Production": Environment.PRODUCTION,
    "Sandbox": Environment.SANDBOX,
}
"""Apple's environments that are ever believed: in all others nothing is signed by Apple."""

_INTRODUCTORY_OFFER: Final = 1
_PROMOTIONS: Final = frozenset({2, 3, 4})
_ONE_TIME: Final = "ONE_TIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of an auto-renewable subscription: one period of it.

    `id` changes when the same purchase is restored on another device; the period's key does not.
    `account_token` is in lower case and empty where the app passed none. `previous_lineage` is
    what Apple's migration to another lineage names.
    """

    id: str
    lineage: str
    app: str
    environment: str
    period: Period
    original_purchase_time: datetime
    sign_time: datetime | None
    account_token: str
    is_upgraded: bool
    is_family_shared: bool
    revocation_time: datetime | None
    revocation_reason: int | None
    revocation_type: str
    previous_lineage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What is to become of a subscription when its period ends. None and empty: not said."""

    lineage: str
    environment: str
    product: str
    next_product: str
    auto_renew: bool | None
    expiration_intent: int | None
    grace_until: datetime | None
    is_in_retry: bool
    price_increase: int | None
    renewal_time: datetime | None
    sign_time: datetime | None


def is_subscription(transaction: JsonObject) -> bool:
    """Tell whether a transaction is a period of a subscription that renews by itself."""
    return (
        transaction.text("type") == SUBSCRIPTION_TYPE
        and transaction.text("offerDiscountType") != _ONE_TIME
    )


def read_transaction(told: JsonObject) -> Transaction:
    """Read a transaction of a subscription."""
    return Transaction(
        id=told.identifier("transactionId"),
        lineage=told.identifier("originalTransactionId"),
        app=told.identifier("bundleId"),
        environment=told.text("environment"),
        period=_period(told),
        original_purchase_time=told.milliseconds("originalPurchaseDate"),
        sign_time=told.milliseconds_if_any("signedDate"),
        account_token=told.text("appAccountToken").lower(),
        is_upgraded=told.flag_if_any("isUpgraded") is True,
        is_family_shared=told.text("inAppOwnershipType") == FAMILY_SHARED,
        revocation_time=told.milliseconds_if_any("revocationDate"),
        revocation_reason=told.count("revocationReason"),
        revocation_type=told.text("revocationType"),
        previous_lineage=told.text("previousOriginalTransactionId"),
    )


def read_renewal(told: JsonObject) -> Renewal:
    """Read a renewal info."""
    auto_renew = told.count("autoRenewStatus")
    return Renewal(
        lineage=told.identifier("originalTransactionId"),
        environment=told.text("environment"),
        product=told.text("productId"),
        next_product=told.text("autoRenewProductId"),
        auto_renew=None if auto_renew is None else auto_renew == 1,
        expiration_intent=told.count("expirationIntent"),
        grace_until=told.milliseconds_if_any("gracePeriodExpiresDate"),
        is_in_retry=told.flag_if_any("isInBillingRetryPeriod") is True,
        price_increase=told.count("priceIncreaseStatus"),
        renewal_time=told.milliseconds_if_any("renewalDate"),
        sign_time=told.milliseconds_if_any("signedDate"),
    )


def _period(told: JsonObject) -> Period:
    base, reference = _base(told)
    start, end = told.milliseconds("purchaseDate"), told.milliseconds("expiresDate")
    if end < start:
        raise MalformedObjectError("expiresDate is before purchaseDate")
    return Period(
        # What was bought once has one, however often it is restored; where there is none, the
        # transaction's own id is all that there is.
        key=told.text("webOrderLineItemId") or told.identifier("transactionId"),
        product=told.identifier("productId"),
        start_time=start,
        expire_time=end,
        base=base,
        promotion_reference=reference,
    )


def _base(told: JsonObject) -> tuple[Base, str]:
    """Tell how a period was bought, and by which promotion.

    The kind of offer goes before how it is paid: a code for a free month is a promotion, for only
    promotions say which one they were.
    """
    offer, reference = told.count("offerType"), told.text("offerIdentifier")
    if offer is None:
        return Base.PAID, ""
    if offer == _INTRODUCTORY_OFFER:
        return _introductory(told), ""
    if offer in _PROMOTIONS:
        return Base.PROMOTION, reference
    return Base.PROMOTION, reference or f"unknown:{offer}"


def _introductory(told: JsonObject) -> Base:
    discount = told.text("offerDiscountType")
    # Transactions from before version 1.10 of the API don't say how an offer is paid.
    is_free = discount == "FREE_TRIAL" or (not discount and told.count("price") == 0)
    return Base.TRIAL if is_free else Base.INTRODUCTORY
