"""The feed of a process: who watches, from where, and when they are sent away."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import assert_never

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import (
    Frame,
    GoingAway,
    LogBounds,
    LogEnd,
    LogFilter,
    LogRecord,
    Start,
    Token,
    check_position,
)
from boxoffice_server.ports import Clock, Repository, Store
from boxoffice_server.streaming.channel import Channels, Framer
from boxoffice_server.streaming.stream import Stream
from boxoffice_server.streaming.tail import Tail

# How long a stream waits for the write that its token names to be numbered.
RESOLVE_SECONDS = 5.0
RESOLVE_PAUSE = 0.01
# Those who are sent away come back spread over this time.
RETURN_SECONDS = (0.1, 1.0)


class Feed:
    """All streams of a process, fed by one tail of the log.

    Streams end with going_away once `drain` is called, or when they are older than `max_age`, give
    or take a tenth, so that callers spread over new instances.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        poll: timedelta = timedelta(milliseconds=250),
        max_age: timedelta = timedelta(minutes=24),
    ) -> None:
        self._store = store
        self._max_age = max_age.total_seconds()
        self._tail = Tail(store, poll=poll)
        self._framer = Framer(self._tail, clock)
        self._channels = Channels(self._tail)
        self._tail.on_reset(self._wake_all)
        self._streams: set[Stream] = set()
        self._draining = ""
        self._random = random.SystemRandom()

    @property
    def head(self) -> int:
        """The position up to which the log has been told to all listeners."""
        return self._tail.head

    async def start(self) -> None:
        """Follow the log from its head on."""
        await self._tail.start()

    async def stop(self) -> None:
        """Stop following the log. Streams are drained before."""
        await self._tail.stop()

    def listen(self, callback: Callable[[Sequence[LogRecord]], None]) -> Callable[[], None]:
        """Call back with all records from now on, by whole transactions; answers how to stop it.

        Each comes within the poll's time.
        """
        return self._tail.listen(callback)

    def follow(
        self, callback: Callable[[Sequence[LogRecord]], None]
    ) -> AbstractContextManager[None]:
        """Call back in the time of a block, as soon as there are new records."""
        return self._tail.follow(callback)

    def drain(self, reason: str = "draining") -> None:
        """Send every stream away, those that are still to come included."""
        self._draining = reason
        self._wake_all()

    async def stream(
        self, wanted: LogFilter, start: Start, *, position_field: int, progress_interval: timedelta
    ) -> AsyncGenerator[Frame]:
        with self._tail.follow(self._channels.publish):
            position = await self._place(start)
            stream = Stream(
                wanted,
                position,
                position_field=position_field,
                silence=progress_interval.total_seconds(),
                store=self._store,
                tail=self._tail,
                framer=self._framer,
                channels=self._channels,
            )
            end = asyncio.get_running_loop().time() + self._max_age * self._random.uniform(0.9, 1.1)
            self._streams.add(stream)
            try:
                while True:
                    if reason := self._ending(end):
                        yield stream.marked(self._going_away(reason))
                        return
                    for frame in await stream.step():
                        yield frame
                        if self._ending(end):
                            break
            finally:
                self._streams.remove(stream)
                await stream.close()

    def _ending(self, end: float) -> str:
        if self._draining:
            return self._draining
        return "max age" if asyncio.get_running_loop().time() >= end else ""

    def _going_away(self, reason: str) -> GoingAway:
        pause = self._random.uniform(*RETURN_SECONDS)
        return GoingAway(retry_after=timedelta(seconds=pause), reason=reason)

    def _wake_all(self) -> None:
        for stream in self._streams:
            stream.wake()

    async def _place(self, start: Start) -> int:
        """Find the position to start after, or refuse."""
        match start:
            case Token():
                return await self._after(start)
            case datetime():
                return await self._store.read(lambda repo: repo.log.position_before(start))
            case LogEnd.LATEST:
                return (await self._bounds()).head
            case LogEnd.EARLIEST:
                return (await self._bounds()).earliest - 1
            case _:
                assert_never(start)

    async def _bounds(self) -> LogBounds:
        return await self._store.read(lambda repo: repo.log.bounds())

    async def _after(self, token: Token) -> int:
        """Find the position that a token stands for; waits until what it names is numbered."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RESOLVE_SECONDS
        while True:
            position = await self._store.read(lambda repo: _resolved(repo, token))
            if position is not None:
                return position
            if loop.time() >= deadline:
                raise BoxofficeError(
                    Reason.STORE_UNAVAILABLE,
                    "the write that the token names is not in the log yet",
                    retry_after=timedelta(seconds=1),
                )
            await asyncio.sleep(RESOLVE_PAUSE)


def _resolved(repo: Repository, token: Token) -> int | None:
    bounds = repo.log.bounds()
    # What a token of another log names means nothing here.
    check_position(bounds, token.log_id, bounds.head)
    position = repo.log.resolve(token)
    if position is not None:
        check_position(bounds, token.log_id, position)
    return position
