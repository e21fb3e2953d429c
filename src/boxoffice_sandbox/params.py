"""What an endpoint accepts: a small vocabulary of parameter shapes and their checks.

A failed check is an error of validation: it comes before the endpoint starts, so Stripe
doesn't store it under the idempotency key.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from boxoffice_sandbox.errors import StripeError, malformed

Json = dict[str, Any]

_INTEGER = re.compile(r"-?\d{1,18}")
_EMPTY = (
    "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
    "parameter; however '{name}' cannot be unset. You should remove '{name}' from your request "
    "or supply a non-empty value."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(ABC):
    """One parameter; `clearable` ones take an empty string, which unsets the value."""

    required: bool = False
    clearable: bool = False

    def read(self, value: Any, name: str) -> Any:  # noqa: ANN401  (any JSON value in and out)
        """Return the typed value or raise; an empty string of a clearable shape becomes None."""
        if value == "":
            if self.clearable:
                return None
            raise malformed(_EMPTY.format(name=name), param=name, code="parameter_invalid_empty")
        return self.parse(value, name)

    @abstractmethod
    def parse(self, value: Any, name: str) -> Any:  # noqa: ANN401
        """Return the typed value of a non-empty parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Str(Shape):
    """A string of at most `longest` characters, optionally one of `one_of`."""

    longest: int = 5000
    one_of: tuple[str, ...] = ()

    def parse(self, value: Any, name: str) -> str:  # noqa: ANN401
        """Check type, choice and length."""
        if not isinstance(value, str):
            raise malformed(f"Invalid string: {value}", param=name)
        if self.one_of and value not in self.one_of:
            choices = ", ".join(self.one_of[:-1]) + f" or {self.one_of[-1]}"
            choices = choices.removeprefix(" or ")
            raise malformed(f"Invalid {name}: must be one of {choices}", param=name)
        if len(value) > self.longest:
            message = (
                f"Invalid string: {value[:10]}...{value[-10:]}; must be at most "
                f"{self.longest} characters"
            )
            raise malformed(message, param=name, code="parameter_invalid_string_too_long")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Email(Str):
    """A mail address, checked no harder than Stripe does."""

    longest: int = 512

    def parse(self, value: Any, name: str) -> str:  # noqa: ANN401
        """Check that there is something on both sides of an @."""
        text = Str.parse(self, value, name)
        local, at, domain = text.rpartition("@")
        if not (local and at and "." in domain) or " " in text:
            raise malformed(f"Invalid email address: {text}", param=name, code="email_invalid")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Url(Str):
    """An address with a scheme."""

    def parse(self, value: Any, name: str) -> str:  # noqa: ANN401
        """Check that there is a scheme."""
        text = Str.parse(self, value, name)
        if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text):
            raise malformed("Not a valid URL", param=name, code="url_invalid")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Int(Shape):
    """A whole number, optionally with bounds."""

    least: int | None = None
    most: int | None = None

    def parse(self, value: Any, name: str) -> int:  # noqa: ANN401
        """Check digits and bounds."""
        if not isinstance(value, str) or not _INTEGER.fullmatch(value):
            raise malformed(
                f"Invalid integer: {value}", param=name, code="parameter_invalid_integer"
            )
        number = int(value)
        if self.least is not None and number < self.least:
            message = f"This value must be greater than or equal to {self.least}."
            raise malformed(message, param=name, code="parameter_invalid_integer")
        if self.most is not None and number > self.most:
            message = f"This value must be less than or equal to {self.most}."
            raise malformed(message, param=name, code="parameter_invalid_integer")
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Bool(Shape):
    """`true` or `false`."""

    def parse(self, value: Any, name: str) -> bool:  # noqa: ANN401
        """Check the two words."""
        if value not in ("true", "false"):
            raise malformed(f"Invalid boolean: {value}", param=name)
        return bool(value == "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class List(Shape):
    """A list of one shape."""

    of: Shape

    def parse(self, value: Any, name: str) -> list[Any]:  # noqa: ANN401
        """Check every element."""
        if not isinstance(value, dict) or not all(index.isdigit() for index in value):
            raise malformed("Invalid array", param=name)
        return [self.of.read(value[at], f"{name}[{at}]") for at in sorted(value, key=int)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Obj(Shape):
    """An object with known members; anything else in it is an unknown parameter."""

    members: Mapping[str, Shape] = field(default_factory=dict)

    def parse(self, value: Any, name: str) -> Json:  # noqa: ANN401
        """Check every member."""
        if not isinstance(value, dict):
            raise malformed("Invalid object", param=name)
        return read(self.members, value, prefix=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Shape):
    """Up to 50 strings by name; an empty string takes a name out, `''` for all takes all out."""

    def parse(self, value: Any, name: str) -> Json:  # noqa: ANN401
        """Check sizes as Stripe limits them: names 40 characters, values 500."""
        if not isinstance(value, dict):
            raise malformed("Invalid object", param=name)
        if len(value) > _METADATA_NAMES:
            raise malformed("Metadata can have at most 50 keys.", param=name)
        for key, text in value.items():
            if not isinstance(text, str):
                raise malformed("Metadata values must be strings.", param=f"{name}[{key}]")
            if len(key) > _METADATA_NAME_LENGTH:
                raise malformed(
                    f"Metadata keys can have up to 40 characters, but you passed in {key}.",
                    param=name,
                )
            if len(text) > _METADATA_VALUE_LENGTH:
                raise malformed(
                    "Metadata values can have up to 500 characters, but you passed in a value "
                    f"that is {len(text)} characters.",
                    param=f"{name}[{key}]",
                )
        return value


_METADATA_NAMES, _METADATA_NAME_LENGTH, _METADATA_VALUE_LENGTH = 50, 40, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Either(Shape):
    """The first of several shapes that takes the value."""

    of: tuple[Shape, ...]

    def parse(self, value: Any, name: str) -> Any:  # noqa: ANN401
        """Try the shapes in turn; the last one's error is the answer."""
        for shape in self.of[:-1]:
            try:
                return shape.read(value, name)
            except StripeError:
                continue
        return self.of[-1].read(value, name)


EXPAND = List(of=Str())
CREATED = Either(of=(Int(), Obj(members={"gt": Int(), "gte": Int(), "lt": Int(), "lte": Int()})))
PAGE: dict[str, Shape] = {
    "limit": Int(least=1, most=100),
    "starting_after": Str(),
    "ending_before": Str(),
}


def read(shapes: Mapping[str, Shape], values: Json, *, prefix: str = "") -> Json:
    """Check all parameters of one level; unknown and missing ones are errors."""
    for name in values:
        if name not in shapes:
            full = f"{prefix}[{name}]" if prefix else name
            message = f"Received unknown parameter: {full}"
            raise malformed(message, param=full, code="parameter_unknown")
    typed: Json = {}
    for name, shape in shapes.items():
        full = f"{prefix}[{name}]" if prefix else name
        if name in values:
            typed[name] = shape.read(values[name], full)
        elif shape.required:
            message = f"Missing required param: {full}."
            raise malformed(message, param=full, code="parameter_missing")
    return typed


def merged_metadata(current: Json, change: Json | None) -> Json:
    """Apply an update to metadata: None clears all, an empty value takes one name out."""
    if change is None:
        return {}
    merged = {**current, **change}
    return {key: value for key, value in merged.items() if value != ""}
