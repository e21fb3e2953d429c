"""Disputes: opened by the dispute test cards, answered with evidence, closed by the bank."""

from typing import Any

from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.params import CREATED, PAGE, Bool, Metadata, Obj, Str, merged_metadata
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import balance
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
_OPEN = ("needs_response", "under_review")


def open_dispute(scope: Scope, charge: Json, reason: str) -> Json:
    """Open a dispute over a charge: the bank takes the money back at once."""
    dispute = {
        "id": scope.new_id("du_1"),
        "object": "dispute",
        "amount": charge["amount"],
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
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
    _move(scope, dispute, -charge["amount"])
    charge["disputed"] = True
    scope.save(charge)
    scope.emit("charge.dispute.created", dispute)
    scope.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _move(scope: Scope, dispute: Json, amount: int) -> None:
    transaction = balance.record(
        scope, kind="adjustment", source=dispute, amount=amount, available=True
    )
    moved = scope.get("balance_transaction", transaction, param="id")
    dispute["balance_transactions"] = [*dispute["balance_transactions"], moved]
    scope.save(dispute)


def finish(scope: Scope, dispute: Json, *, won: bool) -> Json:
    """Close a dispute as the bank decides; a won one brings the money back."""
    if dispute["status"] not in _OPEN:
        message = f"This dispute is already closed: {dispute['status']}."
        raise invalid_request(message, code="dispute_unexpected_state")
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
        found["evidence"] |= params["evidence"]
        found["evidence_details"]["has_evidence"] = True
    if params.get("submit", True) and found["evidence_details"]["has_evidence"]:
        found["evidence_details"]["submission_count"] += 1
        found["status"] = "under_review"
    scope.save(found)
    changed = {name: value for name, value in before.items() if found[name] != value}
    scope.emit("charge.dispute.updated", found, changed)
    return found


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
