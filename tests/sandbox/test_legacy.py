"""Tokens, Sources and direct charges: the way before PaymentIntents."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Listener

CHARGE: Any = {"amount": 1000, "currency": "eur"}


async def _charge(desk: Desk, **params: object) -> stripe.Charge:
    return await desk.stripe.v1.charges.create_async(CHARGE | params)


async def _source(desk: Desk, kind: str, **params: object) -> stripe.Source:
    asked: Any = {"type": kind, **CHARGE, "redirect": {"return_url": "https://shop.example/"}}
    return await desk.stripe.v1.sources.create_async(asked | params)


async def test_token_is_charged_once(legacy_desk: Desk) -> None:
    """A token made of a number pays, and is used up."""
    number = {"number": "4242424242424242", "exp_month": "8", "exp_year": "2031", "cvc": "123"}
    card: Any = {"card": number}
    token = await legacy_desk.publishable.v1.tokens.create_async(card)
    charge = await _charge(legacy_desk, source=token.id, metadata={"order_id": "o1"})
    assert (charge.status, charge.captured) == ("succeeded", True)
    assert charge.metadata.to_dict() == {"order_id": "o1"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _charge(legacy_desk, source=token.id)
    assert refused.value.code == "token_already_used"


async def test_declined_token_leaves_a_failed_charge(legacy_desk: Desk) -> None:
    """HTTP 402 with the charge's id."""
    with pytest.raises(stripe.CardError) as declined:
        await _charge(legacy_desk, source="tok_chargeDeclinedInsufficientFunds")
    assert declined.value.error is not None
    charge = await legacy_desk.stripe.v1.charges.retrieve_async(str(declined.value.error.charge))
    assert (charge.status, charge.failure_code) == ("failed", "card_declined")
    assert await legacy_desk.events() == ["charge.failed"]


async def test_held_charge_is_captured(legacy_desk: Desk) -> None:
    """capture=false, then a part of it."""
    charge = await _charge(legacy_desk, source="tok_visa", capture=False)
    assert not charge.captured
    taken = await legacy_desk.stripe.v1.charges.capture_async(charge.id, {"amount": 700})
    assert (taken.amount_captured, taken.amount_refunded) == (700, 0)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await legacy_desk.stripe.v1.charges.capture_async(charge.id)
    assert refused.value.code == "charge_already_captured"


async def test_customers_card_is_charged(legacy_desk: Desk) -> None:
    """A saved card is the customer's default source."""
    customer = await legacy_desk.stripe.v1.customers.create_async(
        {"source": "tok_mastercard", "expand": ["sources"]}
    )
    assert customer.sources is not None
    assert customer.sources.data[0].id == customer.default_source
    charge = await _charge(legacy_desk, customer=customer.id)
    assert charge.payment_method == customer.default_source
    refund = await legacy_desk.stripe.v1.refunds.create_async({"charge": charge.id})
    assert refund.status == "succeeded"


async def test_customer_without_card_is_not_charged(desk: Desk) -> None:
    """A PaymentMethod is no source: 402 `missing`."""
    customer = await desk.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.CardError) as refused:
        await _charge(desk, customer=customer.id)
    assert (refused.value.http_status, refused.value.code) == (402, "missing")


async def test_card_tokens_have_reached_end_of_life(desk: Desk) -> None:
    """With the legacy switch off, HTTP 400."""
    with pytest.raises(stripe.InvalidRequestError, match=r"Card Token usage .* end of life"):
        await _charge(desk, source="tok_visa")
    with pytest.raises(stripe.InvalidRequestError, match="end of life"):
        await _source(desk, "bancontact")
    with pytest.raises(stripe.CardError, match="Giropay is deprecated"):
        await _source(desk, "giropay")


@pytest.mark.parametrize("kind", ["bancontact", "giropay", "ideal"])
async def test_source_becomes_chargeable_at_the_bank(legacy_desk: Desk, kind: str) -> None:
    """Pending, chargeable after the redirect, consumed by its charge."""
    source = await _source(legacy_desk, kind, metadata={"order_id": "o1"})
    assert source.status == "pending"
    with pytest.raises(stripe.InvalidRequestError, match="not in a chargeable state"):
        await _charge(legacy_desk, source=source.id)
    assert source.redirect is not None
    page = str(source.redirect.url).partition(legacy_desk.address)[2]
    status, location, _ = await legacy_desk.visit(f"{page}/succeed", post=True)
    assert (status, source.id in location) == (303, True)
    event = await legacy_desk.event("source.chargeable")
    assert event["data"]["object"]["metadata"] == {"order_id": "o1"}
    with pytest.raises(stripe.InvalidRequestError, match="must match"):
        await _charge(legacy_desk, source=source.id, amount=900)
    charge = await _charge(legacy_desk, source=source.id)
    assert charge.status == "succeeded"
    used = await legacy_desk.stripe.v1.sources.retrieve_async(source.id)
    assert used.status == "consumed"


async def test_failed_source_is_not_charged(legacy_desk: Desk) -> None:
    """The customer gave up at the bank."""
    source = await _source(legacy_desk, "ideal")
    done = await legacy_desk.control(f"sources/{source.id}/refuse")
    assert done["status"] == "failed"
    assert await legacy_desk.events() == ["source.failed"]
    with pytest.raises(stripe.InvalidRequestError):
        await _charge(legacy_desk, source=source.id)


async def test_card_source_is_chargeable_at_once(legacy_desk: Desk, listener: Listener) -> None:
    """A card needs no redirect; a device makes its Source with what tells whose order it is."""
    metadata = {"boxoffice_order_id": "o1", "boxoffice_user_id": "u1"}
    number = {"number": "4242424242424242", "exp_month": 8, "exp_year": 2031, "cvc": "123"}
    asked: Any = {"type": "card", "card": number, "metadata": metadata, **CHARGE}
    # Stripe's document leaves out what its own mobile libraries send.
    with legacy_desk.http.bad_requests():
        source = await legacy_desk.publishable.v1.sources.create_async(asked)
    assert (source.status, source.usage, source.flow) == ("chargeable", "reusable", "none")
    await listener.until(lambda it: "source.chargeable" in it.types)
    told = listener.events[-1]["data"]["object"]
    assert (told["metadata"], told["amount"], told["currency"]) == (metadata, 1000, "eur")
    with pytest.raises(stripe.PermissionError):
        await legacy_desk.publishable.v1.charges.create_async(CHARGE | {"source": source.id})
    assert (await _charge(legacy_desk, source=source.id)).status == "succeeded"
    used = await legacy_desk.stripe.v1.sources.retrieve_async(source.id)
    assert used.status == "consumed"
    with pytest.raises(stripe.InvalidRequestError, match="multiple time you must attach"):
        await _charge(legacy_desk, source=source.id)


async def test_attached_source_is_charged_with_its_customer(legacy_desk: Desk) -> None:
    """Attached, it pays again and again, for its own customer only."""
    customer = await legacy_desk.new_customer()
    sources = legacy_desk.stripe.v1.sources
    source = await sources.create_async({"type": "card", "token": "tok_visa"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a linked source") as no:
        await _charge(legacy_desk, customer=customer, source=source.id)
    assert (no.value.http_status, no.value.code, no.value.param) == (404, "missing", "source")
    kept = legacy_desk.stripe.v1.customers.payment_sources
    attached = await kept.create_async(customer, {"source": source.id})
    listed = await kept.list_async(customer)
    assert [item.id for item in listed.data] == [attached.id] == [source.id]
    for _ in range(2):
        charge = await _charge(
            legacy_desk,
            customer=customer,
            source=source.id,
            description="Order 1",
            metadata={"order_id": "o1"},
        )
        assert (charge.status, charge.customer) == ("succeeded", customer)
        assert (charge.description, charge.payment_method) == ("Order 1", source.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such source"):
        await _charge(legacy_desk, source=source.id)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a linked source"):
        await _charge(legacy_desk, customer=customer, source="tok_visa")


async def test_declining_card_source_fails_its_charge(legacy_desk: Desk) -> None:
    """HTTP 402, a failed charge, and another try is possible."""
    source = await legacy_desk.stripe.v1.sources.create_async(
        {"type": "card", "token": "tok_chargeDeclinedInsufficientFunds"}
    )
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await _charge(legacy_desk, source=source.id)
        assert declined.value.error is not None
        assert declined.value.error.decline_code == "insufficient_funds"
    assert await legacy_desk.events() == ["source.chargeable", "charge.failed", "charge.failed"]


@pytest.mark.parametrize(("action", "status"), [("succeed", "succeeded"), ("fail", "failed")])
async def test_slow_bank_keeps_a_charge_pending(
    legacy_desk: Desk, listener: Listener, action: str, status: str
) -> None:
    """The charge is pending until the bank says what came of it."""
    source = await _source(legacy_desk, "bancontact")
    await legacy_desk.control(f"sources/{source.id}/process")
    charge = await _charge(legacy_desk, source=source.id)
    assert (charge.status, charge.paid) == ("pending", False)
    assert (await legacy_desk.control(f"charges/{charge.id}/{action}"))["status"] == status
    after = await legacy_desk.stripe.v1.charges.retrieve_async(charge.id)
    assert (after.status, after.paid) == (status, status == "succeeded")
    assert (after.failure_code is None) == (status == "succeeded")
    told = ["source.chargeable", "charge.pending", f"charge.{status}"]
    assert [kind for kind in await legacy_desk.events() if kind != "charge.updated"] == told
    await listener.until(lambda it: set(told) <= set(it.types))
    assert (await legacy_desk.try_control(f"charges/{charge.id}/{action}"))[0] == 400


async def test_charges_are_listed(legacy_desk: Desk) -> None:
    """By customer, by payment intent, by time, and in pages."""
    customer = await legacy_desk.stripe.v1.customers.create_async({"source": "tok_visa"})
    first = await _charge(legacy_desk, customer=customer.id)
    paid = await legacy_desk.new_payment(payment_method="pm_card_visa", confirm=True)
    list_charges = legacy_desk.stripe.v1.charges.list_async
    by_customer = await list_charges({"customer": customer.id})
    assert [item.id for item in by_customer.data] == [first.id]
    by_intent = await list_charges({"payment_intent": paid.id})
    assert [item.id for item in by_intent.data] == [paid.latest_charge]
    created: Any = {"gte": first.created, "lte": paid.created}
    both = await list_charges({"created": created, "limit": 1})
    assert [item.id async for item in both.auto_paging_iter()] == [paid.latest_charge, first.id]
    assert (await list_charges({"created": {"gt": paid.created}})).data == []


async def test_source_takes_euros_only(legacy_desk: Desk) -> None:
    """The redirect methods are European."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _source(legacy_desk, "bancontact", currency="usd")
    assert refused.value.param == "currency"
