"""Calls at a rate that waits for none of them, as those of many customers don't.

A delay counts from the moment a call was due: one that is sent late, because the program was busy,
was late for its customer too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from bench.child import Answer

T = TypeVar("T")


async def at_rate(
    rate: float, calls: int, call: Callable[[int], Awaitable[T]], held: Callable[[T], float]
) -> Answer:
    """Make so many calls a second, by their numbers; `held` reads how long Stripe held one.

    Answers are read when all are there: what this program does meanwhile, the service can't.
    Answers which part of each call was not Stripe's, and how many were refused.
    """
    loop = asyncio.get_running_loop()
    taken: list[tuple[float, T]] = []
    errors = 0

    async def call_one(number: int, due: float) -> None:
        nonlocal errors
        try:
            answer = await call(number)
        except grpc.aio.AioRpcError:
            errors += 1
        else:
            taken.append((loop.time() - due, answer))

    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            due = begin + number / rate
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            group.create_task(call_one(number, due))
    return {"shares": [seconds - held(answer) for seconds, answer in taken], "errors": errors}
