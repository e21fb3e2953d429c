"""Pages of lists: how many items one holds, and the token that leads to the next."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from boxoffice_server.api.requests import fingerprint
from boxoffice_server.domain.errors import BoxofficeError, Reason

DEFAULT_ITEMS = 50
MOST_ITEMS = 500


class HasId(Protocol):
    """What lists hold: anything with an id, by which it is ordered."""

    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=HasId)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list: the items below `before_id`, all if that is empty.

    `fetch` is how many to load: one more than the page holds, which tells whether another follows.
    """

    request: Message
    before_id: str
    fetch: int

    def cut(self, loaded: Sequence[ItemT]) -> tuple[Sequence[ItemT], str]:
        """Answer the page's items, and the token of the next page; empty where there is none."""
        if len(loaded) < self.fetch:
            return loaded, ""
        items = loaded[: self.fetch - 1]
        return items, self.after(items[-1].id)

    def after(self, last_id: str) -> str:
        """Make the token of the page after this item, for a list that went no further."""
        return _write_token(self.request, last_id)


def read_page(request: Message, *, page_size: int, page_token: str) -> Page:
    """Read which page of a list is asked for. Raises PAGE_TOKEN_INVALID."""
    items = min(page_size or DEFAULT_ITEMS, MOST_ITEMS)
    return Page(request=request, before_id=_read_token(request, page_token), fetch=items + 1)


def _write_token(request: Message, last_id: str) -> str:
    """Make the token of the page after `last_id`, bound to this list and its filters."""
    name = request.DESCRIPTOR.full_name.encode()
    filters = fingerprint(request, "page_size", "page_token")
    seal = hashlib.sha256(b"\x00".join((name, filters, last_id.encode()))).hexdigest()[:16]
    return base64.urlsafe_b64encode(json.dumps([seal, last_id]).encode()).decode().rstrip("=")


def _read_token(request: Message, token: str) -> str:
    """Read which id a page starts below; empty for the first page. Raises PAGE_TOKEN_INVALID."""
    if not token:
        return ""
    refusal = BoxofficeError(
        Reason.PAGE_TOKEN_INVALID, "the page token is not one that this list gave for these filters"
    )
    try:
        raw = token.encode("ascii")
        text = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refusal from error
    match parts:
        case [str(), str(last_id)] if last_id.isprintable():
            # Sealed and written as we would: no bit of it was changed on the way.
            if _write_token(request, last_id) == token:
                return last_id
    raise refusal
