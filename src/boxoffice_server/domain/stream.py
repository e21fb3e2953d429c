"""Places in the log: tokens that callers keep, and what may be read from where."""

import base64
import binascii
import uuid
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from boxoffice_server.domain.errors import BoxofficeError, Reason

_VERSION = 1
_TOKEN_BYTES = 1 + 1 + 16 + 8
_CHECKSUM_BYTES = 4


class TokenKind(StrEnum):
    """What a token names its place by: its position, or an append or event not numbered yet."""

    POSITION = "position"
    APPEND = "append"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A place in one log: everything up to and including what it names lies behind it.

    `number` is the position's or the append's. An event is named by `event_id`, and `number` says
    when it was made, in microseconds since 1970, which tells whether a log without it is too young
    or too old.
    """

    log_id: uuid.UUID
    kind: TokenKind
    number: int
    event_id: str = ""

    def encode(self) -> str:
        """Write the token as callers see it: opaque, safe in a URL, with a checksum."""
        body = bytes((_VERSION, _KINDS[self.kind])) + self.log_id.bytes + self.number.to_bytes(8)
        body += self.event_id.encode()
        checked = body + zlib.crc32(body).to_bytes(_CHECKSUM_BYTES)
        return base64.urlsafe_b64encode(checked).decode().rstrip("=")


_KINDS = {TokenKind.POSITION: 1, TokenKind.APPEND: 2, TokenKind.EVENT: 3}
_KINDS_READ = {number: kind for kind, number in _KINDS.items()}


def decode_token(text: str) -> Token:
    """Read a token as callers send it, or raise RESUME_TOKEN_INVALID."""
    try:
        raw = text.encode("ascii")
        checked = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _invalid_token() from error
    body, checksum = checked[:-_CHECKSUM_BYTES], checked[-_CHECKSUM_BYTES:]
    if len(body) < _TOKEN_BYTES or zlib.crc32(body).to_bytes(_CHECKSUM_BYTES) != checksum:
        raise _invalid_token()
    number, event = int.from_bytes(body[18:_TOKEN_BYTES]), body[_TOKEN_BYTES:]
    kind = _KINDS_READ.get(body[1])
    if body[0] != _VERSION or kind is None or number >= 1 << 63 or not event.isascii():
        raise _invalid_token()
    if bool(event) != (kind is TokenKind.EVENT):
        raise _invalid_token()
    token = Token(
        log_id=uuid.UUID(bytes=body[2:18]), kind=kind, number=number, event_id=event.decode()
    )
    # The decoder takes padding and base64's other alphabet too, which we never write.
    if token.encode() != text:
        raise _invalid_token()
    return token


def _invalid_token() -> BoxofficeError:
    return BoxofficeError(Reason.RESUME_TOKEN_INVALID, "the resume token is not one of ours")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBounds:
    """What a log holds: positions `earliest` to `head`; nothing while head < earliest."""

    log_id: uuid.UUID
    earliest: int
    head: int

    def head_token(self) -> Token:
        """Make the token that lies just behind all that was numbered so far."""
        return Token(log_id=self.log_id, kind=TokenKind.POSITION, number=self.head)


def check_position(bounds: LogBounds, log_id: uuid.UUID, position: int) -> None:
    """Raise where a log can't be read on from just after this position: nothing is ever skipped."""
    if log_id != bounds.log_id:
        raise BoxofficeError(
            Reason.LOG_CHANGED,
            "the token belongs to another log",
            metadata={"log_id": str(bounds.log_id)},
        )
    if position > bounds.head:
        raise BoxofficeError(
            Reason.POSITION_AHEAD,
            f"position {position} is ahead of the log's head {bounds.head}",
            metadata={"head": str(bounds.head)},
        )
    if position < bounds.earliest - 1:
        raise BoxofficeError(
            Reason.POSITION_COMPACTED,
            f"the log begins at {bounds.earliest}, after position {position}",
            metadata={"earliest": str(bounds.earliest), "head": str(bounds.head)},
        )


class RecordKind(StrEnum):
    """What a log record tells of."""

    ORDER = "order"
    PAYMENT = "payment"
    PRODUCT = "product"
    SUBSCRIPTION_PRODUCT = "subscription_product"
    SUBSCRIPTION_EVENT = "subscription_event"
    ENTITLEMENT = "entitlement"
    CLOCK = "clock"


def scope(source: str, environment: str) -> str:
    """Name where a subscription was bought, as records of the log and filters have it."""
    return f"{source}/{environment}"


class LogRecord(NamedTuple):
    """One numbered record of the log, with the keys that filters look at.

    A tuple, since streams read a hundred thousand of them a second: a dataclass takes six times as
    long to make.

    `group` is the same for all records of one transaction, which stand next to each other.
    `payload` is the event as callers get it, serialised. `scope` and `subscription_group` are empty
    where the record tells of no subscription.
    """

    position: int
    group: str
    event_id: str
    kind: RecordKind
    subject_id: str
    user_id: str
    product_id: str
    status: str
    create_time: datetime
    payload: bytes
    scope: str = ""
    subscription_group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which records a reader wants. An empty field asks for nothing."""

    kind: RecordKind
    subject_id: str = ""
    user_id: str = ""
    product_id: str = ""
    statuses: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    subscription_groups: frozenset[str] = frozenset()

    def matches(self, record: LogRecord) -> bool:
        """Tell whether the reader wants this record."""
        return (
            record.kind is self.kind
            and self.subject_id in ("", record.subject_id)
            and self.user_id in ("", record.user_id)
            and self.product_id in ("", record.product_id)
            and (not self.statuses or record.status in self.statuses)
            and (not self.scopes or record.scope in self.scopes)
            and (
                not self.subscription_groups
                or record.subscription_group in self.subscription_groups
            )
        )


class LogEnd(StrEnum):
    """An end of the log, as a place to start from."""

    LATEST = "latest"
    EARLIEST = "earliest"


# Where a stream starts: at an end of the log, after a token, or at the first record made at or
# after a time.
Start = LogEnd | Token | datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The stream was silent: nothing at or below the frame's `through` will ever come later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """The stream has sent everything the log held, and goes on live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBehind:
    """Live delivery could not keep pace: the stream reads the log until the next CaughtUp."""

    lag_events: int
    lag: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingAway:
    """The last frame of a stream that the server ends on purpose."""

    retry_after: timedelta
    reason: str


Mark = Progress | CaughtUp | FellBehind | GoingAway


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """What a stream sends at once. Streams that want the same share their frames.

    `events` is field 1 of a Watch response, repeated, as it goes on the wire; `count` says how many
    they are. `more` says that the frame leaves one transaction's events unfinished: `through` then
    stays where it was.
    """

    events: bytes
    count: int
    resume_token: str
    through: int
    prev_through: int
    head: int
    server_time: datetime
    more: bool
    mark: Mark | None
