"""Confirms PaymentIntents: asks the issuer, asks for authentication, and records what came."""

from typing import Any

from boxoffice_sandbox.errors import DOC_URL, StripeError, card_error
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import charging, disputes, payment_methods, tokens
from boxoffice_sandbox.stripe.cards import AUTHENTICATION_REQUIRED, Authentication, Card, Decline
from boxoffice_sandbox.stripe.intents import (
    check_redirect_method,
    check_return_url,
    method_for,
    next_action,
    unexpected_state,
)

Json = dict[str, Any]

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_NOT_AUTHENTICATED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data "
    "or a new PaymentMethod to attempt to fulfill this PaymentIntent again."
)
_ATTEMPT_FAILED = "The payment attempt failed at the customer's bank."
_NOT_HANDLED = (
    "This payment required an authentication action to complete, but `error_on_requires_action` "
    "was set. When you're ready, you can upgrade your integration to handle actions at "
    "https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions."
)


def confirm(scope: Scope, intent: Json, params: Json) -> Json:
    """Confirm an intent; raises a card error (with everything kept) when it is declined."""
    _check_status(intent)
    method = method_for(scope, intent, params)
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = params["setup_future_usage"]
    if params.get("payment_method_options"):
        for name, options in params["payment_method_options"].items():
            intent["payment_method_options"].setdefault(name, {}).update(options)
    for name in ("receipt_email", "shipping"):
        if name in params:
            intent[name] = params[name]
    return_url = params.get("return_url") or scope.hidden(intent["id"]).get("return_url")
    check_return_url(intent, method, return_url)
    check_redirect_method(scope, method)
    intent["payment_method"] = method["id"]
    intent["next_action"] = None
    off_session = params.get("off_session", False) is not False
    if not _needs_action(scope, intent, method, off_session=off_session):
        return charge(scope, intent, method, off_session=off_session)
    if params.get("error_on_requires_action"):
        raise _refuse_action(scope, intent, method)
    intent["status"] = "requires_action"
    intent["next_action"] = next_action(scope, intent, return_url)
    intent["last_payment_error"] = None
    scope.save(intent)
    scope.hide(intent["id"], return_url=return_url)
    scope.emit("payment_intent.requires_action", intent)
    return intent


def _check_status(intent: Json) -> None:
    status = intent["status"]
    if status in CONFIRMABLE:
        return
    message = {
        "succeeded": "You cannot confirm this PaymentIntent because it has already succeeded "
        "after being previously confirmed.",
        "requires_capture": "You cannot confirm this PaymentIntent because it has already been "
        "confirmed and is waiting to be captured.",
    }.get(
        status,
        f"You cannot confirm this PaymentIntent because it has a status of {status}. Only a "
        "PaymentIntent with one of the following statuses may be confirmed: "
        f"{', '.join(CONFIRMABLE)}.",
    )
    raise unexpected_state(intent, message)


def _needs_action(scope: Scope, intent: Json, method: Json, *, off_session: bool) -> bool:
    if method["type"] != "card":
        return True
    if off_session:
        return False
    hidden = scope.hidden(method["id"])
    options = intent["payment_method_options"].get("card", {})
    asked = options.get("request_three_d_secure") in ("any", "challenge")
    match tokens.card_of(hidden).authentication:
        case Authentication.NEVER:
            return False
        case Authentication.ON_REQUEST:
            return asked
        case Authentication.UNLESS_SET_UP:
            return asked or not hidden.get("set_up")
        case Authentication.ALWAYS | Authentication.ON_SESSION:
            return True


def _off_session_decline(scope: Scope, method: Json) -> Decline | None:
    hidden = scope.hidden(method["id"])
    match tokens.card_of(hidden).authentication:
        case Authentication.ALWAYS:
            return AUTHENTICATION_REQUIRED
        case Authentication.UNLESS_SET_UP if not hidden.get("set_up"):
            return AUTHENTICATION_REQUIRED
    return None


def _refuse_action(scope: Scope, intent: Json, method: Json) -> StripeError:
    decline = Decline(
        code="authentication_required",
        decline_code="authentication_not_handled",
        message=_NOT_HANDLED,
    )
    return _declined(scope, intent, method, decline, charge_id=None)


def charge(
    scope: Scope,
    intent: Json,
    method: Json,
    *,
    off_session: bool = False,
    authenticated: bool = False,
) -> Json:
    """Take the money: succeeded or held, or a card error with the failed charge kept."""
    attempt = _new_attempt(scope, intent, method, authenticated=authenticated)
    if method["type"] != "card":
        return succeed(scope, intent, method, attempt)
    card = tokens.card_of(scope.hidden(method["id"]))
    decline = _off_session_decline(scope, method) if off_session else None
    decline = decline or card.decline
    if decline is None:
        return succeed(scope, intent, method, attempt, card=card, authenticated=authenticated)
    charging.fail(scope, attempt, decline)
    intent["latest_charge"] = attempt["id"]
    raise _declined(scope, intent, method, decline, charge_id=attempt["id"])


def _new_attempt(scope: Scope, intent: Json, method: Json, *, authenticated: bool) -> Json:
    attempt = charging.new_charge(
        scope,
        amount=intent["amount"],
        billing_details=method["billing_details"],
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        metadata=dict(intent["metadata"]),
        payment_intent=intent["id"],
        payment_method=method["id"],
        receipt_email=intent["receipt_email"],
        shipping=intent["shipping"],
        statement_descriptor=intent["statement_descriptor"],
        statement_descriptor_suffix=intent["statement_descriptor_suffix"],
        transfer_group=intent["transfer_group"],
    )
    if method["type"] == "card":
        dates = (method["card"]["exp_month"], method["card"]["exp_year"])
        card = tokens.card_of(scope.hidden(method["id"]))
        details = charging.card_details(card, attempt, dates=dates, authenticated=authenticated)
    else:
        details = charging.redirect_details(method)
    return {**attempt, "payment_method_details": details}


def succeed(
    scope: Scope,
    intent: Json,
    method: Json,
    attempt: Json,
    *,
    card: Card | None = None,
    authenticated: bool = False,
) -> Json:
    """Record a charge that went through, and what the intent becomes by it."""
    capture = intent["capture_method"] != "manual"
    _keep_method(scope, intent, method, attempt, authenticated=authenticated)
    charging.succeed(scope, attempt, capture=capture)
    intent["latest_charge"] = attempt["id"]
    intent["last_payment_error"] = None
    intent["next_action"] = None
    if capture:
        intent["status"] = "succeeded"
        intent["amount_received"] = intent["amount"]
    else:
        intent["status"] = "requires_capture"
        intent["amount_capturable"] = intent["amount"]
    scope.save(intent)
    scope.emit(
        "payment_intent.succeeded" if capture else "payment_intent.amount_capturable_updated",
        intent,
    )
    if card is not None and capture:
        disputes.after_payment(scope, attempt, card)
    return intent


def _keep_method(
    scope: Scope, intent: Json, method: Json, attempt: Json, *, authenticated: bool
) -> None:
    """Save the method to the customer if the payment was to; without that it is used up."""
    options = intent["payment_method_options"].get(method["type"], {})
    usage = options.get("setup_future_usage") or intent["setup_future_usage"]
    saves = usage in ("on_session", "off_session") and intent["customer"] is not None
    if method["type"] == "card":
        if usage == "off_session" and authenticated:
            scope.hide(method["id"], set_up=True)
        if saves and method["customer"] is None:
            payment_methods.attach_now(scope, method, intent["customer"])
        elif method["customer"] is None:
            scope.hide(method["id"], spent=True)
        return
    scope.hide(method["id"], spent=True)
    if saves and method["type"] in ("bancontact", "ideal"):
        debit = payment_methods.save_sepa_debit(scope, method, intent["customer"])
        details = attempt["payment_method_details"][method["type"]]
        details["generated_sepa_debit"] = debit["id"]


def _declined(
    scope: Scope, intent: Json, method: Json, decline: Decline, *, charge_id: str | None
) -> StripeError:
    """Put the intent back to where another method can be tried, and return the error."""
    fields: Json = {
        "charge": charge_id,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "param": decline.param,
        "payment_method": method,
    }
    error: Json = {**fields, "type": "card_error"}
    error["doc_url"] = DOC_URL + decline.code.replace("_", "-")
    _reset(scope, intent, error)
    message, code = fields.pop("message"), fields.pop("code")
    return card_error(message, code=code, **fields, payment_intent=intent)


def _reset(scope: Scope, intent: Json, error: Json) -> None:
    intent["last_payment_error"] = {k: v for k, v in sorted(error.items()) if v is not None}
    intent["next_action"] = None
    intent["payment_method"] = None
    intent["status"] = "requires_payment_method"
    scope.save(intent)
    scope.emit("payment_intent.payment_failed", intent)


def complete_action(scope: Scope, intent: Json, *, succeeded: bool) -> Json:
    """End a pending action, or a payment that a bank was still processing."""
    method = scope.get("payment_method", intent["payment_method"], param="payment_method")
    if intent["status"] == "processing":
        return _end_processing(scope, intent, method, succeeded=succeeded)
    if not succeeded:
        _reset(scope, intent, _bank_error(method, _NOT_AUTHENTICATED, "authentication_failure"))
        return intent
    try:
        return charge(scope, intent, method, authenticated=True)
    except StripeError:
        # Nobody waits for this answer: the decline is told by the events and the intent.
        return intent


def start_processing(scope: Scope, intent: Json) -> Json:
    """Let the bank take its time: the customer is done, the money isn't there yet."""
    method = scope.get("payment_method", intent["payment_method"], param="payment_method")
    attempt = _new_attempt(scope, intent, method, authenticated=False)
    scope.save(attempt)
    intent["latest_charge"] = attempt["id"]
    intent["next_action"] = None
    intent["status"] = "processing"
    scope.save(intent)
    scope.emit("charge.pending", attempt)
    scope.emit("payment_intent.processing", intent)
    return intent


def _end_processing(scope: Scope, intent: Json, method: Json, *, succeeded: bool) -> Json:
    attempt = scope.get("charge", intent["latest_charge"], param="charge")
    if succeeded:
        return succeed(scope, intent, method, attempt)
    error = _bank_error(method, _ATTEMPT_FAILED, "payment_attempt_failed")
    attempt |= {"failure_code": error["code"], "failure_message": error["message"]}
    attempt["status"] = "failed"
    scope.save(attempt)
    scope.emit("charge.failed", attempt)
    _reset(scope, intent, {**error, "charge": attempt["id"]})
    return intent


def _bank_error(method: Json, message: str, what: str) -> Json:
    code = f"payment_intent_{what}"
    return {
        "code": code,
        "doc_url": DOC_URL + code.replace("_", "-"),
        "message": message,
        "payment_method": method,
        "type": "invalid_request_error",
    }
