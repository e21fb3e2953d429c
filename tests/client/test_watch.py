"""The stream that resumes by itself: what it hides from its caller, and what it tells."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1 import orders_pb2_grpc
from boxoffice_client import (
    BackOff,
    ResumeImpossible,
    StreamBroken,
    Watch,
    WatchedOrders,
    open_channel,
    watch_orders,
)
from boxoffice_client.watch import start_fields
from boxoffice_server.domain.errors import BoxofficeError, Reason
from tests.conformance import faults
from tests.conformance.checker import Violation, Written, check_told
from tests.conformance.fake import Context, FakeServer, FakeStream, Frames, serving
from tests.streaming.reading import eventually

EARLIEST = streams_pb2.START_POSITION_EARLIEST
QUICK = BackOff(first=timedelta(milliseconds=1), most=timedelta(milliseconds=10))


async def read(watch: WatchedOrders, count: int) -> list[pb.OrderEvent]:
    """The next events of a watch, which must come soon."""
    events: list[pb.OrderEvent] = []
    async with asyncio.timeout(10):
        async for watched in watch:
            events.append(watched.event)
            if len(events) >= count:
                break
    return events


async def write_some(server: FakeServer) -> None:
    """Write transactions of several sizes."""
    for size in (1, 3, 1, 2, 5, 1):
        await server.write(size)


class Fails(FakeServer):
    """Fails every stream after a few frames, with whatever it is told to."""

    reason = Reason.STORE_UNAVAILABLE
    frames = 2
    streams = 0
    streams_that_fail = 5
    left = 0

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        self.streams += 1
        self.left = self.frames
        return await super().place(request, context)

    async def send(self, context: Context, frame: pb.WatchOrdersResponse) -> None:
        if not self.left and self.streams <= self.streams_that_fail:
            raise BoxofficeError(self.reason, "told to fail", metadata={"through": "0"})
        self.left -= 1
        await super().send(context, frame)


@pytest.mark.parametrize("reason", [Reason.STORE_UNAVAILABLE, Reason.SLOW_CONSUMER])
async def test_watch_goes_on_after_a_failure(reason: Reason) -> None:
    """Every event comes once and in order, however often the stream is cut."""
    fake = Fails()
    fake.reason = reason
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start=EARLIEST, back_off=QUICK) as watch,
    ):
        await write_some(server)
        await write_some(server)
        check_told(await read(watch, len(server.written)), server.written)
        assert fake.streams > fake.streams_that_fail


async def test_interrupted_transaction_comes_once_and_whole() -> None:
    """Fragments that were read before the cut come again, and are not told twice."""
    fake = Fails()
    fake.frames, fake.streams_that_fail = 2, 2
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start=EARLIEST, back_off=QUICK) as watch,
    ):
        await server.write(1300)
        check_told(await read(watch, 1300), server.written)
        assert fake.streams == 3


async def test_watch_that_is_sent_away_comes_back_when_it_was_told_to() -> None:
    """It goes on with the last token."""
    frames: list[pb.WatchOrdersResponse] = []
    async with (
        serving(FakeServer()) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start=EARLIEST, on_frame=frames.append) as watch,
    ):
        await write_some(server)
        events = await read(watch, len(server.written))
        await server.drain()
        reading = asyncio.create_task(read(watch, 1))
        await eventually(lambda: any(frame.HasField("going_away") for frame in frames))
        server.draining = False
        await server.write()
        check_told(events + await reading, server.written)


class FallsSilent(FakeServer):
    """Says nothing more on its first stream once that has caught up."""

    silenced = False

    async def wait(self, stream: FakeStream, silence: float) -> bool:
        if not self.silenced:
            self.silenced = True
            await asyncio.Event().wait()
        return await super().wait(stream, silence)


async def test_watch_that_hears_nothing_opens_another_stream() -> None:
    """A connection may look alive and not be."""
    async with serving(FallsSilent()) as server, open_channel(server.address) as channel:
        stub = orders_pb2_grpc.OrdersServiceStub(channel)

        def call(start: Any) -> Any:  # noqa: ANN401 -- as the client's own
            request = pb.WatchOrdersRequest(**start_fields(start))
            request.progress_interval.FromSeconds(1)
            return stub.WatchOrders(request)

        silence = timedelta(seconds=-0.4)
        watch = Watch[pb.OrderEvent, pb.WatchOrdersResponse](
            call, EARLIEST, silence=silence, back_off=QUICK
        )
        async with watch:
            await server.write()
            first = await read(watch, 1)
            await server.write()
            check_told(first + await read(watch, 1), server.written)


@pytest.mark.parametrize(
    "fault",
    [
        faults.LosesAFrame,
        faults.LiesAboutPrevThrough,
        faults.GoesBack,
        faults.RepeatsAnEvent,
        faults.FallingPositions,
        faults.FragmentsMoveThrough,
        faults.ProgressOvertakes,
    ],
)
async def test_broken_stream_is_told(fault: type[FakeServer]) -> None:
    """What the frames show to be lost, repeated or out of order is never handed out."""
    fake = fault()
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(
            channel, start=EARLIEST, back_off=QUICK, progress_interval=timedelta(seconds=1)
        ) as watch,
    ):
        await server.write(3)
        await write_some(server)

        async def go_on() -> None:
            while True:
                await server.write(2)
                await server.write(900)
                await asyncio.sleep(0.2)

        writing = asyncio.create_task(go_on())
        with pytest.raises(StreamBroken):
            await read(watch, 100_000)
        writing.cancel()


async def test_loss_that_no_frame_shows_is_found_by_whoever_knows_what_was_written() -> None:
    """The detector that the tests under load rely on does detect."""
    fake = faults.LosesAnEvent()
    fake.lost = 5
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start=EARLIEST) as watch,
    ):
        await write_some(server)
        told = await read(watch, len(server.written) - 1)
        with pytest.raises(Violation, match="never told"):
            check_told(told, server.written)


class Refuses(FakeServer):
    """Refuses every stream."""

    reason = Reason.LOG_CHANGED

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        raise BoxofficeError(self.reason, "refused", metadata={"head": "7"})


@pytest.mark.parametrize(
    "reason",
    [
        Reason.LOG_CHANGED,
        Reason.POSITION_COMPACTED,
        Reason.POSITION_AHEAD,
        Reason.RESUME_TOKEN_INVALID,
    ],
)
async def test_token_that_is_of_no_use_any_more_is_told(reason: Reason) -> None:
    """With the reason and what goes with it, so that the caller can list again."""
    fake = Refuses()
    fake.reason = reason
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start="kept") as watch,
    ):
        with pytest.raises(ResumeImpossible) as caught:
            await read(watch, 1)
        assert (caught.value.reason, caught.value.metadata) == (reason, {"head": "7"})


async def test_refusal_that_trying_again_does_not_mend_is_raised() -> None:
    """As the call's own error."""
    fake = Refuses()
    fake.reason = Reason.FIELD_INVALID
    async with (
        serving(fake) as server,
        open_channel(server.address) as channel,
        watch_orders(channel) as watch,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(watch, 1)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_token_moves_only_with_a_whole_transaction() -> None:
    """Whoever resumes with any token that was handed out misses nothing."""
    async with serving(FakeServer()) as server, open_channel(server.address) as channel:
        await write_some(server)
        async with watch_orders(channel, start=EARLIEST) as watch:
            handed: list[tuple[pb.OrderEvent, str]] = []
            async for watched in watch:
                assert watch.resume_token == watched.resume_token
                handed.append((watched.event, watched.resume_token))
                if len(handed) == len(server.written):
                    break
        whole = 0
        for count, (event, token) in enumerate(handed, 1):
            written = Written.of(event)
            if written.index + 1 == written.size:
                whole = count
            if not token:
                continue
            await server.write()
            async with watch_orders(channel, start=token) as resumed:
                told = await read(resumed, len(server.written) - whole)
                check_told(told, server.written[whole:])


async def test_token_moves_while_nothing_happens() -> None:
    """So a caller who wants little is not left behind what was compacted."""

    class Hidden(FakeServer):
        def wanted(self, stream: FakeStream) -> list[Any]:
            return []

        def progress(self, stream: FakeStream) -> Frames:
            told.set()
            return super().progress(stream)

    told = asyncio.Event()
    async with (
        serving(Hidden()) as server,
        open_channel(server.address) as channel,
        watch_orders(channel, start=EARLIEST, progress_interval=timedelta(seconds=1)) as watch,
    ):
        reading = asyncio.create_task(read(watch, 1))
        async with asyncio.timeout(10):
            await told.wait()
        token = await server.write()
        await eventually(lambda: watch.resume_token == token)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


def test_pauses_grow_and_are_bounded() -> None:
    """And are spread, so that not all come back at once."""
    back_off = BackOff(first=timedelta(seconds=1), most=timedelta(seconds=8), factor=2)
    for failures, most in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10_000, 8)):
        delays = [back_off.delay(failures) for _ in range(200)]
        assert all(0 <= delay <= most for delay in delays)
        assert max(delays) - min(delays) > most / 2
