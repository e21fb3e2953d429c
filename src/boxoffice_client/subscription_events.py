"""Watching what happens to subscriptions."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import entitlements_pb2, entitlements_pb2_grpc, subscriptions_pb2
from boxoffice_client.watch import BackOff, Start, Watch, open_watch

WatchedSubscriptionEvents = Watch[
    subscriptions_pb2.SubscriptionEvent, entitlements_pb2.WatchSubscriptionEventsResponse
]


def watch_subscription_events(
    channel: grpc.aio.Channel,
    *,
    user_id: str = "",
    types: "Iterable[subscriptions_pb2.SubscriptionEventType.ValueType]" = (),
    subscription_groups: Iterable[str] = (),
    source: "subscriptions_pb2.SubscriptionSource.ValueType" = (
        subscriptions_pb2.SUBSCRIPTION_SOURCE_UNSPECIFIED
    ),
    environment: "subscriptions_pb2.Environment.ValueType" = (
        subscriptions_pb2.ENVIRONMENT_UNSPECIFIED
    ),
    start: Start = streams_pb2.START_POSITION_LATEST,
    progress_interval: timedelta = timedelta(seconds=5),
    back_off: BackOff | None = None,
    on_frame: Callable[[entitlements_pb2.WatchSubscriptionEventsResponse], None] | None = None,
) -> WatchedSubscriptionEvents:
    """Watch what happens to the subscriptions that match; without an environment the service's own.

    As `watch_orders` does: for ever and without a gap, from the same places and with the same
    tokens.

        async with watch_subscription_events(channel, start=kept_token) as watch:
            async for watched in watch:
                deal_with(watched.event)
                keep(watched.resume_token)
    """
    return open_watch(
        entitlements_pb2_grpc.EntitlementsServiceStub(channel).WatchSubscriptionEvents,
        partial(
            entitlements_pb2.WatchSubscriptionEventsRequest,
            user_id=user_id,
            types=tuple(types),
            subscription_groups=tuple(subscription_groups),
            source=source,
            environment=environment,
        ),
        start=start,
        progress_interval=progress_interval,
        back_off=back_off,
        on_frame=on_frame,
    )
