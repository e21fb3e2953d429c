"""Customers."""

from typing import Any

from boxoffice_sandbox.params import (
    CREATED,
    PAGE,
    Email,
    List,
    Metadata,
    Obj,
    Shape,
    Str,
    merged_metadata,
)
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe import legacy_cards, payment_methods
from boxoffice_sandbox.stripe.lists import Condition, field_is, list_page
from boxoffice_sandbox.stripe.lookup import customer_named
from boxoffice_sandbox.stripe.routing import Endpoint
from boxoffice_sandbox.stripe.search import SEARCH, search_page
from boxoffice_sandbox.stripe.shapes import ADDRESS, NO_ADDRESS, SHIPPING

Json = dict[str, Any]

_TEXTS = ("description", "email", "name", "phone")
_FIELDS: dict[str, Shape] = {
    "address": ADDRESS,
    "description": Str(clearable=True),
    "email": Email(clearable=True),
    "invoice_settings": Obj(members={"default_payment_method": Str(clearable=True)}),
    "metadata": Metadata(clearable=True),
    "name": Str(longest=256, clearable=True),
    "phone": Str(longest=20, clearable=True),
    "preferred_locales": List(of=Str()),
    "shipping": SHIPPING,
}
_SEARCHED = frozenset({"created", "email", "name", "phone"})


def create(scope: Scope, params: Json) -> Json:
    """Make a customer, with a payment method or (legacy) a source attached when one is given."""
    customer: Json = {
        "id": scope.new_id("cus_", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": scope.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": scope.new_id("", 8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    _apply(scope, customer, params)
    scope.save(customer)
    if "source" in params:
        legacy_cards.attach(scope, customer, params["source"])
    scope.emit("customer.created", customer)
    if "payment_method" in params:
        payment_methods.attach(scope, {"customer": customer["id"]}, params["payment_method"])
    return customer


def _apply(scope: Scope, customer: Json, params: Json) -> None:
    for name in (*_TEXTS, "preferred_locales", "shipping"):
        if name in params:
            customer[name] = params[name]
    if "address" in params:
        address = params["address"]
        customer["address"] = None if address is None else NO_ADDRESS | address
    if "metadata" in params:
        customer["metadata"] = merged_metadata(customer["metadata"], params["metadata"])
    if "default_payment_method" in params.get("invoice_settings", {}):
        method = params["invoice_settings"]["default_payment_method"]
        if method is not None:
            name = "invoice_settings[default_payment_method]"
            scope.get("payment_method", method, param=name)
        customer["invoice_settings"]["default_payment_method"] = method


def retrieve(scope: Scope, _params: Json, customer: str) -> Json:
    """Return a customer, or what is left of a deleted one."""
    return scope.get("customer", customer, param="id", status=404)


def update(scope: Scope, params: Json, customer: str) -> Json:
    """Change a customer."""
    found = customer_named(scope, customer, param="id", status=404)
    before = {name: found[name] for name in params if name in found}
    _apply(scope, found, params)
    scope.save(found)
    if "source" in params:
        legacy_cards.attach(scope, found, params["source"])
    changed = {name: value for name, value in before.items() if found[name] != value}
    scope.emit("customer.updated", found, changed)
    return found


def delete(scope: Scope, _params: Json, customer: str) -> Json:
    """Delete a customer: its payment methods are detached, its id stays taken."""
    found = customer_named(scope, customer, param="id", status=404)
    for method in scope.latest("payment_method", customer=customer):
        scope.save({**method, "customer": None})
        scope.hide(method["id"], spent=True)
    deleted = scope.save({"id": customer, "object": "customer", "deleted": True})
    scope.emit("customer.deleted", found)
    return deleted


def list_customers(scope: Scope, params: Json) -> Json:
    """Return a page of the customers."""
    where: list[Condition] = [("json_extract(data, '$.deleted') IS NOT ?", 1)]
    if "email" in params:
        where.append(field_is("email", params["email"]))
    return list_page(scope, "customer", params, url="/v1/customers", where=where)


def search(scope: Scope, params: Json) -> Json:
    """Search the customers."""
    url = "/v1/customers/search"
    return search_page(scope, "customer", params, fields=_SEARCHED, url=url)


def _attach_source(scope: Scope, params: Json, customer: str) -> Json:
    """Save a token's card or a reusable Source, the old way."""
    found = customer_named(scope, customer, param="customer", status=404)
    return legacy_cards.attach(scope, found, params["source"])


def _list_sources(scope: Scope, params: Json, customer: str) -> Json:
    customer_named(scope, customer, param="customer", status=404)
    kind = params.get("object", "source")
    where: list[Condition] = [("customer = ?", customer)]
    url = f"/v1/customers/{customer}/sources"
    return list_page(scope, kind, params, url=url, where=where)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/customers",
        run=create,
        params={**_FIELDS, "payment_method": Str(), "source": Str()},
    ),
    Endpoint(
        method="GET",
        path="/v1/customers",
        run=list_customers,
        params={**PAGE, "created": CREATED, "email": Str(longest=512)},
    ),
    Endpoint(method="GET", path="/v1/customers/search", run=search, params=SEARCH),
    Endpoint(method="GET", path="/v1/customers/{customer}", run=retrieve),
    Endpoint(
        method="POST",
        path="/v1/customers/{customer}",
        run=update,
        params={**_FIELDS, "source": Str()},
    ),
    Endpoint(method="DELETE", path="/v1/customers/{customer}", run=delete),
    Endpoint(
        method="POST",
        path="/v1/customers/{customer}/sources",
        run=_attach_source,
        params={"source": Str(required=True)},
    ),
    Endpoint(
        method="GET",
        path="/v1/customers/{customer}/sources",
        run=_list_sources,
        params={**PAGE, "object": Str(one_of=("card", "source"))},
    ),
)
