"""No card data: a request that holds a card number in any of its texts is refused.

Which fields of a message can hold text is found out once per type.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from boxoffice_server.domain.card_number import holds_card_number, is_card_number
from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason

# A notification is the vendor's own words: a caller can't mend them, one that is refused is lost,
# and a vendor never sends whole card numbers. The headers are not kept. The body is bytes, and so
# no text to begin with.
#
# An App Store transaction's id is a number that Apple makes; one in ten has a card's check digit.
# It is asked for at Apple alone, is told to nobody, and is kept only if Apple knows it.
_VENDORS_WORDS = frozenset(
    {
        "boxoffice.webhooks.v1.DeliverNotificationRequest.headers",
        "boxoffice.entitlements.v1.SubmitAppStoreTransactionRequest.transaction_id",
    }
)

# A Struct is named as the JSON that it stands for: its own fields are no part of a path.
_STRUCT = "google/protobuf/struct.proto"
_STRUCT_NUMBER = "google.protobuf.Value.number_value"

# Finds the card numbers in a field's value; answers where, as paths that begin at that value.
Finder: TypeAlias = Callable[[Any], Sequence[str]]

_HERE, _NOWHERE = ("",), ()


def refuse_card_numbers(request: Message) -> None:
    """Raise CARD_NUMBER_REFUSED if there is one; the error says where, and never which."""
    fields = card_number_fields(request)
    if fields:
        raise BoxofficeError(
            Reason.CARD_NUMBER_REFUSED,
            "the request holds a card number; those go from the customer's device to Stripe only",
            violations=[
                FieldViolation(field=each, description="must not hold a card number")
                for each in fields
            ],
        )


def card_number_fields(message: Message) -> list[str]:
    """Name the fields that hold a card number, such as `tags[0]` or `data.note`."""
    return list(dict.fromkeys(path.removeprefix(".") for path in _in_message(message)))


def _in_message(message: Message) -> Sequence[str]:
    finders = _finders(message.DESCRIPTOR)
    found: list[str] = []
    for field, value in message.ListFields():
        if (known := finders.get(field.name)) and (paths := known[1](value)):
            found += (f"{known[0]}{path}" for path in paths)
    return found


@cache
def _finders(message: Descriptor) -> Mapping[str, tuple[str, Finder]]:
    """For each field that can hold text, by its name: its part of a path, and its finder."""
    return {
        field.name: ("" if message.file.name == _STRUCT else f".{field.name}", finder)
        for field in message.fields
        if field.full_name not in _VENDORS_WORDS and (finder := _finder(field))
    }


def _finder(field: FieldDescriptor) -> Finder | None:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return partial(_in_map, _finder(entry.fields_by_name["value"])) if _texts(entry) else None
    finder: Finder | None = None
    if field.type == FieldDescriptor.TYPE_STRING:
        finder = _in_text
    elif field.full_name == _STRUCT_NUMBER:
        finder = _in_number
    elif entry is not None and _texts(entry):
        finder = _in_message
    return partial(_in_list, finder) if finder and field.is_repeated else finder


def _texts(message: Descriptor, above: frozenset[str] = frozenset()) -> bool:
    """Tell whether a message can hold text at any depth; a type may hold itself."""
    above |= {message.full_name}
    return any(
        field.type == FieldDescriptor.TYPE_STRING
        or (
            field.message_type is not None
            and field.message_type.full_name not in above
            and _texts(field.message_type, above)
        )
        for field in message.fields
    )


def _in_text(text: str) -> Sequence[str]:
    return _HERE if holds_card_number(text) else _NOWHERE


def _in_number(number: float) -> Sequence[str]:
    return _HERE if is_card_number(number) else _NOWHERE


def _in_list(finder: Finder, values: Sequence[object]) -> Sequence[str]:
    return [f"[{index}]{path}" for index, each in enumerate(values) for path in finder(each)]


def _in_map(finder: Finder | None, values: Mapping[object, object]) -> Sequence[str]:
    found: list[str] = []
    for key, value in values.items():
        if isinstance(key, str) and holds_card_number(key):
            # The path ends before the key, which would tell the number.
            found += _HERE
        elif finder and (paths := finder(value)):
            found += (f".{key}{path}" for path in paths)
    return found
