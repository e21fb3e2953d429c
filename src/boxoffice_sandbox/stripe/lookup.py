"""Finds what ids in paths and parameters name, with Stripe's errors where they name nothing."""

from typing import Any

from boxoffice_sandbox.errors import missing
from boxoffice_sandbox.scope import Scope

Json = dict[str, Any]


def customer_named(scope: Scope, customer_id: str, *, param: str, status: int = 400) -> Json:
    """Return a customer that wasn't deleted."""
    customer = scope.find("customer", customer_id)
    if customer is None or customer.get("deleted"):
        raise missing("customer", customer_id, param=param, status=status)
    return customer
