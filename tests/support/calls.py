"""What callers see: errors with their details, and streams read until something has come."""

import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.api.errors import STATUS_CODES
from boxoffice_server.domain.errors import Reason

WATCH_SECONDS = 15
DETAILS_KEY = "grpc-status-details-bin"


@dataclass(slots=True, kw_only=True)
class Refusal:
    """An error as a caller reads it. Filled in when the block that raises it has ended."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    message: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)
    retry_after: timedelta | None = None

    def read(self, error: grpc.Call) -> None:
        """Read an error of ours: the status and its one ErrorInfo agree with each other."""
        trailers = dict(error.trailing_metadata() or ())
        assert DETAILS_KEY in trailers, f"{error.code()} without details: {error.details()}"
        details = trailers[DETAILS_KEY]
        assert isinstance(details, bytes)
        status = status_pb2.Status.FromString(details)
        assert (status.code, status.message) == (error.code().value[0], error.details())
        self.code, self.message = error.code(), status.message
        infos = []
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                infos.append(info)
            elif detail.Unpack(bad):
                self.violations = {each.field: each.description for each in bad.field_violations}
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta()
        assert len(infos) == 1
        assert infos[0].domain == "boxoffice"
        self.reason, self.metadata = infos[0].reason, dict(infos[0].metadata)


def ended(error: grpc.RpcError) -> grpc.Call:
    """The call that an error ended: grpc raises it as both, which its types don't say."""
    return cast("grpc.Call", error)


@contextmanager
def refused(reason: Reason) -> Iterator[Refusal]:
    """The block makes one call, and is refused for this reason."""
    refusal = Refusal()
    try:
        yield refusal
    except grpc.RpcError as error:
        refusal.read(ended(error))
    assert refusal.reason == reason, f"{refusal} where {reason} was expected"
    assert refusal.code is STATUS_CODES[reason]


@contextmanager
def refused_field(*fields: str) -> Iterator[Refusal]:
    """The block makes one call, and is refused for exactly these fields."""
    with refused(Reason.FIELD_INVALID) as refusal:
        yield refusal
    assert set(refusal.violations) == set(fields)


def new_request_id() -> str:
    """A request id that nobody has used."""
    return str(uuid.uuid4())


def new_user() -> str:
    """A user that nobody has heard of."""
    return f"user-{uuid.uuid4().hex[:12]}"


def frames(
    orders: OrdersServiceStub,
    **request: object,
) -> Generator[pb.WatchOrdersResponse]:
    """Watch, frame after frame."""
    watch = orders.WatchOrders(pb.WatchOrdersRequest(**request), timeout=WATCH_SECONDS)  # type: ignore[arg-type]
    try:
        yield from watch
    finally:
        watch.cancel()


def caught_up(orders: OrdersServiceStub, **request: object) -> list[pb.OrderEvent]:
    """All events up to the head of the log."""
    seen: list[pb.OrderEvent] = []
    for frame in frames(orders, **request):
        seen += frame.events
        if frame.HasField("caught_up"):
            break
    return seen


def events_until(
    orders: OrdersServiceStub, order_id: str, done: Callable[[pb.OrderEvent], bool]
) -> list[pb.OrderEvent]:
    """Watch an order from its beginning until the event that was waited for; answers them all."""
    watch = orders.WatchOrders(
        pb.WatchOrdersRequest(
            order_id=order_id, start_position=streams_pb2.START_POSITION_EARLIEST
        ),
        timeout=WATCH_SECONDS,
    )
    seen: list[pb.OrderEvent] = []
    try:
        for frame in watch:
            for event in frame.events:
                seen.append(event)
                if done(event):
                    return seen
    finally:
        watch.cancel()
    raise AssertionError("the stream ended before the event came")


def statuses_until(
    orders: OrdersServiceStub, order_id: str, last: pb.OrderStatus.ValueType
) -> list[str]:
    """Name the statuses that an order goes through until it has the last one."""
    events = events_until(orders, order_id, lambda event: event.order.status == last)
    return [
        pb.OrderStatus.Name(event.order.status).removeprefix("ORDER_STATUS_").lower()
        for event in events
        if event.type != pb.ORDER_EVENT_TYPE_UPDATED
    ]
