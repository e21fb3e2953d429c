"""Sources (legacy): made pending, chargeable once the customer was at the bank, used once."""

from typing import Any

from boxoffice_sandbox.errors import invalid_request, malformed
from boxoffice_sandbox.params import Email, Int, Metadata, Obj, Str, Url, merged_metadata
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import tokens
from boxoffice_sandbox.stripe.cards import Card, usual_expiry
from boxoffice_sandbox.stripe.currencies import checked_currency
from boxoffice_sandbox.stripe.intents import address_back, giropay_closed
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint
from boxoffice_sandbox.stripe.shapes import ADDRESS

Json = dict[str, Any]

_TYPES = ("bancontact", "card", "giropay", "ideal")
_CLOSED = (
    "The Sources API has reached end of life for this account. Please use PaymentMethods "
    "instead: https://docs.stripe.com/payments/payment-methods/transitioning."
)
_DETAILS: dict[str, tuple[str, ...]] = {
    "bancontact": (
        "bank_code",
        "bank_name",
        "bic",
        "iban_last4",
        "preferred_language",
        "statement_descriptor",
    ),
    "giropay": ("bank_code", "bank_name", "bic", "statement_descriptor"),
    "ideal": ("bank", "bic", "iban_last4", "statement_descriptor"),
}


def create(scope: Scope, params: Json) -> Json:
    """Make a Source: of a card's token, or of a redirect method that the customer completes."""
    kind = params["type"]
    if kind not in _TYPES:
        message = f"Invalid type: must be one of {', '.join(_TYPES)}"
        raise malformed(message, param="type")
    if not scope.account.legacy:
        raise giropay_closed() if kind == "giropay" else invalid_request(_CLOSED)
    if "customer" in params:
        customer_named(scope, params["customer"], param="customer")
    source = _card_source(scope, params) if kind == "card" else _redirect_source(scope, params)
    if "customer" in params:
        scope.save({**source, "customer": params["customer"]})
        source["customer"] = params["customer"]
    return source


def _blank(scope: Scope, params: Json) -> Json:
    source_id = scope.new_id("src_1")
    owner: Json = dict.fromkeys(
        (
            "address",
            "email",
            "name",
            "phone",
            "verified_address",
            "verified_email",
            "verified_name",
            "verified_phone",
        )
    )
    return {
        "id": source_id,
        "object": "source",
        "allow_redisplay": "unspecified",
        "amount": params.get("amount"),
        "client_secret": f"src_client_secret_{scope.new_id('', 24)}",
        "created": scope.now,
        "currency": params.get("currency"),
        "flow": "none",
        "livemode": False,
        "metadata": merged_metadata({}, params.get("metadata")),
        "owner": owner | params.get("owner", {}),
        "statement_descriptor": params.get("statement_descriptor"),
        "status": "chargeable",
        "type": params["type"],
        "usage": "reusable",
    }


def _card_source(scope: Scope, params: Json) -> Json:
    if "token" in params:
        token = scope.find("token", params["token"])
        card = tokens.card_of_token(scope, params["token"], param="token")
        dates = None if token is None else (token["card"]["exp_month"], token["card"]["exp_year"])
    elif "card" in params:
        card, dates = tokens.card_given(scope, params["card"])
    else:
        message = "Missing required param: card."
        raise malformed(message, param="card", code="parameter_missing")
    source = _blank(scope, params)
    source["card"] = _card_members(card, dates or usual_expiry(scope.now))
    scope.save(source)
    scope.hide(source["id"], card=card.name)
    scope.emit("source.chargeable", source)
    return source


def _card_members(card: Card, dates: tuple[int, int]) -> Json:
    return {
        "address_line1_check": None,
        "address_zip_check": None,
        "brand": card.brand.title(),
        "country": card.country,
        "cvc_check": "pass",
        "dynamic_last4": None,
        "exp_month": dates[0],
        "exp_year": dates[1],
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "last4": card.last4,
        "name": None,
        "three_d_secure": "optional",
        "tokenization_method": None,
    }


def _redirect_source(scope: Scope, params: Json) -> Json:
    for name in ("amount", "currency", "redirect"):
        if name not in params:
            message = f"Missing required param: {name}."
            raise malformed(message, param=name, code="parameter_missing")
    params["currency"] = checked_currency(params["currency"])
    if params["currency"] != "eur":
        message = (
            f"The currency provided ({params['currency']}) is invalid. Payments with "
            f"{params['type']} support the following currencies: eur."
        )
        raise invalid_request(message, param="currency")
    kind = params["type"]
    source = _blank(scope, params)
    members = dict.fromkeys(_DETAILS[kind]) | params.get(kind, {})
    source |= {
        "flow": "redirect",
        kind: members,
        "redirect": {
            "failure_reason": None,
            "return_url": params["redirect"]["return_url"],
            "status": "pending",
            "url": f"{scope.base_url}/redirect/{source['id']}",
        },
        "status": "pending",
        "usage": "single_use",
    }
    return scope.save(source)


def complete(scope: Scope, source: Json, *, succeeded: bool) -> Json:
    """End the customer's visit to the bank."""
    if source["status"] != "pending":
        message = f"{source['id']} is {source['status']}, not pending."
        raise invalid_request(message)
    source["redirect"]["status"] = "succeeded" if succeeded else "failed"
    if succeeded:
        source["status"] = "chargeable"
    else:
        source["status"] = "failed"
        source["redirect"]["failure_reason"] = "user_abort"
    scope.save(source)
    scope.emit("source.chargeable" if succeeded else "source.failed", source)
    return source


def complete_slowly(scope: Scope, source: Json) -> Json:
    """End the customer's visit to a bank that will take its time over the charge."""
    done = complete(scope, source, succeeded=True)
    scope.hide(source["id"], slow=True)
    return done


def cancel(scope: Scope, source: Json) -> Json:
    """Let a Source that nobody charged in time go."""
    source["status"] = "canceled"
    scope.save(source)
    scope.emit("source.canceled", source)
    return source


def return_address(source: Json) -> str:
    """Return where the customer goes after the bank."""
    succeeded = source["redirect"]["status"] == "succeeded"
    return address_back(source, source["redirect"]["return_url"], succeeded=succeeded)


def _retrieve(scope: Scope, params: Json, source: str) -> Json:
    found = scope.get("source", source, param="source", status=404)
    if scope.publishable and params.get("client_secret") != found["client_secret"]:
        message = "The client_secret provided does not match the source."
        raise invalid_request(message, param="client_secret")
    return found


def _update(scope: Scope, params: Json, source: str) -> Json:
    found = scope.get("source", source, param="source", status=404)
    if "metadata" in params:
        found["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    found["owner"] |= params.get("owner", {})
    return scope.save(found)


_OWNER = Obj(members={"address": ADDRESS, "email": Email(), "name": Str(), "phone": Str()})
_RAW_CARD = Obj(
    members={
        "number": Str(required=True),
        "exp_month": Int(required=True),
        "exp_year": Int(required=True),
        "cvc": Str(),
    }
)
_ONE = "/v1/sources/{source}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/sources",
        run=create,
        publishable=True,
        params={
            "amount": Int(least=1),
            "bancontact": Obj(members={"preferred_language": Str()}),
            "card": _RAW_CARD,
            "currency": Str(),
            "customer": Str(),
            "flow": Str(one_of=("code_verification", "none", "receiver", "redirect")),
            "giropay": Obj(),
            "ideal": Obj(members={"bank": Str()}),
            "metadata": Metadata(),
            "owner": _OWNER,
            "redirect": Obj(members={"return_url": Url(required=True)}),
            "statement_descriptor": Str(),
            "token": Str(),
            "type": Str(required=True),
            "usage": Str(one_of=("reusable", "single_use")),
        },
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        run=_retrieve,
        params={"client_secret": Str()},
        publishable=True,
    ),
    Endpoint(
        method="POST",
        path=_ONE,
        run=_update,
        params={"metadata": Metadata(clearable=True), "owner": _OWNER},
    ),
)
