"""Vendors' JSON objects, read field by field with the type that each field must have.

The objects are read as they came, not through a vendor's classes: what a release of theirs that
this one doesn't know has signed or sent still says what we need, and unknown fields are none of our
business.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from boxoffice_server.domain.money import Money, is_currency_code

# Stripe's ids have at most 255 characters (https://docs.stripe.com/upgrades, "Object IDs").
_MOST_ID = 255
_MOST_INTEGER = 1 << 63
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedObjectError(Exception):
    """An object is not what its vendor says. The message names the field and shows no value."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object. Every reader raises MalformedObjectError where a field has another type."""

    fields: Mapping[str, object]

    def identifier(self, name: str) -> str:
        """Read a field that names something: printable, never empty, at most 255 characters."""
        text = self._value(name)
        if not isinstance(text, str) or not 1 <= len(text) <= _MOST_ID or not text.isprintable():
            raise MalformedObjectError(f"{name} is no identifier")
        return text

    def text(self, name: str) -> str:
        """Read a text; empty where the field is absent or null.

        What no store can keep (NUL, half a surrogate pair) is replaced.
        """
        text = self._value(name)
        if text is None:
            return ""
        if not isinstance(text, str):
            raise MalformedObjectError(f"{name} is no text")
        return text.encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")

    def integer(self, name: str) -> int:
        """Read a whole number that is not negative."""
        number = self._value(name)
        # Python counts a bool as an int; JSON does not.
        if isinstance(number, bool) or not isinstance(number, int):
            raise MalformedObjectError(f"{name} is no whole number")
        if not 0 <= number < _MOST_INTEGER:
            raise MalformedObjectError(f"{name} is out of range")
        return number

    def count(self, name: str) -> int | None:
        """Read a whole number that is not negative; None where the field is absent or null."""
        return None if self._value(name) is None else self.integer(name)

    def money(self) -> Money:
        """Read `amount` in the minor unit of `currency`."""
        currency = self.identifier("currency")
        if not is_currency_code(currency):
            raise MalformedObjectError("currency is no currency code")
        return Money(amount=self.integer("amount"), currency=currency)

    def money_if_any(self) -> Money | None:
        """Read an amount of money; None where either half of it is absent or null."""
        missing = self._value("amount") is None or self._value("currency") is None
        return None if missing else self.money()

    def flag(self, name: str) -> bool:
        """Read a boolean."""
        flag = self._value(name)
        if not isinstance(flag, bool):
            raise MalformedObjectError(f"{name} is no boolean")
        return flag

    def flag_if_any(self, name: str) -> bool | None:
        """Read a boolean; None where the field is absent or null."""
        return None if self._value(name) is None else self.flag(name)

    def time(self, name: str) -> datetime:
        """Read a time: whole seconds since 1970."""
        seconds = self.integer(name)
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise MalformedObjectError(f"{name} is no time") from error

    def milliseconds_if_any(self, name: str) -> datetime | None:
        """Read a time: whole milliseconds since 1970; None where the field is absent or null."""
        if self._value(name) is None:
            return None
        try:
            return _BEGINNING + timedelta(milliseconds=self.integer(name))
        except OverflowError as error:
            raise MalformedObjectError(f"{name} is no time") from error

    def milliseconds(self, name: str) -> datetime:
        """Read a time: whole milliseconds since 1970."""
        time = self.milliseconds_if_any(name)
        if time is None:
            raise MalformedObjectError(f"{name} is no time")
        return time

    def child(self, name: str) -> "JsonObject":
        """Read an object inside this one; an empty one where the field is absent or null."""
        child = self._value(name)
        if child is None:
            return JsonObject({})
        if not isinstance(child, dict):
            raise MalformedObjectError(f"{name} is no object")
        return JsonObject(child)

    def children(self, name: str) -> list["JsonObject"]:
        """Read a list of objects."""
        children = self._value(name)
        if not isinstance(children, list) or not all(isinstance(each, dict) for each in children):
            raise MalformedObjectError(f"{name} is no list of objects")
        return [JsonObject(each) for each in children]

    def reference(self, name: str) -> str:
        """Read the id of another object, which may be expanded; empty where there is none.

        https://docs.stripe.com/api/expanding_objects
        """
        value = self._value(name)
        if value is None:
            return ""
        if isinstance(value, dict):
            return JsonObject(value).identifier("id")
        return self.identifier(name)

    def _value(self, name: str) -> object:
        return self.fields.get(name)


def parse_object(body: bytes | str) -> JsonObject:
    """Parse a body that must be one JSON object."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedObjectError("the body is no JSON") from error
    if not isinstance(parsed, dict):
        raise MalformedObjectError("the body is no JSON object")
    return JsonObject(parsed)
