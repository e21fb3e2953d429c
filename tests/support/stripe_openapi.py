"""Checks requests and answers against Stripe's own OpenAPI document.

The document lies in the environment (`make test` puts it there); nested objects are closed
here, so a field that Stripe doesn't have is an error, not an extra.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]
Form = Mapping[str, str] | Iterable[tuple[str, str]]

_LOCATION = Path(sys.prefix) / "share" / "stripe-openapi" / "spec3.json"
_REFERENCE = "#/components/schemas/"
_FORM = "application/x-www-form-urlencoded"
_INTEGER = re.compile(r"-?\d+")
_KEPT = ("enum", "maxLength", "minimum", "maximum", "pattern", "required", "type")


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation of the document, ready to check with."""

    name: str
    request: Json
    responses: Mapping[str, Json]


@dataclass(kw_only=True)
class StripeOpenApi:
    """The document, and validators that are made of its parts when they are first needed."""

    document: Json
    _validators: dict[str, Draft202012Validator] = field(default_factory=dict)

    @classmethod
    def load(cls, location: Path = _LOCATION) -> Self:
        """Read the document."""
        return cls(document=json.loads(location.read_text(encoding="utf-8")))

    def check_request(self, method: str, path: str, form: Form) -> None:
        """Raise an AssertionError unless Stripe's document allows this request.

        `form` is what was sent: the body of a POST, the query of a GET or DELETE.
        """
        operation = self._operation(method, path)
        schema = operation.request
        value = self._typed(_nested(form), schema)
        self._check(value, schema, key=operation.name, what=f"request {method} {path}")

    def check_response(self, method: str, path: str, status: int, body: Any) -> None:  # noqa: ANN401
        """Raise an AssertionError unless Stripe's document allows this answer."""
        what = f"answer {status} to {method} {path}"
        if not 200 <= status < 300:
            schema = {"$ref": f"{_REFERENCE}error"}
            self._check(body, schema, key="error", what=what)
            return
        operation = self._operation(method, path)
        schema = operation.responses[str(status)]
        self._check(body, schema, key=f"{operation.name} {status}", what=what)
        for event in _events(body):
            self.check_event(event)

    def check_event(self, event: Json) -> None:
        """Raise an AssertionError unless an event, and the object in it, are as Stripe's are."""
        what = f"event {event.get('type')}"
        self._check(event, {"$ref": f"{_REFERENCE}event"}, key="event", what=what)
        kind = str(event["data"]["object"].get("object"))
        assert kind in self.document["components"]["schemas"], f"{what}: no object {kind}"
        schema = {"$ref": f"{_REFERENCE}{kind}"}
        self._check(event["data"]["object"], schema, key=f"object {kind}", what=what)

    def _check(self, value: Any, schema: Json, *, key: str, what: str) -> None:  # noqa: ANN401
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(
                self._closed(schema), registry=self._registry
            )
        error = best_match(self._validators[key].iter_errors(value))
        assert error is None, f"{what}: {_explained(error)}" if error else ""

    @cached_property
    def _registry(self) -> Registry[Any]:
        """The document's schemas, each converted when something refers to it."""

        @cache
        def retrieve(uri: str) -> Resource[Any]:
            name = uri.removeprefix("stripe:")
            contents = self._closed(self.document["components"]["schemas"][name])
            return Resource.from_contents(contents, default_specification=DRAFT202012)

        registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
        return registry

    def _closed(self, schema: Json) -> Json:
        """Turn OpenAPI 3.0 into JSON Schema, with every described object closed."""
        if "$ref" in schema:
            return {"$ref": "stripe:" + schema["$ref"].removeprefix(_REFERENCE)}
        closed = {name: schema[name] for name in _KEPT if name in schema}
        if "anyOf" in schema:
            closed.pop("type", None)
            closed["anyOf"] = [self._closed(option) for option in schema["anyOf"]]
        if "items" in schema:
            closed["items"] = self._closed(schema["items"])
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            closed["additionalProperties"] = self._closed(extra)
        if "properties" in schema:
            members = schema["properties"]
            closed["properties"] = {name: self._closed(x) for name, x in members.items()}
            closed.setdefault("additionalProperties", False)
        return {"anyOf": [closed, {"type": "null"}]} if schema.get("nullable") else closed

    def _operation(self, method: str, path: str) -> _Operation:
        name = f"{method.upper()} {path}"
        for template, verbs in self._templates:
            if template.fullmatch(path) and method.lower() in verbs:
                described = verbs[method.lower()]
                responses = {
                    status: next(iter(answer["content"].values()))["schema"]
                    for status, answer in described["responses"].items()
                    if "content" in answer
                }
                name = f"{method.upper()} {template.pattern}"
                return _Operation(name, _request_schema(method, described), responses)
        raise AssertionError(f"Stripe has no {name}")

    @cached_property
    def _templates(self) -> list[tuple[re.Pattern[str], Json]]:
        """Paths with ids last, so that /search is not taken for one."""
        paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        pattern = re.compile(r"\\\{\w+\\\}")
        return [
            (re.compile(pattern.sub("[^/]+", re.escape(path))), self.document["paths"][path])
            for path in paths
        ]

    def _typed(self, value: Any, schema: Json) -> Any:  # noqa: ANN401
        """Read strings as the schema's types where they can be read so."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REFERENCE)
            return self._typed(value, self.document["components"]["schemas"][name])
        if "anyOf" in schema:
            return self._typed_choice(value, schema["anyOf"])
        match schema.get("type"), value:
            case "integer", str() if _INTEGER.fullmatch(value):
                return int(value)
            case "boolean", "true" | "false":
                return value == "true"
            case "array", dict() if all(index.isdigit() for index in value):
                items = [value[index] for index in sorted(value, key=int)]
                return [self._typed(item, schema["items"]) for item in items]
            case "object", dict():
                members = schema.get("properties", {})
                return {
                    name: self._typed(member, members[name]) if name in members else member
                    for name, member in value.items()
                }
        return value

    def _typed_choice(self, value: Any, options: list[Json]) -> Any:  # noqa: ANN401
        candidates = [self._typed(value, option) for option in options]
        for candidate, option in zip(candidates, options, strict=True):
            validator = Draft202012Validator(self._closed(option), registry=self._registry)
            if validator.is_valid(candidate):
                return candidate
        changed = (candidate for candidate in candidates if candidate is not value)
        return next(changed, value)


def _request_schema(method: str, described: Json) -> Json:
    if method.upper() == "POST":
        content: Json = described.get("requestBody", {}).get("content", {})
        schema: Json = content.get(_FORM, {}).get("schema", {})
        return {"type": "object", "properties": {}} | schema
    parameters = [p for p in described.get("parameters", []) if p["in"] == "query"]
    return {
        "type": "object",
        "properties": {parameter["name"]: parameter["schema"] for parameter in parameters},
        "required": [p["name"] for p in parameters if p.get("required")],
    }


def _nested(form: Form) -> Json:
    """Read bracketed names; a list is an object with numbers for names until it is typed."""
    root: Json = {}
    for name, value in form.items() if isinstance(form, Mapping) else form:
        path = [part.removesuffix("]") for part in name.split("[")]
        node = root
        for part in path[:-1]:
            node = node.setdefault(part or str(len(node)), {})
        node[path[-1] or str(len(node))] = value
    return root


def _events(body: Any) -> list[Json]:  # noqa: ANN401
    found = body.get("data", []) if body.get("object") == "list" else [body]
    return [item for item in found if item.get("object") == "event"]


def _explained(error: ValidationError) -> str:
    """Name the place and the value, which an anyOf deep inside hides otherwise."""
    while error.context:
        error = max(
            error.context, key=lambda cause: (len(cause.absolute_path), -len(cause.message))
        )
    place = ".".join(str(part) for part in error.absolute_path) or "(top)"
    return f"at {place}: {error.message[:400]}"
