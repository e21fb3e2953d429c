"""A client that makes unary calls: in a closed loop, each caller one at a time, or at a rate."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import grpc
from google.protobuf.message import Message

from bench.canned_stripe import held_seconds
from bench.child import Answer, obey
from bench.open_loop import at_rate
from bench.shop import CHARGE, PAY
from boxoffice.common.v1 import money_pb2, streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice_server.runtime import run

USERS = 50
CALL_SECONDS = 30.0
# Else all channels to one address share a connection.
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
WATCH = "/boxoffice.payments.v1.PaymentsService/WatchPayments"


async def pay(*, address: str, callers: int, calls: int, product_id: str) -> Answer:
    """Call CreatePaymentIntent, each time as another request, and check each answer.

    Answers which part of each call was not Stripe's, and how many different orders were made.
    """
    numbers = iter(range(calls))
    shares: list[float] = []
    orders = set()

    async with grpc.aio.insecure_channel(address) as channel:
        stub = _stub(channel)

        async def call_on() -> None:
            for number in numbers:
                begin = time.perf_counter()
                answer = await stub.CreatePaymentIntent(
                    payment_request(number, product_id), timeout=CALL_SECONDS
                )
                took = time.perf_counter() - begin
                shares.append(took - _held_by_intent(answer))
                orders.add(answer.order.id)

        seconds = await _all_at_once(callers, call_on)
    return {"seconds": seconds, "shares": shares, "orders": len(orders)}


async def pay_in_a_crowd(
    *,
    address: str,
    connections: int,
    callers: int,
    seconds: float,
    wait_seconds: float,
    product_id: str,
) -> Answer:
    """Call CreatePaymentIntent by many callers who wait so long, and then send the same again.

    Answers how many answers came in so many seconds. No two requests get the same order.
    """
    orders: set[str] = set()
    answered = 0
    numbers = count()
    end = time.perf_counter() + seconds

    async def call_on(stub: "payments_pb2_grpc.PaymentsServiceAsyncStub") -> None:
        nonlocal answered
        request = payment_request(next(numbers), product_id)
        while time.perf_counter() < end:
            try:
                answer = await stub.CreatePaymentIntent(request, timeout=wait_seconds)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
                continue
            answered += time.perf_counter() < end
            assert answer.order.id not in orders
            orders.add(answer.order.id)
            request = payment_request(next(numbers), product_id)

    async with AsyncExitStack() as opened:
        stubs = []
        for _ in range(connections):
            channel = grpc.aio.insecure_channel(address, options=OWN_CONNECTION)
            stubs.append(_stub(await opened.enter_async_context(channel)))
        await asyncio.gather(*(call_on(stubs[each % connections]) for each in range(callers)))
    return {"answered": answered}


async def pay_at_rate(
    *, address: str, rate: float, calls: int, product_id: str, followed: bool
) -> Answer:
    """Call CreatePaymentIntent at a rate, and check each answer.

    If it is `followed`, a stream of all payments is open meanwhile, and tells of each of them.
    """
    orders, payments = set(), set()

    def held(answered: bytes) -> float:
        answer = pb.CreatePaymentIntentResponse.FromString(answered)
        orders.add(answer.order.id)
        payments.add(answer.payment.id)
        return _held_by_intent(answer)

    requests = [payment_request(number, product_id) for number in range(calls)]
    async with AsyncExitStack() as opened:
        frames = await opened.enter_async_context(_following(address)) if followed else None
        told = await _send_at_rate(address, PAY, requests, rate, held)
        async with asyncio.timeout(CALL_SECONDS):
            while frames is not None and payments:
                frame = pb.WatchPaymentsResponse.FromString(await frames.get())
                payments -= {event.payment.id for event in frame.events}
    assert len(orders) == calls - told["errors"]
    return told


@asynccontextmanager
async def _following(address: str) -> AsyncIterator[asyncio.Queue[bytes]]:
    """Open a stream of all payments that are yet to be made; its frames are left as bytes."""
    frames: asyncio.Queue[bytes] = asyncio.Queue()
    start = pb.WatchPaymentsRequest(start_position=streams_pb2.START_POSITION_LATEST)
    async with grpc.aio.insecure_channel(address) as channel:
        watch: grpc.aio.UnaryStreamMultiCallable[pb.WatchPaymentsRequest, bytes]
        watch = channel.unary_stream(WATCH, pb.WatchPaymentsRequest.SerializeToString)
        call = watch(start)

        async def read_on() -> None:
            async for frame in call:
                frames.put_nowait(frame)

        reading = asyncio.create_task(read_on())
        while not pb.WatchPaymentsResponse.FromString(await frames.get()).HasField("caught_up"):
            pass
        yield frames
        reading.cancel()


async def charge_at_rate(*, address: str, rate: float, calls: int) -> Answer:
    """Call ChargeUser at a rate, and check each answer."""
    charges = set()

    def held(answered: bytes) -> float:
        payment = pb.ChargeUserResponse.FromString(answered).payment
        assert payment.status == pb.PAYMENT_STATUS_COMPLETE
        charges.add(payment.stripe_charge_id)
        return held_seconds(payment.stripe_payment_intent_id)

    requests = [charge_request(number) for number in range(calls)]
    told = await _send_at_rate(address, CHARGE, requests, rate, held)
    assert len(charges) == calls - told["errors"]
    return told


async def _send_at_rate(
    address: str,
    method: str,
    requests: Sequence[Message],
    rate: float,
    held: Callable[[bytes], float],
) -> Answer:
    """Send at a rate what was made before; answers are read when all of them are there."""
    sent = [request.SerializeToString() for request in requests]

    async with grpc.aio.insecure_channel(address) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)

        async def call(number: int) -> bytes:
            return await ask(sent[number], timeout=CALL_SECONDS)

        return await at_rate(rate, len(sent), call, held)


async def save_methods(*, address: str) -> Answer:
    """Save a payment method for each user."""
    async with grpc.aio.insecure_channel(address) as channel:
        for number in range(USERS):
            request = pb.SavePaymentMethodRequest(
                request_id=str(uuid.uuid4()),
                user_id=_user(number),
                stripe_payment_method_id=_method(number),
            )
            await _stub(channel).SavePaymentMethod(request, timeout=CALL_SECONDS)
    return {}


def payment_request(number: int, product_id: str) -> pb.CreatePaymentIntentRequest:
    """Ask for a payment by one of the users."""
    request = pb.CreatePaymentIntentRequest(
        request_id=str(uuid.uuid4()),
        user_id=_user(number),
        product_id=product_id,
        payment_method_type=pb.PAYMENT_METHOD_TYPE_CARD,
    )
    request.data.update({"patient": "Rex"})
    return request


def charge_request(number: int) -> pb.ChargeUserRequest:
    """Charge one of the users by what is saved."""
    return pb.ChargeUserRequest(
        request_id=str(uuid.uuid4()),
        user_id=_user(number),
        amount=money_pb2.Money(amount=4900, currency_code="eur"),
        description="Wellness exam",
        stripe_payment_method_id=_method(number),
    )


def _user(number: int) -> str:
    return f"user-{number % USERS}"


def _method(number: int) -> str:
    return f"pm_{number % USERS:08d}"


def _held_by_intent(answer: pb.CreatePaymentIntentResponse) -> float:
    """Check what is told of a payment, and answer how long Stripe held it."""
    assert answer.payment.order_id == answer.order.id
    assert answer.order.status == orders_pb2.ORDER_STATUS_CREATED
    assert answer.client_secret
    return held_seconds(answer.payment.stripe_payment_intent_id)


def _stub(channel: grpc.aio.Channel) -> "payments_pb2_grpc.PaymentsServiceAsyncStub":
    return payments_pb2_grpc.PaymentsServiceStub(channel)


async def read(
    *, address: str, method: str, request: str, expected: str, callers: int, calls: int
) -> Answer:
    """Call a method with the same bytes again and again; every answer must be as expected."""
    request_bytes, expected_bytes = bytes.fromhex(request), bytes.fromhex(expected)
    numbers = iter(range(calls))

    async with grpc.aio.insecure_channel(address) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)

        async def call_on() -> None:
            for _ in numbers:
                answer = await ask(request_bytes, timeout=CALL_SECONDS)
                assert answer == expected_bytes

        seconds = await _all_at_once(callers, call_on)
    return {"seconds": seconds}


async def _all_at_once(callers: int, call_on: Callable[[], Awaitable[None]]) -> float:
    begin = time.perf_counter()
    await asyncio.gather(*(call_on() for _ in range(callers)))
    return time.perf_counter() - begin


async def main() -> None:
    """Call as standard input says, until it ends."""
    await obey(
        {
            "pay": pay,
            "read": read,
            "save_methods": save_methods,
            "pay_in_a_crowd": pay_in_a_crowd,
            "pay_at_rate": pay_at_rate,
            "charge_at_rate": charge_at_rate,
        }
    )


if __name__ == "__main__":
    run(main())
