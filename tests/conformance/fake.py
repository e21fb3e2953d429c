"""A small server that keeps the stream contract, made to be broken one method at a time."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import (
    LogBounds,
    Token,
    TokenKind,
    check_position,
    decode_token,
)
from tests.conformance.checker import Written
from tests.streaming.edge import watch_only

Context = grpc.aio.ServicerContext[Any, Any]
Frames = list[pb.WatchOrdersResponse]

FRAGMENT = 400
WRITE_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event in the log."""

    position: int
    transaction: int
    user_id: str
    time: datetime
    event: pb.OrderEvent


@dataclass(slots=True, kw_only=True)
class FakeStream:
    """What one stream has sent."""

    request: pb.WatchOrdersRequest
    through: int
    caught_up: bool = False


class FakeServer:
    """Keeps the contract. It is a Subject too: it is told what to write by plain calls."""

    address = ""

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.log_id = uuid.uuid4()
        self.entries: list[Entry] = []
        self.earliest = 1
        self.draining = False
        self.changed = asyncio.Condition()

    # -- what a subject does ----------------------------------------------------------------------

    async def write(self, size: int = 1, *, user_id: str = "user-1", bytes_each: int = 0) -> str:
        transaction = self.written[-1].transaction + 1 if self.written else 1
        for index in range(size):
            written = Written(transaction, index, size)
            self.written.append(written)
            order = pb.Order(id=written.order_id(), user_id=user_id, tags=["x" * bytes_each])
            position = self.head + 1
            event = pb.OrderEvent(id=f"evt_{written.order_id()}", order=order, position=position)
            self.entries.append(
                Entry(
                    position=position,
                    transaction=transaction,
                    user_id=user_id,
                    time=datetime.now(UTC),
                    event=event,
                )
            )
        await self.wake()
        return self.token(self.head)

    async def compact(self) -> None:
        self.earliest = self.head

    async def drain(self) -> None:
        self.draining = True
        await self.wake()

    async def foreign_token(self) -> str:
        return Token(log_id=uuid.uuid4(), kind=TokenKind.POSITION, number=0).encode()

    async def token_ahead(self) -> str:
        return self.token(self.head + 1000)

    async def wake(self) -> None:
        """Wake all streams."""
        async with self.changed:
            self.changed.notify_all()

    @property
    def head(self) -> int:
        """The newest position."""
        return len(self.entries)

    def token(self, position: int) -> str:
        """The token just behind a position."""
        return Token(log_id=self.log_id, kind=TokenKind.POSITION, number=position).encode()

    # -- the stream, in parts that can be broken --------------------------------------------------

    async def answer(self, request: pb.WatchOrdersRequest, context: Context) -> None:
        """Answer one WatchOrders call."""
        stream = FakeStream(request=request, through=await self.place(request, context))
        silence = request.progress_interval.ToTimedelta().total_seconds()
        silent = False
        while not self.draining:
            frames = self.news(stream)
            if not frames and not stream.caught_up:
                stream.caught_up = True
                frames = self.caught_up(stream)
            if not frames and silent:
                frames = self.progress(stream)
            for frame in frames:
                await self.send(context, frame)
            silent = not frames and not await self.wait(stream, silence)
        for frame in self.goodbye(stream):
            await self.send(context, frame)
        await self.end(context)

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        """Find the position to start after, or refuse."""
        match request.WhichOneof("start"):
            case "resume_token":
                return self.after(request.resume_token)
            case "start_time":
                time = request.start_time.ToDatetime(UTC)
                return sum(entry.time < time for entry in self.entries)
            case _:
                if request.start_position == streams_pb2.START_POSITION_EARLIEST:
                    return self.earliest - 1
                return self.head

    def after(self, text: str) -> int:
        """Read a token, or refuse it."""
        token = decode_token(text)
        bounds = LogBounds(log_id=self.log_id, earliest=self.earliest, head=self.head)
        check_position(bounds, token.log_id, token.number)
        return token.number

    def wanted(self, stream: FakeStream) -> list[Entry]:
        """Answer what the stream has not sent yet."""
        first = max(stream.through, self.earliest - 1)
        user_id = stream.request.user_id
        return [each for each in self.entries[first:] if user_id in ("", each.user_id)]

    def news(self, stream: FakeStream) -> Frames:
        """Make frames of it: one a transaction, or fragments."""
        frames: Frames = []
        for _, members in groupby(self.wanted(stream), key=lambda entry: entry.transaction):
            entries = list(members)
            for first in range(0, len(entries), FRAGMENT):
                some = entries[first : first + FRAGMENT]
                more = first + FRAGMENT < len(entries)
                through = stream.through if more else some[-1].position
                frames.append(self.frame(stream, through, some, more=more))
        return frames

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        """Make one frame."""
        frame = pb.WatchOrdersResponse(
            events=[entry.event for entry in entries],
            resume_token=self.token(through),
            through=through,
            prev_through=stream.through,
            head=self.head,
            more=more,
        )
        frame.server_time.GetCurrentTime()
        stream.through = through
        return frame

    def caught_up(self, stream: FakeStream) -> Frames:
        """Say that all has been told."""
        frame = self.frame(stream, max(stream.through, self.head), [])
        frame.caught_up.SetInParent()
        return [frame]

    def progress(self, stream: FakeStream) -> Frames:
        """Say that nothing happened."""
        frame = self.frame(stream, max(stream.through, self.head), [])
        frame.progress.SetInParent()
        return [frame]

    async def wait(self, stream: FakeStream, silence: float) -> bool:
        """Wait until there is something to say; False after too long a silence."""
        try:
            async with asyncio.timeout(silence), self.changed:
                await self.changed.wait_for(lambda: self.draining or self.wanted(stream))
        except TimeoutError:
            return False
        return True

    async def send(self, context: Context, frame: pb.WatchOrdersResponse) -> None:
        """Write a frame, or send the caller away."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await context.write(frame)
        except TimeoutError:
            raise BoxofficeError(
                Reason.SLOW_CONSUMER, "too slow", metadata={"through": str(frame.prev_through)}
            ) from None

    def goodbye(self, stream: FakeStream) -> Frames:
        """Say that the stream ends."""
        frame = self.frame(stream, stream.through, [])
        frame.going_away.retry_after.FromTimedelta(timedelta(seconds=0.1))
        return [frame]

    async def end(self, context: Context) -> None:
        """End with OK."""


@asynccontextmanager
async def serving(server: FakeServer) -> AsyncIterator[FakeServer]:
    """Serve on a free port."""
    grpc_server = watch_only(server.answer)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    server.address = f"127.0.0.1:{port}"
    await grpc_server.start()
    try:
        yield server
    finally:
        await grpc_server.stop(None)
