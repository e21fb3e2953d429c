"""A client that reads WatchOrders: many live streams, or one from the beginning of the log."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc

from bench.child import Answer, obey
from bench.frames import TimedFrame, write_frames
from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.runtime import run

METHOD = "/boxoffice.orders.v1.OrdersService/WatchOrders"
CONNECTIONS = 4
READ_SECONDS = 60.0

Call: TypeAlias = "grpc.aio.UnaryStreamCall[pb.WatchOrdersRequest, bytes]"


@dataclass(slots=True)
class Reader:
    """One stream, and all that was read from it."""

    call: Call
    through: int = 0
    count: int = 0
    # Per frame: its first and its last position, and when it was read.
    reads: list[tuple[int, int, float]] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    frames: list[tuple[float, bytes]] = field(default_factory=list)

    async def read(self, *, keep: bool) -> pb.WatchOrdersResponse:
        """Read a frame, check that it follows on the one before, and keep what it says."""
        raw = await self.call.read()
        now = time.monotonic()
        assert isinstance(raw, bytes), "the stream has ended"
        frame = pb.WatchOrdersResponse.FromString(raw)
        assert frame.prev_through == self.through or not self.through, "a frame is missing"
        positions = [event.position for event in frame.events]
        if positions:
            first = self.through + 1
            assert positions == list(range(first, first + len(positions))), "an event is missing"
            self.reads.append((first, positions[-1], now))
            self.count += len(positions)
        self.through = frame.through
        if keep and (positions or not self.frames):
            self.event_ids += [event.id for event in frame.events]
            self.frames.append((now, raw))
        return frame


class Watcher:
    """Live streams, which are read from the moment they are opened."""

    def __init__(self) -> None:
        self._opened = AsyncExitStack()
        self._readers: list[Reader] = []
        self._reading: list[asyncio.Task[None]] = []

    async def open(self, *, address: str, streams: int, events: int) -> Answer:
        """Open streams at the end of the log, wait until all are live, and read so many events."""
        channels = [await self._channel(address) for _ in range(CONNECTIONS)]
        request = pb.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_LATEST)
        self._readers = [
            Reader(_watch(channels[number % CONNECTIONS], request)) for number in range(streams)
        ]
        await asyncio.gather(*(self._until_live(reader) for reader in self._readers))
        self._reading = [
            asyncio.create_task(self._until(reader, events)) for reader in self._readers
        ]
        return {}

    async def _channel(self, address: str) -> grpc.aio.Channel:
        # Else all channels of a process share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(address, options=options)
        return await self._opened.enter_async_context(channel)

    async def _until_live(self, reader: Reader) -> None:
        while not (await reader.read(keep=reader is self._readers[0])).HasField("caught_up"):
            pass

    async def _until(self, reader: Reader, events: int) -> None:
        while reader.count < events:
            await reader.read(keep=reader is self._readers[0])
        assert reader.count == events, "there are events that nobody wrote"

    async def collect(self, *, record: str) -> Answer:
        """Wait until everything is read, and close the streams.

        Answers what was read from each stream, and the ids of the events. With `record`, the first
        stream's frames are written to that file.
        """
        async with asyncio.timeout(READ_SECONDS):
            await asyncio.gather(*self._reading)
        first = self._readers[0]
        if record:
            await asyncio.to_thread(write_frames, Path(record), _timed(first.frames))
        for reader in self._readers:
            reader.call.cancel()
        await self._opened.aclose()
        return {
            "reads": [reader.reads for reader in self._readers],
            "event_ids": first.event_ids,
        }


async def catch_up(*, address: str, token: str, after: int, until: int, checked: bool) -> Answer:
    """Read on from a token to a position, and check that no event is missing.

    An empty token starts at the beginning of the log. Not `checked` are frames that come again and
    again. Answers how many events were read, in which time, and where the last frame ended.
    """
    request = pb.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST)
    if token:
        request = pb.WatchOrdersRequest(resume_token=token)
    events = 0
    begin = time.perf_counter()
    async with asyncio.timeout(READ_SECONDS), grpc.aio.insecure_channel(address) as channel:
        async for raw in _raw_frames(_watch(channel, request)):
            frame = pb.WatchOrdersResponse.FromString(raw)
            if frame.events:
                first, last = frame.events[0].position, frame.events[-1].position
                assert last - first + 1 == len(frame.events), "an event is missing"
                assert not checked or first == after + events + 1, "an event is missing"
            events += len(frame.events)
            if after + events >= until:
                break
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "events": events, "token": frame.resume_token}


async def record(*, address: str, frames: int, path: str) -> Answer:
    """Write the first frames of the log with events to a file; answers how many events they hold.

    There may be fewer, where the log has no more.
    """
    request = pb.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST)
    kept: list[TimedFrame] = []
    events = 0
    async with asyncio.timeout(READ_SECONDS), grpc.aio.insecure_channel(address) as channel:
        async for raw in _raw_frames(_watch(channel, request)):
            frame = pb.WatchOrdersResponse.FromString(raw)
            if frame.events:
                kept.append((0.0, raw))
                events += len(frame.events)
            if len(kept) == frames or frame.HasField("caught_up"):
                break
    await asyncio.to_thread(write_frames, Path(path), kept)
    return {"events": events}


async def _raw_frames(call: Call) -> AsyncIterator[bytes]:
    async for raw in call:
        yield raw
    raise AssertionError("the stream has ended")


def _watch(channel: grpc.aio.Channel, request: pb.WatchOrdersRequest) -> Call:
    # Frames are left as bytes here, so that the clock is read before they are parsed.
    watch: grpc.aio.UnaryStreamMultiCallable[pb.WatchOrdersRequest, bytes] = channel.unary_stream(
        METHOD,
        request_serializer=pb.WatchOrdersRequest.SerializeToString,
    )
    return watch(request)


def _timed(frames: list[tuple[float, bytes]]) -> list[TimedFrame]:
    """Tell the times from the first frame that carries events on; the one before waits for it."""
    begin = frames[1][0]
    return [(max(0.0, time - begin), raw) for time, raw in frames]


async def main() -> None:
    """Watch as standard input says, until it ends."""
    watcher = Watcher()
    await obey(
        {
            "open": watcher.open,
            "collect": watcher.collect,
            "catch_up": catch_up,
            "record": record,
        }
    )


if __name__ == "__main__":
    run(main())
