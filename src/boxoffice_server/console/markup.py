"""HTML and SVG that escapes by itself: text is escaped unless it is markup already."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from html import escape

from boxoffice_server.console.moments import iso, written

_VOID = frozenset({"br", "input", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Markup:
    """Put pieces one behind the other, escaping those that are plain text."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def element(name: str, /, *inside: str, **attributes: str | float | bool | None) -> Markup:
    """Make an element. Attributes that are None or False are left out.

    `class_` stands for `class`, and `_` within a name for `-`.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{join(inside)}</{name}>")


def moment(time: datetime) -> Markup:
    """Write a time for people, with the exact one for programs."""
    return element("time", written(time), datetime=iso(time), title=iso(time))


@cache
def _named(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 -- HTML's own
    if value is None or value is False:
        return ""
    name = _named(key)
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        # No need to escape a number.
        return f' {name}="{value:.1f}"'
    return f' {name}="{escape(str(value))}"'
