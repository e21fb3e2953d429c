"""The events feed."""

from typing import Any

from boxoffice_sandbox.errors import missing
from boxoffice_sandbox.params import CREATED, PAGE, Bool, List, Str
from boxoffice_sandbox.scope import Scope
from boxoffice_sandbox.stripe.lists import Condition, field_is, list_page
from boxoffice_sandbox.stripe.routing import Endpoint

Json = dict[str, Any]

_KEPT_SECONDS = 30 * 24 * 3600
_UNDELIVERED = "(SELECT count(*) FROM deliveries WHERE event = objects.id AND state <> 'delivered')"


def _retrieve(scope: Scope, _params: Json, event: str) -> Json:
    found = scope.get("event", event, param="id", status=404)
    if found["created"] <= scope.now - _KEPT_SECONDS:
        raise missing("event", event, param="id", status=404)
    return _with_pending(scope, found)


def _with_pending(scope: Scope, event: Json) -> Json:
    row = scope.store.row(
        "SELECT count(DISTINCT event) AS pending FROM deliveries "
        "WHERE event = ? AND state <> 'delivered'",
        (event["id"],),
    )
    return {**event, "pending_webhooks": row["pending"] if row else 0}


def _list(scope: Scope, params: Json) -> Json:
    oldest = scope.now - _KEPT_SECONDS
    where: list[Condition] = [("json_extract(data, '$.created') > ?", oldest)]
    if "type" in params:
        kind = params["type"]
        where.append(
            ("json_extract(data, '$.type') GLOB ?", kind) if "*" in kind else field_is("type", kind)
        )
    if "types" in params:
        names = "".join(f"|{name}|" for name in params["types"])
        where.append(("instr(?, '|' || json_extract(data, '$.type') || '|') > 0", names))
    if "delivery_success" in params:
        wanted = params["delivery_success"]
        where.append((f"({_UNDELIVERED} = 0) = ?", int(wanted)))
    page = list_page(scope, "event", params, url="/v1/events", where=where)
    page["data"] = [_with_pending(scope, event) for event in page["data"]]
    return page


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/events",
        run=_list,
        params={
            **PAGE,
            "created": CREATED,
            "delivery_success": Bool(),
            "type": Str(),
            "types": List(of=Str()),
        },
    ),
    Endpoint(method="GET", path="/v1/events/{event}", run=_retrieve),
)
