"""How events are cut into frames and put on the wire. Pure: no store, no clock, no messages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from boxoffice_server.domain.stream import LogRecord

# A frame is never larger than this, unless a single event is.
FRAME_BYTES = 256 * 1024
FRAME_EVENTS = 500

_LENGTH_DELIMITED = 2
_EVENTS_TAG = bytes((1 << 3 | _LENGTH_DELIMITED,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The events of one frame, ready for the wire.

    `last` is the position of the last one. `more` says that its transaction goes on.
    """

    events: bytes
    count: int
    last: int
    more: bool


def varint(number: int) -> bytes:
    """Write a number that is not negative, as protobuf does."""
    if number < 0x80:  # noqa: PLR2004 -- what seven bits hold
        return bytes((number,))
    if number < 0x4000:  # noqa: PLR2004 -- what twice seven bits hold
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- what seven bits hold
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(record: LogRecord, position_tag: bytes) -> bytes:
    """Write an event as an element of field 1, with its position behind its other fields."""
    position = position_tag + varint(record.position)
    length = varint(len(record.payload) + len(position))
    return b"".join((_EVENTS_TAG, length, record.payload, position))


class Packer:
    """Cuts records into chunks: whole transactions where they fit, else fragments of one.

    Records may come in several pages; what is not known to be whole is kept for the next one.
    """

    def __init__(
        self,
        position_field: int,
        *,
        most_bytes: int = FRAME_BYTES,
        most_events: int = FRAME_EVENTS,
    ) -> None:
        self._position_tag = varint(position_field << 3)
        self._most_bytes = most_bytes
        self._most_events = most_events
        # Encoded events that are not sent yet; from `_begun` on they belong to the transaction
        # `_group`, of which more may come.
        self._parts: list[bytes] = []
        self._begun = 0
        self._size = 0
        self._group = ""
        # The positions of the last event, and of the last one before `_begun`.
        self._last = 0
        self._whole = 0

    def add(self, records: Iterable[LogRecord]) -> Iterator[Chunk]:
        """Take records in log order; answers the chunks that are full."""
        for record in records:
            if record.group != self._group:
                self._group = record.group
                self._begun = len(self._parts)
                self._whole = self._last
            part = encode(record, self._position_tag)
            if self._parts and (
                self._size + len(part) > self._most_bytes or len(self._parts) >= self._most_events
            ):
                yield self._cut()
                # What is left of the transaction may itself leave no room.
                if self._parts and (
                    self._size + len(part) > self._most_bytes
                    or len(self._parts) >= self._most_events
                ):
                    yield self._cut()
            self._parts.append(part)
            self._size += len(part)
            self._last = record.position

    def finish(self) -> Chunk | None:
        """Answer what is left, now that its transaction is known to be whole."""
        if not self._parts:
            return None
        chunk = Chunk(
            events=b"".join(self._parts), count=len(self._parts), last=self._last, more=False
        )
        self._keep([])
        return chunk

    def _cut(self) -> Chunk:
        """Cut off the transactions that are whole; or a fragment, where there are none."""
        if self._begun:
            sent, last, more = self._parts[: self._begun], self._whole, False
        else:
            sent, last, more = self._parts, self._last, True
        kept = self._parts[len(sent) :]
        chunk = Chunk(events=b"".join(sent), count=len(sent), last=last, more=more)
        self._keep(kept)
        return chunk

    def _keep(self, parts: list[bytes]) -> None:
        self._parts = parts
        self._begun = 0
        self._size = sum(map(len, parts))
