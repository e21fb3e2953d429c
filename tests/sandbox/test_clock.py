"""The virtual clock, and the same bytes from the same script."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe

from tests.sandbox.harness import START, Desk, Listener, frozen, listening
from tests.support.stripe_openapi import StripeOpenApi

DAY = 24 * 3600


@pytest.fixture
async def clock_listener(frozen_desk: Desk) -> AsyncIterator[Listener]:
    """Where the frozen sandbox's webhooks go."""
    async with listening(frozen_desk) as listener:
        yield listener


async def test_listeners_hear_of_the_new_time_first(
    frozen_desk: Desk, clock_listener: Listener
) -> None:
    """Signed at the old time; only then the sandbox's own clock moves."""
    await frozen_desk.new_customer()
    await clock_listener.until_count(1)
    answer = await frozen_desk.control("clock", {"advance_seconds": 3600})
    assert answer == {"now": START + 3600, "offset_seconds": 3600}
    told = clock_listener.events[-1]
    assert told["type"] == "boxoffice.sandbox.clock_advanced"
    assert told["data"] == {"object": {"object": "clock", "offset_seconds": 3600}}
    assert clock_listener.signatures[-1].startswith(f"t={START},")
    assert (await frozen_desk.new_payment()).created == START + 3600
    await clock_listener.until_count(3)
    assert clock_listener.signatures[-1].startswith(f"t={START + 3600},")


async def test_clock_stays_where_a_listener_refuses(
    frozen_desk: Desk, clock_listener: Listener
) -> None:
    """One refusal: 502, nothing moved, nothing to be found in the feed."""
    await frozen_desk.new_customer()
    await clock_listener.until_count(1)
    clock_listener.answers = [503]
    status, answer = await frozen_desk.try_control("clock", {"advance_seconds": 60})
    assert (status, "503" in answer["error"]["message"]) == (502, True)
    assert (await frozen_desk.control("clock", verb="GET"))["offset_seconds"] == 0
    assert await frozen_desk.events() == ["customer.created"]


@pytest.mark.parametrize("seconds", [0, -1, "1", True])
async def test_clock_only_moves_forward(frozen_desk: Desk, seconds: object) -> None:
    """Anything but a positive number is refused."""
    status, _ = await frozen_desk.try_control("clock", {"advance_seconds": seconds})
    assert status == 400


async def test_hold_ends_after_a_week(frozen_desk: Desk) -> None:
    """A payment that nobody captured is cancelled by itself."""
    held = await frozen_desk.new_payment(
        capture_method="manual", payment_method="pm_card_visa", confirm=True
    )
    await frozen_desk.control("clock", {"advance_seconds": 7 * DAY - 1})
    retrieve = frozen_desk.stripe.v1.payment_intents.retrieve_async
    assert (await retrieve(held.id)).status == "requires_capture"
    await frozen_desk.control("clock", {"advance_seconds": 1})
    gone = await retrieve(held.id)
    assert (gone.status, gone.cancellation_reason) == ("canceled", "expired")
    assert (await frozen_desk.events())[-2:] == ["charge.expired", "payment_intent.canceled"]


async def test_held_charge_expires_after_a_week(frozen_desk: Desk) -> None:
    """Without an intent the charge itself is told as expired, once, and can't be captured."""
    held = await frozen_desk.stripe.v1.charges.create_async(
        {"amount": 1000, "currency": "eur", "source": "tok_visa", "capture": False}
    )
    for _ in range(2):
        await frozen_desk.control("clock", {"advance_seconds": 7 * DAY})
    assert await frozen_desk.events() == ["charge.succeeded", "charge.expired"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await frozen_desk.stripe.v1.charges.capture_async(held.id)
    assert refused.value.code == "charge_expired_for_capture"


async def test_sources_do_not_wait_for_ever(frozen_desk: Desk) -> None:
    """An hour at the bank, six hours to be charged."""
    create = frozen_desk.stripe.v1.sources.create_async
    asked = [
        await create(
            {
                "type": "ideal",
                "amount": 1000,
                "currency": "eur",
                "redirect": {"return_url": "https://shop.example/"},
            }
        )
        for _ in range(2)
    ]
    await frozen_desk.control(f"sources/{asked[0].id}/authenticate")
    await frozen_desk.control("clock", {"advance_seconds": 3600})
    assert (await frozen_desk.events())[-1] == "source.failed"
    await frozen_desk.control("clock", {"advance_seconds": 5 * 3600})
    assert (await frozen_desk.event("source.canceled"))["data"]["object"]["id"] == asked[0].id


async def test_idempotency_key_is_forgotten_after_a_day(frozen_desk: Desk) -> None:
    """24 hours later the same key makes a new object."""
    create = frozen_desk.stripe.v1.customers.create_async
    first = await create({}, options={"idempotency_key": "k"})
    await frozen_desk.control("clock", {"advance_seconds": DAY - 1})
    assert (await create({}, options={"idempotency_key": "k"})).id == first.id
    await frozen_desk.control("clock", {"advance_seconds": 1})
    assert (await create({}, options={"idempotency_key": "k"})).id != first.id


async def test_delivery_is_given_up_after_three_days(
    frozen_desk: Desk, clock_listener: Listener
) -> None:
    """An event that nobody takes is tried for three days of virtual time."""
    await frozen_desk.control("webhooks", {"first_pause_seconds": 60})
    clock_listener.answers = [500, 200, 500]
    await frozen_desk.new_customer()
    await clock_listener.until_count(1)
    await frozen_desk.control("clock", {"advance_seconds": 3 * DAY})
    await clock_listener.until_count(3)
    path = f"webhooks?account={frozen_desk.key}"
    states: list[str] = []
    while states != ["failed"]:
        answer = await frozen_desk.control(path, verb="GET")
        states = [delivery["state"] for delivery in answer["deliveries"]]


async def test_same_script_gives_the_same_bytes(tmp_path: Path, openapi: StripeOpenApi) -> None:
    """With a seed and a frozen clock, answers and events are equal to the last byte."""

    async def script(database: str) -> list[bytes]:
        async with frozen(tmp_path / database, openapi) as desk:
            customer = await desk.new_customer()
            await desk.new_payment(customer=customer, payment_method="pm_card_visa", confirm=True)
            await desk.events()
            # Where the SDK makes up its keys, events differ by them; its GETs carry none.
            return [body for _, _, body in desk.http.answers[:-1]]

    assert await script("one.db") == await script("two.db")


async def test_clock_and_ids_go_on_after_a_restart(tmp_path: Path, openapi: StripeOpenApi) -> None:
    """The offset is in the file, and no id is made twice."""
    async with frozen(tmp_path / "sandbox.db", openapi) as desk:
        first = await desk.new_customer()
        await desk.control("clock", {"advance_seconds": 100})
    async with frozen(tmp_path / "sandbox.db", openapi) as desk:
        assert (await desk.control("clock", verb="GET"))["now"] == START + 100
        assert await desk.new_customer() != first
