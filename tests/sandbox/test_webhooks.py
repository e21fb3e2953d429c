"""Webhooks: signed, retried, and in every disorder that Stripe may deliver them in."""

import asyncio
import time

import pytest

from tests.sandbox.harness import DEADLINE_SECONDS, Desk, Json, Listener


async def _deliveries(desk: Desk) -> list[Json]:
    answer = await desk.control(f"webhooks?account={desk.key}", verb="GET")
    return list(reversed(answer["deliveries"]))


async def _states(desk: Desk) -> list[str]:
    return [delivery["state"] for delivery in await _deliveries(desk)]


async def _until_states(desk: Desk, expected: list[str]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await _states(desk) != expected:
            pass


async def test_events_arrive_signed(desk: Desk, listener: Listener) -> None:
    """Every event of a payment arrives; the listener has checked signature and shape."""
    await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    await listener.until_count(4)
    assert sorted(listener.types) == sorted(await desk.events())
    assert all(event["pending_webhooks"] == 1 for event in listener.events)
    timestamp = int(listener.signatures[0].partition(",")[0].removeprefix("t="))
    assert abs(timestamp - time.time()) < 60
    await _until_states(desk, ["delivered"] * 4)


async def test_refused_event_comes_again(desk: Desk, listener: Listener) -> None:
    """Not a 2xx (a redirect neither): tried again with back-off, signed anew."""
    await desk.control("webhooks", {"first_pause_seconds": 0.01})
    listener.answers = [500, 302, 200]
    await desk.new_customer()
    await listener.until_count(3)
    assert len({event["id"] for event in listener.events}) == 1
    await _until_states(desk, ["delivered"])
    await desk.control("webhooks", {"first_pause_seconds": 1})


async def test_retry_can_be_asked_for(desk: Desk, listener: Listener) -> None:
    """All pauses end when a test says so."""
    await desk.control("webhooks", {"first_pause_seconds": 60})
    listener.answers = [500]
    await desk.new_customer()
    await listener.until_count(1)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(listener.events) < 2:
            await desk.control("webhooks/retry")
    await desk.control("webhooks", {"first_pause_seconds": 1})


async def test_unreachable_address_is_tried_again(desk: Desk, listener: Listener) -> None:
    """What could not be delivered waits for the address to come back."""
    await desk.control("webhooks", {"first_pause_seconds": 0.05})
    await desk.control(f"accounts/{desk.key}", {"webhook_url": "http://127.0.0.1:1/hooks"})
    await desk.new_customer()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await _deliveries(desk))[0]["attempts"] == 0:
            pass
    assert await _states(desk) == ["pending"]
    await desk.control(f"accounts/{desk.key}", {"webhook_url": listener.url})
    await listener.until_count(1)
    await desk.control("webhooks", {"first_pause_seconds": 1})


@pytest.mark.parametrize("order", ["fifo", "reverse"])
async def test_held_events_are_released_in_order(
    desk: Desk, listener: Listener, order: str
) -> None:
    """Held, then one by one as asked."""
    await desk.control("webhooks", {"account": desk.key, "mode": "hold"})
    await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    assert await _states(desk) == ["held"] * 4
    assert listener.events == []
    await desk.control("webhooks/release", {"account": desk.key, "order": order})
    await listener.until_count(4)
    expected = await desk.events()
    assert listener.types == (expected if order == "fifo" else expected[::-1])


async def test_some_held_events_are_released(desk: Desk, listener: Listener) -> None:
    """A list of ids chooses and orders; an id that isn't held is an error."""
    await desk.control("webhooks", {"account": desk.key, "mode": "hold"})
    await desk.new_payment()
    await desk.new_customer()
    events = (await desk.stripe.v1.events.list_async()).data
    release = {"account": desk.key, "order": [event.id for event in events]}
    await desk.control("webhooks/release", release)
    await listener.until_count(2)
    assert listener.types == ["customer.created", "payment_intent.created"]
    assert (await desk.try_control("webhooks/release", release))[0] == 400


async def test_events_of_one_request_arrive_reversed(desk: Desk, listener: Listener) -> None:
    """Mode reverse sends the last event of a request first."""
    await desk.control("webhooks", {"account": desk.key, "mode": "reverse"})
    await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    await listener.until_count(4)
    assert listener.types == (await desk.events())[::-1]


async def test_duplicated_event_arrives_twice(desk: Desk, listener: Listener) -> None:
    """Mode duplicate sends everything twice."""
    await desk.control("webhooks", {"account": desk.key, "mode": "duplicate"})
    await desk.new_customer()
    await listener.until_count(2)
    assert len({event["id"] for event in listener.events}) == 1


async def test_dropped_event_can_be_sent_again(desk: Desk, listener: Listener) -> None:
    """Lost for good, unless somebody asks for it."""
    await desk.control("webhooks", {"account": desk.key, "mode": "drop"})
    await desk.new_customer()
    assert await _states(desk) == ["dropped"]
    event = await desk.event("customer.created")
    await desk.control(f"events/{event['id']}/redeliver")
    await listener.until_count(1)
    await desk.control(f"events/{event['id']}/redeliver")
    await listener.until_count(2)


async def test_delay_holds_the_first_attempt(desk: Desk, listener: Listener) -> None:
    """Events come later than the answer that caused them."""
    await desk.control("webhooks", {"account": desk.key, "delay_seconds": 0.2})
    started = time.monotonic()
    await desk.new_customer()
    await listener.until_count(1)
    assert time.monotonic() - started >= 0.2


async def test_unknown_mode_is_refused(desk: Desk) -> None:
    """A control call with a mistake changes nothing."""
    assert (await desk.try_control("webhooks", {"account": desk.key, "mode": "shout"}))[0] == 400
    assert (await desk.try_control("events/evt_nothing/redeliver"))[0] == 404
