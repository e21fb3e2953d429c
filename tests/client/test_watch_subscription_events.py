"""Watching subscription events, over connections that break."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_client import (
    BackOff,
    WatchedSubscriptionEvents,
    open_channel,
    watch_subscription_events,
)
from boxoffice_server.domain.subscription import (
    Environment,
    SubscriptionEventType,
    SubscriptionSource,
)
from tests.client.proxy import Proxy, proxy_to
from tests.streaming.reading import eventually
from tests.support.entitled import TODAY, events_caught_up, keep, number, numbers
from tests.support.service import ServiceThread, running_service
from tests.support.subscriptions import a_key, a_subscription_event

EARLIEST = streams_pb2.START_POSITION_EARLIEST
STARTED = words.SUBSCRIPTION_EVENT_TYPE_STARTED
QUICK = BackOff(first=timedelta(milliseconds=5), most=timedelta(milliseconds=100))
# A channel that comes back as quickly as the test cuts it.
OPTIONS = {"grpc.initial_reconnect_backoff_ms": 50, "grpc.min_reconnect_backoff_ms": 50}
CUTS = 20


@pytest.fixture
def service(database_url: str) -> Iterator[ServiceThread]:
    """A running service on each of the two stores."""
    with running_service(database_url) as service:
        yield service


def happen(service: ServiceThread, *users: str, **fields: Any) -> list[str]:  # noqa: ANN401
    """Let something happen to a subscription of each user, at once; answers the events' ids."""
    events = []
    for user in users:
        key = a_key(next(numbers), environment=Environment.SANDBOX)
        made = a_subscription_event(next(numbers), key=key, user_id=user, day=TODAY)
        events.append(replace(made, **fields))
    number(service, keep(service, *events))
    return [each.id for each in events]


async def read(watch: WatchedSubscriptionEvents, count: int) -> list[words.SubscriptionEvent]:
    """The next events of a watch, which must come soon."""
    events: list[words.SubscriptionEvent] = []
    async with asyncio.timeout(10):
        async for watched in watch:
            events.append(watched.event)
            if len(events) >= count:
                break
    return events


async def test_watch_whose_connection_is_cut_tells_every_event_once(
    service: ServiceThread,
) -> None:
    """Cut while things happen, at whatever it is saying then: it resumes by itself."""
    told: list[words.SubscriptionEvent] = []
    happened: list[str] = []

    async def follow(proxy: Proxy) -> None:
        async with (
            open_channel(proxy.address, options=OPTIONS) as channel,
            watch_subscription_events(channel, start=EARLIEST, back_off=QUICK) as watch,
        ):
            async for watched in watch:
                told.append(watched.event)  # noqa: PERF401 -- looked at before the stream ends

    async with proxy_to(service.grpc_address) as proxy:
        following = asyncio.create_task(follow(proxy))
        for turn in range(CUTS):
            before = len(told)
            happened += await asyncio.to_thread(happen, service, *["ada", "bob"][: 1 + turn % 2])
            proxy.cut()
            happened += await asyncio.to_thread(happen, service, "eve")
            await eventually(lambda before=before: len(told) > before)  # type: ignore[misc]
        await eventually(lambda: len(told) >= len(happened))
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert [each.id for each in told] == happened
    assert [each.position for each in told] == sorted(each.position for each in told)
    with grpc.insecure_channel(service.grpc_address) as channel:
        log = events_caught_up(EntitlementsServiceStub(channel), start_position=EARLIEST)
    assert told == log


async def test_watch_tells_what_its_filters_want_and_nothing_else(service: ServiceThread) -> None:
    """By user, type, group, source and environment, and by several of them."""
    ids = [
        *happen(service, "ada", "bob"),
        *happen(service, "ada", type=SubscriptionEventType.STARTED),
        *happen(service, "bob", subscription_group="basic", type=SubscriptionEventType.STARTED),
        *happen(service, "ada", source=SubscriptionSource.MANUAL),
        *happen(service, "bob", environment=Environment.PRODUCTION),
    ]
    async with open_channel(service.grpc_address) as channel:
        watching: Callable[..., WatchedSubscriptionEvents] = watch_subscription_events
        choices: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [0, 1, 2, 3, 4]),
            ({"user_id": "ada"}, [0, 2, 4]),
            ({"types": [STARTED]}, [2, 3]),
            ({"subscription_groups": ["basic", "none"]}, [3]),
            ({"source": words.SUBSCRIPTION_SOURCE_MANUAL}, [4]),
            ({"environment": words.ENVIRONMENT_PRODUCTION}, [5]),
            ({"user_id": "bob", "types": [STARTED], "subscription_groups": ["basic"]}, [3]),
        ]
        for wanted, expected in choices:
            frames: list[Any] = []
            async with watching(channel, start=EARLIEST, on_frame=frames.append, **wanted) as watch:
                told = await read(watch, len(expected))
                reading = asyncio.create_task(read(watch, 1))
                await eventually(lambda seen=frames: any(f.HasField("caught_up") for f in seen))  # type: ignore[misc]
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            assert [each.id for each in told] == [ids[index] for index in expected]


async def test_watch_goes_on_from_the_token_that_was_kept(service: ServiceThread) -> None:
    """What was dealt with does not come again, and nothing after it is left out."""
    before = happen(service, "ada", "bob")
    async with open_channel(service.grpc_address) as channel:
        async with watch_subscription_events(channel, start=EARLIEST) as watch:
            assert [each.id for each in await read(watch, 2)] == before
            kept = watch.resume_token
        after = happen(service, "bob") + happen(service, "ada")
        async with watch_subscription_events(channel, start=kept) as watch:
            assert [each.id for each in await read(watch, 2)] == after


async def test_watch_without_a_start_tells_what_happens_from_now_on(
    service: ServiceThread,
) -> None:
    """As the others do."""
    happen(service, "ada")
    frames: list[Any] = []
    async with (
        open_channel(service.grpc_address) as channel,
        watch_subscription_events(channel, on_frame=frames.append) as watch,
    ):
        reading = asyncio.create_task(read(watch, 1))
        await eventually(lambda: bool(frames))
        later = await asyncio.to_thread(happen, service, "bob")
        assert [each.id for each in await reading] == later
