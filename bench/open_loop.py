"""Calls at a rate that waits for none of them, as those of many customers don't.

A delay counts from the moment a call was due: one that is sent late, because the program was busy,
was late for its customer too.
"""

import asyncio
from collections.abc import Awaitable, Callable

import grpc

from bench.child import Answer


async def at_rate(rate: float, calls: int, call: Callable[[int], Awaitable[float]]) -> Answer:
    """Make so many calls a second, by their numbers; each answers how long Stripe held it.

    Answers which part of each call was not Stripe's, and how many were refused.
    """
    loop = asyncio.get_running_loop()
    shares: list[float] = []
    errors = 0

    async def call_one(number: int, due: float) -> None:
        nonlocal errors
        try:
            held = await call(number)
        except grpc.aio.AioRpcError:
            errors += 1
        else:
            shares.append(loop.time() - due - held)

    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            due = begin + number / rate
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            group.create_task(call_one(number, due))
    return {"shares": shares, "errors": errors}
