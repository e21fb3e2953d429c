"""A Stripe that says the same to everybody, after a fixed delay, and how long that took.

The microseconds that it held a request are in the intent's id, so that each caller can tell which
part of its call was not the service's.
"""

import asyncio
import time
from itertools import count

from aiohttp import web

from bench.child import Answer, obey

DELAY_SECONDS = 0.03


def intent_id(number: int, held_seconds: float) -> str:
    """Name an intent: always equally long, so that all answers are."""
    return f"pi_{number:08d}_{round(held_seconds * 1e6):08d}"


def held_seconds(name: str) -> float:
    """Read from an intent's name how long its maker held the request."""
    return int(name.rpartition("_")[2]) / 1e6


class CannedStripe:
    """Answers two kinds of request."""

    def __init__(self) -> None:
        self._numbers = count(1)

    async def customer(self, _: web.Request) -> web.Response:
        """Make a customer."""
        await asyncio.sleep(DELAY_SECONDS)
        return web.json_response({"id": f"cus_{next(self._numbers):08d}", "object": "customer"})

    async def intent(self, _: web.Request) -> web.Response:
        """Make a payment intent."""
        started = time.perf_counter()
        await asyncio.sleep(DELAY_SECONDS)
        name = intent_id(next(self._numbers), time.perf_counter() - started)
        return web.json_response(
            {
                "id": name,
                "object": "payment_intent",
                "status": "requires_payment_method",
                "client_secret": f"{name}_secret_bench",
                "created": 1_800_000_000,
                "last_payment_error": None,
            }
        )


async def main() -> None:
    """Serve on a free port until standard input ends."""
    canned = CannedStripe()
    app = web.Application()
    app.router.add_post("/v1/customers", canned.customer)
    app.router.add_post("/v1/payment_intents", canned.intent)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    async def address() -> Answer:
        return {"address": f"http://127.0.0.1:{port}"}

    await obey({"address": address})
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
