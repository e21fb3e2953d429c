"""PaymentIntents: create, retrieve, update, confirm, capture, cancel, list, search."""

from typing import Any

from boxoffice_sandbox.errors import invalid_request, malformed
from boxoffice_sandbox.params import (
    CREATED,
    PAGE,
    Int,
    Metadata,
    Str,
    merged_metadata,
)
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import charging, disputes, intents, tokens
from boxoffice_sandbox.stripe.confirmation import confirm as confirm_intent
from boxoffice_sandbox.stripe.currencies import check_amount, checked_currency
from boxoffice_sandbox.stripe.intent_params import (
    CONFIRM_PAYMENT,
    CREATE_PAYMENT,
    UPDATE_PAYMENT,
)
from boxoffice_sandbox.stripe.lists import Condition, list_page
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint
from boxoffice_sandbox.stripe.search import SEARCH, search_page

Json = dict[str, Any]

_CANCELLABLE = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
    "processing",
)
_CHANGEABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_DEFAULT_OPTIONS: Json = {
    "card": {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    },
    "bancontact": {"preferred_language": "en"},
    "giropay": {},
    "ideal": {},
}
_PLAIN = (
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def create(scope: Scope, params: Json) -> Json:
    """Make an intent, and confirm it at once if asked to."""
    currency = checked_currency(params["currency"])
    check_amount(params["amount"], currency)
    if "off_session" in params and not params.get("confirm"):
        message = "The parameter `off_session` may only be used when `confirm` is `true`."
        raise invalid_request(message, param="off_session")
    intent = _blank(scope, params["amount"], currency)
    _apply(scope, intent, params)
    _choose_types(scope, intent, params)
    _apply_options(intent, params)
    _set_method(scope, intent, params)
    scope.save(intent)
    scope.emit("payment_intent.created", intent)
    if not params.get("confirm"):
        return _shown(scope, intent)
    # What a method was made of has already become intent["payment_method"].
    used = ("payment_method", "payment_method_data", "payment_method_options", "shipping")
    return _shown(
        scope,
        confirm_intent(scope, intent, {k: v for k, v in params.items() if k not in used}),
    )


def _blank(scope: Scope, amount: int, currency: str) -> Json:
    intent_id = scope.new_id("pi_3")
    nothing = (
        "application application_fee_amount automatic_payment_methods canceled_at "
        "cancellation_reason customer customer_account description excluded_payment_method_types "
        "last_payment_error latest_charge next_action on_behalf_of payment_method "
        "payment_method_configuration_details processing receipt_email review "
        "setup_future_usage shipping statement_descriptor statement_descriptor_suffix "
        "transfer_data transfer_group"
    )
    intent: Json = {
        **dict.fromkeys(nothing.split()),
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{scope.new_id('', 25)}",
        "confirmation_method": "automatic",
        "created": scope.now,
        "currency": currency,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": [],
        "status": "requires_payment_method",
    }
    return {"id": intent_id, "object": "payment_intent", **dict(sorted(intent.items()))}


def _apply(scope: Scope, intent: Json, params: Json) -> None:
    """Set what needs no more checks than its shape had."""
    for name in (*_PLAIN, "capture_method", "confirmation_method"):
        if name in params:
            intent[name] = params[name]
    if "metadata" in params:
        intent["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if "customer" in params:
        customer = customer_named(scope, params["customer"], param="customer")
        intent["customer"] = customer["id"]


def _choose_types(scope: Scope, intent: Json, params: Json) -> None:
    """Set the method types: the given ones, or the account's when none are given."""
    automatic = params.get("automatic_payment_methods")
    if "payment_method_types" in params:
        if automatic is not None and automatic["enabled"]:
            message = (
                "You may only specify one of these parameters: automatic_payment_methods, "
                "payment_method_types."
            )
            raise malformed(message, param="payment_method_types")
        types = intents.checked_types(params["payment_method_types"], intent["currency"])
        intent["payment_method_types"] = types
        intent["automatic_payment_methods"] = None
        intent["payment_method_configuration_details"] = None
    elif automatic is not None and not automatic["enabled"]:
        intent["payment_method_types"] = ["card"]
    else:
        redirects = (automatic or {}).get("allow_redirects", "always")
        intent["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": True}
        intent["payment_method_configuration_details"] = dict(intents.CONFIGURATION)
        intent["payment_method_types"] = intents.automatic_types(
            scope, intent["currency"], redirects=redirects == "always"
        )
    _check_capture_method(intent)


def _check_capture_method(intent: Json) -> None:
    redirects = intents.REDIRECT_TYPES.intersection(intent["payment_method_types"])
    if intent["capture_method"] != "manual" or not redirects:
        return
    if intent["automatic_payment_methods"] is not None:
        intent["payment_method_types"] = ["card"]
        return
    message = (
        f"The payment method type `{min(redirects)}` does not support `capture_method` `manual`."
    )
    raise invalid_request(message, param="capture_method")


def _apply_options(intent: Json, params: Json) -> None:
    given = params.get("payment_method_options", {})
    intent["payment_method_options"] = {
        name: {**_DEFAULT_OPTIONS[name], **given.get(name, {})}
        for name in intent["payment_method_types"]
    }


def _set_method(scope: Scope, intent: Json, params: Json) -> None:
    if not {"payment_method", "payment_method_data"} & params.keys():
        return
    method = intents.method_for(scope, intent, params)
    intent["payment_method"] = method["id"]
    intent["status"] = "requires_confirmation"


def _shown(scope: Scope, intent: Json) -> Json:
    if not scope.publishable:
        return intent
    return intents.public(intent)


def _named(scope: Scope, intent_id: str) -> Json:
    return scope.get("payment_intent", intent_id, param="intent", status=404)


def retrieve(scope: Scope, params: Json, intent: str) -> Json:
    """Return an intent; with its client secret a publishable key may ask too."""
    found = _named(scope, intent)
    intents.check_client_secret(scope, found, params, name="PaymentIntent")
    return _shown(scope, found)


def update(scope: Scope, params: Json, intent: str) -> Json:
    """Change an intent; what decides the payment only before it was paid."""
    found = _named(scope, intent)
    always = {"description", "expand", "metadata", "receipt_email", "shipping", "transfer_group"}
    for name in params:
        if name not in always and found["status"] not in _CHANGEABLE:
            message = (
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{found['status']}. You may only update the {name} of a PaymentIntent with one "
                f"of the following statuses: {', '.join(_CHANGEABLE)}."
            )
            raise intents.unexpected_state(found, message)
    if "currency" in params:
        found["currency"] = checked_currency(params["currency"])
    if "amount" in params:
        found["amount"] = params["amount"]
    check_amount(found["amount"], found["currency"])
    _apply(scope, found, params)
    if {"payment_method_types", "currency", "capture_method"} & params.keys():
        kept = (
            {}
            if found["automatic_payment_methods"]
            else {"payment_method_types": found["payment_method_types"]}
        )
        if found["automatic_payment_methods"] and "payment_method_types" not in params:
            kept["automatic_payment_methods"] = found["automatic_payment_methods"]
        _choose_types(scope, found, {**kept, **params})
        _apply_options(found, params)
    _set_method(scope, found, params)
    return scope.save(found)


def confirm(scope: Scope, params: Json, intent: str) -> Json:
    """Confirm an intent."""
    found = _named(scope, intent)
    intents.check_client_secret(scope, found, params, name="PaymentIntent")
    return _shown(scope, confirm_intent(scope, found, params))


def capture(scope: Scope, params: Json, intent: str) -> Json:
    """Capture a held payment, all of it or a part; the rest goes back."""
    found = _named(scope, intent)
    if found["status"] != "requires_capture":
        message = (
            "This PaymentIntent could not be captured because it has a status of "
            f"{found['status']}. Only a PaymentIntent with one of the following statuses may be "
            "captured: requires_capture."
        )
        raise intents.unexpected_state(found, message)
    amount = found["amount_capturable"]
    if "amount_to_capture" in params:
        amount = params["amount_to_capture"]
    if amount > found["amount_capturable"]:
        message = (
            f"The amount_to_capture of {amount} is greater than the amount that can be captured, "
            f"which is {found['amount_capturable']}."
        )
        raise invalid_request(message, param="amount_to_capture", code="amount_too_large")
    if "metadata" in params:
        found["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    charge = scope.get("charge", found["latest_charge"], param="charge")
    charging.capture(scope, charge, amount)
    found |= {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    scope.save(found)
    scope.emit("payment_intent.succeeded", found)
    disputes.after_payment(scope, charge, tokens.card_of(scope.hidden(charge["payment_method"])))
    return found


def cancel(scope: Scope, params: Json, intent: str) -> Json:
    """Cancel an intent that isn't paid; a held payment is given back."""
    found = _named(scope, intent)
    if found["status"] not in _CANCELLABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {found['status']}. "
            "Only a PaymentIntent with one of the following statuses may be canceled: "
            f"{', '.join(_CANCELLABLE)}."
        )
        raise intents.unexpected_state(found, message)
    return cancel_now(scope, found, reason=params.get("cancellation_reason"))


def cancel_now(scope: Scope, intent: Json, *, reason: str | None) -> Json:
    """Cancel an intent; whether it may be was checked before. A hold is let go, not refunded."""
    intent |= {
        "amount_capturable": 0,
        "canceled_at": scope.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    scope.save(intent)
    scope.emit("payment_intent.canceled", intent)
    return intent


def list_intents(scope: Scope, params: Json) -> Json:
    """Return a page of the intents, of one customer if asked."""
    where: list[Condition] = []
    if "customer" in params:
        customer_named(scope, params["customer"], param="customer")
        where.append(("customer = ?", params["customer"]))
    return list_page(scope, "payment_intent", params, url="/v1/payment_intents", where=where)


def search(scope: Scope, params: Json) -> Json:
    """Search the intents."""
    fields = frozenset({"amount", "created", "currency", "customer", "status"})
    url = "/v1/payment_intents/search"
    return search_page(scope, "payment_intent", params, fields=fields, url=url)


_ONE = "/v1/payment_intents/{intent}"

ENDPOINTS = (
    Endpoint(method="POST", path="/v1/payment_intents", run=create, params=CREATE_PAYMENT),
    Endpoint(
        method="GET",
        path="/v1/payment_intents",
        run=list_intents,
        params={**PAGE, "created": CREATED, "customer": Str()},
    ),
    Endpoint(method="GET", path="/v1/payment_intents/search", run=search, params=SEARCH),
    Endpoint(
        method="GET",
        path=_ONE,
        run=retrieve,
        params={"client_secret": Str()},
        publishable=True,
    ),
    Endpoint(method="POST", path=_ONE, run=update, params=UPDATE_PAYMENT),
    Endpoint(
        method="POST", path=f"{_ONE}/confirm", run=confirm, params=CONFIRM_PAYMENT, publishable=True
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/capture",
        run=capture,
        params={
            "amount_to_capture": Int(least=1),
            "metadata": Metadata(clearable=True),
            "statement_descriptor": Str(longest=22),
            "statement_descriptor_suffix": Str(longest=22),
        },
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/cancel",
        run=cancel,
        params={
            "cancellation_reason": Str(
                one_of=("abandoned", "duplicate", "fraudulent", "requested_by_customer")
            )
        },
    ),
)
