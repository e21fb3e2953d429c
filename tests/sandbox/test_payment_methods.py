"""Payment methods through the official SDK."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Json, Listener


async def test_method_of_a_token_has_its_brand(desk: Desk) -> None:
    """A token decides brand and last digits."""
    method = await desk.stripe.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_mastercard"}}
    )
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")


async def test_raw_number_is_for_browsers(desk: Desk) -> None:
    """A secret key may not send card numbers, a publishable one may."""
    card = {"number": "378282246310005", "exp_month": 8, "exp_year": 2031, "cvc": "123"}
    params: Any = {"type": "card", "card": card}
    with pytest.raises(stripe.CardError, match="generally unsafe") as refused:
        await desk.stripe.v1.payment_methods.create_async(params)
    assert refused.value.http_status == 402
    method = await desk.publishable.v1.payment_methods.create_async(params)
    assert method.card is not None
    assert (method.card.brand, method.card.exp_month) == ("amex", 8)


async def test_unknown_number_is_incorrect(desk: Desk) -> None:
    """A number that is no test card's is an incorrect number."""
    card = {"number": "4242424242424241", "exp_month": 8, "exp_year": 2031}
    params: Any = {"type": "card", "card": card}
    with pytest.raises(stripe.CardError) as refused:
        await desk.publishable.v1.payment_methods.create_async(params)
    assert refused.value.code == "incorrect_number"


async def test_named_card_is_a_new_method_at_each_use(desk: Desk) -> None:
    """`pm_card_visa` can be attached to two customers: it is never one object."""
    first, second = await desk.new_customer(), await desk.new_customer()
    attach = desk.stripe.v1.payment_methods.attach_async
    one = await attach("pm_card_visa", {"customer": first})
    two = await attach("pm_card_visa", {"customer": second})
    assert one.id != two.id
    assert (one.customer, two.customer) == (first, second)
    assert one.id.startswith("pm_1")


@pytest.mark.parametrize("kind", ["bancontact", "ideal", "giropay"])
async def test_redirect_methods_are_made(desk: Desk, kind: str) -> None:
    """The redirect methods exist; giropay only fails when it is to pay."""
    params: Any = {"type": kind}
    method = await desk.stripe.v1.payment_methods.create_async(params)
    assert method.type == kind


async def test_methods_are_listed_three_ways(desk: Desk) -> None:
    """By customer, by customer and type, and below the customer."""
    customer = await desk.new_customer()
    attach = desk.stripe.v1.payment_methods.attach_async
    first = await attach("pm_card_visa", {"customer": customer})
    second = await attach("pm_card_mastercard", {"customer": customer})
    methods = desk.stripe.v1.payment_methods
    everything = await methods.list_async({"customer": customer})
    cards = await methods.list_async({"customer": customer, "type": "card"})
    below = await desk.stripe.v1.customers.payment_methods.list_async(customer)
    other = await methods.list_async({"customer": customer, "type": "sepa_debit"})
    for page in (everything, cards, below):
        assert [method.id for method in page.data] == [second.id, first.id]
    assert other.data == []
    one = await desk.stripe.v1.customers.payment_methods.retrieve_async(customer, first.id)
    assert one.id == first.id


async def test_detached_method_never_comes_back(desk: Desk) -> None:
    """After detaching, a method can't be attached nor pay again."""
    customer = await desk.new_customer()
    methods = desk.stripe.v1.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": customer})
    detached = await methods.detach_async(method.id)
    assert detached.customer is None
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        await methods.attach_async(method.id, {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        await methods.detach_async(method.id)
    event = await desk.event("payment_method.detached")
    assert event["data"]["previous_attributes"] == {"customer": customer}


async def test_method_of_another_customer_is_refused(desk: Desk) -> None:
    """A method belongs to one customer."""
    first, second = await desk.new_customer(), await desk.new_customer()
    methods = desk.stripe.v1.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": first})
    again = await methods.attach_async(method.id, {"customer": first})
    assert again.id == method.id
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await methods.attach_async(method.id, {"customer": second})


async def test_declining_card_is_not_attached(desk: Desk) -> None:
    """The issuer is asked when a card is saved."""
    customer = await desk.new_customer()
    with pytest.raises(stripe.CardError) as refused:
        await desk.stripe.v1.payment_methods.attach_async(
            "pm_card_visa_chargeDeclined", {"customer": customer}
        )
    assert refused.value.http_status == 402
    assert refused.value.code == "card_declined"
    assert refused.value.error is not None
    assert refused.value.error.decline_code == "generic_decline"
    assert refused.value.error.type == "card_error"
    assert (await desk.stripe.v1.payment_methods.list_async({"customer": customer})).data == []


async def test_redirect_method_is_not_attached(desk: Desk) -> None:
    """Single-use methods can't be saved as they are."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.create_async({"type": "ideal"})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be saved"):
        await desk.stripe.v1.payment_methods.attach_async(method.id, {"customer": customer})


async def test_saved_method_is_updated(desk: Desk) -> None:
    """Billing details and metadata of a saved method change."""
    customer = await desk.new_customer()
    methods = desk.stripe.v1.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": customer})
    changed = await methods.update_async(
        method.id, {"billing_details": {"name": "J. Rosen"}, "metadata": {"tag": "blue"}}
    )
    assert changed.billing_details.name == "J. Rosen"
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"tag": "blue"}
    event = await desk.event("payment_method.updated")
    assert event["data"]["object"]["metadata"] == {"tag": "blue"}
    assert event["data"]["previous_attributes"]["metadata"] == {}
    later = await methods.update_async(method.id, {"card": {"exp_month": 5, "exp_year": 2041}})
    assert later.card is not None
    assert (later.card.exp_month, later.card.exp_year) == (5, 2041)


async def test_unsaved_method_is_not_updated(desk: Desk) -> None:
    """Only what belongs to a customer can be changed."""
    methods = desk.stripe.v1.payment_methods
    method = await methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    with pytest.raises(stripe.InvalidRequestError, match="save this PaymentMethod"):
        await methods.update_async(method.id, {"metadata": {"tag": "blue"}})


async def test_saving_and_removing_are_told(desk: Desk, listener: Listener) -> None:
    """Each has a webhook with the method as it was then."""
    customer = await desk.new_customer()
    methods = desk.stripe.v1.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": customer})
    await methods.detach_async(method.id)
    await listener.until_count(3)
    owners = {e["type"]: e["data"]["object"].get("customer") for e in listener.events}
    assert owners["payment_method.attached"] == customer
    assert owners["payment_method.detached"] is None
    assert (await methods.list_async({"customer": customer})).data == []


async def test_detached_method_does_not_pay(desk: Desk) -> None:
    """Neither for its former customer nor without one."""
    customer = await desk.new_customer()
    methods = desk.stripe.v1.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": customer})
    await methods.detach_async(method.id)
    for more in ({"customer": customer}, {}):
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            await desk.new_payment(payment_method=method.id, confirm=True, **more)


async def test_network_renews_a_saved_card(desk: Desk, listener: Listener) -> None:
    """A new expiry comes by itself, with a webhook that says what it was before."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer}
    )
    assert method.card is not None
    renewed = await desk.control(
        f"payment_methods/{method.id}/update", {"exp_month": 7, "exp_year": 2044}
    )
    assert renewed["status"] == "attached"
    after = await desk.stripe.v1.payment_methods.retrieve_async(method.id)
    assert after.card is not None
    assert (after.card.exp_month, after.card.exp_year) == (7, 2044)
    event = await desk.event("payment_method.automatically_updated")
    assert event["data"]["previous_attributes"]["card"]["exp_year"] == method.card.exp_year
    await listener.until(lambda it: "payment_method.automatically_updated" in it.types)
    again = await desk.control(f"payment_methods/{method.id}/update")
    assert again["object"]["card"]["exp_year"] == 2047


@pytest.mark.parametrize("body", [{"exp_month": 13}, {"exp_year": "soon"}])
async def test_unreadable_renewal_is_refused(desk: Desk, body: Json) -> None:
    """A control call with a mistake changes nothing."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer}
    )
    assert (await desk.try_control(f"payment_methods/{method.id}/update", body))[0] == 400
    await desk.stripe.v1.payment_methods.detach_async(method.id)
    assert (await desk.try_control(f"payment_methods/{method.id}/update"))[0] == 400
