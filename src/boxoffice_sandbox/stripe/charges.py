"""Charges: those that PaymentIntents leave behind, and (legacy) those made directly."""

from typing import Any

from boxoffice_sandbox.errors import card_error, invalid_request, malformed, missing
from boxoffice_sandbox.params import (
    CREATED,
    PAGE,
    Bool,
    Email,
    Int,
    Metadata,
    Str,
    merged_metadata,
)
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import charging, disputes, payment_methods, tokens
from boxoffice_sandbox.stripe.cards import (
    AUTHENTICATION_REQUIRED,
    Authentication,
    Card,
    usual_expiry,
)
from boxoffice_sandbox.stripe.currencies import check_amount, checked_currency
from boxoffice_sandbox.stripe.lists import Condition, list_page
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint
from boxoffice_sandbox.stripe.search import SEARCH, search_page
from boxoffice_sandbox.stripe.shapes import SHIPPING

Json = dict[str, Any]

_END_OF_LIFE = (
    "{what} usage with the Charges API has reached end of life. Please use the Payment Intents "
    "API and PaymentMethods instead: https://docs.stripe.com/payments/payment-intents/migration."
)
_COPIED = (
    "description",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def create(scope: Scope, params: Json) -> Json:
    """Charge a token, a Source, or a customer's default card: the way before PaymentIntents."""
    currency = checked_currency(params["currency"])
    check_amount(params["amount"], currency)
    if "source" not in params and "customer" not in params:
        message = "Must provide source or customer."
        raise malformed(message, param="source", code="parameter_missing")
    customer = params.get("customer")
    if customer is not None:
        customer_named(scope, customer, param="customer")
    charge = charging.new_charge(
        scope,
        amount=params["amount"],
        currency=currency,
        customer=customer,
        metadata=merged_metadata({}, params.get("metadata")),
        **{name: params[name] for name in _COPIED if name in params},
    )
    reference = params.get("source") or _default_source(scope, params["customer"])
    charge["billing_details"] = payment_methods.billing_details(None)
    if reference.startswith("src_"):
        return _charge_source(scope, charge, reference, capture=params.get("capture", True))
    card, dates = _card(scope, charge, reference)
    return _charge_card(scope, charge, card, dates, capture=params.get("capture", True))


def _default_source(scope: Scope, customer: str) -> str:
    source = scope.get("customer", customer, param="customer")["default_source"]
    if source is None:
        message = "Cannot charge a customer that has no active card"
        raise card_error(message, code="missing", param="card", keep_changes=False)
    return str(source)


def _card(scope: Scope, charge: Json, reference: str) -> tuple[Card, tuple[int, int]]:
    """Return the card behind a token or a customer's card, and note it on the charge."""
    if reference.startswith("tok_"):
        if not scope.account.legacy:
            raise invalid_request(_END_OF_LIFE.format(what="Card Token"))
        if charge["customer"] is not None:
            raise _not_linked(charge, reference)
        token = scope.find("token", reference)
        card = tokens.card_of_token(scope, reference, param="source")
        dates = usual_expiry(scope.now)
        if token is not None:
            dates = token["card"]["exp_month"], token["card"]["exp_year"]
        saved = tokens.card_object(scope, card, dates, customer=None)
        scope.save(saved)
        scope.hide(saved["id"], card=card.name)
    else:
        saved = scope.get("card", reference, param="source")
        if saved["customer"] is None or saved["customer"] != charge["customer"]:
            raise _not_linked(charge, reference)
        card, dates = (
            tokens.card_of(scope.hidden(reference)),
            (
                saved["exp_month"],
                saved["exp_year"],
            ),
        )
    charge["payment_method"] = saved["id"]
    return card, dates


def _not_linked(charge: Json, reference: str) -> Exception:
    """Make the error for charging a customer with what was never attached to it."""
    message = f"Customer {charge['customer']} does not have a linked source with ID {reference}."
    return invalid_request(message, param="source", code="missing", status=404)


def _charge_card(
    scope: Scope, charge: Json, card: Card, dates: tuple[int, int], *, capture: bool
) -> Json:
    charge["payment_method_details"] = charging.card_details(
        card, charge, dates=dates, authenticated=False
    )
    decline = card.decline
    if card.authentication is Authentication.ALWAYS:
        decline = AUTHENTICATION_REQUIRED
    if decline is not None:
        charging.fail(scope, charge, decline)
        raise card_error(
            decline.message,
            code=decline.code,
            decline_code=decline.decline_code,
            param=decline.param,
            charge=charge["id"],
        )
    charging.succeed(scope, charge, capture=capture)
    if capture:
        disputes.after_payment(scope, charge, card)
    return charge


def _charge_source(scope: Scope, charge: Json, reference: str, *, capture: bool) -> Json:
    source = scope.get("source", reference, param="source")
    if not scope.account.legacy:
        raise invalid_request(_END_OF_LIFE.format(what="Source"))
    _check_chargeable(source, charge)
    charge["payment_method"] = source["id"]
    charge["billing_details"] = payment_methods.billing_details(
        {name: source["owner"][name] for name in ("address", "email", "name", "phone")}
    )
    done = _take(scope, charge, source, capture=capture)
    # A reusable Source that belongs to nobody is used up by its first charge too.
    if source["usage"] == "single_use" or source.get("customer") is None:
        scope.save({**source, "status": "consumed"})
    return done


def _take(scope: Scope, charge: Json, source: Json, *, capture: bool) -> Json:
    if source["type"] != "card":
        charge["payment_method_details"] = charging.redirect_details(
            {**source, "billing_details": charge["billing_details"]}
        )
        if scope.hidden(source["id"]).get("slow"):
            scope.save(charge)
            scope.emit("charge.pending", charge)
            return charge
        return charging.succeed(scope, charge, capture=True)
    dates = source["card"]["exp_month"], source["card"]["exp_year"]
    card = tokens.card_of(scope.hidden(source["id"]))
    return _charge_card(scope, charge, card, dates, capture=capture)


def _check_chargeable(source: Json, charge: Json) -> None:
    if source["status"] == "consumed" and source["usage"] == "reusable":
        message = (
            "The reusable source you provided is consumed because it was previously charged "
            "without being attached to a customer or was detached from a customer. To charge a "
            "reusable source multiple time you must attach it to a customer first."
        )
        raise invalid_request(message)
    if source["status"] != "chargeable":
        message = (
            "The source you provided is not in a chargeable state. The state it is in is: "
            f"{source['status']}."
        )
        raise invalid_request(message, param="source")
    if charge["customer"] is not None and source.get("customer") != charge["customer"]:
        raise _not_linked(charge, source["id"])
    if source.get("customer") != charge["customer"]:
        raise missing("source", source["id"], param="source")
    if source["usage"] == "single_use":
        _check_amount_agrees(source, charge)


def end_processing(scope: Scope, charge: Json, *, succeeded: bool) -> Json:
    """End what the bank of a Source took its time over."""
    if charge["status"] != "pending" or charge["payment_intent"] is not None:
        message = f"{charge['id']} is no pending charge of a Source."
        raise invalid_request(message)
    if succeeded:
        return charging.succeed(scope, charge, capture=True)
    charge |= {
        "failure_code": "generic_could_not_process",
        "failure_message": "The payment could not be processed.",
        "status": "failed",
    }
    scope.save(charge)
    scope.emit("charge.failed", charge)
    return charge


def _check_amount_agrees(source: Json, charge: Json) -> None:
    for name in ("amount", "currency"):
        if source[name] is not None and source[name] != charge[name]:
            message = (
                f"The {name} of the charge ({charge[name]}) must match the {name} of the source "
                f"({source[name]})."
            )
            raise invalid_request(message, param=name)


def _named(scope: Scope, charge: str) -> Json:
    return scope.get("charge", charge, param="id", status=404)


def _retrieve(scope: Scope, _params: Json, charge: str) -> Json:
    return _named(scope, charge)


def _update(scope: Scope, params: Json, charge: str) -> Json:
    found = _named(scope, charge)
    before = {name: found[name] for name in params}
    for name in ("description", "receipt_email", "shipping", "transfer_group"):
        if name in params:
            found[name] = params[name]
    if "metadata" in params:
        found["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    scope.save(found)
    changed = {name: value for name, value in before.items() if found[name] != value}
    scope.emit("charge.updated", found, changed)
    return found


def _capture(scope: Scope, params: Json, charge: str) -> Json:
    found = _named(scope, charge)
    if found["payment_intent"] is not None:
        message = (
            f"Charge {charge} was made by a PaymentIntent. Capture it there: "
            f"/v1/payment_intents/{found['payment_intent']}/capture"
        )
        raise invalid_request(message)
    if found["captured"] or found["refunded"] or found["status"] != "succeeded":
        message = f"Charge {charge} has already been captured."
        raise invalid_request(message, code="charge_already_captured")
    if scope.hidden(charge).get("expired"):
        message = f"Charge {charge} has expired and can no longer be captured."
        raise invalid_request(message, code="charge_expired_for_capture")
    amount = params["amount"] if "amount" in params else found["amount"]
    if amount > found["amount"]:
        message = f"The amount to capture ({amount}) is more than was authorized."
        raise invalid_request(message, param="amount", code="amount_too_large")
    charging.capture(scope, found, amount)
    disputes.after_payment(scope, found, tokens.card_of(scope.hidden(found["payment_method"])))
    return found


def _list(scope: Scope, params: Json) -> Json:
    where: list[Condition] = []
    if "customer" in params:
        customer_named(scope, params["customer"], param="customer")
        where.append(("customer = ?", params["customer"]))
    if "payment_intent" in params:
        where.append(("payment_intent = ?", params["payment_intent"]))
    return list_page(scope, "charge", params, url="/v1/charges", where=where)


def _search(scope: Scope, params: Json) -> Json:
    fields = frozenset({"amount", "created", "currency", "customer", "refunded", "status"})
    return search_page(scope, "charge", params, fields=fields, url="/v1/charges/search")


_ONE = "/v1/charges/{charge}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/charges",
        run=create,
        params={
            "amount": Int(required=True, least=1),
            "capture": Bool(),
            "currency": Str(required=True),
            "customer": Str(),
            "description": Str(longest=40000),
            "metadata": Metadata(clearable=True),
            "receipt_email": Email(),
            "shipping": SHIPPING,
            "source": Str(),
            "statement_descriptor": Str(longest=22),
            "statement_descriptor_suffix": Str(longest=22),
            "transfer_group": Str(),
        },
    ),
    Endpoint(
        method="GET",
        path="/v1/charges",
        run=_list,
        params={**PAGE, "created": CREATED, "customer": Str(), "payment_intent": Str()},
    ),
    Endpoint(method="GET", path="/v1/charges/search", run=_search, params=SEARCH),
    Endpoint(method="GET", path=_ONE, run=_retrieve),
    Endpoint(
        method="POST",
        path=_ONE,
        run=_update,
        params={
            "description": Str(longest=40000),
            "metadata": Metadata(clearable=True),
            "receipt_email": Email(),
            "shipping": SHIPPING,
            "transfer_group": Str(),
        },
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/capture",
        run=_capture,
        params={
            "amount": Int(least=1),
            "receipt_email": Email(),
            "statement_descriptor": Str(longest=22),
            "statement_descriptor_suffix": Str(longest=22),
        },
    ),
)
