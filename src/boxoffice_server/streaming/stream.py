"""One stream: it reads the log until it has caught up, then rides its channel."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta

from boxoffice_server.domain.stream import (
    CaughtUp,
    FellBehind,
    Frame,
    LogFilter,
    LogRecord,
    Mark,
    Progress,
)
from boxoffice_server.ports import Store
from boxoffice_server.streaming.channel import Channel, Channels, Framer
from boxoffice_server.streaming.frames import Packer
from boxoffice_server.streaming.tail import Tail, checked_page

PAGE = 500


Page = tuple[list[LogRecord], int]


class Stream:
    """Makes the frames of one caller, one after the other.

    Everything up to `through` is sent; so are the events up to `sent`, which lies further on within
    a transaction that comes in fragments.
    """

    def __init__(
        self,
        wanted: LogFilter,
        position: int,
        *,
        position_field: int,
        silence: float,
        store: Store,
        tail: Tail,
        framer: Framer,
        channels: Channels,
    ) -> None:
        self.through = self.sent = position
        self._wanted = wanted
        self._position_field = position_field
        self._silence = silence
        self._store = store
        self._tail = tail
        self._framer = framer
        self._channels = channels
        self._log_id = tail.log_id
        self._generation = tail.generation
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        # While it catches up: what was read and is not known to be whole, how far the log was
        # read, and the read that is under way.
        self._live = False
        self._packer = Packer(position_field)
        self._read = position
        self._reading: asyncio.Task[Page] | None = None
        self._fell_behind = False
        self._more = False
        self._spoke = self._loop.time()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def step(self) -> Iterable[Frame]:
        """Wait for what is to be sent next; answers none when it was woken for nothing."""
        return await self._next_live() if self._live else await self._next_page()

    def marked(self, mark: Mark) -> Frame:
        """Make a frame that only carries a mark."""
        return self._frame(self.through, mark=mark)

    async def close(self) -> None:
        """Leave the channel, and let go of a read that is under way."""
        self._leave()
        if self._timer is not None:
            self._timer.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    # -- reading the log --------------------------------------------------------------------------

    async def _next_page(self) -> Iterable[Frame]:
        self._reading = self._reading or self._start_reading()
        while not self._reading.done():
            if self._silent():
                return (self._frame(self.through, mark=Progress()),)
            await self._wait()
            if not self._reading.done() and not self._silent():
                return ()
        (records, complete), self._reading = self._reading.result(), None
        if len(records) >= PAGE:
            self._read = records[-1].position
            self._reading = self._start_reading()
        return self._frames(records, complete)

    def _start_reading(self) -> asyncio.Task[Page]:
        self._generation = self._tail.generation
        body = checked_page(self._log_id, self._read, PAGE, self._wanted)
        reading = self._loop.create_task(self._store.read(body))
        reading.add_done_callback(lambda _: self.wake())
        return reading

    def _frames(self, records: list[LogRecord], complete: int) -> Iterator[Frame]:
        if self._fell_behind:
            self._fell_behind = False
            yield self.marked(self._lag(records))
        for chunk in self._packer.add(records):
            self.sent = chunk.last
            through = self.through if chunk.more else chunk.last
            yield self._frame(through, events=chunk.events, count=chunk.count, more=chunk.more)
        if len(records) >= PAGE:
            return
        rest = self._packer.finish()
        last = records[-1].position if records else 0
        self._read = self.sent = max(self.sent, complete, last)
        if rest is not None:
            yield self._frame(self.sent, events=rest.events, count=rest.count)
        if self._try_live():
            # Covers what matches nothing since the last frame, too.
            yield self._frame(self.sent, mark=CaughtUp())

    def _try_live(self) -> bool:
        """Go live if the channel goes on where the log was read to."""
        if self._channel is None:
            self._channel = self._channels.join(self, self._wanted, self._position_field)
        self._live = self.sent >= self._channel.floor
        if self.sent > self._tail.head:
            # The log has gone on since the tail last looked.
            self._tail.nudge()
        return self._live

    def _lag(self, records: list[LogRecord]) -> FellBehind:
        oldest = records[0].create_time if records else self._framer.now()
        return FellBehind(
            lag_events=max(0, self._tail.head - self.through),
            lag=max(timedelta(), self._framer.now() - oldest),
        )

    # -- riding the channel -----------------------------------------------------------------------

    async def _next_live(self) -> Iterable[Frame]:
        channel = self._channel
        if (
            channel is None
            or self._generation != self._tail.generation
            or self.sent < channel.floor
        ):
            self._fall_behind()
            return ()
        made = channel.next_frame(self, self._framer)
        if made is not None:
            frame, self.sent = made
            self.through, self._more = frame.through, frame.more
            self._spoke = self._loop.time()
            return (frame,)
        if self._silent():
            self.sent = max(self.through, channel.through())
            return (self._frame(self.sent, mark=Progress()),)
        await self._wait()
        return ()

    def _fall_behind(self) -> None:
        self._leave()
        self._live = False
        self._fell_behind = True
        self._packer = Packer(self._position_field)
        self._read = self.sent

    def _leave(self) -> None:
        if self._channel is not None:
            self._channels.leave(self, self._channel)
            self._channel = None

    # -- both -------------------------------------------------------------------------------------

    def _frame(
        self,
        through: int,
        *,
        events: bytes = b"",
        count: int = 0,
        more: bool = False,
        mark: Mark | None = None,
    ) -> Frame:
        """Make a frame of this stream's own. A mark within a transaction leaves it unfinished."""
        if mark is None:
            self._more = more
        frame = self._framer.frame(
            self._log_id,
            prev_through=self.through,
            through=through,
            events=events,
            count=count,
            more=self._more,
            mark=mark,
        )
        self.through = through
        self._spoke = self._loop.time()
        return frame

    def _silent(self) -> bool:
        return self._loop.time() >= self._spoke + self._silence

    async def _wait(self) -> None:
        """Wait until something wakes the stream, or it has been silent for too long."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._spoke + self._silence, self._on_timer)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()
