"""Lists: newest first, with cursors in both directions, and searches."""

import json
from collections.abc import Sequence
from typing import Any

from boxoffice_sandbox.errors import invalid_request, missing
from boxoffice_sandbox.scope import Scope

Json = dict[str, Any]

_USUAL_LIMIT = 10
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Condition = tuple[str, object]
"""A piece of SQL with one placeholder and its value; only code makes the SQL."""


def whole_list(data: list[Json], *, url: str) -> Json:
    """Return a list object that holds everything there is."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def field_is(name: str, value: object) -> Condition:
    """Make the condition that a field of the object has a value."""
    return f"json_extract(data, '$.{name}') = ?", value


def list_page(
    scope: Scope, kind: str, params: Json, *, url: str, where: Sequence[Condition] = ()
) -> Json:
    """Return one page as `limit`, `starting_after`, `ending_before` and `created` ask for it."""
    conditions = [("account = ?", scope.account.name), ("kind = ?", kind), *where]
    conditions += _created(params.get("created"))
    backwards = "ending_before" in params
    if backwards and "starting_after" in params:
        message = "You cannot specify both starting_after and ending_before."
        raise invalid_request(message, param="starting_after")
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if name in params:
            position = _position(scope, kind, params[name], param=name)
            conditions.append((f"position {comparison} ?", position))
    limit = params.get("limit") or _USUAL_LIMIT
    rows = scope.store.rows(
        f"SELECT data FROM objects WHERE {' AND '.join(sql for sql, _ in conditions)} "  # noqa: S608
        f"ORDER BY position {'ASC' if backwards else 'DESC'} LIMIT ?",
        (*(value for _, value in conditions), limit + 1),
    )
    data = [json.loads(row["data"]) for row in rows[:limit]]
    if backwards:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(rows) > limit, "url": url}


def _created(created: int | Json | None) -> list[Condition]:
    field = "json_extract(data, '$.created')"
    if created is None:
        return []
    if isinstance(created, int):
        return [(f"{field} = ?", created)]
    return [(f"{field} {_COMPARISONS[name]} ?", value) for name, value in created.items()]


def _position(scope: Scope, kind: str, object_id: str, *, param: str) -> int:
    row = scope.store.row(
        "SELECT position FROM objects WHERE id = ? AND account = ? AND kind = ?",
        (object_id, scope.account.name, kind),
    )
    if row is None:
        raise missing(kind, object_id, param=param)
    return int(row["position"])
