"""What a customer, or their bank, does: the buttons of the page and of the command line."""

from enum import StrEnum
from typing import Any

from boxoffice_sandbox.errors import StripeError, invalid_request
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import confirmation, intents, setup_intents

Json = dict[str, Any]

_BILLING = {"name": "Jenny Rosen", "email": "jenny@example.com"}
_PAYABLE = ("requires_payment_method", "requires_confirmation")
_PENDING = ("requires_action", "processing")


class Action(StrEnum):
    """One button of a payment intent."""

    PAY = "pay"
    DECLINE = "decline"
    AUTHENTICATE = "authenticate"
    REFUSE = "refuse"
    PROCESS = "process"


class SetupAction(StrEnum):
    """One button of a setup intent."""

    SETUP = "setup"
    DECLINE = "decline"
    AUTHENTICATE = "authenticate"
    REFUSE = "refuse"


def possible(intent: Json) -> list[Action]:
    """Return the buttons that make sense for an intent as it is."""
    if intent["status"] in _PAYABLE:
        return [Action.PAY, Action.DECLINE]
    if intent["status"] == "processing":
        return [Action.AUTHENTICATE, Action.REFUSE]
    if intent["status"] == "requires_action":
        slow = [] if "card" in intent["payment_method_types"] else [Action.PROCESS]
        return [Action.AUTHENTICATE, Action.REFUSE, *slow]
    return []


def possible_setup(intent: Json) -> list[SetupAction]:
    """Return the buttons that make sense for a setup intent as it is."""
    if intent["status"] in _PAYABLE:
        return [SetupAction.SETUP, SetupAction.DECLINE]
    if intent["status"] == "requires_action":
        return [SetupAction.AUTHENTICATE, SetupAction.REFUSE]
    return []


def press(scope: Scope, intent: Json, action: Action, *, card: str | None = None) -> Json:
    """Do what the button says and return the intent as it is then.

    `card` is the test card (`visa`) that the customer takes instead of the usual one.
    """
    match action:
        case Action.PAY:
            return _pay(scope, intent, succeeded=True, card=card)
        case Action.DECLINE:
            return _pay(scope, intent, succeeded=False, card=card)
        case Action.AUTHENTICATE:
            return _complete(scope, intent, action, succeeded=True)
        case Action.REFUSE:
            return _complete(scope, intent, action, succeeded=False)
        case Action.PROCESS:
            _check_status(intent, action, ("requires_action",))
            return confirmation.start_processing(scope, intent)


def press_setup(
    scope: Scope, intent: Json, action: SetupAction, *, card: str | None = None
) -> Json:
    """Do what the button of a setup intent says and return the intent as it is then."""
    succeeded = action in (SetupAction.SETUP, SetupAction.AUTHENTICATE)
    if action in (SetupAction.AUTHENTICATE, SetupAction.REFUSE):
        _check_status(intent, action, ("requires_action",))
    if intent["status"] == "requires_action":
        return setup_intents.complete_action(scope, intent, succeeded=succeeded)
    _check_status(intent, action, _PAYABLE)
    params = _method(scope, intent, succeeded=succeeded, card=card)
    try:
        confirmed = setup_intents.confirm(scope, intent, params)
    except StripeError as error:
        if not error.keep_changes:
            raise
        return scope.get("setup_intent", intent["id"], param="intent")
    if confirmed["status"] == "requires_action":
        return setup_intents.complete_action(scope, confirmed, succeeded=succeeded)
    return confirmed


def _complete(scope: Scope, intent: Json, action: Action, *, succeeded: bool) -> Json:
    _check_status(intent, action, _PENDING)
    return confirmation.complete_action(scope, intent, succeeded=succeeded)


def _pay(scope: Scope, intent: Json, *, succeeded: bool, card: str | None) -> Json:
    """Confirm as the customer would in the browser, through to the end."""
    if intent["status"] in _PENDING:
        return confirmation.complete_action(scope, intent, succeeded=succeeded)
    _check_status(intent, Action.PAY if succeeded else Action.DECLINE, _PAYABLE)
    params = _method(scope, intent, succeeded=succeeded, card=card)
    try:
        confirmed = confirmation.confirm(scope, intent, params)
    except StripeError as error:
        if not error.keep_changes:
            raise
        return scope.get("payment_intent", intent["id"], param="intent")
    if confirmed["status"] == "requires_action":
        return confirmation.complete_action(scope, confirmed, succeeded=succeeded)
    return confirmed


def _method(scope: Scope, intent: Json, *, succeeded: bool, card: str | None) -> Json:
    """Return the parameters of the confirmation that the customer's browser would send."""
    return_url = f"{scope.base_url}/"
    types = intent["payment_method_types"]
    if card is None and intent["payment_method"] is not None and succeeded:
        return {"return_url": return_url}
    if card is not None or "card" in types:
        usual = "visa" if succeeded else "visa_chargeDeclined"
        return {"return_url": return_url, "payment_method": f"pm_card_{card or usual}"}
    redirect = next(name for name in types if name in intents.REDIRECT_TYPES)
    data = {"type": redirect, "billing_details": _BILLING}
    return {"return_url": return_url, "payment_method_data": data}


def _check_status(intent: Json, action: Action | SetupAction, allowed: tuple[str, ...]) -> None:
    if intent["status"] not in allowed:
        message = f"{intent['id']} is {intent['status']}: `{action}` needs {' or '.join(allowed)}."
        raise invalid_request(message)
