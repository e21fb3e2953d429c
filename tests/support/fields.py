"""Every place of every request that can hold text, as the protos have it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from boxoffice_server.api.server import SERVICES

CALL_SECONDS = 10
# What stands in a request where a text, or a number of a Struct's, is to be put.
TEXT, NUMBER = "TEXT", "NUMBER"
# A Struct is written as the JSON it stands for. The path of a key is that of the whole, for it
# would tell the key.
STRUCT = "google.protobuf.Struct"
IN_STRUCT: tuple[tuple[str, object], ...] = (
    (".a", {"a": TEXT}),
    (".a", {"a": NUMBER}),
    ("", {TEXT: "a"}),
    (".a.b", {"a": {"b": TEXT}}),
    (".a", {"a": {TEXT: "b"}}),
    (".a[1]", {"a": [True, TEXT]}),
    (".a.b[1]", {"a": {"b": [None, NUMBER]}}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place in one method's request, and its path as an error names it."""

    method: MethodDescriptor
    path: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        written = re.sub(r"[\" ]", "", json.dumps(self.fields))
        return f"{self.method.name}{written}"

    def request(self, text: str, number: int) -> Message:
        """Make a request that holds nothing but this text, or number, at this place."""
        type_ = message_factory.GetMessageClass(self.method.input_type)
        return type_(**_put(self.fields, {TEXT: text, NUMBER: number}))


def methods() -> Iterator[MethodDescriptor]:
    """All RPCs of ours."""
    for name in SERVICES:
        yield from descriptor_pool.Default().FindServiceByName(name).methods


def places() -> Iterator[Place]:
    """Every place for text, in every request."""
    for method in methods():
        for path, value in _places(method.input_type):
            assert isinstance(value, dict)
            yield Place(method=method, path=path.removeprefix("."), fields=value)


def call(channel: grpc.Channel, method: MethodDescriptor, request: Message) -> None:
    """Make one call, and read as far as its first answer."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    connect: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    # Without a serializer, bytes go as they are.
    answer = connect(path)(request.SerializeToString(), timeout=CALL_SECONDS)
    if method.server_streaming:
        next(answer)
        answer.cancel()


def _places(message: Descriptor, *above: str) -> Iterator[tuple[str, object]]:
    if message.full_name == STRUCT:
        yield from IN_STRUCT
    elif message.full_name not in above:
        for field in message.fields:
            for path, value in _field_places(field, *above, message.full_name):
                yield f".{field.name}{path}", {field.name: value}


def _field_places(field: FieldDescriptor, *above: str) -> Iterator[tuple[str, object]]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        if key.type == FieldDescriptor.TYPE_STRING:
            yield "", {TEXT: "" if value.message_type is None else {}}
        for path, each in _single_places(value, *above):
            yield f".1{path}", {"1": each}
    elif field.is_repeated:
        for path, each in _single_places(field, *above):
            yield f"[0]{path}", [each]
    else:
        yield from _single_places(field, *above)


def _single_places(field: FieldDescriptor, *above: str) -> Iterator[tuple[str, object]]:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield "", TEXT
    elif field.message_type is not None:
        yield from _places(field.message_type, *above)


def _put(into: Any, values: dict[str, Any]) -> Any:  # noqa: ANN401 -- fields of any shape
    if isinstance(into, dict):
        return {values.get(key, key): _put(each, values) for key, each in into.items()}
    if isinstance(into, list):
        return [_put(each, values) for each in into]
    return values.get(into, into) if isinstance(into, str) else into
