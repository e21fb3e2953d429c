"""What a stream of the feed says, on both stores."""

import asyncio
from datetime import timedelta

import pytest

from boxoffice_server.domain.order import OrderStatus
from boxoffice_server.domain.stream import (
    CaughtUp,
    FellBehind,
    GoingAway,
    LogEnd,
    LogFilter,
    LogRecord,
    Progress,
    RecordKind,
    decode_token,
)
from boxoffice_server.ports import Store
from tests.storage.samples import at
from tests.streaming.reading import (
    ORDERS,
    Feeds,
    an_event,
    append,
    append_each,
    append_hidden,
    catch_up,
    check_chain,
    eventually,
    next_frame,
    numbered,
    open_stream,
    orders_in,
    positions_in,
    read_events,
)


async def test_stream_from_the_beginning_tells_every_event_once_and_in_order(
    store: Store, feeds: Feeds
) -> None:
    """The past comes from the log, the rest live, with no seam between."""
    await append_each(store, range(1, 8))
    await numbered(store, 7)
    stream = open_stream(await feeds.start(store))
    frames = await catch_up(stream)
    await append_each(store, range(8, 15))
    frames += await read_events(stream, 7)
    assert orders_in(frames) == [f"ord_{number:06}" for number in range(1, 15)]
    assert positions_in(frames) == list(range(1, 15))
    check_chain(frames, 0)
    assert [frame.mark for frame in frames].count(CaughtUp()) == 1
    await stream.aclose()


async def test_events_of_one_transaction_share_a_frame(store: Store, feeds: Feeds) -> None:
    """From the log and live alike."""
    await append(store, [an_event(number) for number in range(1, 4)])
    await numbered(store, 3)
    stream = open_stream(await feeds.start(store))
    past = await catch_up(stream)
    await append(store, [an_event(number) for number in range(4, 9)])
    live = await read_events(stream, 5)
    assert [frame.count for frame in past + live] == [3, 0, 5]
    await stream.aclose()


@pytest.mark.parametrize("live", [True, False])
async def test_transaction_larger_than_a_frame_comes_in_fragments(
    store: Store, feeds: Feeds, *, live: bool
) -> None:
    """All but the last say so, and leave `through` where it was."""
    feed = await feeds.start(store)
    stream = open_stream(feed)
    if live:
        await catch_up(stream)
    await append(store, [an_event(number) for number in range(1, 1202)])
    await append(store, [an_event(1202)])
    await eventually(lambda: feed.head == 1202)
    frames = [frame for frame in await read_events(stream, 1202) if frame.count]
    assert positions_in(frames) == list(range(1, 1203))
    fragments = [frame for frame in frames if frame.more]
    assert len(fragments) >= 2
    assert {(frame.prev_through, frame.through) for frame in fragments} == {(0, 0)}
    check_chain(frames, 0)
    assert all(len(frame.events) <= 256 * 1024 for frame in frames)
    await stream.aclose()


async def test_filters_let_only_what_is_wanted_through(store: Store, feeds: Feeds) -> None:
    """From the log and live alike; `through` covers the rest too."""
    feed = await feeds.start(store)
    wanted = {
        "user": LogFilter(kind=RecordKind.ORDER, user_id="user-2"),
        "subject": LogFilter(kind=RecordKind.ORDER, subject_id="ord_000003"),
        "product": LogFilter(kind=RecordKind.ORDER, product_id="prd_000009"),
        "status": LogFilter(kind=RecordKind.ORDER, statuses=frozenset({"paid"})),
        "both": LogFilter(kind=RecordKind.ORDER, user_id="user-1", statuses=frozenset({"paid"})),
        "kind": LogFilter(kind=RecordKind.PRODUCT),
    }
    streams = {name: open_stream(feed, wanted=each) for name, each in wanted.items()}
    for stream in streams.values():
        await catch_up(stream)
    await append(store, [an_event(1)])
    await append(store, [an_event(2, user_id="user-2")])
    await append(store, [an_event(3, status=OrderStatus.PAID)])
    await append_hidden(store, 1)
    found = {
        name: positions_in([await next_frame(streams[name])])
        for name in ("user", "subject", "status", "both")
    }
    assert found == {"user": [2], "subject": [3], "status": [3], "both": [3]}
    assert (await next_frame(streams["kind"])).count == 1
    await eventually(lambda: feed.head == 4)
    for name, each in wanted.items():
        again = await catch_up(stream := open_stream(feed, wanted=each))
        check_chain(again, 0)
        assert sum(frame.count for frame in again) == {"product": 0}.get(name, 1)
        assert again[-1].through == 4
        await stream.aclose()
        await streams[name].aclose()


async def test_silent_stream_says_how_far_it_is(store: Store, feeds: Feeds) -> None:
    """Progress comes in time, also to one who wants nothing of what happens, and covers it."""
    feed = await feeds.start(store)
    wanted = LogFilter(kind=RecordKind.ORDER, user_id="nobody")
    stream = open_stream(feed, wanted=wanted, silence=0.1)
    await catch_up(stream)
    await append_each(store, range(1, 4))
    await eventually(lambda: feed.head == 3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    frames = [await next_frame(stream) for _ in range(5)]
    assert loop.time() - started < 5 * 0.1 + 0.4
    assert {type(frame.mark) for frame in frames} == {Progress}
    assert frames[-1].through == 3
    assert not any(frame.count for frame in frames)
    await stream.aclose()


async def test_progress_never_overtakes_an_event(store: Store, feeds: Feeds) -> None:
    """However often a stream speaks, no event comes at or below what was called complete."""
    feed = await feeds.start(store)
    stream = open_stream(feed, silence=0.001)
    writing = asyncio.create_task(append_each(store, range(1, 101)))
    through, positions = 0, list[int]()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while len(positions) < 100:
        assert loop.time() < deadline
        frame = await next_frame(stream)
        assert frame.prev_through == through
        assert all(position > through for position in positions_in([frame]))
        through = frame.through
        positions += positions_in([frame])
    assert positions == list(range(1, 101))
    await writing
    await stream.aclose()


@pytest.mark.usefixtures("small_channels")
async def test_slow_stream_falls_behind_and_catches_up_without_a_loss(
    store: Store, feeds: Feeds
) -> None:
    """It is told so, reads the log, and is told when it is live again."""
    feed = await feeds.start(store)
    stream = open_stream(feed)
    frames = await catch_up(stream)
    await append_each(store, range(1, 41))
    await eventually(lambda: feed.head == 40)
    frames += await catch_up(stream)
    assert positions_in(frames) == list(range(1, 41))
    check_chain(frames, 0)
    marks = [frame.mark for frame in frames if frame.mark]
    assert [type(mark) for mark in marks] == [CaughtUp, FellBehind, CaughtUp]
    assert isinstance(marks[1], FellBehind)
    assert marks[1].lag_events > 0
    await append(store, [an_event(41)])
    assert positions_in([await next_frame(stream)]) == [41]
    await stream.aclose()


@pytest.mark.usefixtures("small_channels")
async def test_stream_that_wants_nothing_of_it_never_falls_behind(
    store: Store, feeds: Feeds
) -> None:
    """What it does not want can't put it behind, however much it is."""
    feed = await feeds.start(store)
    wanted = LogFilter(kind=RecordKind.ORDER, user_id="nobody")
    stream = open_stream(feed, wanted=wanted, silence=0.05)
    await catch_up(stream)
    await append_each(store, range(1, 41))
    await eventually(lambda: feed.head == 40)
    assert isinstance((await next_frame(stream)).mark, Progress)
    await stream.aclose()


async def test_drained_stream_ends_with_going_away(store: Store, feeds: Feeds) -> None:
    """So does one that comes too late; the last token is good elsewhere."""
    feed, other = await feeds.start(store), await feeds.start(store)
    stream = open_stream(feed)
    await catch_up(stream)
    waiting = asyncio.create_task(next_frame(stream))
    await asyncio.sleep(0)
    feed.drain()
    last = await waiting
    assert isinstance(last.mark, GoingAway)
    assert timedelta() < last.mark.retry_after <= timedelta(seconds=1)
    assert last.mark.reason == "draining"
    assert [frame async for frame in stream] == []
    (late,) = [frame async for frame in open_stream(feed)]
    assert isinstance(late.mark, GoingAway)
    await append(store, [an_event(1)])
    resumed = open_stream(other, decode_token(last.resume_token))
    assert positions_in(await read_events(resumed, 1)) == [1]
    await resumed.aclose()


async def test_old_stream_is_sent_away(sqlite_store: Store, feeds: Feeds) -> None:
    """A stream that has lived long enough ends as politely as at a drain."""
    feed = await feeds.start(sqlite_store, max_age=timedelta(milliseconds=50))
    frames = [frame async for frame in open_stream(feed, silence=0.01)]
    assert isinstance(frames[-1].mark, GoingAway)
    assert frames[-1].mark.reason == "max age"


async def test_two_instances_tell_the_same(store: Store, feeds: Feeds) -> None:
    """Each event has the same bytes and position wherever it is told."""
    streams = [open_stream(await feeds.start(store)) for _ in range(2)]
    for stream in streams:
        await catch_up(stream)
    await append_each(store, range(1, 11))
    told = [await read_events(stream, 10) for stream in streams]
    assert positions_in(told[0]) == positions_in(told[1])
    assert b"".join(frame.events for frame in told[0]) == b"".join(
        frame.events for frame in told[1]
    )
    for stream in streams:
        await stream.aclose()


async def test_streams_that_want_the_same_share_their_frames(
    sqlite_store: Store, feeds: Feeds
) -> None:
    """Events are put on the wire once, however many watch."""
    feed = await feeds.start(sqlite_store)
    streams = [open_stream(feed, LogEnd.LATEST) for _ in range(3)]
    for stream in streams:
        await catch_up(stream)
    await append(sqlite_store, [an_event(1)])
    frames = [await next_frame(stream) for stream in streams]
    assert frames[0] is frames[1] is frames[2]
    for stream in streams:
        await stream.aclose()


async def test_many_watchers_who_come_and_go_under_load_miss_nothing(
    store: Store, feeds: Feeds
) -> None:
    """Whatever the moment at which one joins: from its start on, every event once."""
    feed = await feeds.start(store)
    writers = [
        asyncio.create_task(append_each(store, range(1 + 1000 * lane, 61 + 1000 * lane)))
        for lane in range(4)
    ]

    async def watch() -> None:
        stream = open_stream(feed, LogEnd.LATEST)
        frames = [await next_frame(stream)]
        while frames[-1].through < 240:
            frames.append(await next_frame(stream))
        start = frames[0].prev_through
        assert positions_in(frames) == list(range(start + 1, 241))
        check_chain(frames, start)
        await stream.aclose()

    async with asyncio.TaskGroup() as watchers:
        for _ in range(20):
            watchers.create_task(watch())
            await asyncio.sleep(0.005)
    await asyncio.gather(*writers)


async def test_listener_is_told_of_every_record(store: Store, feeds: Feeds) -> None:
    """Of every kind, by whole transactions, until it stops; one that fails harms no other."""
    feed = await feeds.start(store)
    heard: list[LogRecord] = []

    def fail(records: object) -> None:
        raise ValueError("a listener's fault")

    feed.listen(fail)
    stop = feed.listen(heard.extend)
    await append(store, [an_event(1), an_event(2)])
    await store.write(lambda repo: repo.log.append_clock(60, at(0)))
    await eventually(lambda: feed.head == 3)
    assert [record.kind for record in heard] == [
        RecordKind.ORDER,
        RecordKind.ORDER,
        RecordKind.CLOCK,
    ]
    stop()
    await append(store, [an_event(3)])
    await eventually(lambda: feed.head == 4)
    assert len(heard) == 3


async def test_stopped_stream_leaves_nothing_behind(sqlite_store: Store, feeds: Feeds) -> None:
    """Neither in its channel nor as a task."""
    feed = await feeds.start(sqlite_store)
    before = asyncio.all_tasks()
    streams = [open_stream(feed, wanted=ORDERS) for _ in range(3)]
    for stream in streams:
        await catch_up(stream)
    waiting = asyncio.create_task(anext(streams[0]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for stream in streams:
        await stream.aclose()
    assert feed._channels.live == 0
    assert not feed._channels._channels
    assert not feed._channels._by_key
    assert not feed._streams
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
