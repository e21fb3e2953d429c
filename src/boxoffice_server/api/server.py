"""The gRPC server itself: its limits, its services, health and reflection."""

import asyncio
from collections.abc import Mapping
from typing import cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2  # noqa: F401 -- reflection tells of what is imported
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from boxoffice.common.v1 import errors_pb2  # noqa: F401 -- as above
from boxoffice.entitlements.v1 import entitlements_pb2, entitlements_pb2_grpc
from boxoffice.orders.v1 import orders_pb2, orders_pb2_grpc
from boxoffice.payments.v1 import payments_pb2, payments_pb2_grpc
from boxoffice.webhooks.v1 import webhooks_pb2, webhooks_pb2_grpc
from boxoffice_server.api.calls import Calls
from boxoffice_server.api.entitlements import EntitlementsServicer
from boxoffice_server.api.orders import OrdersServicer
from boxoffice_server.api.payments import PaymentsServicer
from boxoffice_server.api.webhooks import WebhooksServicer

MOST_RECEIVE_BYTES = 1024 * 1024
MOST_SEND_BYTES = 1024 * 1024

# gRPC's core ends calls beyond so many that wait for the server, as if their callers had cancelled
# them. What a connection may carry bounds them here, and their deadlines end them.
_MOST_WAITING = 1_000_000

# Half-open connections are noticed within 40 s; `ping_timeout_ms` is needed beside the keepalive
# pair, for without it a frozen client went unnoticed for a minute. Old connections are asked to
# leave, so that load spreads over new instances; streams leave before them by themselves.
OPTIONS: Mapping[str, int] = {
    "grpc.max_receive_message_length": MOST_RECEIVE_BYTES,
    "grpc.max_send_message_length": MOST_SEND_BYTES,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.http2.ping_timeout_ms": 10_000,
    "grpc.http2.max_pings_without_data": 0,
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_concurrent_streams": 256,
    # Else a call counts until the server has put it away, and one that its caller sends as soon as
    # another was answered is refused as UNAVAILABLE.
    "grpc.http.overload_protection": 0,
    "grpc.server.max_pending_requests": _MOST_WAITING,
    "grpc.server.max_pending_requests_hard_limit": _MOST_WAITING,
    "grpc.max_connection_age_ms": 30 * 60_000,
    # A stream may be opened just before its connection is too old, and it lives for 24 min, give or
    # take a tenth.
    "grpc.max_connection_age_grace_ms": 27 * 60_000,
    "grpc.so_reuseport": 0,
}

# How long a call may be on its way from gRPC to us, and an answer from us to its socket.
SETTLE_SECONDS = 0.1

SERVICES = (
    entitlements_pb2.DESCRIPTOR.services_by_name["EntitlementsService"].full_name,
    orders_pb2.DESCRIPTOR.services_by_name["OrdersService"].full_name,
    payments_pb2.DESCRIPTOR.services_by_name["PaymentsService"].full_name,
    webhooks_pb2.DESCRIPTOR.services_by_name["WebhooksService"].full_name,
)


class _Unregistered:
    """Gives a server its methods' handlers, and registers none of them with gRPC's core.

    For each registered method grpc.aio keeps a task that waits for its next call, and for each call
    it begins and ends to wait for all of them.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, _service: str, _handlers: object) -> None:
        """Leave the handlers to `add_generic_rpc_handlers`, which is called with the same ones."""


class _Symbols:
    """All descriptors, by every name that reflection is asked for.

    protobuf's pool finds the file of a service by its name, but not by that of one of its methods,
    which grpcurl asks for to describe it.
    """

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Find the file; KeyError where nothing has this name."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


class GrpcServer:
    """Our services with health and reflection beside them."""

    def __init__(
        self,
        *,
        calls: Calls,
        entitlements: EntitlementsServicer,
        orders: OrdersServicer,
        payments: PaymentsServicer,
        webhooks: WebhooksServicer,
    ) -> None:
        self._calls = calls
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[calls], options=list(OPTIONS.items()))
        server = cast("grpc.aio.Server", _Unregistered(self._server))
        entitlements_pb2_grpc.add_EntitlementsServiceServicer_to_server(entitlements, server)
        orders_pb2_grpc.add_OrdersServiceServicer_to_server(orders, server)
        payments_pb2_grpc.add_PaymentsServiceServicer_to_server(payments, server)
        webhooks_pb2_grpc.add_WebhooksServiceServicer_to_server(webhooks, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME),
            server,
            pool=cast("descriptor_pool.DescriptorPool", _Symbols()),
        )

    def listen(self, address: str) -> int:
        """Take a port; answers which, for port 0 asks for a free one."""
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Serve."""
        await self._server.start()
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, grace_seconds: float) -> None:
        """Take no new calls, let the running ones end, and stop.

        Health Watches would keep a graceful stop waiting to its end, so the wait is for our own
        calls only, and what is left then is cut.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.create_task(self._server.stop(grace_seconds))
        for _ in range(2):
            # What was just taken is not counted yet, and the last answer is still being written.
            await asyncio.wait({stopping}, timeout=SETTLE_SECONDS)
            idle = asyncio.create_task(self._calls.wait_idle())
            await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
        await self._server.stop(0)
        await stopping
