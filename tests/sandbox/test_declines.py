"""Declines and strong customer authentication."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Listener

DECLINES = [
    ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "card_declined",
        "card_velocity_exceeded",
    ),
    ("pm_card_radarBlock", "card_declined", "fraudulent"),
]


@pytest.mark.parametrize(("card", "code", "decline_code"), DECLINES)
async def test_declined_card_puts_the_intent_back(
    desk: Desk, card: str, code: str, decline_code: str
) -> None:
    """HTTP 402 with intent, charge and method; another method can be tried."""
    intent = await desk.new_payment()
    confirm = desk.stripe.v1.payment_intents.confirm_async
    with pytest.raises(stripe.CardError) as declined:
        await confirm(intent.id, {"payment_method": card})
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, error.code) == (402, code)
    assert error.decline_code == decline_code
    assert error.payment_intent is not None
    after = await desk.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (after.status, after.payment_method) == ("requires_payment_method", None)
    assert after.last_payment_error is not None
    assert after.last_payment_error.decline_code == decline_code
    assert error.charge == after.latest_charge
    charge = await desk.stripe.v1.charges.retrieve_async(str(error.charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert await desk.events() == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    paid = await confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


async def test_declined_creation_leaves_the_intent(desk: Desk) -> None:
    """Created and confirmed at once: the error is the only way to learn the intent's id."""
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(payment_method="pm_card_chargeDeclined", confirm=True)
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    intent = await desk.stripe.v1.payment_intents.retrieve_async(
        declined.value.error.payment_intent.id
    )
    assert intent.status == "requires_payment_method"


async def test_card_may_be_saved_and_decline_later(desk: Desk) -> None:
    """0341 attaches, and then every charge fails."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": customer}
    )
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(
            customer=customer, payment_method=method.id, off_session=True, confirm=True
        )
    assert declined.value.code == "card_declined"


async def test_off_session_payment_may_need_the_customer(desk: Desk) -> None:
    """Off session: 402 authentication_required, and the intent waits for another try."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": customer}
    )
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(
            customer=customer, payment_method=method.id, off_session=True, confirm=True
        )
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, error.code) == (402, "authentication_required")
    assert error.decline_code == "authentication_required"
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_method is not None
    assert error.payment_method.id == method.id


async def _refused_off_session(desk: Desk) -> stripe.PaymentIntent:
    """The intent of a saved card whose bank wants to see the customer."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": customer}
    )
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(
            customer=customer,
            payment_method=method.id,
            off_session=True,
            confirm=True,
            description="Order 1",
            metadata={"order_id": "o1"},
        )
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    return declined.value.error.payment_intent


async def test_refused_off_session_payment_is_finished_on_session(
    desk: Desk, listener: Listener
) -> None:
    """The same intent, the same card, the client secret and the bank's page: paid."""
    intent = await _refused_off_session(desk)
    assert intent.last_payment_error is not None
    method = intent.last_payment_error.payment_method
    assert method is not None
    params: Any = {
        "client_secret": intent.client_secret,
        "payment_method": method.id,
        "return_url": "https://shop.example/done",
    }
    confirmed = await desk.publishable.v1.payment_intents.confirm_async(intent.id, params)
    assert confirmed.status == "requires_action"
    assert (await desk.visit(f"/redirect/{intent.id}/succeed", post=True))[0] == 303
    paid = await desk.stripe.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    assert paid.payment_method == method.id
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.latest_charge.description == "Order 1"
    assert paid.latest_charge.metadata.to_dict() == {"order_id": "o1"}
    assert await desk.events() == AFTER_AUTHENTICATION
    await listener.until_count(len(AFTER_AUTHENTICATION))
    assert sorted(listener.types) == sorted(AFTER_AUTHENTICATION)


AFTER_AUTHENTICATION = [
    "customer.created",
    "payment_method.attached",
    "payment_intent.created",
    "charge.failed",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "charge.succeeded",
    "charge.updated",
    "payment_intent.succeeded",
]


async def test_card_set_up_for_off_session_needs_no_customer(desk: Desk) -> None:
    """3155 asks once; after that, payments off session pass."""
    customer = await desk.new_customer()
    setup = await desk.stripe.v1.setup_intents.create_async(
        {
            "customer": customer,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    assert setup.status == "requires_action"
    await desk.control(f"setup_intents/{setup.id}/authenticate")
    saved = await desk.stripe.v1.setup_intents.retrieve_async(setup.id)
    paid = await desk.new_payment(
        customer=customer,
        payment_method=str(saved.payment_method),
        off_session=True,
        confirm=True,
    )
    assert paid.status == "succeeded"


async def test_authentication_is_asked_and_given(desk: Desk) -> None:
    """On session: requires_action, with a page to go to; then the money is taken."""
    intent = await desk.new_payment(
        payment_method="pm_card_threeDSecure2Required",
        confirm=True,
        return_url="https://shop.example/done?x=1",
    )
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    page = str(intent.next_action.redirect_to_url.url).partition(desk.address)[2]
    status, _, text = await desk.visit(page)
    assert status == 200
    assert "€10.00" in text
    status, location, _ = await desk.visit(f"{page}/succeed", post=True)
    assert status == 303
    assert location.startswith(f"https://shop.example/done?x=1&payment_intent={intent.id}")
    assert location.endswith("&redirect_status=succeeded")
    paid = await desk.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (paid.status, paid.next_action) == ("succeeded", None)
    assert await desk.events() == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "charge.updated",
        "payment_intent.succeeded",
    ]
    assert (await desk.event("payment_intent.succeeded"))["request"] == {
        "id": None,
        "idempotency_key": None,
    }


async def test_failed_authentication_puts_the_intent_back(desk: Desk) -> None:
    """The customer gave up: no charge, and the reason on the intent."""
    intent = await desk.new_payment(payment_method="pm_card_threeDSecure2Required", confirm=True)
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"
    await desk.press(intent.id, "refuse")
    after = await desk.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (after.status, after.latest_charge) == ("requires_payment_method", None)
    assert after.last_payment_error is not None
    assert after.last_payment_error.code == "payment_intent_authentication_failure"


async def test_card_may_decline_after_authentication(desk: Desk) -> None:
    """Authenticated, and then the issuer says no."""
    intent = await desk.new_payment(
        payment_method="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        confirm=True,
    )
    pressed = await desk.press(intent.id, "authenticate")
    assert pressed["status"] == "requires_payment_method"
    error = pressed["object"]["last_payment_error"]
    assert error["decline_code"] == "insufficient_funds"


async def test_error_on_requires_action_declines(desk: Desk) -> None:
    """Whoever can't authenticate asks for an error instead."""
    with pytest.raises(stripe.CardError) as declined:
        await desk.new_payment(
            payment_method="pm_card_threeDSecure2Required",
            confirm=True,
            error_on_requires_action=True,
        )
    assert declined.value.error is not None
    assert declined.value.error.code == "authentication_required"
    assert declined.value.error.decline_code == "authentication_not_handled"
    assert declined.value.error.payment_intent is not None
    assert declined.value.error.payment_intent.status == "requires_payment_method"


async def test_authentication_happens_on_request(desk: Desk) -> None:
    """A card that merely supports 3-D Secure is asked when the request wants it."""
    paid = await desk.new_payment(payment_method="pm_card_threeDSecureOptional", confirm=True)
    assert paid.status == "succeeded"
    asked = await desk.new_payment(
        payment_method="pm_card_threeDSecureOptional",
        payment_method_options={"card": {"request_three_d_secure": "any"}},
        confirm=True,
    )
    assert asked.status == "requires_action"
