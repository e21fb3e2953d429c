"""A gRPC server with nothing but WatchOrders behind the interceptor of the service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.api.calls import CallMetrics, Calls
from boxoffice_server.api.watch import watch
from boxoffice_server.streaming.feed import Feed
from tests.streaming.reading import ORDERS

Watch = Callable[[pb.WatchOrdersRequest, grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]


def watch_only(method: Watch) -> grpc.aio.Server:
    """Make a server with this one method, and the service's own interceptor before it."""
    server = grpc.aio.server(interceptors=[Calls(CallMetrics(CollectorRegistry()))])
    handler: Any = grpc.unary_stream_rpc_method_handler(
        method,
        request_deserializer=pb.WatchOrdersRequest.FromString,
        response_serializer=pb.WatchOrdersResponse.SerializeToString,
    )
    service = pb.DESCRIPTOR.services_by_name["OrdersService"].full_name
    generic = grpc.method_handlers_generic_handler(service, {"WatchOrders": handler})
    server.add_generic_rpc_handlers((generic,))
    return server


@asynccontextmanager
async def watch_server(
    feed: Feed, *, write_deadline: timedelta = timedelta(seconds=10)
) -> AsyncIterator[str]:
    """Run the server; yields its address."""

    async def answer(
        request: pb.WatchOrdersRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        response = pb.WatchOrdersResponse
        await watch(context, feed, ORDERS, request, response, write_deadline=write_deadline)

    server = watch_only(answer)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
