"""Writes events to a store, and reads frames as a client sees them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.api.watch import to_bytes
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.order import OrderEvent, OrderStatus, created
from boxoffice_server.domain.stream import (
    CaughtUp,
    Frame,
    LogEnd,
    LogFilter,
    RecordKind,
    Start,
    Token,
)
from boxoffice_server.ports import Repository, Store
from boxoffice_server.streaming.feed import Feed
from tests.storage.samples import a_product, an_order
from tests.support.stores import appended

ORDERS = LogFilter(kind=RecordKind.ORDER)
POSITION = pb.OrderEvent.POSITION_FIELD_NUMBER
SECONDS = 10.0


def an_event(
    number: int, *, user_id: str = "user-1", status: OrderStatus = OrderStatus.CREATED
) -> OrderEvent:
    """The event that made an order of this number."""
    order = an_order(number, user_id=user_id, status=status)
    return created(replace(order, data={}, vendor_events=()))


async def append(store: Store, events: Sequence[OrderEvent]) -> Token:
    """Append events in one transaction; answers the token of the last one."""

    def body(repo: Repository) -> Token:
        return appended(repo, *events)

    return await store.write(body)


async def append_each(store: Store, numbers: range) -> None:
    """Append an event per number, each in a transaction of its own."""
    for number in numbers:
        await append(store, [an_event(number)])


async def append_hidden(store: Store, number: int) -> Token:
    """Append a record that no watcher of orders sees."""
    return await store.write(lambda repo: appended(repo, a_product(number)))


async def eventually(condition: Callable[[], bool], *, seconds: float = SECONDS) -> None:
    """Wait until something has become true, which nothing tells of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- there is no event to wait for
            await asyncio.sleep(0.002)


async def numbered(store: Store, head: int) -> None:
    """Wait until the log has got to a position."""
    async with asyncio.timeout(SECONDS):
        while (await store.read(lambda repo: repo.log.bounds())).head < head:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Feeds:
    """Makes feeds, and stops them all in the end."""

    def __init__(self) -> None:
        self._made: list[Feed] = []

    async def start(
        self,
        store: Store,
        *,
        poll: timedelta = timedelta(milliseconds=250),
        max_age: timedelta = timedelta(hours=1),
    ) -> Feed:
        """Start a feed of a store."""
        feed = Feed(store, BusinessClock(), poll=poll, max_age=max_age)
        await feed.start()
        self._made.append(feed)
        return feed

    async def stop(self) -> None:
        """Stop all feeds."""
        for feed in self._made:
            await feed.stop()


def open_stream(
    feed: Feed, start: Start = LogEnd.EARLIEST, *, wanted: LogFilter = ORDERS, silence: float = 5.0
) -> AsyncGenerator[Frame]:
    """Open a stream of order events."""
    return feed.stream(
        wanted,
        start,
        position_field=POSITION,
        progress_interval=timedelta(seconds=silence),
    )


async def next_frame(stream: AsyncGenerator[Frame]) -> Frame:
    """The next frame of a stream, which must come soon."""
    async with asyncio.timeout(SECONDS):
        return await anext(stream)


async def catch_up(stream: AsyncGenerator[Frame]) -> list[Frame]:
    """The frames up to the one that says caught_up."""
    async with asyncio.timeout(SECONDS):
        frames = [await anext(stream)]
        while not isinstance(frames[-1].mark, CaughtUp):
            frames.append(await anext(stream))
    return frames


async def read_events(stream: AsyncGenerator[Frame], count: int) -> list[Frame]:
    """The next frames of a stream, until they hold this many events."""
    frames: list[Frame] = []
    async with asyncio.timeout(SECONDS):
        while sum(frame.count for frame in frames) < count:
            frames.append(await anext(stream))
    return frames


def response(frame: Frame) -> pb.WatchOrdersResponse:
    """A frame as a client reads it."""
    read = pb.WatchOrdersResponse.FromString(to_bytes(frame, pb.WatchOrdersResponse))
    assert len(read.events) == frame.count
    return read


def orders_in(frames: Sequence[Frame]) -> list[str]:
    """The ids of the orders that frames tell of."""
    return [event.order.id for frame in frames for event in response(frame).events]


def positions_in(frames: Sequence[Frame]) -> list[int]:
    """The positions of the events in frames."""
    return [event.position for frame in frames for event in response(frame).events]


def check_chain(frames: Sequence[Frame], start: int) -> None:
    """Assert that each frame goes on where the one before ended."""
    through = start
    for frame in frames:
        assert frame.prev_through == through
        through = frame.through
