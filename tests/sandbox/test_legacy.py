"""Tokens, Sources and direct charges: the way before PaymentIntents."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk

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
    assert (taken.amount_captured, taken.amount_refunded) == (700, 300)
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


async def test_card_source_is_chargeable_at_once(legacy_desk: Desk) -> None:
    """A card needs no redirect and stays usable."""
    source = await legacy_desk.stripe.v1.sources.create_async({"type": "card", "token": "tok_visa"})
    assert (source.status, source.usage) == ("chargeable", "reusable")
    for _ in range(2):
        assert (await _charge(legacy_desk, source=source.id)).status == "succeeded"


async def test_source_takes_euros_only(legacy_desk: Desk) -> None:
    """The redirect methods are European."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _source(legacy_desk, "bancontact", currency="usd")
    assert refused.value.param == "currency"
