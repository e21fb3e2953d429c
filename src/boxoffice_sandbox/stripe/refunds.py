"""Refunds: never more than what was captured and not yet given back."""

from typing import Any

from boxoffice_sandbox.errors import invalid_request, malformed
from boxoffice_sandbox.params import CREATED, PAGE, Bool, Email, Int, Metadata, Str, merged_metadata
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import balance, disputes
from boxoffice_sandbox.stripe.cards import CARDS
from boxoffice_sandbox.stripe.currencies import written_amount
from boxoffice_sandbox.stripe.lists import field_is, list_page
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

REASONS = ("duplicate", "fraudulent", "requested_by_customer")
FAILURES = (
    "lost_or_stolen_card",
    "charge_for_pending_refund_disputed",
    "declined",
    "expired_or_canceled_card",
    "insufficient_funds",
    "merchant_request",
    "unknown",
)
_TO_A_CARD: Json = {
    "card": {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    },
    "type": "card",
}


def create(scope: Scope, params: Json) -> Json:
    """Give back all or a part of a charge."""
    charge = _charge(scope, params)
    _check_refundable(scope, charge)
    remaining = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", remaining)
    if amount > remaining:
        currency = charge["currency"]
        message = (
            f"Refund amount ({written_amount(amount, currency)}) is greater than unrefunded "
            f"amount on charge ({written_amount(remaining, currency)})"
        )
        raise invalid_request(message, param="amount")
    return refund_now(scope, charge, amount, params)


def _charge(scope: Scope, params: Json) -> Json:
    if ("charge" in params) == ("payment_intent" in params):
        message = "One of the following params should be provided for this request: "
        raise malformed(f"{message}payment_intent or charge.", param="charge")
    if "charge" in params:
        return scope.get("charge", params["charge"], param="charge")
    name = "payment_intent"
    intent = scope.get(name, params[name], param=name)
    if intent["latest_charge"] is None or intent["status"] not in ("succeeded", "requires_capture"):
        message = (
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        )
        raise invalid_request(message, param=name, code="payment_intent_unexpected_state")
    return scope.get("charge", intent["latest_charge"], param=name)


def _check_refundable(scope: Scope, charge: Json) -> None:
    if charge["refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid_request(message, code="charge_already_refunded")
    if charge["disputed"] and not _only_inquired(scope, charge):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise invalid_request(message, code="charge_disputed")
    if charge["status"] != "succeeded" or not charge["captured"]:
        message = (
            f"Charge {charge['id']} is not a captured, successful charge, so it cannot be refunded."
        )
        raise invalid_request(message, param="charge", code="charge_not_refundable")


def _only_inquired(scope: Scope, charge: Json) -> bool:
    """Tell whether the bank has asked about the charge and taken nothing back."""
    return all(dispute["is_charge_refundable"] for dispute in disputes.of_charge(scope, charge))


def refund_now(scope: Scope, charge: Json, amount: int, params: Json) -> Json:
    """Make the refund; whether it may be was checked before."""
    refund = _new_refund(scope, charge, amount, params)
    refund["balance_transaction"] = balance.record(
        scope, kind="refund", source=refund, amount=-amount
    )
    scope.save(refund)
    before = {name: charge[name] for name in ("amount_refunded", "refunded")}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    scope.save(charge)
    scope.emit("refund.created", refund)
    changed = {name: value for name, value in before.items() if charge[name] != value}
    scope.emit("charge.refunded", charge, changed)
    return refund


def _new_refund(scope: Scope, charge: Json, amount: int, params: Json) -> Json:
    card = CARDS.get(scope.hidden(charge["payment_method"]).get("card", ""))
    return {
        "id": scope.new_id("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": scope.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        **({} if card is None else {"destination_details": _TO_A_CARD}),
        "metadata": merged_metadata({}, params.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if card is not None and card.refund == "pending" else "succeeded",
        "transfer_reversal": None,
    }


def finish(scope: Scope, refund: Json, *, succeeded: bool, reason: str = FAILURES[0]) -> Json:
    """End a refund at the bank: a pending one succeeds or fails, a done one may still fail."""
    allowed = ("pending",) if succeeded else ("pending", "succeeded")
    if refund["status"] not in allowed:
        message = f"{refund['id']} is {refund['status']}, not {' or '.join(allowed)}."
        raise invalid_request(message)
    before = {"status": refund["status"]}
    if succeeded:
        refund["status"] = "succeeded"
        scope.save(refund)
    else:
        _fail(scope, refund, reason)
    scope.emit("refund.updated", refund, before)
    scope.emit("charge.refund.updated", refund, before)
    if not succeeded:
        scope.emit("refund.failed", refund)
    return refund


def _fail(scope: Scope, refund: Json, reason: str) -> None:
    """Take a refund back: the money returns to the account."""
    refund["status"] = "failed"
    refund["failure_reason"] = reason
    refund["failure_balance_transaction"] = balance.record(
        scope, kind="refund_failure", source=refund, amount=refund["amount"]
    )
    scope.save(refund)
    charge = scope.get("charge", refund["charge"], param="charge")
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    scope.save(charge)


def _retrieve(scope: Scope, _params: Json, refund: str) -> Json:
    return scope.get("refund", refund, param="id", status=404)


def _update(scope: Scope, params: Json, refund: str) -> Json:
    found = scope.get("refund", refund, param="id", status=404)
    if "metadata" in params:
        before = {"metadata": found["metadata"]}
        found["metadata"] = merged_metadata(found["metadata"], params["metadata"])
        scope.save(found)
        scope.emit("refund.updated", found, before)
        scope.emit("charge.refund.updated", found, before)
    return found


def _list(scope: Scope, params: Json) -> Json:
    where = [field_is(name, params[name]) for name in ("charge",) if name in params]
    if "payment_intent" in params:
        where.append(("payment_intent = ?", params["payment_intent"]))
    return list_page(scope, "refund", params, url="/v1/refunds", where=where)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/refunds",
        run=create,
        params={
            "amount": Int(least=1),
            "charge": Str(),
            "instructions_email": Email(),
            "metadata": Metadata(clearable=True),
            "payment_intent": Str(),
            "reason": Str(one_of=REASONS),
            "refund_application_fee": Bool(),
            "reverse_transfer": Bool(),
        },
    ),
    Endpoint(
        method="GET",
        path="/v1/refunds",
        run=_list,
        params={**PAGE, "charge": Str(), "created": CREATED, "payment_intent": Str()},
    ),
    Endpoint(method="GET", path="/v1/refunds/{refund}", run=_retrieve),
    Endpoint(
        method="POST",
        path="/v1/refunds/{refund}",
        run=_update,
        params={"metadata": Metadata(clearable=True)},
    ),
)
