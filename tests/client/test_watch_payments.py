"""Watching payments: made by the service and its sandbox, over connections that break."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice_client import BackOff, WatchedPayments, open_channel, watch_payments
from boxoffice_server.domain.stream import decode_token
from tests.client.proxy import Proxy, proxy_to
from tests.streaming.reading import eventually
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, ServiceThread, running_sandbox, running_service

EARLIEST = streams_pb2.START_POSITION_EARLIEST
COMPLETE = pb.PAYMENT_STATUS_COMPLETE
QUICK = BackOff(first=timedelta(milliseconds=5), most=timedelta(milliseconds=100))
# A channel that comes back as quickly as the test cuts it.
OPTIONS = {"grpc.initial_reconnect_backoff_ms": 50, "grpc.min_reconnect_backoff_ms": 50}
CUTS = 12


class Shop:
    """Sells at a running service, and pays as its customers do."""

    def __init__(self, service: ServiceThread, account: Account) -> None:
        self.address = service.grpc_address
        self._account = account
        self._channel = grpc.insecure_channel(service.grpc_address)
        self._payments: Any = payments_pb2_grpc.PaymentsServiceStub(self._channel)
        self._product_id = create_product(OrdersServiceStub(self._channel)).id

    def ask(self, user_id: str) -> pb.Payment:
        """Ask a customer for money."""
        return create_intent(self._payments, self._product_id, user_id=user_id).payment

    def pay(self, payment: pb.Payment) -> None:
        """Pay it; Stripe then tells the service."""
        self._account.press("pay", payment.stripe_payment_intent_id)

    def log(self, **wanted: Any) -> list[pb.PaymentEvent]:  # noqa: ANN401 -- a request's fields
        """Tell what the log holds, by one plain stream."""
        told: list[pb.PaymentEvent] = []
        call = self._payments.WatchPayments(
            pb.WatchPaymentsRequest(start_position=EARLIEST, **wanted), timeout=10
        )
        for frame in call:
            told += frame.events
            if frame.HasField("caught_up"):
                break
        call.cancel()
        return told

    def close(self) -> None:
        """Close its channel."""
        self._channel.close()


@pytest.fixture
def shop(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop at a service on each of the two stores, whose Stripe is a sandbox."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        account = sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}")
        variables = {
            "BOXOFFICE_STRIPE_API_KEY": account.key,
            "BOXOFFICE_STRIPE_API_BASE": sandbox.stripe_api_base,
        }
        with running_service(database_url, timings=None, **variables) as service:
            account.point_webhooks(service)
            shop = Shop(service, account)
            try:
                yield shop
            finally:
                shop.close()
                account.stop_webhooks()


async def read(watch: WatchedPayments, count: int) -> list[pb.PaymentEvent]:
    """The next events of a watch, which must come soon."""
    events: list[pb.PaymentEvent] = []
    async with asyncio.timeout(10):
        async for watched in watch:
            events.append(watched.event)
            if len(events) >= count:
                break
    return events


def lies_behind(token: str, event: pb.PaymentEvent) -> bool:
    """Tell whether a watch that goes on from a token does not tell this again."""
    return bool(token) and decode_token(token).number >= event.position


def completed(events: list[pb.PaymentEvent]) -> list[str]:
    """The payments that events tell to be complete now and not before."""
    return [
        event.payment.id
        for event in events
        if event.payment.status == COMPLETE and event.previous_status != COMPLETE
    ]


async def test_watch_whose_connection_is_cut_tells_every_change_once(shop: Shop) -> None:
    """Cut after each sale, at whatever it is saying then: it resumes by itself."""
    told: list[pb.PaymentEvent] = []
    paid: list[str] = []

    async def follow(proxy: Proxy) -> None:
        async with (
            open_channel(proxy.address, options=OPTIONS) as channel,
            watch_payments(channel, start=EARLIEST, back_off=QUICK) as watch,
        ):
            async for watched in watch:
                told.append(watched.event)  # noqa: PERF401 -- looked at before the stream ends

    async with proxy_to(shop.address) as proxy:
        following = asyncio.create_task(follow(proxy))
        for number in range(CUTS):
            payment = await asyncio.to_thread(shop.ask, f"user-{number}")
            await asyncio.to_thread(shop.pay, payment)
            paid.append(payment.id)
            proxy.cut()
            await eventually(lambda: completed(told) == paid)
        everything = await asyncio.to_thread(shop.log)
        await eventually(lambda: len(told) >= len(everything))
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert [each.id for each in told] == [each.id for each in everything]
    assert [each.position for each in told] == sorted(each.position for each in told)
    assert proxy.cuts >= CUTS


async def test_watch_tells_what_its_filters_want_and_nothing_else(shop: Shop) -> None:
    """By payer, by payment, by status, and by several of them."""
    ada, bob = [await asyncio.to_thread(shop.ask, name) for name in ("ada", "bob")]
    async with open_channel(shop.address) as channel:
        async with watch_payments(channel, start=EARLIEST) as watch:
            everything: list[pb.PaymentEvent] = []
            for payment in (bob, ada):
                await asyncio.to_thread(shop.pay, payment)
                while payment.id not in completed(everything):
                    everything += await read(watch, 1)
        choices: list[tuple[WatchedPayments, Callable[[pb.PaymentEvent], bool]]] = [
            (
                watch_payments(channel, user_id="ada", start=EARLIEST),
                lambda event: event.payment.user_id == "ada",
            ),
            (
                watch_payments(channel, payment_id=bob.id, start=EARLIEST),
                lambda event: event.payment.id == bob.id,
            ),
            (
                watch_payments(channel, statuses=[COMPLETE], start=EARLIEST),
                lambda event: event.payment.status == COMPLETE,
            ),
            (
                watch_payments(channel, user_id="bob", statuses=[COMPLETE], start=EARLIEST),
                lambda event: event.payment.id == bob.id and event.payment.status == COMPLETE,
            ),
        ]
        for watch, is_wanted in choices:
            expected = [each.id for each in everything if is_wanted(each)]
            assert 0 < len(expected) < len(everything)
            async with watch:
                told = await read(watch, len(expected))
            assert [each.id for each in told] == expected


async def test_watch_goes_on_from_the_token_that_was_kept(shop: Shop) -> None:
    """What was dealt with does not come again, and nothing after it is left out."""
    async with open_channel(shop.address) as channel:
        payment = await asyncio.to_thread(shop.ask, "ada")
        async with watch_payments(channel, start=EARLIEST) as watch:
            dealt_with = await read(watch, 1)
            # The token moves with the last event of a frame, and with a frame that has none.
            while not lies_behind(watch.resume_token, dealt_with[-1]):
                dealt_with += await read(watch, 1)
            kept = watch.resume_token
        await asyncio.to_thread(shop.pay, payment)
        async with watch_payments(channel, start=kept) as watch:
            while payment.id not in completed(dealt_with):
                dealt_with += await read(watch, 1)
    everything = await asyncio.to_thread(shop.log)
    assert [each.id for each in dealt_with] == [each.id for each in everything[: len(dealt_with)]]
