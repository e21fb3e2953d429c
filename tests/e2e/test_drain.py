"""SIGTERM: the service finishes what it has begun, sends the rest away, and ends in time."""

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from boxoffice.common.v1 import money_pb2, streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2
from tests.support.service import wait_until
from tests.support.serving import Service
from tests.support.story import Client, Story

# "At once", on a machine with much else to do.
SOON_SECONDS = 1.0
REFUSED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
# What may be added to the grace: letting go of everything.
REST_SECONDS = 2.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, for it does not outlive the test."""
    with Service(tmp_path) as service:
        yield service


class HealthWatch:
    """An open Watch of the service's health, with the time of each answer."""

    def __init__(self, client: Client) -> None:
        self._channel = client.service.channel()
        stub = health_pb2_grpc.HealthStub(self._channel)
        # The stub's published types leave its methods out.
        self._call: Any = stub.Watch(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest()
        )
        first = next(self._call)
        assert first.status == health_pb2.HealthCheckResponse.SERVING
        self._news = threading.Event()
        self._status = first.status
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_not_serving(self) -> None:
        """Wait until it says that no new calls are wanted."""
        assert self._news.wait(SOON_SECONDS), "the health stayed as it was"
        assert self._status == health_pb2.HealthCheckResponse.NOT_SERVING

    def close(self) -> None:
        """Hang up."""
        self._channel.close()
        self._thread.join()

    def _read(self) -> None:
        try:
            for each in self._call:
                self._status = each.status
                self._news.set()
        except grpc.RpcError:
            # Cut when the service is gone.
            self._news.set()


def test_sigterm_drains(service: Service) -> None:
    """What was begun ends well, streams are sent away, and nothing new is wanted meanwhile."""
    with Client(service) as client, Story(client) as story, ThreadPoolExecutor(2) as pool:
        product_id = story.make_product()
        health = HealthWatch(client)
        watching = pool.submit(watch_to_the_end, client)
        service.stripe.fault("latency", seconds=2)
        request = payments_pb2.CreatePaymentIntentRequest(
            request_id="1", user_id=story.user_id, product_id=product_id
        )
        ask = client.payments.CreatePaymentIntent
        asking = pool.submit(ask, request, timeout=10)
        service.stripe.wait_struck()
        service.running.terminate()
        health.wait_not_serving()
        assert health_over_http(service) == 503
        frames, code = watching.result()
        assert frames[-1].HasField("going_away")
        assert frames[-1].going_away.reason
        assert code is grpc.StatusCode.OK
        assert not asking.done(), "the call in flight was not waited for"
        # A second one changes nothing.
        service.running.terminate()
        answered = asking.result()
        assert answered.client_secret
        assert service.running.wait(seconds=REST_SECONDS) == 0
        service.check_gone()
        health.close()
        service.start()
        assert ask(request, timeout=10, wait_for_ready=True) == answered


def test_a_drain_ends_in_time_whatever_still_runs(tmp_path: Path) -> None:
    """Neither Stripe's silence nor half a webhook holds the service beyond its grace."""
    grace = 1.0
    service = Service(tmp_path, BOXOFFICE_DRAIN_SECONDS=str(grace))
    with service, Client(service) as client, Story(client) as story, ThreadPoolExecutor(1) as pool:
        story.make_product()
        service.stripe.fault("latency", seconds=30)
        host, _, port = service.http_address.rpartition(":")
        with socket.create_connection((host, int(port))) as half_a_webhook:
            half_a_webhook.sendall(
                b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
            )
            asking = pool.submit(story.ask_for_payment)
            service.stripe.wait_struck()
            health = HealthWatch(client)
            began = time.monotonic()
            service.running.terminate()
            health.wait_not_serving()
            ended = service.running.wait(), time.monotonic() - began
        health.close()
        service.check_gone()
        service.start()
        asking.result()
        assert ended[0] == 0
        assert ended[1] < grace + REST_SECONDS
        story.tell()
        story.check()


def test_calls_that_go_on_coming_are_answered_or_not_done(service: Service) -> None:
    """They don't hold the drain, and what is refused by then has not happened either."""
    callers = 4
    with Client(service) as client, ThreadPoolExecutor(callers) as pool:
        calling = [pool.submit(make_products, client, f"caller-{n}") for n in range(callers)]
        wait_until(lambda: count_products(client, "caller-0") > 0, "nothing was made")
        service.running.terminate()
        assert service.running.wait(seconds=REST_SECONDS) == 0
        made = [call.result() for call in calling]
        service.start()
        assert [count_products(client, f"caller-{n}") for n in range(callers)] == made


def make_products(client: Client, tag: str) -> int:
    """Make products until that is refused; answers how many."""
    price = money_pb2.Money(amount=1000, currency_code="eur")
    for number in count():
        request = orders_pb2.CreateProductRequest(
            request_id=f"{tag}-{number}",
            product=orders_pb2.Product(name="Wellness exam", prices=[price], tags=[tag]),
        )
        try:
            client.orders.CreateProduct(request, timeout=10)
        except grpc.RpcError as error:
            # CANCELLED is what gRPC itself says to calls that it had not handed to the service.
            assert error.code() in REFUSED, error  # noqa: PT017 -- it ends the loop
            return number
    raise AssertionError("the loop has no end")


def count_products(client: Client, tag: str) -> int:
    """Count the products of a caller."""
    request = orders_pb2.ListProductsRequest(tag=tag, page_size=500)
    found = client.orders.ListProducts(request, timeout=10, wait_for_ready=True)
    assert not found.next_page_token
    return len(found.products)


def watch_to_the_end(
    client: Client,
) -> tuple[list[orders_pb2.WatchOrdersResponse], grpc.StatusCode]:
    """Watch until the stream ends by itself."""
    request = orders_pb2.WatchOrdersRequest(start_position=streams_pb2.START_POSITION_EARLIEST)
    call = client.orders.WatchOrders(request)
    return list(call), call.code()


def health_over_http(service: Service) -> int:
    """The status that the HTTP port answers a health check with."""
    try:
        with urllib.request.urlopen(f"http://{service.http_address}/healthz", timeout=5) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
