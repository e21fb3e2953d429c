"""Stripe's test cards: their numbers, their `pm_card_*` and `tok_*` names, what they do.

The list is Stripe's (https://docs.stripe.com/testing); no other card exists here.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum


class Authentication(StrEnum):
    """When a card asks its holder for 3-D Secure."""

    NEVER = "never"
    ON_REQUEST = "on_request"
    """Only when the request asks for it."""
    UNLESS_SET_UP = "unless_set_up"
    """Off session only if it was never set up for that; on session until it was set up."""
    ALWAYS = "always"
    ON_SESSION = "on_session"
    """As if set up before: payments off session pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """How an issuer says no."""

    code: str
    decline_code: str
    message: str
    param: str | None = None
    reason: str | None = None
    """The reason in the charge's outcome, where it differs from the decline code."""
    blocked: bool = False
    """Radar stops it before the issuer is asked."""


GENERIC = Decline(
    code="card_declined", decline_code="generic_decline", message="Your card was declined."
)
INSUFFICIENT_FUNDS = Decline(
    code="card_declined",
    decline_code="insufficient_funds",
    message="Your card has insufficient funds.",
)
LOST_CARD = replace(GENERIC, decline_code="lost_card")
STOLEN_CARD = replace(GENERIC, decline_code="stolen_card")
FRAUDULENT = replace(GENERIC, decline_code="fraudulent", reason="highest_risk_level", blocked=True)
VELOCITY = Decline(
    code="card_declined",
    decline_code="card_velocity_exceeded",
    message="Your card was declined for making repeated attempts too frequently or exceeding "
    "its amount limit.",
)
EXPIRED = Decline(
    code="expired_card",
    decline_code="expired_card",
    message="Your card has expired.",
    param="exp_month",
)
INCORRECT_CVC = Decline(
    code="incorrect_cvc",
    decline_code="incorrect_cvc",
    message="Your card's security code is incorrect.",
    param="cvc",
)
PROCESSING_ERROR = Decline(
    code="processing_error",
    decline_code="processing_error",
    message="An error occurred while processing your card. Try again in a little bit.",
)
AUTHENTICATION_REQUIRED = Decline(
    code="authentication_required",
    decline_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One test card."""

    name: str
    number: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    authentication: Authentication = Authentication.NEVER
    decline: Decline | None = None
    attaches: bool = True
    """Whether it can be saved; most declining cards can't."""
    dispute: str | None = None
    inquiry: bool = False
    """Whether the dispute starts as the bank's question, before any money moves."""
    refund: str = "succeeded"

    @property
    def fingerprint(self) -> str:
        """The same text for the same number, as Stripe has it within an account."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]


def _declining(name: str, number: str, decline: Decline) -> Card:
    return Card(name=name, number=number, decline=decline, attaches=False)


def _brands() -> Iterator[Card]:
    for name, number, brand, funding in (
        ("visa", "4242424242424242", "visa", "credit"),
        ("visa_debit", "4000056655665556", "visa", "debit"),
        ("mastercard", "5555555555554444", "mastercard", "credit"),
        ("mastercard_debit", "5200828282828210", "mastercard", "debit"),
        ("mastercard_prepaid", "5105105105105100", "mastercard", "prepaid"),
        ("amex", "378282246310005", "amex", "credit"),
        ("discover", "6011111111111117", "discover", "credit"),
        ("diners", "3056930009020004", "diners", "credit"),
        ("jcb", "3566002020360505", "jcb", "credit"),
        ("unionpay", "6200000000000005", "unionpay", "credit"),
    ):
        yield Card(name=name, number=number, brand=brand, funding=funding)
    for country, number in (
        ("be", "4000000560000004"),
        ("de", "4000002760000016"),
        ("fr", "4000002500000003"),
        ("gb", "4000008260000000"),
        ("nl", "4000005280000002"),
    ):
        yield Card(name=country, number=number, country=country.upper())


def _declines() -> Iterator[Card]:
    for name, number, decline in (
        ("visa_chargeDeclined", "4000000000000002", GENERIC),
        ("visa_chargeDeclinedInsufficientFunds", "4000000000009995", INSUFFICIENT_FUNDS),
        ("visa_chargeDeclinedLostCard", "4000000000009987", LOST_CARD),
        ("visa_chargeDeclinedStolenCard", "4000000000009979", STOLEN_CARD),
        ("chargeDeclinedExpiredCard", "4000000000000069", EXPIRED),
        ("chargeDeclinedIncorrectCvc", "4000000000000127", INCORRECT_CVC),
        ("chargeDeclinedProcessingError", "4000000000000119", PROCESSING_ERROR),
        ("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", VELOCITY),
        ("radarBlock", "4100000000000019", FRAUDULENT),
    ):
        yield _declining(name, number, decline)
    yield Card(name="chargeCustomerFail", number="4000000000000341", decline=GENERIC)


def _authenticating() -> Iterator[Card]:
    for name, number, authentication in (
        ("threeDSecure2Required", "4000000000003220", Authentication.ALWAYS),
        ("threeDSecureRequired", "4000000000003063", Authentication.ALWAYS),
        ("threeDSecureOptional", "4000000000003055", Authentication.ON_REQUEST),
        ("authenticationRequiredOnSetup", "4000002500003155", Authentication.UNLESS_SET_UP),
        ("authenticationRequired", "4000002760003184", Authentication.ALWAYS),
        (
            "authenticationRequiredSetupForOffSession",
            "4000003800000446",
            Authentication.ON_SESSION,
        ),
    ):
        yield Card(name=name, number=number, authentication=authentication)
    yield Card(
        name="threeDSecureRequiredChargeDeclined",
        number="4000008400001629",
        authentication=Authentication.ALWAYS,
        decline=GENERIC,
        attaches=False,
    )
    yield Card(
        name="authenticationRequiredChargeDeclinedInsufficientFunds",
        number="4000008260003178",
        authentication=Authentication.ALWAYS,
        decline=INSUFFICIENT_FUNDS,
        attaches=False,
    )


def _after_the_charge() -> Iterator[Card]:
    for name, number, reason in (
        ("createDispute", "4000000000000259", "fraudulent"),
        ("createDisputeProductNotReceived", "4000000000002685", "product_not_received"),
    ):
        yield Card(name=name, number=number, dispute=reason)
    yield Card(
        name="createDisputeInquiry",
        number="4000000000001976",
        dispute="fraudulent",
        inquiry=True,
    )
    for name, number, refund in (
        ("pendingRefund", "4000000000007726", "pending"),
        ("refundFail", "4000000000005126", "fails_later"),
    ):
        yield Card(name=name, number=number, refund=refund)


CARDS = {
    card.name: card
    for family in (_brands, _declines, _authenticating, _after_the_charge)
    for card in family()
}
_BY_NUMBER = {card.number: card for card in CARDS.values()}
# Stripe's own pages spell some names with and without the brand.
_ALIASES = {name.removeprefix("visa_"): name for name in CARDS if "_chargeDeclined" in name}
_ALIASES |= {f"visa_{name}": name for name in CARDS if name.startswith("chargeDeclined")}


def card_named(reference: str) -> Card | None:
    """Return the card of a `pm_card_*` or `tok_*` name."""
    for prefix in ("pm_card_", "tok_"):
        if reference.startswith(prefix):
            name = reference.removeprefix(prefix)
            return CARDS.get(_ALIASES.get(name, name))
    return None


def card_numbered(number: str) -> Card | None:
    """Return the card of a test number."""
    return _BY_NUMBER.get(number.replace(" ", ""))


def usual_expiry(now: int) -> tuple[int, int]:
    """Return the month and year that Stripe gives its own test cards: next year, this month."""
    today = datetime.fromtimestamp(now, UTC)
    return today.month, today.year + 1
