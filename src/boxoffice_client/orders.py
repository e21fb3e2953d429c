"""Watching orders."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2, orders_pb2_grpc
from boxoffice_client.watch import BackOff, Start, Watch, open_watch

WatchedOrders = Watch[orders_pb2.OrderEvent, orders_pb2.WatchOrdersResponse]


def watch_orders(
    channel: grpc.aio.Channel,
    *,
    user_id: str = "",
    order_id: str = "",
    product_id: str = "",
    statuses: "Iterable[orders_pb2.OrderStatus.ValueType]" = (),
    start: Start = streams_pb2.START_POSITION_LATEST,
    progress_interval: timedelta = timedelta(seconds=5),
    back_off: BackOff | None = None,
    on_frame: Callable[[orders_pb2.WatchOrdersResponse], None] | None = None,
) -> WatchedOrders:
    """Watch the changes of the orders that match, for ever and without a gap.

    `start` is the resume token of a frame, a list or a write, an end of the log, or an aware time.
    `on_frame` sees every frame as it comes, the silent ones included.

        async with watch_orders(channel, start=kept_token) as watch:
            async for watched in watch:
                deal_with(watched.event)
                keep(watched.resume_token)
    """
    return open_watch(
        orders_pb2_grpc.OrdersServiceStub(channel).WatchOrders,
        partial(
            orders_pb2.WatchOrdersRequest,
            user_id=user_id,
            order_id=order_id,
            product_id=product_id,
            statuses=tuple(statuses),
        ),
        start=start,
        progress_interval=progress_interval,
        back_off=back_off,
        on_frame=on_frame,
    )
