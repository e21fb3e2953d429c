"""Faults on demand, and what the SDK makes of them."""

import json
from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.harness import CheckingClient, Desk, Json

PARAMS: Any = {"amount": 1000, "currency": "eur", "payment_method_types": ["card"]}
POST: Json = {"method": "POST", "path": "/v1/payment_intents"}


async def _count(desk: Desk) -> int:
    return len((await desk.stripe.v1.payment_intents.list_async()).data)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 500, "processed": True},
        {"kind": "status", "status": 409},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
    ],
)
async def test_one_fault_is_survived_by_a_retry(desk: Desk, fault: Json) -> None:
    """The SDK tries again under the same key: one intent, whatever happened."""
    await desk.fault(**POST, **fault)
    client = desk.client(desk.key, retries=1)
    made = await client.v1.payment_intents.create_async(PARAMS)
    assert made.status == "requires_payment_method"
    assert await _count(desk) == 1
    assert (await desk.control("faults", verb="GET"))["faults"] == []


async def test_late_answer_is_a_timeout_with_the_work_done(desk: Desk) -> None:
    """The caller gives up, the object is there, the same key finds it."""
    await desk.fault(**POST, kind="late", seconds=3)
    hasty = CheckingClient(desk.openapi, timeout=1)
    impatient = desk.client(desk.key, http=hasty)
    with pytest.raises(stripe.APIConnectionError):
        await impatient.v1.payment_intents.create_async(
            PARAMS,
            options={"idempotency_key": "k"},
        )
    found = (await desk.stripe.v1.payment_intents.list_async()).data
    again = await desk.stripe.v1.payment_intents.create_async(
        PARAMS,
        options={"idempotency_key": "k"},
    )
    assert [intent.id for intent in found] == [again.id]
    await hasty.close()


async def test_truncated_answer_breaks_off(desk: Desk) -> None:
    """Aiohttp's own error comes through the SDK; the work is done."""
    await desk.fault(**POST, kind="truncate")
    with pytest.raises(aiohttp.ClientPayloadError):
        await desk.stripe.v1.payment_intents.create_async(PARAMS)
    assert await _count(desk) == 1


async def test_reset_after_leaves_an_unknown_object(desk: Desk) -> None:
    """Without a retry the caller doesn't know what it has."""
    await desk.fault(**POST, kind="reset_after")
    with pytest.raises(stripe.APIConnectionError):
        await desk.stripe.v1.payment_intents.create_async(PARAMS)
    assert await _count(desk) == 1
    await desk.fault(**POST, kind="reset_before")
    with pytest.raises(stripe.APIConnectionError):
        await desk.stripe.v1.payment_intents.create_async(PARAMS)
    assert await _count(desk) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, stripe.APIError), (503, stripe.APIError), (409, stripe.APIError),
     (429, stripe.RateLimitError), (401, stripe.AuthenticationError)],
)  # fmt: skip
async def test_status_fault_has_stripes_body(
    desk: Desk, status: int, error: type[stripe.StripeError]
) -> None:
    """The SDK raises what it raises for Stripe, and nothing was done."""
    await desk.fault(**POST, kind="status", status=status)
    with pytest.raises(error) as failed:
        await desk.stripe.v1.payment_intents.create_async(PARAMS)
    assert failed.value.http_status == status
    assert await _count(desk) == 0


async def test_rate_limit_tells_how_long_to_wait(desk: Desk) -> None:
    """Retry-After is as long as the fault says."""
    await desk.fault(kind="status", status=429, seconds=7)
    with pytest.raises(stripe.RateLimitError):
        await desk.new_payment()
    assert desk.http.last_headers["Retry-After"] == "7"


async def test_fault_may_name_a_whole_path(desk: Desk) -> None:
    """A star stands for an id: captures fail, everything else works."""
    await desk.fault(kind="status", path="/v1/payment_intents/*/capture")
    held = await desk.new_payment(
        payment_method="pm_card_visa", capture_method="manual", confirm=True
    )
    with pytest.raises(stripe.APIError):
        await desk.stripe.v1.payment_intents.capture_async(held.id)
    paid = await desk.stripe.v1.payment_intents.capture_async(held.id)
    assert paid.status == "succeeded"


async def test_fault_strikes_where_and_as_often_as_told(desk: Desk) -> None:
    """Method, path, account and count choose the requests."""
    await desk.fault(**POST, kind="status", times=2)
    await desk.stripe.v1.customers.create_async({})
    await desk.stripe.v1.payment_intents.list_async()
    other = desk.client("sk_test_boxoffice_untouched")
    await other.v1.payment_intents.create_async(PARAMS)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await desk.new_payment()
    assert (await desk.new_payment()).status == "requires_payment_method"


async def test_fault_takes_either_key_of_its_account(desk: Desk) -> None:
    """The publishable key names the same account."""
    await desk.control("faults", {"account": desk.key.replace("sk_", "pk_"), "kind": "status"})
    with pytest.raises(stripe.APIError):
        await desk.new_payment()


async def test_faults_are_listed_and_cleared(desk: Desk) -> None:
    """Armed faults can be seen and disarmed."""
    await desk.fault(kind="latency", seconds=60)
    listed = (await desk.control("faults", verb="GET"))["faults"]
    assert [(fault["kind"], fault["seconds"]) for fault in listed] == [("latency", 60)]
    await desk.control("faults", verb="DELETE")
    assert (await desk.new_payment()).status == "requires_payment_method"


@pytest.mark.parametrize(
    "fault",
    [{}, {"kind": "fire"}, {"kind": "latency", "seconds": "long"}, {"kind": "status", "times": 0},
     {"kind": "status", "status": 200}, {"kind": "status", "colour": "red"},
     {"kind": "late", "account": "nobody"}],
)  # fmt: skip
async def test_unreadable_fault_is_refused(desk: Desk, fault: Json) -> None:
    """A control call with a mistake says what it is."""
    status, answer = await desk.try_control("faults", fault)
    assert status in (400, 401)
    assert answer["error"]["message"]


async def test_control_bodies_are_json_objects(desk: Desk) -> None:
    """Anything else is refused."""
    url = f"http://{desk.address}/control/faults"
    async with aiohttp.ClientSession() as session:
        for body in ("{", "[]"):
            async with session.post(url, data=body) as response:
                assert response.status == 400
                assert "JSON" in json.loads(await response.text())["error"]["message"]
