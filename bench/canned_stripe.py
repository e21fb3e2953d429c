"""A Stripe that says the same to everybody, after a fixed delay, and how long that took.

The microseconds that it held a request are in the intent's id, so that each caller can tell which
part of its call was not the service's. Its intents have all the fields that Stripe's have.
"""

import asyncio
import time
from itertools import count
from typing import Any

from aiohttp import web

from bench.child import Answer, obey
from boxoffice_server.runtime import run

DELAY_SECONDS = 0.03
BEGAN = 1_800_000_000


def intent_id(number: int, held_seconds: float) -> str:
    """Name an intent: always equally long, so that all answers are."""
    return f"pi_{number:08d}_{round(held_seconds * 1e6):08d}"


def held_seconds(name: str) -> float:
    """Read from an intent's name how long its maker held the request."""
    return int(name.rpartition("_")[2]) / 1e6


class CannedStripe:
    """Answers what is asked for payments by cards that users have saved or will give."""

    def __init__(self) -> None:
        self._numbers = count(1)

    async def customer(self, _: web.Request) -> web.Response:
        """Make a customer."""
        await asyncio.sleep(DELAY_SECONDS)
        return web.json_response({"id": f"cus_{next(self._numbers):08d}", "object": "customer"})

    async def method(self, request: web.Request) -> web.Response:
        """Read a payment method, or attach it to the customer that is named."""
        await asyncio.sleep(DELAY_SECONDS)
        form = await request.post()
        card = {"brand": "visa", "exp_month": 12, "exp_year": 2034, "last4": "4242"}
        return web.json_response(
            {
                "id": request.match_info["name"],
                "object": "payment_method",
                "type": "card",
                "card": card,
                "customer": form.get("customer"),
                "created": BEGAN,
            }
        )

    async def intent(self, request: web.Request) -> web.Response:
        """Make a payment intent; one that is confirmed has succeeded."""
        started = time.perf_counter()
        form = await request.post()
        await asyncio.sleep(DELAY_SECONDS)
        number = next(self._numbers)
        name = intent_id(number, time.perf_counter() - started)
        intent = _intent(name, {key: str(value) for key, value in form.items()})
        if form.get("confirm") == "true":
            intent |= {
                "amount_received": intent["amount"],
                "latest_charge": f"ch_{number:08d}",
                "payment_method": form["payment_method"],
                "status": "succeeded",
            }
        return web.json_response(intent)


def _intent(name: str, form: dict[str, str]) -> dict[str, Any]:
    """Write an intent as Stripe does: https://docs.stripe.com/api/payment_intents/object."""
    amount = int(form["amount"])
    metadata = {
        key.removeprefix("metadata[").removesuffix("]"): value
        for key, value in form.items()
        if key.startswith("metadata[")
    }
    card = {"installments": None, "mandate_options": None, "network": None}
    nothing = (
        *("application", "application_fee_amount", "automatic_payment_methods", "canceled_at"),
        *("cancellation_reason", "customer_account", "excluded_payment_method_types"),
        *("last_payment_error", "latest_charge", "next_action", "on_behalf_of", "payment_method"),
        *("payment_method_configuration_details", "presentment_details", "processing"),
        *("receipt_email", "review", "setup_future_usage", "shipping", "source"),
        *("statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group"),
    )
    return {
        "id": name,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic_async",
        "client_secret": f"{name}_secret_bench",
        "confirmation_method": "automatic",
        "created": BEGAN,
        "currency": form["currency"],
        "customer": form["customer"],
        "description": form.get("description"),
        "livemode": False,
        "metadata": metadata,
        "payment_method_options": {"card": {**card, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        **dict.fromkeys(nothing),
    }


async def main() -> None:
    """Serve on a free port until standard input ends."""
    canned = CannedStripe()
    app = web.Application()
    app.router.add_post("/v1/customers", canned.customer)
    app.router.add_get("/v1/payment_methods/{name}", canned.method)
    app.router.add_post("/v1/payment_methods/{name}/attach", canned.method)
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
    run(main())
