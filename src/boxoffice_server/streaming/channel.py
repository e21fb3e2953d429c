"""Live records by what is wanted: everyone who wants the same shares its frames.

A channel keeps the records that its streams have not all sent yet, up to a limit. Who falls below
the limit reads the log again.
"""

import asyncio
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Protocol

from boxoffice_server.domain.stream import Frame, LogFilter, LogRecord, Mark, Token, TokenKind
from boxoffice_server.ports import Clock
from boxoffice_server.streaming.frames import Packer
from boxoffice_server.streaming.tail import Tail

# What a channel keeps for streams that have not sent it yet.
MOST_RECORDS = 10_000
MOST_BYTES = 8 * 1024 * 1024
# A frame costs the event loop some 50 µs per stream. The more streams there are, the more events
# wait to go out in one frame; where there are few, or little happens, none waits.
LEAST_PACE = 0.02
MOST_PACE = 0.05
PACE_PER_STREAM = 50e-6

_position = attrgetter("position")


class Place(Protocol):
    """A stream, as its channel sees it: what it has sent, and how to wake it.

    Everything up to `through` is sent; so are the events up to `sent`, which lies further on within
    a transaction that comes in fragments.
    """

    through: int
    sent: int

    def wake(self) -> None:
        """Tell the stream that there may be something for it."""
        ...


class Framer:
    """Makes frames, stamped with the head of the log and the time."""

    def __init__(self, tail: Tail, clock: Clock) -> None:
        self._tail = tail
        self._clock = clock

    def now(self) -> datetime:
        """Tell the time that frames are stamped with."""
        return self._clock.now()

    def frame(
        self,
        log_id: uuid.UUID,
        *,
        prev_through: int,
        through: int,
        events: bytes = b"",
        count: int = 0,
        more: bool = False,
        mark: Mark | None = None,
    ) -> Frame:
        """Make a frame."""
        token = Token(log_id=log_id, kind=TokenKind.POSITION, number=through)
        return Frame(
            events=events,
            count=count,
            resume_token=token.encode(),
            through=through,
            prev_through=prev_through,
            head=max(self._tail.head, through),
            server_time=self._clock.now(),
            more=more,
            mark=mark,
        )


class Channel:
    """The live records that one filter wants. It holds all of them above `floor`.

    Streams may send those up to `released`, which moves at a pace, so that all that keep up send
    the same frames.
    """

    def __init__(
        self, wanted: LogFilter, position_field: int, *, tail: Tail, pace: Callable[[], float]
    ) -> None:
        self.wanted = wanted
        self.position_field = position_field
        self.floor = self.released = tail.head
        self.streams: set[Place] = set()
        self._tail = tail
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._records: list[LogRecord] = []
        self._bytes = 0
        self._frames: dict[tuple[int, int], tuple[Frame, int]] = {}
        self._flushed = 0.0
        self._flushing: asyncio.TimerHandle | None = None

    def add(self, record: LogRecord) -> None:
        """Take a record that the tail has just read."""
        self._records.append(record)
        self._bytes += len(record.payload)
        if len(self._records) > MOST_RECORDS or self._bytes > MOST_BYTES:
            self._drop((len(self._records) + 1) // 2)

    def schedule(self) -> None:
        """Release what was added: at once after a pause, else when the pace allows."""
        if self._flushing is None:
            due = self._flushed + self._pace()
            if self._loop.time() >= due:
                self._flush()
            else:
                self._flushing = self._loop.call_at(due, self._flush)

    def close(self) -> None:
        """Forget the release that is scheduled."""
        if self._flushing is not None:
            self._flushing.cancel()

    def through(self) -> int:
        """Tell up to where streams that have sent all that was released are complete."""
        waiting = self._records and self._records[-1].position > self.released
        return self.released if waiting else max(self.released, self._tail.head)

    def next_frame(self, place: Place, framer: Framer) -> tuple[Frame, int] | None:
        """Make the next frame of a stream, and tell what it has sent then; None: nothing to send.

        The stream's place is not below the floor.
        """
        if not self._records or place.sent >= self.released:
            return None
        key = (place.through, place.sent)
        known = self._frames.get(key)
        if known is None:
            known = self._make(place, framer)
            if known is not None:
                self._frames[key] = known
        return known

    def _make(self, place: Place, framer: Framer) -> tuple[Frame, int] | None:
        begin = bisect_right(self._records, place.sent, key=_position)
        end = bisect_right(self._records, self.released, key=_position)
        if begin == end:
            return None
        packer = Packer(self.position_field)
        chunk = next(packer.add(self._records[begin:end]), None)
        rest = chunk is None
        chunk = chunk or packer.finish()
        if chunk is None:
            return None
        through = place.through if chunk.more else self.released if rest else chunk.last
        frame = framer.frame(
            self._tail.log_id,
            prev_through=place.through,
            through=max(through, place.through),
            events=chunk.events,
            count=chunk.count,
            more=chunk.more,
        )
        return frame, max(chunk.last, frame.through)

    def _flush(self) -> None:
        self._flushing = None
        self._flushed = self._loop.time()
        self._frames.clear()
        low = min((stream.sent for stream in self.streams), default=self.released)
        self._drop(bisect_right(self._records, low, key=_position))
        self.released = self._tail.head
        for stream in self.streams:
            stream.wake()

    def _drop(self, count: int) -> None:
        if count:
            self.floor = max(self.floor, self._records[count - 1].position)
            self._bytes -= sum(len(record.payload) for record in self._records[:count])
            del self._records[:count]


class Channels:
    """All channels of a process, found by the keys of the records they may want."""

    def __init__(self, tail: Tail) -> None:
        self.live = 0
        self._tail = tail
        self._channels: dict[tuple[LogFilter, int], Channel] = {}
        self._by_key: dict[tuple[str, str], set[Channel]] = {}

    def join(self, place: Place, wanted: LogFilter, position_field: int) -> Channel:
        """Put a stream into the channel of what it wants."""
        channel = self._channels.get((wanted, position_field))
        if channel is None:
            channel = Channel(wanted, position_field, tail=self._tail, pace=self._pace)
            self._channels[wanted, position_field] = channel
            self._by_key.setdefault(_filter_key(wanted), set()).add(channel)
        channel.streams.add(place)
        self.live += 1
        return channel

    def leave(self, place: Place, channel: Channel) -> None:
        """Take a stream out of its channel, and the channel away with its last stream."""
        channel.streams.remove(place)
        self.live -= 1
        if not channel.streams:
            channel.close()
            del self._channels[channel.wanted, channel.position_field]
            key = _filter_key(channel.wanted)
            self._by_key[key].remove(channel)
            if not self._by_key[key]:
                del self._by_key[key]

    def publish(self, records: Iterable[LogRecord]) -> None:
        """Give records to the channels that want them, and wake their streams."""
        touched = set()
        for record in records:
            for key in _record_keys(record):
                for channel in self._by_key.get(key, ()):
                    if channel.wanted.matches(record):
                        channel.add(record)
                        touched.add(channel)
        for channel in touched:
            channel.schedule()

    def _pace(self) -> float:
        return min(MOST_PACE, max(LEAST_PACE, self.live * PACE_PER_STREAM))


def _filter_key(wanted: LogFilter) -> tuple[str, str]:
    """Name the narrowest thing that a filter asks for."""
    if wanted.subject_id:
        return ("subject", wanted.subject_id)
    if wanted.user_id:
        return ("user", wanted.user_id)
    if wanted.product_id:
        return ("product", wanted.product_id)
    return ("kind", wanted.kind)


def _record_keys(record: LogRecord) -> tuple[tuple[str, str], ...]:
    return (
        ("subject", record.subject_id),
        ("user", record.user_id),
        ("product", record.product_id),
        ("kind", record.kind),
    )
