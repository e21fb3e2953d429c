"""Stripe's search language, as far as one-off payments need it.

Clauses `field:value`, `-field:value`, `field~"part"`, `field>1`, `metadata["key"]:"value"`,
joined by AND or by OR. Quotes may be single or double. Stripe's index lags by up to a
minute; the sandbox's doesn't.
"""

import re
from typing import Any

from boxoffice_sandbox.errors import invalid_request
from boxoffice_sandbox.params import Int, Shape, Str
from boxoffice_sandbox.scope import Scope

Json = dict[str, Any]

SEARCH: dict[str, Shape] = {
    "query": Str(required=True),
    "limit": Int(least=1, most=100),
    "page": Str(),
}
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_CLAUSE = re.compile(
    rf"\s*(?P<negated>-)?(?P<field>metadata\[(?:{_QUOTED})\]|\w+)"
    rf"\s*(?P<operator>:|~|>=|<=|>|<)\s*(?P<value>{_QUOTED}|null|[\w.-]+)\s*"
)
_JOIN = re.compile(r"(AND|OR)\b|(?=\S)", re.IGNORECASE)


def search_page(scope: Scope, kind: str, params: Json, *, fields: frozenset[str], url: str) -> Json:
    """Return one page of the objects that match, newest first."""
    clauses, any_of = _parse(params["query"], fields)
    quantify = any if any_of else all
    found = [
        data
        for data in scope.latest(kind)
        if "deleted" not in data and quantify(_holds(clause, data) for clause in clauses)
    ]
    start = _start(params.get("page"))
    end = start + (params.get("limit") or 10)
    more = end < len(found)
    return {
        "object": "search_result",
        "data": found[start:end],
        "has_more": more,
        "next_page": f"page_{end}" if more else None,
        "url": url,
    }


def _start(page: str | None) -> int:
    if page is None:
        return 0
    match = re.fullmatch(r"page_(\d{1,9})", page)
    if match is None:
        raise invalid_request(f"Invalid page: {page}", param="page")
    return int(match[1])


def _parse(query: str, fields: frozenset[str]) -> tuple[list[re.Match[str]], bool]:
    """Return the clauses, and whether any of them is enough."""
    clauses: list[re.Match[str]] = []
    joins: set[str] = set()
    at = 0
    while at < len(query):
        clause = _CLAUSE.match(query, at)
        if clause is None:
            raise _invalid(query)
        name = clause["field"]
        if not name.startswith("metadata[") and name not in fields:
            message = f"Field `{name}` is an unsupported search field for this resource."
            raise invalid_request(message, param="query")
        clauses.append(clause)
        at = clause.end()
        join = _JOIN.match(query, at)
        if at < len(query) and join is not None:
            joins.add((join[1] or "AND").upper())
            at = join.end()
            if at == len(query):
                raise _invalid(query)
    if not clauses or len(joins) > 1:
        raise _invalid(query)
    return clauses, joins == {"OR"}


def _invalid(query: str) -> Exception:
    message = (
        f"We were unable to parse your search query: {query}. "
        "See https://stripe.com/docs/search#search-query-language."
    )
    return invalid_request(message, param="query")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in "\"'" else text


def _holds(clause: re.Match[str], data: Json) -> bool:
    name = clause["field"]
    if name.startswith("metadata["):
        actual = (data.get("metadata") or {}).get(_unquoted(name[len("metadata[") : -1]))
    else:
        actual = data.get(name)
    return _compare(actual, clause["operator"], clause["value"]) != bool(clause["negated"])


def _compare(actual: object, operator: str, written: str) -> bool:
    if written == "null":
        return actual is None
    expected = _unquoted(written)
    if actual is None:
        return False
    match operator:
        case ":":
            return str(actual).casefold() == expected.casefold()
        case "~":
            return expected.casefold() in str(actual).casefold()
    try:
        left, right = float(str(actual)), float(expected)
    except ValueError:
        return False
    return {
        ">": left > right,
        ">=": left >= right,
        "<": left < right,
        "<=": left <= right,
    }[operator]
