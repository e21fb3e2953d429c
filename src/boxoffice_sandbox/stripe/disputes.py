"""Disputes: opened by the bank, answered with evidence, closed by the bank.

An inquiry (`warning_...`) is the bank's question: no money moves unless it becomes a dispute.
"""

from typing import Any

from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.params import CREATED, PAGE, Bool, Metadata, Obj, Str, merged_metadata
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import balance
from boxoffice_sandbox.stripe.cards import Card
from boxoffice_sandbox.stripe.lists import field_is, list_page
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

_SEVEN_DAYS = 7 * 24 * 3600
_EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_INQUIRIES = ("warning_needs_response", "warning_under_review")
_OPEN = ("needs_response", "under_review")
REASONS = (
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)


def after_payment(scope: Scope, charge: Json, card: Card) -> None:
    """Dispute a charge that was taken from one of the dispute test cards."""
    if card.dispute is not None:
        open_dispute(scope, charge, reason=card.dispute, inquiry=card.inquiry)


def of_charge(scope: Scope, charge: Json) -> list[Json]:
    """Return the disputes over a charge, newest first."""
    return [dispute for dispute in scope.latest("dispute") if dispute["charge"] == charge["id"]]


def check_disputable(scope: Scope, charge: Json, amount: int) -> None:
    """Refuse what no cardholder's bank disputes."""
    if charge["status"] != "succeeded" or not charge["captured"]:
        message = f"{charge['id']} took no money, so there is nothing to dispute."
    elif charge["payment_method_details"]["type"] != "card":
        message = f"{charge['id']} was not paid by card: only card payments are disputed."
    elif not 0 < amount <= charge["amount_captured"]:
        message = f"{amount} is not between 1 and the {charge['amount_captured']} that were paid."
    elif any(d["status"] in (*_OPEN, *_INQUIRIES) for d in of_charge(scope, charge)):
        message = f"{charge['id']} has an open dispute already."
    else:
        return
    raise invalid_request(message)


def open_dispute(
    scope: Scope, charge: Json, *, reason: str, amount: int | None = None, inquiry: bool = False
) -> Json:
    """Open a dispute over a charge: the bank takes the money back at once."""
    amount = charge["amount_captured"] if amount is None else amount
    dispute = _new_dispute(scope, charge, reason=reason, amount=amount, inquiry=inquiry)
    charge["disputed"] = True
    scope.save(charge)
    if inquiry:
        scope.save(dispute)
        scope.emit("charge.dispute.created", dispute)
        return dispute
    _move(scope, dispute, -amount)
    scope.emit("charge.dispute.created", dispute)
    scope.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _new_dispute(scope: Scope, charge: Json, *, reason: str, amount: int, inquiry: bool) -> Json:
    card = charge["payment_method_details"]["card"]
    return {
        "id": scope.new_id("du_1"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": scope.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": scope.now + _SEVEN_DAYS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": card["network"],
                "network_reason_code": "10" if inquiry else _REASON_CODES.get(reason, "12.5"),
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


_REASON_CODES = {
    "credit_not_processed": "13.6",
    "duplicate": "12.6",
    "fraudulent": "10.4",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}


def _move(scope: Scope, dispute: Json, amount: int) -> None:
    transaction = balance.record(
        scope, kind="adjustment", source=dispute, amount=amount, available=True
    )
    moved = scope.get("balance_transaction", transaction, param="id")
    dispute["balance_transactions"] = [*dispute["balance_transactions"], moved]
    scope.save(dispute)


def _check_status(dispute: Json, allowed: tuple[str, ...]) -> None:
    if dispute["status"] not in allowed:
        message = f"This dispute is {dispute['status']}, not {' or '.join(allowed)}."
        raise invalid_request(message, code="dispute_unexpected_state")


def review(scope: Scope, dispute: Json) -> Json:
    """Let the bank look at the dispute, or at its own question."""
    _check_status(dispute, ("needs_response", "warning_needs_response"))
    before = {"status": dispute["status"]}
    dispute["status"] = dispute["status"].replace("needs_response", "under_review")
    scope.save(dispute)
    scope.emit("charge.dispute.updated", dispute, before)
    return dispute


def escalate(scope: Scope, dispute: Json) -> Json:
    """Make an inquiry a dispute: only now the money is taken back."""
    _check_status(dispute, _INQUIRIES)
    before = {"is_charge_refundable": True, "status": dispute["status"]}
    dispute |= {"is_charge_refundable": False, "status": "needs_response"}
    dispute["payment_method_details"]["card"] |= {
        "case_type": "chargeback",
        "network_reason_code": _REASON_CODES.get(dispute["reason"], "12.5"),
    }
    _move(scope, dispute, -dispute["amount"])
    scope.emit("charge.dispute.updated", dispute, before)
    scope.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_inquiry(scope: Scope, dispute: Json) -> Json:
    """End an inquiry that never became a dispute."""
    _check_status(dispute, _INQUIRIES)
    before = {"status": dispute["status"]}
    dispute["status"] = "warning_closed"
    scope.save(dispute)
    scope.emit("charge.dispute.closed", dispute, before)
    return dispute


def finish(scope: Scope, dispute: Json, *, won: bool) -> Json:
    """Close a dispute as the bank decides; a won one brings the money back."""
    _check_status(dispute, _OPEN)
    before = {"status": dispute["status"]}
    dispute["status"] = "won" if won else "lost"
    if won:
        _move(scope, dispute, dispute["amount"])
    scope.save(dispute)
    scope.emit("charge.dispute.closed", dispute, before)
    if won:
        scope.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def _retrieve(scope: Scope, _params: Json, dispute: str) -> Json:
    return scope.get("dispute", dispute, param="id", status=404)


def _update(scope: Scope, params: Json, dispute: str) -> Json:
    found = scope.get("dispute", dispute, param="id", status=404)
    before = {name: found[name] for name in ("evidence", "status")}
    if "metadata" in params:
        found["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    if params.get("evidence"):
        _check_status(found, (*_OPEN, *_INQUIRIES))
        found["evidence"] |= params["evidence"]
        found["evidence_details"]["has_evidence"] = True
    submits = params.get("submit", True) and found["evidence_details"]["has_evidence"]
    if submits and found["status"] in (*_OPEN, *_INQUIRIES):
        found["evidence_details"]["submission_count"] += 1
        found["status"] = found["status"].replace("needs_response", "under_review")
    scope.save(found)
    changed = {name: value for name, value in before.items() if found[name] != value}
    scope.emit("charge.dispute.updated", found, changed)
    return _decide(scope, found) if submits else found


def _decide(scope: Scope, dispute: Json) -> Json:
    """Do what Stripe's three magic texts ask the bank of its test mode for."""
    inquiry = dispute["status"] in _INQUIRIES
    match dispute["evidence"]["uncategorized_text"]:
        case "winning_evidence" | "losing_evidence" if inquiry:
            return close_inquiry(scope, dispute)
        case "winning_evidence" | "losing_evidence" as text if dispute["status"] in _OPEN:
            return finish(scope, dispute, won=text == "winning_evidence")
        case "escalate_inquiry_evidence" if inquiry:
            return escalate(scope, dispute)
    return dispute


def _close(scope: Scope, _params: Json, dispute: str) -> Json:
    return finish(scope, scope.get("dispute", dispute, param="id", status=404), won=False)


def _list(scope: Scope, params: Json) -> Json:
    where = [field_is(n, params[n]) for n in ("charge", "payment_intent") if n in params]
    return list_page(scope, "dispute", params, url="/v1/disputes", where=where)


_ONE = "/v1/disputes/{dispute}"

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/disputes",
        run=_list,
        params={**PAGE, "charge": Str(), "created": CREATED, "payment_intent": Str()},
    ),
    Endpoint(method="GET", path=_ONE, run=_retrieve),
    Endpoint(
        method="POST",
        path=_ONE,
        run=_update,
        params={
            "evidence": Obj(
                members={name: Str(longest=20000, clearable=True) for name in _EVIDENCE}
            ),
            "metadata": Metadata(clearable=True),
            "submit": Bool(),
        },
    ),
    Endpoint(method="POST", path=f"{_ONE}/close", run=_close),
)
