"""The edge that every Watch RPC shares, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1 import orders_pb2_grpc
from boxoffice_client import error_info
from boxoffice_server.api.watch import read_silence, read_start, to_bytes
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import OrderEvent
from boxoffice_server.domain.stream import (
    CaughtUp,
    FellBehind,
    Frame,
    GoingAway,
    LogEnd,
    Mark,
    Progress,
)
from boxoffice_server.ports import Store
from tests.streaming.edge import watch_server
from tests.streaming.reading import Feeds, an_event, append, eventually

EARLIEST = pb.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST)


def test_request_says_where_to_start() -> None:
    """At the head unless it says otherwise."""
    assert read_start(pb.WatchOrdersRequest()) is LogEnd.LATEST
    for value, end in (
        (streams_pb2.START_POSITION_UNSPECIFIED, LogEnd.LATEST),
        (streams_pb2.START_POSITION_LATEST, LogEnd.LATEST),
        (streams_pb2.START_POSITION_EARLIEST, LogEnd.EARLIEST),
    ):
        assert read_start(pb.WatchOrdersRequest(start_position=value)) is end
    time = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
    stamp = Timestamp()
    stamp.FromDatetime(time)
    assert read_start(pb.WatchOrdersRequest(start_time=stamp)) == time


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.WatchOrdersRequest(resume_token=""), Reason.RESUME_TOKEN_INVALID),
        (pb.WatchOrdersRequest(resume_token="nonsense"), Reason.RESUME_TOKEN_INVALID),
        (pb.WatchOrdersRequest(resume_token="\u20ac"), Reason.RESUME_TOKEN_INVALID),
        (pb.WatchOrdersRequest.FromString(b"\x30\x63"), Reason.FIELD_INVALID),
        (
            pb.WatchOrdersRequest(start_time=Timestamp(seconds=1 << 62)),
            Reason.FIELD_INVALID,
        ),
        (pb.WatchOrdersRequest(start_time=Timestamp(nanos=-5)), Reason.FIELD_INVALID),
    ],
)
def test_start_that_makes_no_sense_is_refused(
    request_: pb.WatchOrdersRequest, reason: Reason
) -> None:
    """A token that is empty is no request to begin at the head: that would skip in silence."""
    with pytest.raises(BoxofficeError) as caught:
        read_start(request_)
    assert caught.value.reason is reason


def test_request_says_how_long_the_stream_may_be_silent() -> None:
    """From 1 to 60 s; 5 s unless it says otherwise."""
    assert read_silence(pb.WatchOrdersRequest()) == timedelta(seconds=5)
    for seconds in (1, 2.5, 60):
        interval = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
        request = pb.WatchOrdersRequest(progress_interval=interval)
        assert read_silence(request) == timedelta(seconds=seconds)
    for interval in (
        Duration(),
        Duration(nanos=999_999_000),
        Duration(seconds=60, nanos=1000),
        Duration(seconds=-5),
        Duration(seconds=1 << 62),
    ):
        with pytest.raises(BoxofficeError, match="progress_interval: must be from 1 s to 60 s"):
            read_silence(pb.WatchOrdersRequest(progress_interval=interval))


@pytest.mark.parametrize(
    "mark",
    [
        None,
        Progress(),
        CaughtUp(),
        FellBehind(lag_events=7, lag=timedelta(seconds=1.5)),
        GoingAway(retry_after=timedelta(milliseconds=250), reason="draining"),
    ],
)
def test_frame_is_read_as_it_was_meant(mark: Mark | None) -> None:
    """Every field of a frame is in the response."""
    event = pb.WatchOrdersResponse(events=[pb.OrderEvent(id="evt_1", position=9)])
    frame = Frame(
        events=event.SerializeToString(),
        count=1,
        resume_token="token",
        through=9,
        prev_through=8,
        head=10,
        server_time=datetime(2026, 11, 21, 12, 0, 0, 999999, tzinfo=UTC),
        more=True,
        mark=mark,
    )
    read = pb.WatchOrdersResponse.FromString(to_bytes(frame, pb.WatchOrdersResponse))
    assert read.events == event.events
    assert (read.resume_token, read.through, read.prev_through, read.head, read.more) == (
        "token",
        9,
        8,
        10,
        True,
    )
    assert read.server_time.ToDatetime(UTC) == frame.server_time
    match mark:
        case None:
            assert read.WhichOneof("marker") is None
        case Progress():
            assert read.WhichOneof("marker") == "progress"
        case CaughtUp():
            assert read.WhichOneof("marker") == "caught_up"
        case FellBehind():
            assert read.fell_behind.lag_events == mark.lag_events
            assert read.fell_behind.lag.ToTimedelta() == mark.lag
        case GoingAway():
            assert read.going_away.retry_after.ToTimedelta() == mark.retry_after
            assert read.going_away.reason == mark.reason


async def frames_of(
    call: grpc.aio.UnaryStreamCall[pb.WatchOrdersRequest, pb.WatchOrdersResponse],
) -> AsyncIterator[pb.WatchOrdersResponse]:
    """The frames of a call, each of which must come soon."""
    while True:
        async with asyncio.timeout(10):
            frame = await call.read()
        if frame is grpc.aio.EOF:
            return
        assert isinstance(frame, pb.WatchOrdersResponse)
        yield frame


def a_large_event(number: int) -> OrderEvent:
    """An event that fills a frame: a few dozen are more than a connection holds."""
    event = an_event(number)
    return replace(event, order=replace(event.order, data={"seat": "x" * 200_000}))


async def read_to_the_end(
    call: grpc.aio.UnaryStreamCall[pb.WatchOrdersRequest, pb.WatchOrdersResponse],
    frames: list[pb.WatchOrdersResponse],
) -> None:
    """Collect all frames that are left."""
    async for frame in frames_of(call):
        frames += [frame]


async def test_caller_that_stops_reading_is_sent_away_alone(
    sqlite_store: Store, feeds: Feeds
) -> None:
    """It gets SLOW_CONSUMER, and all it needs to go on; who reads is told everything meanwhile."""
    count = 60
    for number in range(1, count + 1):
        await append(sqlite_store, [a_large_event(number)])
    feed = await feeds.start(sqlite_store)
    async with (
        watch_server(feed, write_deadline=timedelta(seconds=0.5)) as address,
        grpc.aio.insecure_channel(address, options=[("grpc.http2.bdp_probe", 0)]) as stalled,
        grpc.aio.insecure_channel(address) as channel,
    ):
        slow = orders_pb2_grpc.OrdersServiceStub(stalled).WatchOrders(EARLIEST)
        await slow.read()
        reading = orders_pb2_grpc.OrdersServiceStub(channel).WatchOrders(EARLIEST)
        positions: list[int] = []
        async for frame in frames_of(reading):
            positions += [event.position for event in frame.events]
            if frame.HasField("caught_up"):
                break
        assert positions == list(range(1, count + 1))
        await eventually(lambda: len(feed._streams) == 1)
        await append(sqlite_store, [an_event(count + 1)])
        async for frame in frames_of(reading):
            positions += [event.position for event in frame.events]
            if len(positions) > count:
                break
        frames: list[pb.WatchOrdersResponse] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_to_the_end(slow, frames)
        through = frames[-1].through
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info = error_info(caught.value)
        assert info is not None
        assert info.reason == "SLOW_CONSUMER"
        assert 0 < through < count
        assert int(info.metadata["through"]) <= count
        reading.cancel()
