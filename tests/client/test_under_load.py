"""Nothing is lost and nothing comes twice, whoever is killed and however often."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_client import BackOff, Start, open_channel, watch_orders
from boxoffice_server.domain.order import created
from tests.client.proxy import proxy_to
from tests.conformance.checker import Violation, Written, check_told
from tests.conformance.service import ServiceSubject, serving_service
from tests.storage.samples import an_order
from tests.streaming.reading import append, eventually

KILLS = 50
SECONDS = 120.0
QUICK = BackOff(first=timedelta(milliseconds=5), most=timedelta(milliseconds=100))


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceSubject]:
    """A running service, once on each of the two stores."""
    async with serving_service(database) as subject:
        yield subject


class Reader:
    """Keeps what it was told, and its token, a whole transaction at a time.

    So does a caller who deals with events in transactions of its own.
    """

    def __init__(self) -> None:
        self.kept: list[pb.OrderEvent] = []
        self.token = ""

    async def run(self, address: str) -> None:
        """Watch from the kept token on, or from the beginning."""
        start: Start = self.token or streams_pb2.START_POSITION_EARLIEST
        options = {"grpc.initial_reconnect_backoff_ms": 50, "grpc.min_reconnect_backoff_ms": 50}
        async with (
            open_channel(address, options=options) as channel,
            watch_orders(channel, user_id="user-1", start=start, back_off=QUICK) as watch,
        ):
            told: list[pb.OrderEvent] = []
            async for watched in watch:
                told.append(watched.event)
                if watched.resume_token != self.token:
                    self.kept += told
                    self.token = watched.resume_token
                    told = []


@asynccontextmanager
async def load(subject: ServiceSubject) -> AsyncIterator[None]:
    """Write what the reader wants, and a lot that it does not, as long as the block runs."""
    running = True

    async def wanted() -> None:
        while running:
            await subject.write(random.choice((1, 1, 2, 3, 7)))
            await asyncio.sleep(random.uniform(0, 0.004))

    async def noise(lane: int) -> None:
        for number in count():
            if not running:
                return
            order = replace(an_order(1, user_id="user-2"), id=f"ord_noise_{lane}_{number}")
            await append(subject.store, [created(replace(order, version=number + 1))])
            await asyncio.sleep(random.uniform(0, 0.01))

    async with asyncio.TaskGroup() as writers:
        for writer in (wanted(), noise(1), noise(2)):
            writers.create_task(writer)
        try:
            yield
        finally:
            # Each finishes what it writes, so that what was written is known.
            running = False


async def told_all(reader: Reader, subject: ServiceSubject) -> None:
    """Wait until the reader has been told as much as was written."""
    await eventually(lambda: len(reader.kept) >= len(subject.written), seconds=SECONDS)


async def more_than(count: int, reader: Reader) -> None:
    """Wait until the reader has been told more than this."""
    await eventually(lambda: len(reader.kept) > count, seconds=SECONDS)


async def test_watcher_killed_and_resumed_has_every_event_once(service: ServiceSubject) -> None:
    """Fifty times, at any moment, under load: resumed from the token it kept."""
    reader = Reader()
    moments = 0
    async with load(service):
        for _ in range(KILLS):
            running = asyncio.create_task(reader.run(service.address))
            before = len(reader.kept)
            await asyncio.sleep(random.uniform(0, 0.1))
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            moments += len(reader.kept) > before
    running = asyncio.create_task(reader.run(service.address))
    await told_all(reader, service)
    running.cancel()
    assert moments > KILLS / 5
    check_told(reader.kept, service.written)
    assert len({event.id for event in reader.kept}) == len(reader.kept)
    # And had one been lost, or come twice, this would have told:
    lost = random.randrange(len(reader.kept))
    with pytest.raises(Violation):
        check_told(reader.kept[:lost] + reader.kept[lost + 1 :], service.written)
    with pytest.raises(Violation):
        check_told([*reader.kept, reader.kept[lost]], service.written)


async def test_watch_whose_connection_is_cut_has_every_event_once(service: ServiceSubject) -> None:
    """Fifty times, in the middle of whatever was said: it resumes by itself."""
    reader = Reader()
    async with proxy_to(service.address) as proxy:
        running = asyncio.create_task(reader.run(proxy.address))
        async with load(service):
            while proxy.cuts < KILLS:
                before = len(reader.kept)
                await asyncio.sleep(random.uniform(0.01, 0.06))
                proxy.cut()
                await more_than(before, reader)
        await told_all(reader, service)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    check_told(reader.kept, service.written)


async def test_watch_outlives_restarts_of_the_service(sqlite_database: str) -> None:
    """Each drains politely and comes back at the same address; the watch just goes on."""
    reader = Reader()
    running: asyncio.Task[None] | None = None
    written: list[Written] = []
    address = "127.0.0.1:0"
    for _ in range(4):
        async with serving_service(sqlite_database, BOXOFFICE_GRPC_ADDRESS=address) as subject:
            subject.written = written
            address = subject.address
            running = running or asyncio.create_task(reader.run(address))
            async with load(subject):
                await more_than(len(reader.kept) + 50, reader)
            await told_all(reader, subject)
            written = subject.written
    assert running is not None
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        await running
    check_told(reader.kept, written)
