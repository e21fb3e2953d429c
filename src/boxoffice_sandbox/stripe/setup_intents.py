"""SetupIntents: save a method without paying."""

from typing import Any

from boxoffice_sandbox.errors import DOC_URL, card_error, invalid_request
from boxoffice_sandbox.params import (
    CREATED,
    PAGE,
    Str,
    merged_metadata,
)
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import intents, payment_methods, tokens
from boxoffice_sandbox.stripe.cards import Authentication, Decline
from boxoffice_sandbox.stripe.intent_params import CONFIRM_SETUP, CREATE_SETUP, UPDATE_SETUP
from boxoffice_sandbox.stripe.lists import Condition, field_is, list_page
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_NOT_AUTHENTICATED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data "
    "or a new PaymentMethod to attempt to fulfill this SetupIntent again."
)
_CARD_OPTIONS: Json = {
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}


def create(scope: Scope, params: Json) -> Json:
    """Make an intent, and confirm it at once if asked to."""
    intent = _blank(scope)
    _apply(scope, intent, params)
    _choose_types(scope, intent, params)
    options = params.get("payment_method_options", {}).get("card", {})
    if "card" in intent["payment_method_types"]:
        intent["payment_method_options"] = {"card": _CARD_OPTIONS | options}
    _set_method(scope, intent, params)
    scope.save(intent)
    scope.emit("setup_intent.created", intent)
    if not params.get("confirm"):
        return intent
    return confirm(scope, intent, {"return_url": params.get("return_url")})


def _blank(scope: Scope) -> Json:
    intent_id = scope.new_id("seti_1")
    nothing = (
        "application automatic_payment_methods cancellation_reason customer customer_account "
        "description excluded_payment_method_types flow_directions last_setup_error "
        "latest_attempt mandate next_action on_behalf_of payment_method "
        "payment_method_configuration_details single_use_mandate"
    )
    return {
        "id": intent_id,
        "object": "setup_intent",
        **dict.fromkeys(nothing.split()),
        "client_secret": f"{intent_id}_secret_{scope.new_id('', 31)}",
        "created": scope.now,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": [],
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def _apply(scope: Scope, intent: Json, params: Json) -> None:
    for name in ("description", "usage"):
        if name in params:
            intent[name] = params[name]
    if "metadata" in params:
        intent["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if "customer" in params:
        customer = customer_named(scope, params["customer"], param="customer")
        intent["customer"] = customer["id"]


def _choose_types(scope: Scope, intent: Json, params: Json) -> None:
    automatic = params.get("automatic_payment_methods")
    if "payment_method_types" in params:
        types = intents.checked_types(params["payment_method_types"], None)
        if "giropay" in types:
            message = "The payment method type giropay cannot be set up for future use."
            raise invalid_request(message, param="payment_method_types")
        intent["payment_method_types"] = types
        return
    if automatic is not None and not automatic["enabled"]:
        intent["payment_method_types"] = ["card"]
        return
    redirects = (automatic or {}).get("allow_redirects", "always")
    intent["automatic_payment_methods"] = {"allow_redirects": redirects, "enabled": True}
    intent["payment_method_configuration_details"] = dict(intents.CONFIGURATION)
    intent["payment_method_types"] = intents.automatic_types(
        scope, None, redirects=redirects == "always"
    )


def _set_method(scope: Scope, intent: Json, params: Json) -> None:
    if not {"payment_method", "payment_method_data"} & params.keys():
        return
    intent["payment_method"] = intents.method_for(scope, intent, params)["id"]
    intent["status"] = "requires_confirmation"


def _named(scope: Scope, intent_id: str) -> Json:
    return scope.get("setup_intent", intent_id, param="intent", status=404)


def _check_open(intent: Json, what: str) -> None:
    if intent["status"] not in _OPEN:
        message = (
            f"You cannot {what} this SetupIntent because it has a status of {intent['status']}. "
            f"Only a SetupIntent with one of the following statuses may be {what}ed: "
            f"{', '.join(_OPEN)}."
        )
        raise intents.unexpected_state(intent, message)


def confirm(scope: Scope, intent: Json, params: Json) -> Json:
    """Confirm an intent; raises a card error (with everything kept) when it is declined."""
    _check_open(intent, "confirm")
    method = intents.method_for(scope, intent, params)
    intents.check_return_url(intent, method, params.get("return_url"))
    intents.check_redirect_method(scope, method)
    intent["payment_method"] = method["id"]
    attempt = _new_attempt(scope, intent, method)
    if _needs_action(scope, intent, method):
        intent["status"] = "requires_action"
        intent["next_action"] = intents.next_action(scope, intent, params.get("return_url"))
        intent["last_setup_error"] = None
        scope.save(intent)
        scope.hide(intent["id"], return_url=params.get("return_url"))
        _set_attempt(scope, attempt, "requires_action")
        scope.emit("setup_intent.requires_action", intent)
        return intent
    decline = _decline(scope, method)
    if decline is not None:
        raise _declined(scope, intent, method, attempt, decline)
    return _succeed(scope, intent, method, attempt)


def _new_attempt(scope: Scope, intent: Json, method: Json) -> Json:
    kind = method["type"]
    details: Json = {}
    if kind == "card":
        names = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding")
        details = {name: method["card"][name] for name in (*names, "last4", "wallet")}
        details |= {"network": method["card"]["brand"], "three_d_secure": None}
    attempt = {
        "id": scope.new_id("setatt_1"),
        "object": "setup_attempt",
        "application": None,
        "created": scope.now,
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": method["id"],
        "payment_method_details": {"type": kind, kind: details},
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": "processing",
        "usage": intent["usage"],
    }
    scope.save(attempt)
    intent["latest_attempt"] = attempt["id"]
    return attempt


def _set_attempt(scope: Scope, attempt: Json, status: str, error: Json | None = None) -> None:
    scope.save({**attempt, "setup_error": error, "status": status})


def _needs_action(scope: Scope, intent: Json, method: Json) -> bool:
    if method["type"] != "card":
        return True
    options = intent["payment_method_options"].get("card", {})
    match tokens.card_of(scope.hidden(method["id"])).authentication:
        case Authentication.ALWAYS | Authentication.UNLESS_SET_UP:
            return True
        case Authentication.ON_REQUEST:
            return options.get("request_three_d_secure") in ("any", "challenge")
        case Authentication.NEVER | Authentication.ON_SESSION:
            return False


def _decline(scope: Scope, method: Json) -> Decline | None:
    """A card that can't be saved says so here; one that only refuses to pay doesn't."""
    if method["type"] != "card":
        return None
    card = tokens.card_of(scope.hidden(method["id"]))
    return None if card.attaches else card.decline


def _declined(
    scope: Scope, intent: Json, method: Json, attempt: Json, decline: Decline
) -> Exception:
    fields: Json = {
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "param": decline.param,
        "payment_method": method,
    }
    error = {"doc_url": DOC_URL + decline.code.replace("_", "-"), **fields, "type": "card_error"}
    _reset(scope, intent, attempt, error)
    message, code = fields.pop("message"), fields.pop("code")
    return card_error(message, code=code, **fields, setup_intent=intent)


def _reset(scope: Scope, intent: Json, attempt: Json, error: Json) -> None:
    error = {name: value for name, value in sorted(error.items()) if value is not None}
    intent["last_setup_error"] = error
    intent["next_action"] = None
    intent["payment_method"] = None
    intent["status"] = "requires_payment_method"
    scope.save(intent)
    _set_attempt(scope, attempt, "failed", error)
    scope.emit("setup_intent.setup_failed", intent)


def _succeed(scope: Scope, intent: Json, method: Json, attempt: Json) -> Json:
    customer = intent["customer"]
    if method["type"] == "card":
        scope.hide(method["id"], set_up=intent["usage"] == "off_session")
        if customer is not None and method["customer"] is None:
            payment_methods.attach_now(scope, method, customer)
    else:
        scope.hide(method["id"], spent=True)
        if customer is not None:
            debit = payment_methods.save_sepa_debit(scope, method, customer)
            details = attempt["payment_method_details"][method["type"]]
            details["generated_sepa_debit"] = debit["id"]
    intent["last_setup_error"] = None
    intent["next_action"] = None
    intent["status"] = "succeeded"
    scope.save(intent)
    _set_attempt(scope, attempt, "succeeded")
    scope.emit("setup_intent.succeeded", intent)
    return intent


def complete_action(scope: Scope, intent: Json, *, succeeded: bool) -> Json:
    """End a pending authentication or redirect; the issuer may still say no after it."""
    if intent["status"] != "requires_action":
        message = f"{intent['id']} is {intent['status']}: nothing waits for the customer."
        raise invalid_request(message)
    method = scope.get("payment_method", intent["payment_method"], param="payment_method")
    attempt = scope.get("setup_attempt", intent["latest_attempt"], param="setup_attempt")
    if succeeded:
        decline = _decline(scope, method)
        if decline is None:
            return _succeed(scope, intent, method, attempt)
        # Nobody waits for this answer: the decline is told by the event and the intent.
        _declined(scope, intent, method, attempt, decline)
        return intent
    code = "setup_intent_authentication_failure"
    error = {
        "code": code,
        "doc_url": DOC_URL + code.replace("_", "-"),
        "message": _NOT_AUTHENTICATED,
        "payment_method": method,
        "type": "invalid_request_error",
    }
    _reset(scope, intent, attempt, error)
    return intent


def _retrieve(scope: Scope, params: Json, intent: str) -> Json:
    found = _named(scope, intent)
    intents.check_client_secret(scope, found, params, name="SetupIntent")
    return intents.public(found) if scope.publishable else found


def _update(scope: Scope, params: Json, intent: str) -> Json:
    found = _named(scope, intent)
    _check_open(found, "update")
    _apply(scope, found, params)
    if "payment_method_types" in params:
        _choose_types(scope, found, params)
    _set_method(scope, found, params)
    return scope.save(found)


def _confirm_named(scope: Scope, params: Json, intent: str) -> Json:
    found = _named(scope, intent)
    intents.check_client_secret(scope, found, params, name="SetupIntent")
    confirmed = confirm(scope, found, params)
    return intents.public(confirmed) if scope.publishable else confirmed


def _cancel(scope: Scope, params: Json, intent: str) -> Json:
    found = _named(scope, intent)
    _check_open(found, "cancel")
    found["cancellation_reason"] = params.get("cancellation_reason")
    found["next_action"] = None
    found["status"] = "canceled"
    scope.save(found)
    scope.emit("setup_intent.canceled", found)
    return found


def _list(scope: Scope, params: Json) -> Json:
    where: list[Condition] = []
    if "customer" in params:
        customer_named(scope, params["customer"], param="customer")
        where.append(("customer = ?", params["customer"]))
    if "payment_method" in params:
        where.append(field_is("payment_method", params["payment_method"]))
    return list_page(scope, "setup_intent", params, url="/v1/setup_intents", where=where)


_ONE = "/v1/setup_intents/{intent}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/setup_intents",
        run=create,
        params=CREATE_SETUP,
    ),
    Endpoint(
        method="GET",
        path="/v1/setup_intents",
        run=_list,
        params={**PAGE, "created": CREATED, "customer": Str(), "payment_method": Str()},
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        run=_retrieve,
        params={"client_secret": Str()},
        publishable=True,
    ),
    Endpoint(method="POST", path=_ONE, run=_update, params=UPDATE_SETUP),
    Endpoint(
        method="POST",
        path=f"{_ONE}/confirm",
        run=_confirm_named,
        publishable=True,
        params=CONFIRM_SETUP,
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/cancel",
        run=_cancel,
        params={
            "cancellation_reason": Str(one_of=("abandoned", "duplicate", "requested_by_customer"))
        },
    ),
)
