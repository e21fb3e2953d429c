"""Balance transactions: what a charge, refund or dispute moves, and Stripe's fee on it."""

from typing import Any

from boxoffice_sandbox.params import CREATED, PAGE, Str
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe.lists import field_is, list_page
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

_TWO_DAYS = 2 * 24 * 3600
_FEE_PER_MILLE, _FEE_FIXED = 29, 30
_DISPUTE_FEE = 1500


def record(scope: Scope, *, kind: str, source: Json, amount: int, available: bool = False) -> str:
    """Record a movement and return its id; money out is negative.

    Fees are Stripe's card rate of 2.9 % + 30, charged once and not returned by a refund.
    """
    fee = {
        "charge": -(-amount * _FEE_PER_MILLE // 1000) + _FEE_FIXED,
        "adjustment": _DISPUTE_FEE if amount < 0 else 0,
    }.get(kind, 0)
    details = {"amount": fee, "application": None, "currency": source["currency"]}
    details |= {"description": "Stripe processing fees", "type": "stripe_fee"}
    transaction = {
        "id": scope.new_id("txn_3"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": scope.now + (0 if available else _TWO_DAYS),
        "balance_type": "payments",
        "created": scope.now,
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [details] if fee else [],
        "net": amount - fee,
        "reporting_category": {"adjustment": "dispute"}.get(kind, kind),
        "source": source["id"],
        "status": "available" if available else "pending",
        "type": kind,
    }
    scope.save(transaction)
    return str(transaction["id"])


def _retrieve(scope: Scope, _params: Json, transaction: str) -> Json:
    return scope.get("balance_transaction", transaction, param="id", status=404)


def _list(scope: Scope, params: Json) -> Json:
    where = [field_is(name, params[name]) for name in ("source", "type") if name in params]
    url = "/v1/balance_transactions"
    return list_page(scope, "balance_transaction", params, url=url, where=where)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/balance_transactions",
        run=_list,
        params={**PAGE, "created": CREATED, "source": Str(), "type": Str()},
    ),
    Endpoint(method="GET", path="/v1/balance_transactions/{transaction}", run=_retrieve),
)
