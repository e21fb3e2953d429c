"""Where something that must not be kept could have left a trace, beside the log."""

from pathlib import Path

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub


def kept_bytes(database_url: str) -> bytes:
    """Everything in the database's files."""
    path = Path(database_url.removeprefix("sqlite:///"))
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


def stream_bytes(orders: OrdersServiceStub) -> bytes:
    """Everything that a stream from the beginning tells."""
    watch = orders.WatchOrders(
        orders_pb2.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST),
        timeout=15,
    )
    told = b""
    for frame in watch:
        told += frame.SerializeToString()
        if frame.HasField("caught_up"):
            break
    watch.cancel()
    return told
