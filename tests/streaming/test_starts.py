"""Where a stream may start, and what it is refused."""

import uuid

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import (
    LogEnd,
    Start,
    Token,
    TokenKind,
    decode_token,
)
from boxoffice_server.ports import Store
from tests.storage.samples import at
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
    orders_in,
    positions_in,
    read_events,
)
from tests.support.tokens import a_token


async def test_stream_from_the_head_tells_what_happens_from_now_on(
    store: Store, feeds: Feeds
) -> None:
    """It says at once that it has caught up, and where it stands."""
    await append_each(store, range(1, 4))
    await numbered(store, 3)
    stream = open_stream(await feeds.start(store), LogEnd.LATEST)
    (first,) = await catch_up(stream)
    assert (first.prev_through, first.through, first.head, first.count) == (3, 3, 3, 0)
    await append(store, [an_event(4)])
    assert orders_in([await next_frame(stream)]) == ["ord_000004"]
    await stream.aclose()


async def test_stream_goes_on_after_any_frame_of_another_stream(store: Store, feeds: Feeds) -> None:
    """A frame's token is exclusive, and good at another instance."""
    feed, other = await feeds.start(store), await feeds.start(store)
    stream = open_stream(feed)
    await catch_up(stream)
    for number in range(1, 6):
        await append(store, [an_event(number)])
    frames = await read_events(stream, 5)
    await stream.aclose()
    for frame in frames:
        resumed = open_stream(other, decode_token(frame.resume_token))
        rest = await catch_up(resumed)
        assert positions_in(rest) == list(range(frame.through + 1, 6))
        check_chain(rest, frame.through)
        await resumed.aclose()


async def test_stream_goes_on_after_a_write(store: Store, feeds: Feeds) -> None:
    """The token a write answers with lies just behind the write."""
    feed = await feeds.start(store)
    await append(store, [an_event(1)])
    token = await append(store, [an_event(2), an_event(3)])
    await append(store, [an_event(4)])
    stream = open_stream(feed, token)
    assert orders_in(await read_events(stream, 1)) == ["ord_000004"]
    await stream.aclose()


async def test_stream_starts_at_a_time(store: Store, feeds: Feeds) -> None:
    """The first event is the first that was made at or after it."""
    await append_each(store, range(1, 6))
    await numbered(store, 5)
    stream = open_stream(await feeds.start(store), at(3))
    assert orders_in(await catch_up(stream)) == ["ord_000003", "ord_000004", "ord_000005"]
    await stream.aclose()


async def refusal(store: Store, feeds: Feeds, start: Start) -> BoxofficeError:
    """How a stream from this start is refused."""
    with pytest.raises(BoxofficeError) as caught:
        await next_frame(open_stream(await feeds.start(store), start))
    return caught.value


async def test_token_of_another_log_is_refused(store: Store, feeds: Feeds) -> None:
    """Whichever kind it is."""
    for kind in TokenKind:
        error = await refusal(store, feeds, a_token(log_id=uuid.uuid4(), kind=kind, number=0))
        assert error.reason is Reason.LOG_CHANGED


async def test_token_from_the_future_is_refused(store: Store, feeds: Feeds) -> None:
    """As after a restore from a backup. The answer says where the log ends."""
    token = await append(store, [an_event(1)])
    await numbered(store, 1)
    for kind in TokenKind:
        ahead = a_token(log_id=token.log_id, kind=kind, number=99)
        error = await refusal(store, feeds, ahead)
        assert (error.reason, error.metadata) == (Reason.POSITION_AHEAD, {"head": "1"})


async def test_token_from_before_the_compaction_is_refused(store: Store, feeds: Feeds) -> None:
    """Never skipped: neither a token, nor a time, nor a write's token."""
    written = await append(store, [an_event(1)])
    await append_each(store, range(2, 8))
    await numbered(store, 7)
    await store.write(lambda repo: repo.log.compact(before=at(5)))
    old = Token(log_id=written.log_id, kind=TokenKind.POSITION, number=3)
    for early in (old, written):
        error = await refusal(store, feeds, early)
        assert error.reason is Reason.POSITION_COMPACTED
        assert error.metadata == {"earliest": "5", "head": "7"}
    error = await refusal(store, feeds, at(2))
    assert error.reason is Reason.POSITION_COMPACTED
    feed = await feeds.start(store)
    edge = Token(log_id=written.log_id, kind=TokenKind.POSITION, number=4)
    starts: list[Start] = [edge, LogEnd.EARLIEST, at(5)]
    for start in starts:
        stream = open_stream(feed, start)
        assert positions_in(await catch_up(stream)) == [5, 6, 7]
        await stream.aclose()


@pytest.mark.usefixtures("small_channels")
async def test_compaction_under_a_stream_that_reads_the_log_is_told(
    store: Store, feeds: Feeds
) -> None:
    """What was dropped before it was read is an error, not a gap."""
    feed = await feeds.start(store)
    stream = open_stream(feed)
    await catch_up(stream)
    await append_each(store, range(1, 21))
    await eventually(lambda: feed.head == 20)
    await store.write(lambda repo: repo.log.compact(before=at(18)))
    with pytest.raises(BoxofficeError) as caught:
        await catch_up(stream)
    assert caught.value.reason is Reason.POSITION_COMPACTED
