"""Around every call: health, reflection, limits, metrics, and how the service drains."""

import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support.calls import new_request_id
from tests.support.sales import a_product, create_product, intent_request
from tests.support.service import Account, ServiceThread, service_settings
from tests.support.work import Worker

SERVICES = [
    "boxoffice.entitlements.v1.EntitlementsService",
    "boxoffice.orders.v1.OrdersService",
    "boxoffice.payments.v1.PaymentsService",
    "boxoffice.webhooks.v1.WebhooksService",
]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def check(channel: grpc.Channel, service: str) -> health_pb2.HealthCheckResponse:
    """Ask for health once."""
    stub: Any = health_pb2_grpc.HealthStub(channel)  # the types leave its methods out
    answer: health_pb2.HealthCheckResponse = stub.Check(
        health_pb2.HealthCheckRequest(service=service)
    )
    return answer


def watch_health(channel: grpc.Channel) -> Iterator[health_pb2.HealthCheckResponse]:
    """Follow the health of the whole."""
    stub: Any = health_pb2_grpc.HealthStub(channel)  # as above
    watch: Iterator[health_pb2.HealthCheckResponse] = stub.Watch(health_pb2.HealthCheckRequest())
    return watch


@pytest.mark.parametrize("name", ["", *SERVICES])
def test_each_service_tells_its_health(grpc_channel: grpc.Channel, name: str) -> None:
    """All of them serve, and so does the whole."""
    assert check(grpc_channel, name).status == SERVING


def test_health_of_an_unknown_service_is_not_found(grpc_channel: grpc.Channel) -> None:
    """Health is told of what is there."""
    with pytest.raises(grpc.RpcError) as error:
        check(grpc_channel, "boxoffice.none")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def reflect(
    channel: grpc.Channel, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    """Ask the server about itself."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # as above
    answer: reflection_pb2.ServerReflectionResponse
    answer = next(iter(stub.ServerReflectionInfo(iter([request]))))
    return answer


def test_reflection_lists_all_services(grpc_channel: grpc.Channel) -> None:
    """Ours, health and reflection itself."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    listed = reflect(grpc_channel, request).list_services_response.service
    others = ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]
    assert sorted(each.name for each in listed) == sorted([*SERVICES, *others])


@pytest.mark.parametrize(
    "symbol",
    [
        *SERVICES,
        "boxoffice.payments.v1.PaymentsService.CreatePaymentIntent",
        "boxoffice.orders.v1.OrdersService.WatchOrders",
        "boxoffice.payments.v1.CreatePaymentIntentRequest.user_id",
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "google.rpc.RetryInfo",
        "boxoffice.common.v1.ErrorReason",
    ],
)
def test_reflection_knows_services_their_methods_and_error_details(
    grpc_channel: grpc.Channel, symbol: str
) -> None:
    """So that grpcurl can describe each by its name, and print what comes back, errors included."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    answer = reflect(grpc_channel, request)
    assert not answer.HasField("error_response")
    files = [
        FileDescriptorProto.FromString(each)
        for each in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert any(symbol.startswith(file.package) for file in files)


@pytest.mark.parametrize(
    "symbol",
    ["", "boxoffice.none", "boxoffice.payments.v1.PaymentsService.Steal", "nothing at all"],
)
def test_reflection_says_what_it_does_not_know(grpc_channel: grpc.Channel, symbol: str) -> None:
    """And goes on: the next name is answered."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    answer = reflect(grpc_channel, request)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_request_of_more_than_a_mebibyte_is_refused_by_grpc(grpc_stub: OrdersServiceStub) -> None:
    """Before anything of ours sees it; the connection stays good."""
    product = a_product(name="n" * MEBIBYTE)
    request = pb.CreateProductRequest(request_id=new_request_id(), product=product)
    with pytest.raises(grpc.RpcError) as error:
        grpc_stub.CreateProduct(request)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert create_product(grpc_stub).id


def test_unknown_method_is_unimplemented(grpc_channel: grpc.Channel) -> None:
    """Neither a method nor a service that is not there is taken for one of ours."""
    for path in ("/boxoffice.orders.v1.OrdersService/None", "/boxoffice.none.v1.None/None"):
        call: Any = grpc_channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as error:
            call(b"")
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metrics_count_calls(grpc_stub: OrdersServiceStub, service: ServiceThread) -> None:
    """By method and code, with how long they took and how many are open."""
    watch = grpc_stub.WatchOrders(pb.WatchOrdersRequest())
    next(iter(watch))
    create_product(grpc_stub)
    with pytest.raises(grpc.RpcError):
        grpc_stub.GetProduct(pb.GetProductRequest(product_id="prd_none"))
    with urllib.request.urlopen(f"{service.http_url}/metrics") as answer:  # noqa: S310 -- http
        text = answer.read().decode()
    watch.cancel()
    orders = 'method="/boxoffice.orders.v1.OrdersService'
    assert f'boxoffice_calls_total{{code="NOT_FOUND",{orders}/GetProduct"}} 1.0' in text
    assert f'boxoffice_call_seconds_count{{{orders}/GetProduct"}}' in text
    assert 'boxoffice_open_calls{kind="stream"} 1.0' in text


@pytest.fixture
def draining(account: Account, tmp_path: Path) -> Iterator[ServiceThread]:
    """A service of the test's own, which the test stops."""
    settings = service_settings(
        f"sqlite:///{tmp_path / 'boxoffice.db'}",
        BOXOFFICE_STRIPE_API_KEY=account.key,
        BOXOFFICE_STRIPE_API_BASE=account.sandbox.stripe_api_base,
    )
    service = ServiceThread(settings)
    service.start()
    account.point_webhooks(service)
    yield service
    account.stop_webhooks()


def test_drain_lets_calls_end_and_sends_streams_away(
    draining: ServiceThread, account: Account
) -> None:
    """Health says so at once, a call in flight finishes, streams end with OK, and it is quick."""
    with (
        grpc.insecure_channel(draining.grpc_address) as channel,
        ThreadPoolExecutor(1) as background,
    ):
        orders, payments = OrdersServiceStub(channel), PaymentsServiceStub(channel)
        product = create_product(orders)
        watch = orders.WatchOrders(pb.WatchOrdersRequest())
        assert next(iter(watch)).HasField("caught_up")
        worker = Worker(orders, pb.ReceiveTasksRequest(function_names=["f"], worker_id="w"))
        # A Watch of health stays open to the end, and must not hold it up.
        health = watch_health(channel)
        assert next(health).status == SERVING
        account.fault("latency", seconds=0.5)
        call = payments.CreatePaymentIntent.future(intent_request(product.id))
        account.wait_struck()

        stopping = background.submit(draining.stop)
        assert next(health).status == NOT_SERVING
        assert not call.done()
        last = list(watch)[-1]
        assert last.HasField("going_away")
        assert last.going_away.reason == "draining"
        assert last.resume_token
        assert watch.code() is grpc.StatusCode.OK
        assert worker.ending() is grpc.StatusCode.OK
        made = call.result()
        assert made.client_secret
        stopping.result(timeout=5)


def test_drained_service_takes_no_calls(draining: ServiceThread) -> None:
    """Whoever comes later finds nobody, and may go to another instance."""
    draining.stop()
    with grpc.insecure_channel(draining.grpc_address) as channel:
        with pytest.raises(grpc.RpcError) as error:
            OrdersServiceStub(channel).ListProducts(pb.ListProductsRequest())
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_half_a_webhook_does_not_hold_up_the_drain(draining: ServiceThread) -> None:
    """A sender that stops in the middle keeps neither health nor the end waiting for long."""
    with (
        socket.create_connection((draining.doors.http.host, draining.doors.http.port)) as half,
        grpc.insecure_channel(draining.grpc_address) as channel,
    ):
        half.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        health = watch_health(channel)
        assert next(health).status == SERVING
        stopping = threading.Thread(target=draining.stop)
        stopping.start()
        assert next(health).status == NOT_SERVING
        stopping.join(10)
        assert not stopping.is_alive()
