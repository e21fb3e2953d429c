"""The events feed."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Listener


async def test_event_tells_request_and_version(desk: Desk) -> None:
    """An event names the request behind it and the version of its object."""
    await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k9"})
    request = desk.http.last_headers["Request-Id"]
    event = await desk.event("customer.created")
    assert event["request"] == {"id": request, "idempotency_key": "k9"}
    assert (event["api_version"], event["livemode"]) == ("2026-08-26.dahlia", False)
    assert event["pending_webhooks"] == 0
    one = await desk.stripe.v1.events.retrieve_async(event["id"])
    assert one.to_dict() == event


async def test_event_keeps_the_object_as_it_was(desk: Desk) -> None:
    """What happens later doesn't change an event."""
    intent = await desk.new_payment()
    await desk.stripe.v1.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa"}
    )
    created = await desk.event("payment_intent.created")
    assert created["data"]["object"]["status"] == "requires_payment_method"
    succeeded = await desk.event("payment_intent.succeeded")
    assert succeeded["data"]["object"]["status"] == "succeeded"


async def test_feed_is_filtered(desk: Desk) -> None:
    """By type, several types, and a pattern."""
    await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    list_events = desk.stripe.v1.events.list_async
    kinds = ["charge.succeeded", "payment_intent.created"]
    two = await list_events({"types": kinds})
    assert sorted(event.type for event in two.data) == kinds
    charges = await list_events({"type": "charge.*"})
    assert [event.type for event in charges.data] == ["charge.updated", "charge.succeeded"]


async def test_feed_knows_what_was_delivered(desk: Desk, listener: Listener) -> None:
    """delivery_success separates what arrived from what didn't."""
    await desk.new_customer()
    await listener.until_count(1)
    await desk.control("webhooks", {"account": desk.key, "mode": "drop"})
    await desk.new_payment()
    list_events = desk.stripe.v1.events.list_async
    lost = await list_events({"delivery_success": False})
    assert [event.type for event in lost.data] == ["payment_intent.created"]
    assert lost.data[0].pending_webhooks == 1


async def test_feed_is_read_in_pages_since_a_time(frozen_desk: Desk) -> None:
    """What reconciling needs: a window of time, some types, every page, both directions."""
    early = await frozen_desk.new_payment()
    await frozen_desk.control("clock", {"advance_seconds": 100})
    late = [await frozen_desk.new_payment() for _ in range(3)]
    list_events = frozen_desk.stripe.v1.events.list_async
    since: Any = {"gte": early.created + 100, "lte": early.created + 100}
    page = await list_events(
        {"created": since, "types": ["payment_intent.created", "charge.failed"], "limit": 2}
    )
    assert page.has_more
    found = [event async for event in page.auto_paging_iter()]
    about = [event.data.object["id"] for event in found]
    assert about == [intent.id for intent in reversed(late)]
    newer = await list_events({"ending_before": found[-1].id, "created": since})
    assert [event.id for event in newer.data] == [event.id for event in found[:-1]]
    assert (await list_events({"created": {"lt": early.created}})).data == []


async def test_feed_forgets_after_thirty_days(frozen_desk: Desk) -> None:
    """Older events are neither listed nor found by id."""
    await frozen_desk.new_customer()
    event = await frozen_desk.event("customer.created")
    await frozen_desk.control("clock", {"advance_seconds": 30 * 24 * 3600})
    assert (await frozen_desk.stripe.v1.events.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await frozen_desk.stripe.v1.events.retrieve_async(event["id"])
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


async def test_unknown_event_is_missing(desk: Desk) -> None:
    """An id that names no event."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.events.retrieve_async("evt_nothing")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
