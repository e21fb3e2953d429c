"""A client that makes unary calls in a closed loop: so many callers, each one call at a time."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

import grpc

from bench.canned_stripe import held_seconds
from bench.child import Answer, obey
from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc

USERS = 50
CALL_SECONDS = 30.0


async def pay(*, address: str, callers: int, calls: int, product_id: str) -> Answer:
    """Call CreatePaymentIntent, each time as another request, and check each answer.

    Answers which part of each call was not Stripe's, and how many different orders were made.
    """
    numbers = iter(range(calls))
    shares: list[float] = []
    orders = set()

    async with grpc.aio.insecure_channel(address) as channel:
        stub: payments_pb2_grpc.PaymentsServiceAsyncStub
        stub = payments_pb2_grpc.PaymentsServiceStub(channel)

        async def call_on() -> None:
            for number in numbers:
                request = pb.CreatePaymentIntentRequest(
                    request_id=str(uuid.uuid4()),
                    user_id=f"user-{number % USERS}",
                    product_id=product_id,
                    payment_method_type=pb.PAYMENT_METHOD_TYPE_CARD,
                )
                request.data.update({"patient": "Rex"})
                begin = time.perf_counter()
                answer = await stub.CreatePaymentIntent(request, timeout=CALL_SECONDS)
                took = time.perf_counter() - begin
                payment = answer.payment
                shares.append(took - held_seconds(payment.stripe_payment_intent_id))
                assert payment.order_id == answer.order.id
                assert answer.order.status == orders_pb2.ORDER_STATUS_CREATED
                assert answer.client_secret
                orders.add(answer.order.id)

        seconds = await _all_at_once(callers, call_on)
    return {"seconds": seconds, "shares": shares, "orders": len(orders)}


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
    await obey({"pay": pay, "read": read})


if __name__ == "__main__":
    asyncio.run(main())
