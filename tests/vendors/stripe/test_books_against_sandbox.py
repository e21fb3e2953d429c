"""Legacy charges, lost answers and the books, against the sandbox."""

from dataclasses import replace
from datetime import timedelta

import pytest

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.notification import PaymentTidings
from boxoffice_server.domain.payment import PaymentSignal, PaymentStatus
from boxoffice_server.ports import ChargeRequest, KeySpentError
from boxoffice_server.vendors.stripe.client import StripeConnection
from tests.vendors.stripe.calls import Doors, read_all
from tests.vendors.stripe.sandbox import KEY, NOW, PAYMENT, REFUND, Buttons, Inbox, request_for


@pytest.fixture
def connection(sandboxed: StripeConnection) -> StripeConnection:
    """The connection that all doors of these tests use."""
    return sandboxed


async def test_a_source_is_charged(
    doors: Doors,
    connection: StripeConnection,
    inbox: Inbox,
    buttons: Buttons,
) -> None:
    """It waits, is read, charged, found again, and given back."""
    await buttons.press(f"accounts/{KEY}", legacy=True)
    source = await connection.v1.sources.create_async(
        {
            "type": "bancontact",
            "amount": 1250,
            "currency": "eur",
            "metadata": {"boxoffice_order_id": "ord_1", "boxoffice_user_id": "user-1"},
            "redirect": {"return_url": "https://shop.example/"},
        }
    )
    assert (await doors.gateway.read_source(source.id)).status == "pending"
    await buttons.press(f"sources/{source.id}/authenticate")
    told = await doors.gateway.read_source(source.id)
    assert (told.status, told.amount) == ("chargeable", PAYMENT.amount)
    assert (told.order_id, told.user_id) == ("ord_1", "user-1")
    await inbox.wait_for("source.chargeable")
    (waiting,) = inbox.payments()
    assert (waiting.chargeable_source_id, waiting.untrusted) == (source.id, True)

    since = waiting.fact.event_time - timedelta(minutes=1)
    assert await doors.gateway.find_charge(PAYMENT, operation_id="opn_1", since=since) is None
    request = ChargeRequest(
        payment=PAYMENT,
        operation_id="opn_1",
        stripe_source_id=source.id,
        stripe_customer_id="",
        key="charge-1",
    )
    charged = await doors.gateway.create_charge(request)
    assert (charged.fact.signal, charged.fact.amount) == (PaymentSignal.CAPTURED, 1250)
    assert await doors.gateway.find_charge(PAYMENT, operation_id="opn_1", since=since) == charged
    assert await doors.gateway.find_charge(PAYMENT, operation_id="opn_2", since=since) is None
    await inbox.wait_for("charge.succeeded")
    heard = [each for each in inbox.payments() if each.fact.resource_type == "charge"]
    assert {each.stripe_charge_id for each in heard} == {charged.stripe_charge_id}
    (entry,) = await read_all(doors.books.payments(since))
    assert (entry.stripe_id, entry.payment_id) == (charged.stripe_charge_id, PAYMENT.id)
    assert (entry.status, entry.captured) == (PaymentStatus.COMPLETE, 1250)

    payment = replace(PAYMENT, stripe_charge_id=charged.stripe_charge_id)
    news = await doors.gateway.create_refund(REFUND, payment, key="refund-1")
    assert (news.stripe_payment_intent_id, news.stripe_charge_id) == (
        "",
        charged.stripe_charge_id,
    )
    assert await doors.gateway.find_refund(REFUND, payment) == news


async def test_a_declined_source_is_an_answer(
    doors: Doors,
    connection: StripeConnection,
    inbox: Inbox,
    buttons: Buttons,
) -> None:
    """With the failed charge, which the notification tells of as well."""
    await buttons.press(f"accounts/{KEY}", legacy=True)
    source = await connection.v1.sources.create_async(
        {"type": "card", "token": "tok_chargeDeclinedInsufficientFunds"}
    )
    request = ChargeRequest(
        payment=PAYMENT,
        operation_id="opn_1",
        stripe_source_id=source.id,
        stripe_customer_id="",
        key="charge-1",
    )
    declined = await doors.gateway.create_charge(request)
    assert declined.fact.signal is PaymentSignal.ATTEMPT_FAILED
    assert declined.fact.failure
    assert declined.fact.failure.decline_code == "insufficient_funds"
    await inbox.wait_for("charge.failed")
    failed = next(each for each in inbox.payments() if each.fact.type == "charge.failed")
    assert failed.stripe_charge_id == declined.stripe_charge_id
    assert failed.fact.signal is PaymentSignal.ATTEMPT_FAILED


async def test_a_stored_fault_is_found_out_by_reading(doors: Doors, buttons: Buttons) -> None:
    """The key is spent, and the intent is there."""
    request = await request_for(doors.gateway, PAYMENT)
    fault = {"account": KEY, "method": "POST", "path": "/v1/payment_intents", "kind": "status"}
    await buttons.press("faults", **fault, processed=True, stored=True)
    with pytest.raises(KeySpentError) as caught:
        await doors.gateway.create_intent(request)
    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    found = await doors.gateway.find_intent(
        PAYMENT, request.stripe_customer_id, since=NOW - timedelta(days=365)
    )
    assert found is not None
    assert found.fact.signal is PaymentSignal.REQUIRES_PAYMENT_METHOD


async def test_what_was_missed_is_in_the_books(doors: Doors) -> None:
    """Nobody takes notifications here, so all that are understood are missed."""
    answer = await doors.gateway.create_intent(await request_for(doors.gateway, PAYMENT))
    missed = await read_all(doors.books.missed(answer.fact.event_time))
    assert [each.type for each in missed] == ["payment_intent.created"]
    assert answer.client_secret.encode() not in missed[0].body
    inbox = Inbox()
    tidings = inbox.source.tidings(missed[0])
    assert isinstance(tidings, PaymentTidings)
    assert tidings.payment_id == PAYMENT.id


async def test_books_are_read_to_their_end(doors: Doors) -> None:
    """More payments than fit on a page, each once, newest first."""
    request = await request_for(doors.gateway, PAYMENT)
    made = [
        (
            await doors.gateway.create_intent(replace(request, key=f"key-{n}"))
        ).stripe_payment_intent_id
        for n in range(102)
    ]
    entries = await read_all(doors.books.payments(NOW - timedelta(days=365)))
    assert [each.stripe_id for each in entries] == made[::-1]
