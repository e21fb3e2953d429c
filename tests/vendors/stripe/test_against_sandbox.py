"""The adapter against the sandbox: what it asks for is done, and what it is told holds together."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    PaymentMethodType,
    PaymentSignal,
    PaymentStatus,
    derive_state,
)
from boxoffice_server.vendors.stripe.client import StripeConnection
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from tests.vendors.stripe.sandbox import KEY, PAYMENT, Buttons, Inbox, request_for


@pytest.fixture
def connection(sandboxed: StripeConnection) -> StripeConnection:
    """The connection that the gateway of these tests uses."""
    return sandboxed


@pytest.mark.parametrize("method_type", list(PaymentMethodType))
async def test_a_payment_is_told_from_its_beginning_to_its_end(
    gateway: StripeGateway,
    inbox: Inbox,
    buttons: Buttons,
    method_type: PaymentMethodType,
) -> None:
    """Declined, tried again and paid: notifications and answers agree on every method."""
    await buttons.press(f"accounts/{KEY}", legacy=True)
    payment = replace(PAYMENT, id=f"pay_{method_type}", method_type=method_type)
    answer = await gateway.create_intent(await request_for(gateway, payment))
    intent = answer.stripe_payment_intent_id
    assert answer.fact.signal is PaymentSignal.REQUIRES_PAYMENT_METHOD
    assert answer.client_secret.startswith(f"{intent}_secret_")

    await buttons.press(f"payment_intents/{intent}/decline")
    declined = (await gateway.read_intent(intent)).fact
    await inbox.wait_for("payment_intent.payment_failed")
    assert declined.signal is PaymentSignal.ATTEMPT_FAILED
    assert declined.failure
    assert declined.failure.code

    await buttons.press(f"payment_intents/{intent}/pay")
    paid = (await gateway.read_intent(intent)).fact
    await inbox.wait_for("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")
    assert paid.signal is PaymentSignal.CAPTURED

    told = [tidings.fact for tidings in inbox.payments()]
    assert derive_state([*told, answer.fact, declined]).status is PaymentStatus.COMPLETE
    assert derive_state([answer.fact, declined, paid]).status is PaymentStatus.COMPLETE
    for tidings in inbox.payments():
        assert tidings.stripe_payment_intent_id == intent
        assert (tidings.order_id, tidings.payment_id) == (payment.order_id, payment.id)
        assert (tidings.user_id, tidings.amount) == (payment.user_id, payment.amount)
        assert not tidings.untrusted


async def test_a_lost_answer_costs_nothing(
    gateway: StripeGateway, inbox: Inbox, buttons: Buttons
) -> None:
    """A connection that breaks after the work: the repeat gets the same intent, made once."""
    fault = {"account": KEY, "method": "POST", "path": "/v1/payment_intents"}
    await buttons.press("faults", **fault, kind="reset_after", times=1)
    answer = await gateway.create_intent(await request_for(gateway, PAYMENT))
    await inbox.wait_for("payment_intent.created")
    made = [each.resource_id for each in inbox.verified if each.type == "payment_intent.created"]
    assert made == [answer.stripe_payment_intent_id]


async def test_an_amount_below_stripes_least_is_refused(gateway: StripeGateway) -> None:
    """The least amount is Stripe's to know."""
    request = await request_for(gateway, replace(PAYMENT, amount=Money(amount=1, currency="eur")))
    with pytest.raises(BoxofficeError) as caught:
        await gateway.create_intent(request)
    assert caught.value.reason is Reason.VENDOR_REFUSED
    assert caught.value.metadata["vendor_code"] == "amount_too_small"


async def test_a_key_that_stripe_does_not_know_reaches_nothing(sandbox: str) -> None:
    """A wrong key is our own fault, and nothing happened."""
    connection = StripeConnection(api_key="sk_test_nobody", api_base=f"{sandbox}/stripe")
    with pytest.raises(BoxofficeError) as caught:
        await StripeGateway(connection).read_intent("pi_1")
    await connection.close()
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


async def test_the_sandboxs_clock_moves_ours_before_its_own(
    gateway: StripeGateway, inbox: Inbox, buttons: Buttons
) -> None:
    """A day ahead, notifications are signed in the sandbox's time and taken in ours."""
    first = await gateway.create_intent(await request_for(gateway, PAYMENT))
    await buttons.press("clock", advance_seconds=86_400)
    assert inbox.offset >= timedelta(days=1)
    request = await request_for(gateway, replace(PAYMENT, id="pay_later"))
    later = await gateway.create_intent(request)
    assert later.fact.event_time - first.fact.event_time >= timedelta(days=1)
    async with inbox.news:
        await asyncio.wait_for(
            inbox.news.wait_for(
                lambda: (
                    later.stripe_payment_intent_id in {each.resource_id for each in inbox.verified}
                )
            ),
            10,
        )
