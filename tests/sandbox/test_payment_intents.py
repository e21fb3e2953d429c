"""Card payments with PaymentIntents through the official SDK."""

from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.harness import Desk, Listener


async def test_created_intent_has_what_was_asked(desk: Desk) -> None:
    """Description, receipt, statement suffix and metadata stay; the currency is lower case."""
    intent = await desk.new_payment(
        currency="EUR",
        description="Wellness exam",
        receipt_email="jenny@example.com",
        statement_descriptor_suffix="EXAM",
        setup_future_usage="off_session",
        metadata={"order_id": "ord_1"},
    )
    assert (intent.currency, intent.status) == ("eur", "requires_payment_method")
    assert intent.description == "Wellness exam"
    assert intent.statement_descriptor_suffix == "EXAM"
    assert intent.setup_future_usage == "off_session"
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert await desk.events() == ["payment_intent.created"]


@pytest.mark.parametrize(
    ("currency", "types"), [("usd", ["card"]), ("eur", ["card", "bancontact", "ideal"])]
)
async def test_methods_are_automatic_when_none_are_named(
    desk: Desk, currency: str, types: list[str]
) -> None:
    """Without types the account's methods for the currency are offered."""
    intent = await desk.stripe.v1.payment_intents.create_async(
        {"amount": 1000, "currency": currency}
    )
    assert intent.payment_method_types == types
    assert intent.automatic_payment_methods is not None
    assert intent.automatic_payment_methods.enabled


async def test_automatic_methods_need_a_way_back(desk: Desk) -> None:
    """An intent that may redirect isn't confirmed without a return_url."""
    intent = await desk.stripe.v1.payment_intents.create_async({"amount": 999, "currency": "usd"})
    confirm = desk.stripe.v1.payment_intents.confirm_async
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await confirm(intent.id, {"payment_method": "pm_card_visa"})
    paid = await confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/"}
    )
    assert paid.status == "succeeded"


async def test_confirmed_intent_leaves_a_charge(desk: Desk) -> None:
    """The charge copies customer, description and metadata, and is paid."""
    customer = await desk.new_customer()
    intent = await desk.new_payment(
        customer=customer, description="Exam", metadata={"order_id": "ord_1"}
    )
    paid = await desk.stripe.v1.payment_intents.confirm_async(
        intent.id,
        {"payment_method": "pm_card_visa", "expand": ["latest_charge.balance_transaction"]},
    )
    assert (paid.status, paid.amount_received) == ("succeeded", 1000)
    charge = paid.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.metadata.to_dict() == {"order_id": "ord_1"}
    assert (charge.customer, charge.description, charge.paid) == (customer, "Exam", True)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.net == 1000 - 59
    assert await desk.events() == [
        "customer.created",
        "payment_intent.created",
        "charge.succeeded",
        "charge.updated",
        "payment_intent.succeeded",
    ]


async def test_method_is_saved_for_future_usage(desk: Desk) -> None:
    """setup_future_usage attaches the method to the customer when the payment succeeds."""
    customer = await desk.new_customer()
    await desk.new_payment(
        customer=customer,
        setup_future_usage="off_session",
        payment_method="pm_card_visa",
        confirm=True,
    )
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    assert len(methods.data) == 1
    again = await desk.new_payment(
        customer=customer, payment_method=methods.data[0].id, off_session=True, confirm=True
    )
    assert again.status == "succeeded"


@pytest.mark.parametrize("usage", ["off_session", "on_session"])
@pytest.mark.parametrize("capture_method", ["automatic", "manual"])
async def test_saving_a_method_is_told(
    desk: Desk, listener: Listener, usage: str, capture_method: str
) -> None:
    """Attached with its own webhook, when the money is taken or held, not before."""
    customer = await desk.new_customer()
    intent = await desk.new_payment(
        customer=customer, setup_future_usage=usage, capture_method=capture_method
    )
    confirm = desk.stripe.v1.payment_intents.confirm_async
    with pytest.raises(stripe.CardError):
        await confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    assert "payment_method.attached" not in await desk.events()
    done = await confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    attached = await desk.event("payment_method.attached")
    assert attached["data"]["object"]["id"] == done.payment_method
    assert attached["data"]["object"]["customer"] == customer
    await listener.until(lambda it: "payment_method.attached" in it.types)


async def test_payment_works_without_the_sdk(desk: Desk) -> None:
    """Plain forms, as curl sends them: charged off session, and listed with what it is about."""
    customer = await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": customer}
    )
    form = {
        "amount": "1000",
        "currency": "eur",
        "customer": customer,
        "payment_method": method.id,
        "payment_method_types[]": "card",
        "confirm": "true",
        "off_session": "true",
        "description": "Order 1",
        "metadata[order_id]": "o1",
    }
    desk.openapi.check_request("POST", "/v1/payment_intents", form)
    url = f"http://{desk.address}/stripe/v1/payment_intents"
    headers = {"Authorization": f"Bearer {desk.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(url, data=form) as response:
            paid = await response.json()
        desk.openapi.check_response("POST", "/v1/payment_intents", response.status, paid)
        query = {"customer": customer, "created[gte]": paid["created"], "limit": 1}
        async with session.get(url, params=query) as response:
            listed = await response.json()
    assert (paid["status"], paid["description"]) == ("succeeded", "Order 1")
    assert paid["metadata"] == {"order_id": "o1"}
    assert [intent["id"] for intent in listed["data"]] == [paid["id"]]


async def test_unsaved_method_pays_once(desk: Desk) -> None:
    """A method without a customer is used up by its payment."""
    method = await desk.stripe.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    await desk.new_payment(payment_method=method.id, confirm=True)
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        await desk.new_payment(payment_method=method.id, confirm=True)


async def test_off_session_without_confirm_is_refused(desk: Desk) -> None:
    """off_session only means something while confirming."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(off_session=True)
    assert refused.value.param == "off_session"


async def test_method_of_another_customer_does_not_pay(desk: Desk) -> None:
    """A saved method pays for its own customer only."""
    owner, other = await desk.new_customer(), await desk.new_customer()
    method = await desk.stripe.v1.payment_methods.attach_async("pm_card_visa", {"customer": owner})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        await desk.new_payment(customer=other, payment_method=method.id, confirm=True)
    with pytest.raises(stripe.InvalidRequestError, match="Please include the Customer"):
        await desk.new_payment(payment_method=method.id, confirm=True)


async def test_succeeded_intent_is_not_confirmed_again(desk: Desk) -> None:
    """The error carries the intent."""
    intent = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.payment_intents.confirm_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    assert refused.value.error.payment_intent.status == "succeeded"


async def test_confirming_without_a_method_is_refused(desk: Desk) -> None:
    """There is nothing to take the money from."""
    intent = await desk.new_payment()
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await desk.stripe.v1.payment_intents.confirm_async(intent.id)


async def test_update_changes_amount_until_paid(desk: Desk) -> None:
    """Metadata may change afterwards, the amount may not."""
    update = desk.stripe.v1.payment_intents.update_async
    intent = await desk.new_payment()
    changed = await update(intent.id, {"amount": 2000, "payment_method": "pm_card_visa"})
    assert (changed.amount, changed.status) == (2000, "requires_confirmation")
    await desk.stripe.v1.payment_intents.confirm_async(intent.id)
    tagged = await update(intent.id, {"metadata": {"a": "b"}})
    assert tagged.metadata.to_dict() == {"a": "b"}
    with pytest.raises(stripe.InvalidRequestError, match="could not be updated"):
        await update(intent.id, {"amount": 3000})


async def test_browser_confirms_with_the_client_secret(desk: Desk) -> None:
    """A publishable key sees and confirms one intent, with its secret, and no more."""
    intent = await desk.new_payment(metadata={"order_id": "o1"})
    assert intent.client_secret is not None
    browser = desk.publishable.v1.payment_intents
    seen = await browser.retrieve_async(intent.id, {"client_secret": intent.client_secret})
    assert "metadata" not in seen
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await browser.retrieve_async(intent.id, {"client_secret": f"{intent.id}_secret_x"})
    assert refused.value.param == "client_secret"
    with pytest.raises(stripe.InvalidRequestError, match="client_secret"):
        await browser.retrieve_async(intent.id)
    with pytest.raises(stripe.PermissionError) as forbidden:
        await browser.create_async({"amount": 1000, "currency": "eur"})
    assert forbidden.value.error is not None
    assert forbidden.value.error.code == "secret_key_required"
    secret = {"client_secret": intent.client_secret}
    bad: Any = {**secret, "payment_method": "pm_card_chargeDeclined"}
    good: Any = {**secret, "payment_method": "pm_card_visa"}
    with pytest.raises(stripe.CardError) as declined:
        await browser.confirm_async(intent.id, bad)
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    assert "metadata" not in declined.value.error.payment_intent
    paid = await browser.confirm_async(intent.id, good)
    assert paid.status == "succeeded"


async def test_manual_capture_holds_then_takes(desk: Desk) -> None:
    """A held payment is captured in full."""
    held = await desk.new_payment(
        capture_method="manual", payment_method="pm_card_visa", confirm=True
    )
    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    paid = await desk.stripe.v1.payment_intents.capture_async(held.id)
    assert (paid.status, paid.amount_received, paid.amount_capturable) == ("succeeded", 1000, 0)
    assert await desk.events() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "charge.updated",
        "payment_intent.succeeded",
    ]


async def test_partial_capture_lets_the_rest_go(desk: Desk) -> None:
    """No refund since 2025-03-31.basil: the charge shows what was taken, never more than held."""
    held = await desk.new_payment(
        capture_method="manual", payment_method="pm_card_visa", confirm=True
    )
    capture = desk.stripe.v1.payment_intents.capture_async
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await capture(held.id, {"amount_to_capture": 1001})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    paid = await capture(held.id, {"amount_to_capture": 400, "expand": ["latest_charge"]})
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.amount_received == 400
    charge = paid.latest_charge
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (400, 0, False)
    booked = await desk.stripe.v1.balance_transactions.list_async({"source": charge.id})
    assert [transaction.amount for transaction in booked.data] == [400]
    assert (await desk.stripe.v1.refunds.list_async({"charge": charge.id})).data == []
    with pytest.raises(stripe.InvalidRequestError, match="could not be captured"):
        await capture(held.id)


async def test_voided_hold_is_given_back(desk: Desk) -> None:
    """Cancelling lets the hold go: since 2025-03-31.basil that is no refund."""
    held = await desk.new_payment(
        capture_method="manual", payment_method="pm_card_visa", confirm=True
    )
    gone = await desk.stripe.v1.payment_intents.cancel_async(held.id, {"expand": ["latest_charge"]})
    assert (gone.status, gone.amount_capturable) == ("canceled", 0)
    assert isinstance(gone.latest_charge, stripe.Charge)
    charge = gone.latest_charge
    assert (charge.captured, charge.refunded) == (False, False)
    assert (charge.amount_captured, charge.amount_refunded) == (0, 0)
    assert (await desk.events())[-2:] == [
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
    ]
    assert (await desk.stripe.v1.refunds.list_async({"payment_intent": held.id})).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await desk.stripe.v1.refunds.create_async({"charge": charge.id})


async def test_cancelled_intent_keeps_its_reason(desk: Desk) -> None:
    """A paid one can't be cancelled."""
    intent = await desk.new_payment()
    cancel = desk.stripe.v1.payment_intents.cancel_async
    gone = await cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "requested_by_customer")
    assert gone.canceled_at is not None
    paid = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await cancel(paid.id)
    assert refused.value.code == "payment_intent_unexpected_state"
