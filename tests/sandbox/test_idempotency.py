"""Idempotency keys as Stripe keeps them."""

import asyncio
from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.harness import Desk, Json

PARAMS: Any = {"amount": 1000, "currency": "eur", "payment_method_types": ["card"]}


async def _post(desk: Desk, key: str, body: str) -> tuple[int, Json, dict[str, str]]:
    """Sends raw parameters, as the SDK wouldn't."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://{desk.address}/stripe/v1/payment_intents",
            data=body,
            headers={
                "Authorization": f"Bearer {desk.key}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Idempotency-Key": key,
            },
        ) as response,
    ):
        answer: Json = await response.json()
        desk.openapi.check_response("POST", "/v1/payment_intents", response.status, answer)
        return response.status, answer, dict(response.headers)


async def test_second_request_gets_the_first_answer(desk: Desk) -> None:
    """The same bytes, marked as replayed, with the id of the request that made them."""
    create = desk.stripe.v1.payment_intents.create_async
    first = await create(PARAMS, options={"idempotency_key": "k"})
    original = desk.http.last_headers["Request-Id"]
    second = await create(PARAMS, options={"idempotency_key": "k"})
    headers = desk.http.last_headers
    assert second.id == first.id
    assert desk.http.answers[-1][2] == desk.http.answers[-2][2]
    assert headers["Idempotent-Replayed"] == "true"
    assert headers["Original-Request"] == original
    assert headers["Request-Id"] != original
    assert len((await desk.stripe.v1.payment_intents.list_async()).data) == 1


async def test_decline_is_replayed(desk: Desk) -> None:
    """An error of the work itself is an answer like any other."""
    params: Any = {**PARAMS, "payment_method": "pm_card_chargeDeclined", "confirm": True}
    create = desk.stripe.v1.payment_intents.create_async
    bodies = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await create(params, options={"idempotency_key": "k"})
        bodies.append(declined.value.http_body)
    assert bodies[0] == bodies[1]
    assert len((await desk.stripe.v1.charges.list_async()).data) == 1


async def test_other_parameters_under_one_key_are_refused(desk: Desk) -> None:
    """Parameters and endpoint belong to the key."""
    create = desk.stripe.v1.payment_intents.create_async
    await create(PARAMS, options={"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as refused:
        await create(
            PARAMS | {"amount": 2000},
            options={"idempotency_key": "k"},
        )
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k"})


async def test_raw_parameters_are_compared(desk: Desk) -> None:
    """The same request spelled in another order is another request."""
    status, _, _ = await _post(desk, "k", "amount=1000&currency=eur")
    assert status == 200
    status, answer, _ = await _post(desk, "k", "currency=eur&amount=1000")
    assert (status, answer["error"]["type"]) == (400, "idempotency_error")


async def test_validation_error_does_not_use_the_key(desk: Desk) -> None:
    """After a malformed request the same key is still good."""
    status, _, _ = await _post(desk, "k", "amount=x&currency=eur")
    assert status == 400
    status, answer, headers = await _post(desk, "k", "amount=1000&currency=eur")
    assert (status, answer["object"]) == (200, "payment_intent")
    assert "Idempotent-Replayed" not in headers


async def test_rate_limit_does_not_use_the_key(desk: Desk) -> None:
    """A 429 comes before the work."""
    await desk.fault(kind="status", status=429)
    with pytest.raises(stripe.RateLimitError):
        await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k"})
    assert desk.http.last_headers["Stripe-Should-Retry"] == "false"
    assert desk.http.last_headers["Retry-After"] == "1"
    await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k"})
    assert "Idempotent-Replayed" not in desk.http.last_headers


async def test_key_in_flight_is_409(desk: Desk) -> None:
    """While the first request runs, the second is told so; the key is free afterwards."""
    await desk.fault(kind="latency", seconds=1)
    create = desk.stripe.v1.payment_intents.create_async
    first = asyncio.create_task(create(PARAMS, options={"idempotency_key": "k"}))
    async with asyncio.timeout(5):
        while (await desk.control("faults", verb="GET"))["faults"]:
            pass
    with pytest.raises(stripe.APIError) as refused:
        await create(PARAMS, options={"idempotency_key": "k"})
    assert refused.value.http_status == 409
    assert refused.value.error is not None
    assert refused.value.error.code == "idempotency_key_in_use"
    made = await first
    again = await create(PARAMS, options={"idempotency_key": "k"})
    assert again.id == made.id


async def test_simultaneous_requests_make_one_object(desk: Desk) -> None:
    """With the SDK's retries, everyone ends with the same intent."""
    create = desk.client(desk.key, retries=4).v1.payment_intents.create_async
    made = await asyncio.gather(
        *(create(PARAMS, options={"idempotency_key": "k"}) for _ in range(6))
    )
    assert len({intent.id for intent in made}) == 1
    assert len((await desk.stripe.v1.payment_intents.list_async()).data) == 1


async def test_stored_failure_is_replayed(desk: Desk) -> None:
    """A 500 after the work is kept too: only reading tells what happened."""
    await desk.fault(kind="status", status=500, processed=True, stored=True)
    create = desk.stripe.v1.payment_intents.create_async
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await create(PARAMS, options={"idempotency_key": "k"})
        assert failed.value.http_status == 500
    assert desk.http.last_headers["Idempotent-Replayed"] == "true"
    assert len((await desk.stripe.v1.payment_intents.list_async()).data) == 1


async def test_over_long_key_is_refused(desk: Desk) -> None:
    """255 characters at most."""
    with pytest.raises(stripe.IdempotencyError):
        await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k" * 256})
