"""The one check of what every request has in common: ids, tags, sizes.

A `Faults` gathers all that is wrong with a request, so that its sender learns of it at once.
"""

import hashlib

from google.protobuf.message import Message

from boxoffice_server.domain.errors import (
    FieldViolation,
    invalid_fields,
)
from boxoffice_server.domain.text import (
    MAX_ID,
    MAX_REQUEST_ID,
    MAX_STRIPE_ID,
    MAX_TAG,
    MAX_USER_ID,
    text_violations,
)


class Faults:
    """What is wrong with one request."""

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        """Note one fault."""
        self._found.append(FieldViolation(field=field, description=description))

    def extend(self, violations: list[FieldViolation]) -> None:
        """Note what the domain found."""
        self._found += violations

    def request_id(self, value: str) -> None:
        """Check the id that makes a write idempotent."""
        self._found += text_violations(value, "request_id", most=MAX_REQUEST_ID)

    def id(self, value: str, field: str) -> None:
        """Check an id that must be there. Whether anything has it is found out later."""
        self._found += text_violations(value, field, most=MAX_ID)

    def optional_id(self, value: str, field: str) -> None:
        """Check an id that may be absent."""
        self._found += text_violations(value, field, least=0, most=MAX_ID)

    def stripe_id(self, value: str, field: str) -> None:
        """Check an id of Stripe's that must be there (https://docs.stripe.com/upgrades)."""
        self._found += text_violations(value, field, most=MAX_STRIPE_ID)

    def user_id(self, value: str, field: str, *, required: bool = True) -> None:
        """Check a user's id."""
        self._found += text_violations(value, field, least=int(required), most=MAX_USER_ID)

    def optional_tag(self, value: str, field: str) -> None:
        """Check the tag of a filter."""
        self._found += text_violations(value, field, least=0, most=MAX_TAG)

    def page_size(self, value: int) -> None:
        """Check a page's size."""
        if value < 0:
            self.add("page_size", "must not be negative")

    def refuse(self) -> None:
        """Raise FIELD_INVALID if anything was found."""
        if self._found:
            raise invalid_fields(self._found)


def fingerprint(request: Message, *without: str) -> bytes:
    """Tell requests apart by all their fields but these."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in without:
        copy.ClearField(field)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).digest()
