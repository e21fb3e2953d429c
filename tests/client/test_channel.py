"""The channel that callers open, and the errors they read."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from boxoffice.entitlements.v1 import entitlements_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1 import orders_pb2_grpc
from boxoffice.payments.v1 import payments_pb2
from boxoffice_client import ErrorInfo, error_info, open_channel
from boxoffice_client.channel import OPTIONS, service_config
from boxoffice_server.api.errors import DETAILS_KEY, to_status
from boxoffice_server.domain.errors import BoxofficeError, Reason

SERVICE = pb.DESCRIPTOR.services_by_name["OrdersService"]
Context = grpc.aio.ServicerContext[Any, Any]


class Failing:
    """Fails every call a number of times before it answers."""

    def __init__(self, failures: int) -> None:
        self.calls = 0
        self.peers: set[str] = set()
        self.failures = failures
        self.error = BoxofficeError(
            Reason.STORE_UNAVAILABLE, "the store can't be reached", metadata={"word": "é"}
        )

    async def answer(self, request: bytes, context: Context) -> bytes:
        """Answer any unary call."""
        self.calls += 1
        self.peers.add(context.peer())
        if self.calls <= self.failures:
            status = to_status(self.error)
            code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
            details = ((DETAILS_KEY, status.SerializeToString()),)
            await context.abort(code, status.message, trailing_metadata=details)
        return b""


@asynccontextmanager
async def failing(failures: int) -> AsyncIterator[tuple[Failing, grpc.aio.Channel]]:
    """Serve OrdersService so that calls fail, and open a channel to it."""
    service = Failing(failures)
    async with serving(service) as address, open_channel(address) as channel:
        yield service, channel


@asynccontextmanager
async def serving(service: Failing) -> AsyncIterator[str]:
    """Serve OrdersService, and tell where."""
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        method.name: grpc.unary_unary_rpc_method_handler(service.answer)
        for method in SERVICE.methods
        if not method.server_streaming
    }
    generic = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_read_is_sent_again_while_the_service_is_unavailable() -> None:
    """Its caller sees only the answer."""
    async with failing(2) as (service, channel):
        await orders_pb2_grpc.OrdersServiceStub(channel).GetOrder(pb.GetOrderRequest())
        assert service.calls == 3


async def test_write_with_a_request_id_is_sent_again() -> None:
    """The request id keeps it from being done twice."""
    async with failing(2) as (service, channel):
        request = pb.UpdateOrderRequest(request_id="1")
        await orders_pb2_grpc.OrdersServiceStub(channel).UpdateOrder(request)
        assert service.calls == 3


async def test_no_call_is_sent_more_than_five_times() -> None:
    """Then its error is told, with what the service said."""
    async with failing(9) as (service, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await orders_pb2_grpc.OrdersServiceStub(channel).GetOrder(pb.GetOrderRequest())
        assert service.calls == 5
        told = ErrorInfo(reason="STORE_UNAVAILABLE", metadata={"word": "é"})
        assert error_info(caught.value) == told


async def test_other_refusals_are_not_sent_again() -> None:
    """What is wrong stays wrong."""
    async with failing(9) as (service, channel):
        service.error = BoxofficeError(Reason.ORDER_NOT_FOUND, "there is no such order")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await orders_pb2_grpc.OrdersServiceStub(channel).GetOrder(pb.GetOrderRequest())
        assert service.calls == 1
        assert error_info(caught.value) == ErrorInfo(reason="ORDER_NOT_FOUND")


def test_no_stream_and_nothing_without_a_request_id_is_repeated() -> None:
    """Streams resume by token; a write that nothing recognises must not be repeated blindly."""
    config = json.loads(service_config())
    (methods,) = (each["name"] for each in config["methodConfig"])
    names = {each["method"] for each in methods}
    assert {
        "WatchOrders",
        "ReceiveTasks",
        "AcknowledgeTask",
        "DeliverNotification",
    } & names == set()
    assert {"GetOrder", "ListOrders", "UpdateOrder", "CreatePaymentIntent"} <= names
    assert config["retryThrottling"]["maxTokens"] > 0


@pytest.mark.parametrize(
    ("service", "streams"),
    [
        (
            payments_pb2.DESCRIPTOR.services_by_name["PaymentsService"],
            {"WatchPayments", "ReconcilePayments"},
        ),
        (
            entitlements_pb2.DESCRIPTOR.services_by_name["EntitlementsService"],
            {"WatchSubscriptionEvents", "WatchEntitlements"},
        ),
    ],
)
def test_every_call_is_repeated_but_for_the_streams(
    service: ServiceDescriptor, streams: set[str]
) -> None:
    """Each write has a request id, each read changes nothing."""
    config = json.loads(service_config())
    (policy,) = config["methodConfig"]
    repeated = {each["method"] for each in policy["name"] if each["service"] == service.full_name}
    assert {each.name for each in service.methods} - repeated == streams
    assert policy["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


async def test_each_channel_has_a_connection_of_its_own() -> None:
    """Whoever holds as many streams as a connection carries opens another for the rest."""
    service = Failing(0)
    async with (
        serving(service) as address,
        open_channel(address) as one,
        open_channel(address) as other,
    ):
        for channel in (one, other, one):
            await orders_pb2_grpc.OrdersServiceStub(channel).GetOrder(pb.GetOrderRequest())
        assert len(service.peers) == 2


def test_pings_are_as_rare_as_the_service_wants_them() -> None:
    """It drops whoever pings more often than every 10 s."""
    assert OPTIONS["grpc.keepalive_time_ms"] > 10_000


async def test_channel_with_credentials_is_a_secure_one() -> None:
    """A plaintext server is not talked to."""
    async with failing(0) as (service, _):
        del service
        credentials = grpc.ssl_channel_credentials()
        async with open_channel("127.0.0.1:9", credentials=credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await orders_pb2_grpc.OrdersServiceStub(channel).GetOrder(
                    pb.GetOrderRequest(), timeout=0.2
                )


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x08\x05"])
def test_details_that_are_not_ours_are_no_reason(details: bytes) -> None:
    """Some other server, or a proxy, may answer."""
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata((DETAILS_KEY, details)),
    )
    assert error_info(error) is None


def test_error_that_is_no_call_has_no_reason() -> None:
    """Nor has one that never left the client."""
    assert error_info(ValueError("unrelated")) is None
    empty = grpc.aio.Metadata()
    unreachable = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty)
    assert error_info(unreachable) is None
