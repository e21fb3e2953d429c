"""Saved cards, holds, refunds and disputes, against the sandbox."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Payment,
    PaymentSignal,
    PaymentStatus,
    Reuse,
    authorised_amount,
    captured_amount,
    derive_state,
)
from boxoffice_server.domain.payment_method import (
    MethodDetails,
    MethodNews,
    hear_method,
    new_method,
)
from boxoffice_server.domain.refund import (
    DisputeNews,
    DisputeStatus,
    RefundNews,
    RefundStatus,
    hear_dispute,
    hear_refund,
    new_dispute,
)
from boxoffice_server.ports import IntentAnswer, SetupRequest
from boxoffice_server.vendors.stripe.client import StripeConnection
from tests.vendors.stripe.calls import Doors, read_all
from tests.vendors.stripe.sandbox import (
    NOW,
    PAYMENT,
    REFUND,
    Buttons,
    Inbox,
    customer_of,
    request_for,
)

AWAY = replace(PAYMENT, off_session=True)
HELD = replace(AWAY, capture_method=CaptureMethod.MANUAL)


@pytest.fixture
def connection(sandboxed: StripeConnection) -> StripeConnection:
    """The connection that all doors of these tests use."""
    return sandboxed


async def pay(doors: Doors, *, card: str, payment: Payment = AWAY) -> IntentAnswer:
    """Save a card, and charge it while its owner is away."""
    customer = await customer_of(doors.gateway, payment)
    saved = await doors.methods.attach_method(card, customer, key=f"attach-{card}")
    assert saved.stripe_customer_id == customer
    return await doors.gateway.create_intent(
        await request_for(
            doors.gateway, payment, stripe_payment_method_id=saved.stripe_payment_method_id
        )
    )


def a_while_before(answer: IntentAnswer) -> datetime:
    """Tell a time that all of a test lies behind."""
    return answer.fact.event_time - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("card", "signal", "code"),
    [
        ("pm_card_visa", PaymentSignal.CAPTURED, None),
        ("pm_card_chargeCustomerFail", PaymentSignal.ATTEMPT_FAILED, "card_declined"),
        (
            "pm_card_authenticationRequired",
            PaymentSignal.AUTHENTICATION_REQUIRED,
            "authentication_required",
        ),
    ],
)
async def test_a_saved_card_is_charged_or_not(
    doors: Doors,
    inbox: Inbox,
    card: str,
    signal: PaymentSignal,
    code: str | None,
) -> None:
    """The answer and the notifications say the same, also where Stripe calls it an error."""
    answer = await pay(doors, card=card)
    assert answer.fact.signal is signal
    assert (answer.fact.failure.code if answer.fact.failure else None) == code
    assert answer.client_secret
    assert answer.stripe_charge_id
    done = "succeeded" if signal is PaymentSignal.CAPTURED else "payment_failed"
    await inbox.wait_for("payment_intent.created", f"payment_intent.{done}")
    told = inbox.payments()
    assert {each.stripe_payment_intent_id for each in told} == {answer.stripe_payment_intent_id}
    assert answer.stripe_charge_id in {each.stripe_charge_id for each in told}
    facts = [each.fact for each in told]
    assert derive_state([answer.fact]).status is derive_state([*facts, answer.fact]).status
    assert captured_amount(facts, 0) == (1250 if signal is PaymentSignal.CAPTURED else 0)
    since = a_while_before(answer)
    customer = await customer_of(doors.gateway, AWAY)
    assert await doors.gateway.find_intent(AWAY, customer, since=since) == answer


async def test_held_money_is_captured_in_part(doors: Doors, inbox: Inbox) -> None:
    """Once; whoever captures it again learns that it is, and it can't be cancelled any more."""
    held = await pay(doors, card="pm_card_visa", payment=HELD)
    assert authorised_amount([held.fact], 0) == 1250
    payment = replace(HELD, stripe_payment_intent_id=held.stripe_payment_intent_id)
    taken = await doors.gateway.capture_intent(payment, amount=900, key="capture-1")
    assert (taken.fact.signal, taken.fact.amount) == (PaymentSignal.CAPTURED, 900)
    assert await doors.gateway.capture_intent(payment, amount=None, key="capture-2") == taken
    with pytest.raises(BoxofficeError) as caught:
        await doors.gateway.cancel_intent(payment, key="cancel-1")
    assert caught.value.reason is Reason.VENDOR_REFUSED
    await inbox.wait_for("charge.captured", "payment_intent.succeeded")
    facts = [each.fact for each in inbox.payments()]
    assert captured_amount(facts, 1250) == 900
    (entry,) = await read_all(doors.books.payments(a_while_before(held)))
    assert (entry.status, entry.captured, entry.refunded) == (PaymentStatus.COMPLETE, 900, 0)


async def test_held_money_is_let_go(doors: Doors, inbox: Inbox) -> None:
    """Once; whoever cancels again learns that it is cancelled, and nothing can be captured."""
    held = await pay(doors, card="pm_card_visa", payment=HELD)
    payment = replace(HELD, stripe_payment_intent_id=held.stripe_payment_intent_id)
    gone = await doors.gateway.cancel_intent(payment, key="cancel-1")
    assert gone.fact.signal is PaymentSignal.CANCELLED
    assert await doors.gateway.cancel_intent(payment, key="cancel-2") == gone
    with pytest.raises(BoxofficeError) as caught:
        await doors.gateway.capture_intent(payment, amount=900, key="capture-1")
    assert caught.value.reason is Reason.VENDOR_REFUSED
    await inbox.wait_for("payment_intent.canceled")
    (entry,) = await read_all(doors.books.payments(a_while_before(held)))
    assert (entry.status, entry.captured, entry.refunded) == (PaymentStatus.CANCELLED, 0, 0)


async def test_money_goes_back(
    doors: Doors,
    inbox: Inbox,
    buttons: Buttons,
) -> None:
    """A part of it, found again by our id; what becomes of it later is heard."""
    paid = await pay(doors, card="pm_card_visa")
    payment = replace(AWAY, stripe_payment_intent_id=paid.stripe_payment_intent_id)
    assert await doors.gateway.find_refund(REFUND, payment) is None
    news = await doors.gateway.create_refund(REFUND, payment, key="refund-1")
    assert (news.refund_id, news.status) == (REFUND.id, RefundStatus.SUCCEEDED)
    assert (news.amount, news.reason) == (REFUND.amount, REFUND.reason)
    assert await doors.gateway.find_refund(REFUND, payment) == news
    assert await read_all(doors.books.refunds(a_while_before(paid))) == [news]
    (entry,) = await read_all(doors.books.payments(a_while_before(paid)))
    assert (entry.payment_id, entry.captured, entry.refunded) == (payment.id, 1250, 500)

    more = replace(REFUND, id="rfd_2", amount=payment.amount)
    with pytest.raises(BoxofficeError) as caught:
        await doors.gateway.create_refund(more, payment, key="refund-2")
    assert caught.value.reason is Reason.VENDOR_REFUSED

    await buttons.press(f"refunds/{news.stripe_refund_id}/fail")
    await inbox.wait_for("refund.created", "charge.refunded", "refund.updated", "refund.failed")
    heard = hear_refund(REFUND, news, NOW)
    for each in inbox.told:
        if isinstance(each, RefundNews):
            assert each.refund_id == REFUND.id
            heard = hear_refund(heard, each, NOW)
    assert (heard.status, heard.failure_reason) == (RefundStatus.FAILED, "lost_or_stolen_card")


async def test_a_payment_is_disputed(
    doors: Doors,
    inbox: Inbox,
    buttons: Buttons,
) -> None:
    """What the books say of it, and what is heard when the bank decides."""
    paid = await pay(doors, card="pm_card_createDispute")
    (booked,) = await read_all(doors.books.disputes(a_while_before(paid)))
    assert booked.status is DisputeStatus.NEEDS_RESPONSE
    assert booked.stripe_payment_intent_id == paid.stripe_payment_intent_id
    assert booked.stripe_charge_id == paid.stripe_charge_id
    assert booked.evidence_due_time
    assert booked.evidence_due_time > booked.create_time
    await buttons.press(f"disputes/{booked.stripe_dispute_id}/win")
    await inbox.wait_for(
        "charge.dispute.created", "charge.dispute.closed", "charge.dispute.funds_reinstated"
    )
    dispute = new_dispute(booked, payment_id=AWAY.id, user_id=AWAY.user_id, now=NOW)
    for each in inbox.told:
        if isinstance(each, DisputeNews):
            dispute = hear_dispute(dispute, each, NOW)
    assert dispute.status is DisputeStatus.WON


async def test_a_card_is_saved_and_let_go(doors: Doors, inbox: Inbox) -> None:
    """The answers and the notifications lead to the same method, in whatever order they come."""
    customer = await customer_of(doors.gateway, PAYMENT)
    saved = await doors.methods.attach_method("pm_card_visa", customer, key="attach-1")
    assert saved.details is not None
    assert (saved.details.type, saved.details.brand) == ("card", "visa")
    assert saved.details.last4 == "4242"
    name = saved.stripe_payment_method_id
    assert await doors.methods.read_method(name) == saved
    gone = await doors.methods.detach_method(name, key="detach-1", now=saved.event_time)
    assert gone.detached
    after = await doors.methods.read_method(name)
    assert (after.stripe_customer_id, after.detached) == ("", False)
    await inbox.wait_for("payment_method.attached", "payment_method.detached")
    told = [each for each in inbox.told if isinstance(each, MethodNews)]
    assert [each.stripe_customer_id for each in told] == [customer, customer]
    ends = []
    for order in ([gone, *told, after], [after, *reversed(told), gone]):
        method = new_method(saved, saved.details, user_id="user-1", now=NOW)
        for each in order:
            method = hear_method(method, each, NOW)
        ends.append((method.details, method.detach_time))
    assert ends[0] == ends[1]
    assert ends[0][1] is not None


async def test_a_method_is_set_up(doors: Doors) -> None:
    """The setup intent is there to be read again."""
    request = SetupRequest(
        user_id="user-1",
        stripe_customer_id=await customer_of(doors.gateway, PAYMENT),
        method_type=PAYMENT.method_type,
        reuse=Reuse.OFF_SESSION,
        key="setup-1",
    )
    made = await doors.methods.create_setup_intent(request)
    assert made.client_secret.startswith(f"{made.stripe_setup_intent_id}_secret_")
    assert await doors.methods.read_setup_intent(made.stripe_setup_intent_id) == made


async def test_a_setup_tells_which_method_it_saved(
    doors: Doors, connection: StripeConnection, inbox: Inbox
) -> None:
    """Confirmed as a customer's device confirms it."""
    customer = await customer_of(doors.gateway, PAYMENT)
    await connection.v1.setup_intents.create_async(
        {
            "customer": customer,
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    await inbox.wait_for("setup_intent.succeeded", "payment_method.attached")
    named, attached = sorted(
        (each for each in inbox.told if isinstance(each, MethodNews)),
        key=lambda each: each.details is not None,
    )
    assert named.details is None
    assert isinstance(attached.details, MethodDetails)
    assert named.stripe_payment_method_id == attached.stripe_payment_method_id
    assert named.stripe_customer_id == attached.stripe_customer_id == customer
