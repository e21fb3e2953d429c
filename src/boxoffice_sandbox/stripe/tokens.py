"""Card tokens, and which test card a token, a name or a raw number stands for."""

from typing import Any

from boxoffice_sandbox.errors import card_error, invalid_request, malformed, missing
from boxoffice_sandbox.params import Obj, Str
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe.cards import CARDS, Card, card_named, card_numbered, usual_expiry
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

_RAW_NUMBERS = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you "
    "use test tokens that map to the test card you are using, see "
    "https://stripe.com/docs/testing. To enable testing raw card data APIs, see "
    "https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis."
)


def card_of(hidden: Json) -> Card:
    """Return the test card behind an object."""
    return CARDS[hidden["card"]]


def card_given(scope: Scope, given: Json) -> tuple[Card, tuple[int, int] | None]:
    """Return the card of `{"token": ...}` or of a raw number, with the dates it was given."""
    if "token" in given:
        return card_of_token(scope, given["token"], param="card[token]"), None
    if not scope.publishable and not scope.account.legacy:
        raise invalid_request(_RAW_NUMBERS, status=402)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            message = f"Missing required param: card[{name}]."
            raise malformed(message, param=f"card[{name}]", code="parameter_missing")
    card = card_numbered(given["number"])
    if card is None:
        message = "Your card number is incorrect."
        raise card_error(message, code="incorrect_number", param="number", keep_changes=False)
    if not 1 <= int(given["exp_month"]) <= 12:  # noqa: PLR2004  (months)
        message = "Your card's expiration month is invalid."
        raise card_error(message, code="invalid_expiry_month", param="exp_month")
    return card, (int(given["exp_month"]), int(given["exp_year"]))


def card_of_token(scope: Scope, token_id: str, *, param: str) -> Card:
    """Return the card of a token and use it up; Stripe's own `tok_*` names never are."""
    card = card_named(token_id) if token_id.startswith("tok_") else None
    if card is not None:
        return card
    token = scope.find("token", token_id)
    if token is None:
        raise missing("token", token_id, param=param)
    if token["used"]:
        message = f"You cannot use a Stripe token more than once: {token_id}."
        raise invalid_request(message, param=param, code="token_already_used")
    scope.save({**token, "used": True})
    return card_of(scope.hidden(token_id))


def card_object(scope: Scope, card: Card, dates: tuple[int, int], *, customer: str | None) -> Json:
    """Return a legacy `card` object."""
    names = ("city", "country", "line1", "line1_check", "line2", "state", "zip", "zip_check")
    return {
        "id": scope.new_id("card_1"),
        "object": "card",
        **{f"address_{name}": None for name in names},
        "allow_redisplay": "unspecified",
        "brand": _LEGACY_BRANDS.get(card.brand, card.brand.title()),
        "country": card.country,
        "customer": customer,
        "cvc_check": "unchecked" if customer is None else "pass",
        "dynamic_last4": None,
        "exp_month": dates[0],
        "exp_year": dates[1],
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "last4": card.last4,
        "metadata": {},
        "name": None,
        "regulated_status": "unregulated",
        "tokenization_method": None,
    }


_LEGACY_BRANDS = {
    "amex": "American Express",
    "mastercard": "MasterCard",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def _create(scope: Scope, params: Json) -> Json:
    card, dates = card_given(scope, params["card"])
    token: Json = {
        "id": scope.new_id("tok_1"),
        "object": "token",
        "card": card_object(scope, card, dates or usual_expiry(scope.now), customer=None),
        "client_ip": None,
        "created": scope.now,
        "livemode": False,
        "type": "card",
        "used": False,
    }
    scope.save(token)
    scope.hide(token["id"], card=card.name)
    return token


def _retrieve(scope: Scope, _params: Json, token: str) -> Json:
    return scope.get("token", token, param="token", status=404)


_CARD = Obj(
    required=True,
    members={
        "number": Str(required=True),
        "exp_month": Str(required=True),
        "exp_year": Str(required=True),
        "cvc": Str(),
        "name": Str(),
    },
)

ENDPOINTS = (
    Endpoint(
        method="POST", path="/v1/tokens", run=_create, params={"card": _CARD}, publishable=True
    ),
    Endpoint(method="GET", path="/v1/tokens/{token}", run=_retrieve, publishable=True),
)
