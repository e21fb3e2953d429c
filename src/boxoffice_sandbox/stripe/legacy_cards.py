"""Cards and Sources saved to customers the old way (`source=`)."""

from typing import Any

from boxoffice_sandbox.errors import card_error, invalid_request, missing
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import tokens
from boxoffice_sandbox.stripe.cards import usual_expiry

Json = dict[str, Any]


def attach(scope: Scope, customer: Json, reference: str) -> Json:
    """Save a token's card, or a reusable Source, to a customer and make it the default."""
    saved = (
        _attach_source(scope, customer, reference)
        if reference.startswith("src_")
        else _attach_card(scope, customer, reference)
    )
    customer["default_source"] = saved["id"]
    scope.save(customer)
    scope.emit("customer.source.created", saved)
    return saved


def _attach_source(scope: Scope, customer: Json, reference: str) -> Json:
    source = scope.get("source", reference, param="source")
    if source["usage"] != "reusable" or source["status"] != "chargeable":
        message = "This source is not reusable or not chargeable, so it can't be attached."
        raise invalid_request(message, param="source")
    source["customer"] = customer["id"]
    return scope.save(source)


def _attach_card(scope: Scope, customer: Json, reference: str) -> Json:
    if not reference.startswith("tok_"):
        raise missing("token", reference, param="source")
    token = scope.find("token", reference)
    card = tokens.card_of_token(scope, reference, param="source")
    if card.decline is not None and not card.attaches:
        raise card_error(
            card.decline.message,
            code=card.decline.code,
            decline_code=card.decline.decline_code,
            param=card.decline.param,
            keep_changes=False,
        )
    dates = usual_expiry(scope.now)
    if token is not None:
        dates = token["card"]["exp_month"], token["card"]["exp_year"]
    saved = tokens.card_object(scope, card, dates, customer=customer["id"])
    scope.save(saved)
    scope.hide(saved["id"], card=card.name)
    return saved
