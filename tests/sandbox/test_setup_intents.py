"""SetupIntents through the official SDK."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Listener


async def test_confirmed_setup_saves_the_method(desk: Desk) -> None:
    """Created with a description, confirmed later, the card is the customer's."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"customer": customer, "description": "Save", "payment_method_types": ["card"]}
    )
    assert setup.status == "requires_payment_method"
    done = await desk.stripe.v1.setup_intents.confirm_async(
        setup.id, {"payment_method": "pm_card_visa", "expand": ["payment_method"]}
    )
    assert (done.status, done.description) == ("succeeded", "Save")
    assert isinstance(done.payment_method, stripe.PaymentMethod)
    assert done.payment_method.customer == customer
    assert await desk.events() == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]


async def test_setup_confirms_at_once_and_is_listed(desk: Desk) -> None:
    """Made and confirmed in one request; listed by customer."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {
            "customer": customer,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
        }
    )
    assert setup.status == "succeeded"
    await desk.stripe.v1.setup_intents.create_async({})
    listed = await desk.stripe.v1.setup_intents.list_async({"customer": customer})
    assert [item.id for item in listed.data] == [setup.id]


async def test_cancelled_setup_stays_cancelled(desk: Desk) -> None:
    """A cancelled setup keeps its reason and can't be confirmed."""
    setup = await desk.stripe.v1.setup_intents.create_async({"payment_method_types": ["card"]})
    gone = await desk.stripe.v1.setup_intents.cancel_async(
        setup.id, {"cancellation_reason": "abandoned"}
    )
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.setup_intents.confirm_async(
            setup.id, {"payment_method": "pm_card_visa"}
        )
    assert refused.value.code == "setup_intent_unexpected_state"


async def test_browser_completes_a_setup(desk: Desk) -> None:
    """stripe.js has the publishable key and the client secret."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"payment_method_types": ["card"], "customer": customer, "metadata": {"user_id": "u1"}}
    )
    assert setup.client_secret is not None
    browser = desk.publishable.v1.setup_intents
    secret: Any = {"client_secret": setup.client_secret}
    seen = await browser.retrieve_async(setup.id, secret)
    assert ("metadata" in seen, "customer" in seen) == (False, False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await browser.retrieve_async(setup.id, {"client_secret": f"{setup.id}_secret_x"})
    assert refused.value.param == "client_secret"
    with pytest.raises(stripe.CardError) as declined:
        await browser.confirm_async(setup.id, secret | {"payment_method": "pm_card_chargeDeclined"})
    assert declined.value.error is not None
    assert declined.value.error.setup_intent is not None
    assert "metadata" not in declined.value.error.setup_intent
    done = await browser.confirm_async(setup.id, secret | {"payment_method": "pm_card_visa"})
    assert (done.status, "metadata" in done) == ("succeeded", False)
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    assert [method.id for method in methods.data] == [done.payment_method]
    assert await desk.events() == [
        "customer.created",
        "setup_intent.created",
        "setup_intent.setup_failed",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]


async def test_method_of_another_customer_is_not_set_up(desk: Desk) -> None:
    """A saved method stays with its customer."""
    owner, other = await desk.new_customer(), await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async("pm_card_visa", {"customer": owner})
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"payment_method_types": ["card"], "customer": other}
    )
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        await desk.stripe.v1.setup_intents.confirm_async(setup.id, {"payment_method": method.id})


async def test_declined_setup_tells_why(desk: Desk) -> None:
    """HTTP 402 with the setup in the error; another method can be tried."""
    setup = await desk.stripe.v1.setup_intents.create_async({"payment_method_types": ["card"]})
    confirm = desk.stripe.v1.setup_intents.confirm_async
    with pytest.raises(stripe.CardError) as declined:
        await confirm(setup.id, {"payment_method": "pm_card_visa_chargeDeclinedLostCard"})
    assert declined.value.error is not None
    assert declined.value.error.setup_intent is not None
    assert declined.value.error.decline_code == "lost_card"
    after = await desk.stripe.v1.setup_intents.retrieve_async(setup.id)
    assert after.status == "requires_payment_method"
    assert after.last_setup_error is not None
    assert after.last_setup_error.decline_code == "lost_card"
    assert (await confirm(setup.id, {"payment_method": "pm_card_visa"})).status == "succeeded"


async def test_setup_may_need_authentication(desk: Desk) -> None:
    """3-D Secure while saving: refused once, given the second time."""
    setup = await desk.stripe.v1.setup_intents.create_async({"payment_method_types": ["card"]})
    confirm = desk.stripe.v1.setup_intents.confirm_async
    params: Any = {
        "payment_method": "pm_card_threeDSecure2Required",
        "return_url": "https://a.example/",
    }
    asked = await confirm(setup.id, params)
    assert asked.status == "requires_action"
    refused = await desk.control(f"setup_intents/{setup.id}/refuse")
    assert refused["status"] == "requires_payment_method"
    assert refused["object"]["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    await confirm(setup.id, params)
    _, location, _ = await desk.visit(f"/redirect/{setup.id}/succeed", post=True)
    assert f"setup_intent={setup.id}" in location
    done = await desk.stripe.v1.setup_intents.retrieve_async(setup.id)
    assert done.status == "succeeded"


@pytest.mark.parametrize("card", ["visa", "threeDSecure2Required", "chargeCustomerFail"])
async def test_setup_is_finished_as_the_customer_would(
    desk: Desk, listener: Listener, card: str
) -> None:
    """Declined first, then saved, through 3-D Secure when the card wants it."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"customer": customer, "payment_method_types": ["card"], "usage": "off_session"}
    )
    declined = await desk.control(f"setup_intents/{setup.id}/decline")
    assert declined["status"] == "requires_payment_method"
    assert declined["object"]["last_setup_error"]["code"] == "card_declined"
    done = await desk.control(f"setup_intents/{setup.id}/setup", {"card": card})
    assert done["status"] == "succeeded"
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    assert [method.id for method in methods.data] == [done["object"]["payment_method"]]
    await listener.until(lambda it: "setup_intent.succeeded" in it.types)
    await listener.until(lambda it: "payment_method.attached" in it.types)
    await listener.until(lambda it: "setup_intent.setup_failed" in it.types)
    assert (await desk.try_control(f"setup_intents/{setup.id}/setup"))[0] == 400


async def test_setup_waits_for_the_customer(desk: Desk) -> None:
    """A setup that waits for authentication is finished, or refused, by the same buttons."""
    for action, status in (("decline", "requires_payment_method"), ("setup", "succeeded")):
        setup = await desk.stripe.v1.setup_intents.create_async(
            {
                "payment_method": "pm_card_threeDSecure2Required",
                "payment_method_types": ["card"],
                "confirm": True,
            }
        )
        assert (await desk.control(f"setup_intents/{setup.id}/{action}"))["status"] == status
        assert (await desk.try_control(f"setup_intents/{setup.id}/authenticate"))[0] == 400


async def test_setup_may_be_declined_after_authentication(desk: Desk) -> None:
    """Authenticated, and then the issuer says no."""
    setup = await desk.stripe.v1.setup_intents.create_async(
        {
            "customer": await desk.new_customer(),
            "payment_method": "pm_card_threeDSecureRequiredChargeDeclined",
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    assert setup.status == "requires_action"
    done = await desk.control(f"setup_intents/{setup.id}/authenticate")
    assert done["status"] == "requires_payment_method"
    assert done["object"]["last_setup_error"]["code"] == "card_declined"
    assert (await desk.events())[-1] == "setup_intent.setup_failed"


async def test_setup_by_bank_is_finished_as_the_customer_would(desk: Desk) -> None:
    """The button goes through the bank's page of a redirect method."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"customer": customer, "payment_method_types": ["ideal"]}
    )
    assert (await desk.control(f"setup_intents/{setup.id}/setup"))["status"] == "succeeded"
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    assert [method.type for method in methods.data] == ["sepa_debit"]


async def test_saved_card_of_a_setup_pays_off_session(desk: Desk) -> None:
    """What the setup saved is charged without the customer; a button may name the card."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {"customer": customer, "payment_method_types": ["card"]}
    )
    done = await desk.control(f"setup_intents/{setup.id}/setup", {"card": "authenticationRequired"})
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(
            customer=customer,
            payment_method=done["object"]["payment_method"],
            off_session=True,
            confirm=True,
        )
    assert declined.value.code == "authentication_required"


@pytest.mark.parametrize("kind", ["bancontact", "ideal"])
async def test_redirect_method_is_saved_as_sepa_debit(desk: Desk, kind: str) -> None:
    """The bank's authorisation becomes a SEPA Debit method of the customer."""
    customer = await desk.new_customer()
    params: Any = {
        "customer": customer,
        "payment_method_types": [kind],
        "payment_method_data": {
            "type": kind,
            "billing_details": {"name": "Jenny Rosen", "email": "jenny@example.com"},
        },
        "return_url": "https://shop.example/",
        "confirm": True,
    }
    setup = await desk.stripe.v1.setup_intents.create_async(params)
    assert setup.status == "requires_action"
    await desk.control(f"setup_intents/{setup.id}/authenticate")
    done = await desk.stripe.v1.setup_intents.retrieve_async(
        setup.id, {"expand": ["latest_attempt"]}
    )
    assert done.status == "succeeded"
    attempt = done.latest_attempt
    assert isinstance(attempt, stripe.SetupAttempt)
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    generated = attempt.payment_method_details.to_dict()[kind]["generated_sepa_debit"]
    assert [method.id for method in methods.data] == [generated]


async def test_giropay_is_not_set_up(desk: Desk) -> None:
    """Giropay never was for reuse."""
    with pytest.raises(stripe.InvalidRequestError):
        await desk.stripe.v1.setup_intents.create_async({"payment_method_types": ["giropay"]})
