"""Watching payments."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.payments.v1 import payments_pb2, payments_pb2_grpc
from boxoffice_client.watch import BackOff, Start, Watch, open_watch

WatchedPayments = Watch[payments_pb2.PaymentEvent, payments_pb2.WatchPaymentsResponse]


def watch_payments(
    channel: grpc.aio.Channel,
    *,
    user_id: str = "",
    payment_id: str = "",
    statuses: "Iterable[payments_pb2.PaymentStatus.ValueType]" = (),
    start: Start = streams_pb2.START_POSITION_LATEST,
    progress_interval: timedelta = timedelta(seconds=5),
    back_off: BackOff | None = None,
    on_frame: Callable[[payments_pb2.WatchPaymentsResponse], None] | None = None,
) -> WatchedPayments:
    """Watch the changes of the payments that match, their refunds and disputes included.

    As `watch_orders` does: for ever and without a gap, from the same places and with the same
    tokens.

        async with watch_payments(channel, start=kept_token) as watch:
            async for watched in watch:
                deal_with(watched.event)
                keep(watched.resume_token)
    """
    return open_watch(
        payments_pb2_grpc.PaymentsServiceStub(channel).WatchPayments,
        partial(
            payments_pb2.WatchPaymentsRequest,
            user_id=user_id,
            payment_id=payment_id,
            statuses=tuple(statuses),
        ),
        start=start,
        progress_interval=progress_interval,
        back_off=back_off,
        on_frame=on_frame,
    )
