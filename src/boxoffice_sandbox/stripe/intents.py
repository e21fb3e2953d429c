"""What PaymentIntents and SetupIntents share: client secrets, method types, next actions."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from boxoffice_sandbox.errors import StripeError, invalid_request, malformed
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import payment_methods
from boxoffice_sandbox.stripe.shapes import METHOD_TYPES

Json = dict[str, Any]

REDIRECT_TYPES = frozenset(METHOD_TYPES) - {"card"}
# What a publishable key may see; of a SetupIntent, as much of it as there is.
_PUBLIC_FIELDS = """
id object amount amount_details automatic_payment_methods canceled_at cancellation_reason
capture_method client_secret confirmation_method created currency description
last_payment_error last_setup_error latest_charge livemode next_action payment_method
payment_method_configuration_details payment_method_types processing receipt_email
setup_future_usage shipping status usage
"""
_PUBLIC = frozenset(_PUBLIC_FIELDS.split())
CONFIGURATION = {"id": "pmc_1BoxofficeSandboxDefault0", "parent": None}


def public(intent: Json) -> Json:
    """Return what a publishable key may see of a PaymentIntent or SetupIntent."""
    return {name: value for name, value in intent.items() if name in _PUBLIC}


def automatic_types(scope: Scope, currency: str | None, *, redirects: bool) -> list[str]:
    """Return the methods that the account's dashboard offers for a currency."""
    if currency not in ("eur", None) or not redirects:
        return ["card"]
    legacy = ["giropay"] if scope.account.legacy and currency else []
    return ["card", "bancontact", *legacy, "ideal"]


def checked_types(types: list[str], currency: str | None) -> list[str]:
    """Return the asked method types; unknown and repeated ones are refused, and wrong currency."""
    for index, name in enumerate(types):
        if name not in METHOD_TYPES:
            choices = ", ".join(METHOD_TYPES)
            message = f"Invalid payment_method_types[{index}]: must be one of {choices}"
            raise malformed(message, param=f"payment_method_types[{index}]")
        if name in REDIRECT_TYPES and currency not in ("eur", None):
            message = (
                f"The currency provided ({currency}) is invalid. Payments with {name} support "
                "the following currencies: eur."
            )
            raise invalid_request(message, param="currency")
    if len(set(types)) < len(types):
        message = "The list of payment method types provided cannot contain duplicates."
        raise malformed(message, param="payment_method_types")
    return types


def check_client_secret(scope: Scope, intent: Json, params: Json, *, name: str) -> None:
    """Refuse a wrong client secret; a publishable key can't do without one."""
    given = params.get("client_secret")
    if given is None and scope.publishable:
        message = "Missing required param: client_secret."
        raise malformed(message, param="client_secret", code="parameter_missing")
    if given is not None and given != intent["client_secret"]:
        message = (
            "The client_secret provided does not match the client_secret associated with the "
            f"{name}."
        )
        kind = str(intent["object"])
        raise invalid_request(message, param="client_secret", code=f"{kind}_invalid_parameter")


def unexpected_state(intent: Json, message: str) -> Exception:
    """Make the error for what an intent's status doesn't allow."""
    kind = str(intent["object"])
    fields = {"type": "invalid_request_error", "message": message, kind: intent}
    return StripeError(400, {**fields, "code": f"{kind}_unexpected_state"})


def method_for(scope: Scope, intent: Json, params: Json) -> Json:
    """Return the method to confirm with: a given one, given data, or the intent's own."""
    if "payment_method" in params and "payment_method_data" in params:
        message = "You may only specify one of payment_method and payment_method_data."
        raise invalid_request(message, param="payment_method_data")
    if "payment_method_data" in params:
        data = params["payment_method_data"]
        method = payment_methods.make(scope, data["type"], data, prefix="payment_method_data")
    else:
        reference = params.get("payment_method") or intent["payment_method"]
        if reference is None:
            name = "PaymentIntent" if intent["object"] == "payment_intent" else "SetupIntent"
            message = (
                f"You cannot confirm this {name} because it's missing a payment method. You can "
                f"either update the {name} with a payment method and then confirm it again, or "
                "confirm it again directly with a payment method or ConfirmationToken."
            )
            raise unexpected_state(intent, message)
        method = payment_methods.resolve(scope, reference)
    check_method(scope, intent, method)
    return method


def check_method(scope: Scope, intent: Json, method: Json) -> None:
    """Refuse a method of a type, or of a customer, that the intent isn't for."""
    kind = str(intent["object"])
    name = "PaymentIntent" if kind == "payment_intent" else "SetupIntent"
    if method["type"] not in intent["payment_method_types"]:
        allowed = ", ".join(intent["payment_method_types"])
        message = (
            f"The PaymentMethod provided ({method['type']}) is not allowed for this {name}. "
            f"Please attach a PaymentMethod of one of the following types: {allowed}. "
            f"Alternatively update the allowed payment_method_types for this {name} to include "
            f'"{method["type"]}"'
        )
        raise invalid_request(
            message, param="payment_method", code=f"{kind}_incompatible_payment_method"
        )
    owner = method["customer"]
    if owner is not None and owner != intent["customer"]:
        message = (
            f"The PaymentMethod {method['id']} belongs to the Customer {owner}. Please include "
            f"the Customer in the `customer` parameter on the {name}."
            if intent["customer"] is None
            else f"The customer does not have a payment method with the ID {method['id']}. The "
            "payment method must be attached to the customer."
        )
        raise invalid_request(message, param="payment_method")
    if owner is None and scope.hidden(method["id"]).get("spent"):
        raise payment_methods.spent()


def check_return_url(intent: Json, method: Json, return_url: str | None) -> None:
    """Refuse to confirm without a way back where a redirect may happen."""
    if return_url is not None:
        return
    automatic = intent["automatic_payment_methods"]
    if automatic is not None and automatic["allow_redirects"] == "always":
        name = "PaymentIntent" if intent["object"] == "payment_intent" else "SetupIntent"
        message = (
            f"This {name} is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your "
            "page, you must provide a `return_url`. If you don't want to accept redirect-based "
            "payment methods, set `automatic_payment_methods[enabled]` to `true` and "
            "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup "
            "Intents and Payment Intents."
        )
        raise invalid_request(message, param="return_url")
    if method["type"] in REDIRECT_TYPES:
        message = (
            f"You must provide a `return_url` when confirming using the `{method['type']}` "
            "payment method type."
        )
        raise invalid_request(message, param="return_url", code="parameter_missing")


def check_redirect_method(scope: Scope, method: Json) -> None:
    """Refuse giropay, which its makers closed, and bancontact without a name."""
    if method["type"] == "giropay" and not scope.account.legacy:
        raise giropay_closed()
    if method["type"] == "bancontact" and not method["billing_details"]["name"]:
        name = "billing_details[name]"
        message = f"Missing required param: {name}."
        raise invalid_request(message, param=name, code="parameter_missing")


def giropay_closed() -> Exception:
    """Make the answer that giropay gets since 2024-06-30."""
    message = "Giropay is deprecated and can no longer be used for payment acceptance."
    return invalid_request(message, status=402)


def next_action(scope: Scope, intent: Json, return_url: str | None) -> Json:
    """Return where the customer goes on: the sandbox's page with two buttons."""
    url = f"{scope.base_url}/redirect/{intent['id']}"
    if return_url is None:
        details = {"type": "three_d_secure_redirect", "stripe_js": url}
        return {"type": "use_stripe_sdk", "use_stripe_sdk": details}
    details = {"return_url": return_url, "url": url}
    return {"redirect_to_url": details, "type": "redirect_to_url"}


def address_back(intent: Json, return_url: str, *, succeeded: bool) -> str:
    """Return where the customer is sent after the page, with what Stripe adds to it."""
    kind = str(intent["object"])
    parts = urlsplit(return_url)
    query = [
        *parse_qsl(parts.query, keep_blank_values=True),
        (kind, intent["id"]),
        (f"{kind}_client_secret", intent["client_secret"]),
        ("redirect_status", "succeeded" if succeeded else "failed"),
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))
