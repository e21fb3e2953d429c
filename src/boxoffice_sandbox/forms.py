"""Stripe's form encoding: bracketed names become nested objects."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]

_MAX_DEPTH = 8


def decode(encoded: str) -> Json:
    """Decode `a[b][]=1&c=2` into `{"a": {"b": {"0": "1"}}, "c": "2"}`.

    All leaves are strings, and lists are objects with numbers for names: only the shape of a
    parameter tells a list from metadata whose names are numbers.
    """
    return nest(parse_qsl(encoded, keep_blank_values=True))


def nest(pairs: Iterable[tuple[str, str]]) -> Json:
    """Nest pairs with bracketed names; a repeated plain name keeps its last value."""
    root: Json = {}
    for name, value in pairs:
        _put(root, _path(name), value)
    return root


def _path(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket:
        return [name]
    if not head or not rest.endswith("]"):
        raise invalid_request(f"Invalid parameter name: {name}", param=name)
    parts = [head, *rest[:-1].split("][")]
    if len(parts) > _MAX_DEPTH:
        raise invalid_request(f"Parameter is nested too deeply: {name}", param=head)
    return parts


def _put(root: Json, path: list[str], value: str) -> None:
    node = root
    for depth, part in enumerate(path[:-1]):
        key = _list_key(node) if part == "" else part
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise invalid_request("Invalid object", param="".join(path[: depth + 1]))
        node = child
    last = path[-1]
    node[_list_key(node) if last == "" else last] = value


def _list_key(node: Json) -> str:
    """Give an element of `name[]` the next free position."""
    return str(len(node))
