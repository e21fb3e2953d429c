"""How the log is followed when the world is unkind."""

import asyncio
import sqlite3
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import LogRecord, Progress
from boxoffice_server.ports import Repository, Store
from boxoffice_server.streaming.frames import Packer
from boxoffice_server.streaming.tail import PAGE
from tests.streaming.reading import (
    Feeds,
    an_event,
    append,
    append_each,
    catch_up,
    check_chain,
    eventually,
    next_frame,
    numbered,
    open_stream,
    positions_in,
    read_events,
)

T = TypeVar("T")


class Unkind:
    """A store that gives no hints, and whose reads fail when they are told to."""

    def __init__(self, store: Store) -> None:
        self.failures = 0
        self.failed = asyncio.Event()
        self._store = store

    async def write(self, body: Callable[[Repository], T]) -> T:
        return await self._store.write(body)

    async def read(self, body: Callable[[Repository], T]) -> T:
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise BoxofficeError(Reason.STORE_UNAVAILABLE, "the store can't be reached")
        return await self._store.read(body)

    async def read_once(self, body: Callable[[Repository], T]) -> T:
        return await self.read(body)

    def on_advance(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()


class Slow(Unkind):
    """A store whose reads wait until they are let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, body: Callable[[Repository], T]) -> T:
        await self.gate.wait()
        return await super().read(body)


async def test_log_is_followed_without_a_hint(store: Store, feeds: Feeds) -> None:
    """A hint may be lost: the poll finds what it would have told."""
    stream = open_stream(await feeds.start(Unkind(store), poll=timedelta(milliseconds=20)))
    await catch_up(stream)
    for number in range(1, 4):
        await append(store, [an_event(number)])
        assert positions_in([await next_frame(stream)]) == [number]
    await stream.aclose()


class Counted(Unkind):
    """A store that gives hints, and counts who wants them."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.wanted = 0

    def on_advance(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.wanted += 1
        stop = self._store.on_advance(callback)

        def count() -> None:
            self.wanted -= 1
            stop()

        return count


async def test_store_hints_only_while_somebody_waits(store: Store, feeds: Feeds) -> None:
    """At streams, or for tasks; one hint does for all of them."""
    counted = Counted(store)
    feed = await feeds.start(counted, poll=timedelta(hours=1))
    heard: list[LogRecord] = []
    feed.listen(heard.extend)
    await append(store, [an_event(1)])
    assert counted.wanted == 0
    streams = [open_stream(feed) for _ in range(2)]
    for stream in streams:
        assert positions_in(await read_events(stream, 1)) == [1]
    assert counted.wanted == 1
    await append(store, [an_event(2)])
    for stream in streams:
        assert positions_in(await read_events(stream, 1)) == [2]
        await stream.aclose()
    assert counted.wanted == 0
    await append(store, [an_event(3)])
    followed: list[LogRecord] = []
    with feed.follow(followed.extend):
        assert counted.wanted == 1
        await eventually(lambda: feed.head == 3)
    assert counted.wanted == 0
    assert [record.position for record in heard] == [1, 2, 3]
    assert [record.position for record in followed] == [3]


class Held(Unkind):
    """A store that keeps the answer to one read back, until it is let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()
        self._first = True

    async def read_once(self, body: Callable[[Repository], T]) -> T:
        if self._first:
            self._first = False
            self.reading.set()
            await self.gate.wait()
        return await super().read_once(body)


async def test_stream_that_opens_as_the_tail_skips_misses_nothing(
    store: Store, feeds: Feeds
) -> None:
    """The tail learns where the log ends after the stream has found out where it begins."""
    held = Held(store)
    feed = await feeds.start(held, poll=timedelta(milliseconds=5))
    await held.reading.wait()
    stream = open_stream(feed)
    assert positions_in(await catch_up(stream)) == []
    await append(store, [an_event(1)])
    await numbered(store, 1)
    held.gate.set()
    assert positions_in(await read_events(stream, 1)) == [1]
    await stream.aclose()


async def test_log_is_followed_again_after_failures(sqlite_store: Store, feeds: Feeds) -> None:
    """A store that was away puts off what a stream tells, and takes nothing from it."""
    store = Unkind(sqlite_store)
    stream = open_stream(await feeds.start(store, poll=timedelta(milliseconds=5)), silence=1)
    await catch_up(stream)
    store.failures = 3
    await store.failed.wait()
    await append_each(sqlite_store, range(1, 4))
    assert positions_in(await read_events(stream, 3)) == [1, 2, 3]
    await stream.aclose()


async def test_stream_speaks_while_the_log_is_read_slowly(
    sqlite_store: Store, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent stream is a broken one, whatever keeps it."""
    monkeypatch.setattr("boxoffice_server.streaming.stream.PAGE", 1)
    small = partial(Packer, most_events=1)
    monkeypatch.setattr("boxoffice_server.streaming.stream.Packer", small)
    await append_each(sqlite_store, range(1, 6))
    store = Slow(sqlite_store)
    stream = open_stream(await feeds.start(store), silence=0.05)
    frames = [await next_frame(stream)]
    store.gate.clear()
    while not isinstance(frames[-1].mark, Progress):
        frames.append(await next_frame(stream))
    store.gate.set()
    frames += await catch_up(stream)
    assert positions_in(frames) == [1, 2, 3, 4, 5]
    check_chain(frames, 0)
    await stream.aclose()


async def test_transactions_larger_than_a_page_stay_whole_for_listeners(
    sqlite_store: Store, feeds: Feeds
) -> None:
    """However the pages fall, a listener never sees half of one."""
    feed = await feeds.start(sqlite_store)
    heard: list[list[str]] = []
    feed.listen(lambda records: heard.append([record.group for record in records]))
    first = 1
    for size in (PAGE - 1, 2, PAGE, PAGE + 1, 3 * PAGE + 7, 1):
        await append(sqlite_store, [an_event(number) for number in range(first, first + size)])
        first += size
    await eventually(lambda: feed.head == first - 1)
    ends = [{groups[0], groups[-1]} for groups in heard]
    for index, some in enumerate(ends):
        for others in ends[index + 1 :]:
            assert not some & others
    assert sum(map(len, heard)) == first - 1


async def test_log_that_was_replaced_ends_its_streams(
    sqlite_database: str, sqlite_store: Store, feeds: Feeds
) -> None:
    """What is told under a new log id must not pass for what comes next."""
    await append_each(sqlite_store, range(1, 4))
    feed = await feeds.start(sqlite_store, poll=timedelta(milliseconds=5))
    stream = open_stream(feed)
    await catch_up(stream)
    with sqlite3.connect(sqlite_database.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE log_meta SET log_id = ?", [uuid.uuid4().hex])
    connection.close()
    with pytest.raises(BoxofficeError) as caught:
        await catch_up(stream)
    assert caught.value.reason is Reason.LOG_CHANGED
    stream = open_stream(feed)
    assert positions_in(await catch_up(stream)) == [1, 2, 3]
    await append(sqlite_store, [an_event(4)])
    assert positions_in([await next_frame(stream)]) == [4]
    await stream.aclose()
