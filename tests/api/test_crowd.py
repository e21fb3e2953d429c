"""More calls at once than a connection carries, or than wait anywhere else: all are answered."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1 import orders_pb2_grpc
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.api.server import OPTIONS
from tests.support.service import ServiceThread

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

CARRIED = OPTIONS["grpc.max_concurrent_streams"]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


async def answers(service: ServiceThread, *, connections: int, calls: int) -> Counter[str]:
    """Make so many calls at once on each of so many connections, and count how they end."""
    ends: Counter[str] = Counter()

    async def call(stub: "orders_pb2_grpc.OrdersServiceAsyncStub") -> None:
        try:
            await stub.ListProducts(pb.ListProductsRequest())
            ends["OK"] += 1
        except grpc.aio.AioRpcError as error:
            ends[f"{error.code().name}: {error.details()}"] += 1

    async with AsyncExitStack() as stack:
        # Plain ones, which send nothing again; and each opens a connection of its own.
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        stubs = []
        for _ in range(connections):
            channel = grpc.aio.insecure_channel(service.grpc_address, options=own)
            stubs.append(OrdersServiceStub(await stack.enter_async_context(channel)))
        await asyncio.gather(*(call(stub) for stub in stubs for _ in range(calls)))
    return ends


async def test_calls_wait_until_their_connection_carries_them(service: ServiceThread) -> None:
    """None is refused: a plain client would tell its caller that the service is away."""
    calls = 3 * CARRIED
    assert await answers(service, connections=1, calls=calls) == {"OK": calls}


async def test_calls_of_many_connections_wait_for_the_service(service: ServiceThread) -> None:
    """None is ended in its caller's name, as gRPC does by itself where a thousand wait."""
    connections = 8
    ends = await answers(service, connections=connections, calls=CARRIED)
    assert ends == {"OK": connections * CARRIED}
