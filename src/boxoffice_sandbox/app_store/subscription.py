"""A subscription as Apple knows it, and the payloads that say what Apple says of it."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from boxoffice_sandbox.app_store.catalogue import Offer, OfferKind, OfferMode, Product

Json = dict[str, Any]

PRODUCTION = "Production"
SANDBOX = "Sandbox"
DAY = 86_400_000
RETRY_LIMIT = 60 * DAY
"""How long Apple tries to collect after a period ended, grace included."""


class Phase(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    GRACE = "grace"
    RETRY = "retry"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Intent(StrEnum):
    """Why a subscription ended, or fails to go on; Apple's `expirationIntent` is a number."""

    CANCELLED = "1"
    BILLING = "2"
    PRICE = "3"
    NOT_FOR_SALE = "4"


class Consent(StrEnum):
    """What the customer said to a higher price."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"


STATUSES = {
    Phase.ACTIVE: 1,
    Phase.EXPIRED: 2,
    Phase.RETRY: 3,
    Phase.GRACE: 4,
    Phase.REVOKED: 5,
}
"""Apple's `status`."""


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One period: Apple's own fields but the time of signing, and when they last changed."""

    fields: Json
    modified: int

    @property
    def id(self) -> str:
        """Apple's `transactionId`."""
        return str(self.fields["transactionId"])


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One original transaction and everything since. Times are in milliseconds."""

    id: str
    bundle_id: str
    environment: str
    app_transaction_id: str
    """Whose it is: one Apple account in one app."""
    product: str
    next_product: str
    renewal_at: int
    """When the current period ends."""
    day: int
    """The day of the month on which periods end."""
    started_at: int
    app_account_token: str | None = None
    family_of: str | None = None
    """The purchaser's subscription, where this is a family member's."""
    phase: Phase = Phase.ACTIVE
    auto_renew: bool = True
    intent: Intent | None = None
    grace_until: int | None = None
    fails: bool = False
    """Whether the next renewals can't be collected, and then how many days of grace there are."""
    grace_days: int = 0
    offer: str | None = None
    """The offer that the next period comes with, and how many periods it has left."""
    offer_left: int = 0
    own_price: int | None = None
    """What it costs where that is not the product's price."""
    new_price: int | None = None
    consent: Consent | None = None
    transactions: list[Transaction] = field(default_factory=list)

    @property
    def current(self) -> Transaction:
        """The current period, or the last."""
        return self.transactions[-1]

    @property
    def status(self) -> int:
        """Apple's `status`."""
        return STATUSES[self.phase]

    @property
    def is_family_shared(self) -> bool:
        """Whether somebody else of the family pays."""
        return self.family_of is not None

    def data(self) -> Json:
        """Return it as JSON that `subscription_from` reads."""
        return asdict(self)


def subscription_from(data: Json) -> Subscription:
    """Read what `data` wrote."""
    return Subscription(
        **{
            **data,
            "phase": Phase(data["phase"]),
            "intent": None if data["intent"] is None else Intent(data["intent"]),
            "consent": None if data["consent"] is None else Consent(data["consent"]),
            "transactions": [Transaction(**written) for written in data["transactions"]],
        }
    )


def read_token(text: str) -> str:
    """Return an app account token as Apple writes it; ValueError if it is no UUID."""
    return str(UUID(text))


def offer_fields(offer: Offer, product: Product) -> Json:
    """Return how a transaction or a renewal names its offer; an introductory one has no name."""
    period = product.period if offer.mode is OfferMode.PAY_AS_YOU_GO else offer.period
    named = {} if offer.kind is OfferKind.INTRODUCTORY else {"offerIdentifier": offer.id}
    return {
        "offerType": int(offer.kind),
        **named,
        "offerDiscountType": str(offer.mode),
        "offerPeriod": period,
    }


def renewal_info(found: Subscription, products: dict[str, Product]) -> Json:
    """Return Apple's JWSRenewalInfoDecodedPayload but for the time of signing."""
    following = products[found.next_product]
    renews = found.auto_renew and found.phase not in (Phase.EXPIRED, Phase.REVOKED)
    info: Json = {
        "originalTransactionId": found.id,
        "autoRenewProductId": found.next_product,
        "productId": found.product,
        "autoRenewStatus": int(renews),
        "environment": found.environment,
        "recentSubscriptionStartDate": found.started_at,
        "renewalDate": found.renewal_at,
        "appTransactionId": found.app_transaction_id,
        "isInBillingRetryPeriod": found.phase in (Phase.GRACE, Phase.RETRY),
    }
    if found.app_account_token is not None:
        info["appAccountToken"] = found.app_account_token
    if found.intent is not None:
        info["expirationIntent"] = int(found.intent)
    if found.grace_until is not None:
        info["gracePeriodExpiresDate"] = found.grace_until
    if found.consent is not None:
        info["priceIncreaseStatus"] = int(found.consent is Consent.ACCEPTED)
    if renews:
        info |= _next_price(found, following)
    if found.phase is Phase.EXPIRED:
        win_back = [it.id for it in following.offers if it.kind is OfferKind.WIN_BACK]
        info["eligibleWinBackOfferIds"] = win_back
    return info


def _next_price(found: Subscription, following: Product) -> Json:
    offer = following.offer(found.offer) if found.offer is not None else None
    if offer is not None:
        price = {"renewalPrice": offer.price, **offer_fields(offer, following)}
    elif found.new_price is not None:
        price = {"renewalPrice": found.new_price}
    else:
        own = found.own_price if found.next_product == found.product else None
        price = {"renewalPrice": following.price if own is None else own}
    return {**price, "currency": following.currency}
