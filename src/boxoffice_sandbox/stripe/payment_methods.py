"""PaymentMethods: made of test cards, tokens and redirect methods; saved to customers."""

import hashlib
from typing import Any

from boxoffice_sandbox.errors import card_error, invalid_request, malformed, missing
from boxoffice_sandbox.params import PAGE, Int, Metadata, Obj, Str, merged_metadata
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import tokens
from boxoffice_sandbox.stripe.cards import Card, card_named, usual_expiry
from boxoffice_sandbox.stripe.lists import Condition, field_is, list_page
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint
from boxoffice_sandbox.stripe.shapes import (
    BILLING_DETAILS,
    KNOWN_METHOD_TYPES,
    METHOD_MEMBERS,
    METHOD_TYPES,
    NO_ADDRESS,
)

Json = dict[str, Any]

_REDISPLAY = Str(one_of=("always", "limited", "unspecified"))
_BANK_CODES = {
    "abn_amro": "ABNANL2A",
    "asn_bank": "ASNBNL21",
    "bunq": "BUNQNL2A",
    "ing": "INGBNL2A",
    "knab": "KNABNL2H",
    "n26": "NTSBDEB1",
    "rabobank": "RABONL2U",
    "regiobank": "RBRBNL21",
    "revolut": "REVOLT21",
    "sns_bank": "SNSBNL2A",
    "triodos_bank": "TRIONL2U",
}


def billing_details(given: Json | None) -> Json:
    """Return complete billing details; what isn't given is null."""
    details: Json = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
    details |= given or {}
    details["address"] = {**NO_ADDRESS, **(details["address"] or {})}
    return details


def card_members(card: Card, *, expiry: tuple[int, int], cvc_check: str | None) -> Json:
    """Return the `card` of a PaymentMethod."""
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": cvc_check,
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": expiry[0],
        "exp_year": expiry[1],
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def make(scope: Scope, method_type: str, params: Json, *, prefix: str = "") -> Json:
    """Make a PaymentMethod of `params` (those of POST /v1/payment_methods)."""
    if method_type not in METHOD_TYPES:
        choices = ", ".join(METHOD_TYPES)
        param = f"{prefix}[type]" if prefix else "type"
        raise malformed(f"Invalid {param}: must be one of {choices}", param=param)
    members, hidden = _members(scope, method_type, params.get(method_type), prefix=prefix)
    return _save(scope, method_type, members, hidden=hidden, params=params)


def _members(
    scope: Scope, method_type: str, given: Json | None, *, prefix: str
) -> tuple[Json, Json]:
    match method_type:
        case "card":
            if given is None:
                name = f"{prefix}[card]" if prefix else "card"
                message = f"Missing required param: {name}."
                raise malformed(message, param=name, code="parameter_missing")
            card, dates = tokens.card_given(scope, given)
            members = card_members(
                card,
                expiry=dates or usual_expiry(scope.now),
                cvc_check="unchecked" if "cvc" in given else None,
            )
            return members, {"card": card.name}
        case "ideal":
            bank = (given or {}).get("bank")
            if bank is not None and bank not in _BANK_CODES:
                message = f"Invalid ideal[bank]: must be one of {', '.join(_BANK_CODES)}"
                raise malformed(message, param="ideal[bank]")
            return {"bank": bank, "bic": _BANK_CODES.get(bank or "")}, {}
    return {}, {}


def _save(scope: Scope, method_type: str, members: Json, *, hidden: Json, params: Json) -> Json:
    method = {
        "id": scope.new_id("pm_1"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": billing_details(params.get("billing_details")),
        method_type: members,
        "created": scope.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": merged_metadata({}, params.get("metadata")),
        "type": method_type,
    }
    scope.save(method)
    scope.hide(method["id"], **hidden)
    return method


def save_sepa_debit(scope: Scope, origin: Json, customer: str) -> Json:
    """Make the SEPA Debit method that a bancontact or iDEAL authorisation generates."""
    members = {
        "bank_code": "37040044",
        "branch_code": "",
        "country": "BE" if origin["type"] == "bancontact" else "NL",
        "fingerprint": hashlib.sha256(origin["id"].encode()).hexdigest()[:16],
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": "3000",
    }
    params = {"billing_details": origin["billing_details"]}
    method = _save(scope, "sepa_debit", members, hidden={}, params=params)
    method["customer"] = customer
    scope.save(method)
    scope.emit("payment_method.attached", method)
    return method


def resolve(scope: Scope, reference: str, *, param: str = "payment_method") -> Json:
    """Return the method an id names; each use of a `pm_card_*` name makes a new one."""
    if reference.startswith("pm_card_"):
        card = card_named(reference)
        if card is None:
            raise missing("payment_method", reference, param=param)
        members = card_members(card, expiry=usual_expiry(scope.now), cvc_check=None)
        return _save(scope, "card", members, hidden={"card": card.name}, params={})
    return scope.get("payment_method", reference, param=param)


def attach(scope: Scope, params: Json, payment_method: str) -> Json:
    """Save a method to a customer; the issuer is asked, so a declining card is refused."""
    customer = customer_named(scope, params["customer"], param="customer")["id"]
    method = resolve(scope, payment_method)
    if method["customer"] == customer:
        return method
    check_attachable(scope, method)
    return attach_now(scope, method, customer)


def check_attachable(scope: Scope, method: Json) -> None:
    """Refuse what can't be saved to a customer."""
    if method["customer"] is not None:
        message = "The payment method you provided has already been attached to a customer."
        raise invalid_request(message, param="payment_method")
    if method["type"] != "card":
        message = f"Payment methods of type {method['type']} cannot be saved to customers."
        raise invalid_request(message, param="payment_method")
    hidden = scope.hidden(method["id"])
    if hidden.get("spent"):
        raise spent()
    card = tokens.card_of(hidden)
    if card.decline is not None and not card.attaches:
        raise card_error(
            card.decline.message,
            code=card.decline.code,
            decline_code=card.decline.decline_code,
            param=card.decline.param,
            keep_changes=False,
        )


def spent() -> Exception:
    """Make the error for a method that was used up: without a customer it is good for one use."""
    message = (
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
        "attachment, shared with a connected account without Customer attachment, or was "
        "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
        "times, you must attach it to a Customer first."
    )
    return invalid_request(message, param="payment_method", code="payment_method_unexpected_state")


def attach_now(scope: Scope, method: Json, customer: str) -> Json:
    """Save a method to a customer; whether it may be was checked before."""
    method["customer"] = customer
    if method["type"] == "card":
        method["card"]["checks"]["cvc_check"] = "pass"
    scope.save(method)
    scope.emit("payment_method.attached", method)
    return method


def _create(scope: Scope, params: Json) -> Json:
    return make(scope, params["type"], params)


def _retrieve(scope: Scope, _params: Json, payment_method: str) -> Json:
    if payment_method.startswith("pm_card_"):
        return resolve(scope, payment_method)
    return scope.get("payment_method", payment_method, param="payment_method", status=404)


def _retrieve_of_customer(scope: Scope, _params: Json, customer: str, payment_method: str) -> Json:
    customer_named(scope, customer, param="customer", status=404)
    method = scope.get("payment_method", payment_method, param="payment_method", status=404)
    if method["customer"] != customer:
        raise missing("payment_method", payment_method, param="payment_method", status=404)
    return method


def _update(scope: Scope, params: Json, payment_method: str) -> Json:
    method = scope.get("payment_method", payment_method, param="payment_method", status=404)
    if method["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise invalid_request(message, param="payment_method")
    before = {name: method[name] for name in params if name in method}
    if "billing_details" in params:
        merged = {**method["billing_details"], **params["billing_details"]}
        method["billing_details"] = billing_details(merged)
    if "card" in params and method["type"] == "card":
        method["card"] = {**method["card"], **params["card"]}
    if "metadata" in params:
        method["metadata"] = merged_metadata(method["metadata"], params["metadata"])
    if "allow_redisplay" in params:
        method["allow_redisplay"] = params["allow_redisplay"]
    scope.save(method)
    changed = {name: value for name, value in before.items() if method[name] != value}
    scope.emit("payment_method.updated", method, changed)
    return method


def update_by_network(scope: Scope, method: Json, expiry: tuple[int, int]) -> Json:
    """Take over a card's new expiry from its network, as Stripe does for saved cards."""
    if method["customer"] is None or method["type"] != "card":
        message = f"{method['id']} is not a card that is saved to a customer."
        raise invalid_request(message)
    card = method["card"]
    before = {name: card[name] for name in ("exp_month", "exp_year")}
    card["exp_month"], card["exp_year"] = expiry
    scope.save(method)
    changed = {name: value for name, value in before.items() if card[name] != value}
    scope.emit("payment_method.automatically_updated", method, {"card": changed})
    return method


def _detach(scope: Scope, _params: Json, payment_method: str) -> Json:
    method = scope.get("payment_method", payment_method, param="payment_method", status=404)
    customer = method["customer"]
    if customer is None:
        message = (
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
        raise invalid_request(message)
    method["customer"] = None
    scope.save(method)
    scope.hide(payment_method, spent=True)
    scope.emit("payment_method.detached", method, {"customer": customer})
    return method


def _list(scope: Scope, params: Json) -> Json:
    where: list[Condition] = [("customer IS NOT ?", None)]
    if "customer" in params:
        customer_named(scope, params["customer"], param="customer")
        where = [("customer = ?", params["customer"])]
    return _page(scope, params, where, url="/v1/payment_methods")


def _list_of_customer(scope: Scope, params: Json, customer: str) -> Json:
    customer_named(scope, customer, param="customer", status=404)
    url = f"/v1/customers/{customer}/payment_methods"
    return _page(scope, params, [("customer = ?", customer)], url=url)


def _page(scope: Scope, params: Json, where: list[Condition], *, url: str) -> Json:
    chosen = [field_is(n, params[n]) for n in ("type", "allow_redisplay") if n in params]
    return list_page(scope, "payment_method", params, url=url, where=[*where, *chosen])


_LIST = {**PAGE, "type": Str(one_of=KNOWN_METHOD_TYPES), "allow_redisplay": _REDISPLAY}
_ONE = "/v1/payment_methods/{payment_method}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/payment_methods",
        run=_create,
        publishable=True,
        params={
            **METHOD_MEMBERS,
            "type": Str(required=True),
            "billing_details": BILLING_DETAILS,
            "metadata": Metadata(),
            "allow_redisplay": _REDISPLAY,
        },
    ),
    Endpoint(
        method="GET",
        path="/v1/payment_methods",
        run=_list,
        params={**_LIST, "customer": Str()},
    ),
    Endpoint(method="GET", path=_ONE, run=_retrieve),
    Endpoint(
        method="POST",
        path=_ONE,
        run=_update,
        params={
            "billing_details": BILLING_DETAILS,
            "card": Obj(members={"exp_month": Int(least=1, most=12), "exp_year": Int()}),
            "metadata": Metadata(clearable=True),
            "allow_redisplay": _REDISPLAY,
        },
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/attach",
        run=attach,
        params={"customer": Str(required=True)},
    ),
    Endpoint(method="POST", path=f"{_ONE}/detach", run=_detach),
    Endpoint(
        method="GET",
        path="/v1/customers/{customer}/payment_methods",
        run=_list_of_customer,
        params=_LIST,
    ),
    Endpoint(
        method="GET",
        path="/v1/customers/{customer}/payment_methods/{payment_method}",
        run=_retrieve_of_customer,
    ),
)
