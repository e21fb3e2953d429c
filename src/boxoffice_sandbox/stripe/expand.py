"""`expand`: replaces ids in an answer by the objects they name."""

from collections.abc import Callable
from typing import Any

from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe.lists import whole_list

Json = dict[str, Any]

_DEEPEST = 4
_IDS = {
    "balance_transaction": {"source"},
    "charge": {"balance_transaction", "customer", "payment_intent"},
    "customer": {"default_source", "default_payment_method"},
    "dispute": {"charge", "payment_intent"},
    "payment_intent": {"customer", "latest_charge", "payment_method"},
    "payment_method": {"customer"},
    "refund": {
        "balance_transaction",
        "charge",
        "failure_balance_transaction",
        "payment_intent",
    },
    "setup_attempt": {"customer", "payment_method", "setup_intent", "generated_sepa_debit"},
    "setup_intent": {"customer", "latest_attempt", "payment_method"},
}


def _refunds(scope: Scope, charge: Json) -> Json:
    refunds = [r for r in scope.latest("refund") if r["charge"] == charge["id"]]
    return whole_list(refunds, url=f"/v1/charges/{charge['id']}/refunds")


def _sources(scope: Scope, customer: Json) -> Json:
    sources = [*scope.latest("card", customer=customer["id"])]
    sources += scope.latest("source", customer=customer["id"])
    return whole_list(sources, url=f"/v1/customers/{customer['id']}/sources")


_INCLUDED: dict[tuple[str, str], Callable[[Scope, Json], Json]] = {
    ("charge", "refunds"): _refunds,
    ("customer", "sources"): _sources,
}


def expand(scope: Scope, answer: Json, paths: list[str]) -> Json:
    """Expand each path, such as `data.latest_charge.balance_transaction`, in place."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > _DEEPEST:
            message = f"You cannot expand more than 4 levels of a property. Property: {path}"
            raise invalid_request(message)
        _expand(scope, answer, parts, kind=str(answer.get("object")), path=path)
    return answer


def _expand(scope: Scope, node: Json, parts: list[str], *, kind: str, path: str) -> None:
    name, rest = parts[0], parts[1:]
    if (kind, name) in _INCLUDED and node.get(name) is None:
        node[name] = _INCLUDED[kind, name](scope, node)
    value = node.get(name)
    if isinstance(value, str) and name in _IDS.get(kind, ()):
        value = node[name] = scope.store.find(value, account=scope.account.name) or value
    elif not isinstance(value, dict | list) and name not in _IDS.get(kind, ()):
        raise invalid_request(f"This property cannot be expanded ({path}).", param="expand")
    for child in value if isinstance(value, list) else [value]:
        if rest and isinstance(child, dict):
            _expand(scope, child, rest, kind=str(child.get("object", kind)), path=path)
