"""What the gateway sends to Stripe, and what it reads in the answers, over real HTTP."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.payment import (
    CaptureMethod,
    FactOrigin,
    PaymentFailure,
    PaymentMethodType,
    PaymentSignal,
    Reuse,
)
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from tests.vendors.stripe.calls import (
    AWAY,
    CUSTOMER,
    KEY,
    MADE,
    PAYMENT,
    REQUEST,
    refusal,
)
from tests.vendors.stripe.fake_stripe import (
    CREATED,
    FakeStripe,
    Reply,
    intent_body,
)


async def test_a_customer_is_made_under_our_customers_id(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """The key comes of our customer's id and the metadata leads back to it."""
    assert await gateway.create_customer(CUSTOMER, key="create-cst_1") == "cus_1"
    (sent,) = stripe.received
    assert (sent.method, sent.path, sent.key) == ("POST", "/v1/customers", "create-cst_1")
    assert dict(sent.form) == {
        "metadata[boxoffice_user_id]": "user-1",
        "metadata[boxoffice_customer_id]": "cst_1",
    }


async def test_an_intent_is_made_under_the_payments_own_key(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """The request says what to pay, how, by whom, and which order of ours it is for."""
    await gateway.create_intent(REQUEST)
    (sent,) = stripe.received
    assert (sent.method, sent.path, sent.key) == ("POST", "/v1/payment_intents", "pay_1-1")
    assert dict(sent.form) == {
        "amount": "1250",
        "currency": "eur",
        "customer": "cus_1",
        "payment_method_types[0]": "bancontact",
        "metadata[boxoffice_order_id]": "ord_1",
        "metadata[boxoffice_payment_id]": "pay_1",
        "metadata[boxoffice_user_id]": "user-1",
    }


async def test_a_saved_card_is_charged_at_once_while_its_owner_is_away(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """One request makes and confirms the intent."""
    await gateway.create_intent(AWAY)
    form = dict(stripe.received[0].form)
    assert form["payment_method"] == "pm_1"
    assert form["payment_method_types[0]"] == "card"
    assert (form["confirm"], form["off_session"]) == ("true", "true")


async def test_a_saved_card_waits_for_its_owner(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """With the customer present, the intent is theirs to confirm."""
    request = replace(AWAY, payment=replace(AWAY.payment, off_session=False))
    await gateway.create_intent(request)
    form = dict(stripe.received[0].form)
    assert form["payment_method"] == "pm_1"
    assert not {"confirm", "off_session"} & set(form)


async def test_without_a_saved_card_nothing_is_confirmed(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """There would be nothing to charge."""
    await gateway.create_intent(replace(AWAY, stripe_payment_method_id=""))
    assert not {"confirm", "off_session", "payment_method"} & set(dict(stripe.received[0].form))


async def test_all_that_is_asked_of_an_intent_is_said(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """A hold for an ad-hoc payment, by a card that is to be saved."""
    payment = replace(
        PAYMENT,
        order_id="",
        description="Fee",
        method_type=PaymentMethodType.CARD,
        capture_method=CaptureMethod.MANUAL,
        reuse=Reuse.ON_SESSION,
    )
    await gateway.create_intent(replace(REQUEST, payment=payment))
    form = dict(stripe.received[0].form)
    assert form["description"] == "Fee"
    assert form["capture_method"] == "manual"
    assert form["setup_future_usage"] == "on_session"
    assert "metadata[boxoffice_order_id]" not in form


async def test_money_that_is_held_is_captured(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """As much of it as is asked for, and the answer says how much was taken."""
    answer = await gateway.capture_intent(MADE, amount=900, key="opn_1-1")
    (sent,) = stripe.received
    assert (sent.path, sent.key) == ("/v1/payment_intents/pi_1/capture", "opn_1-1")
    assert dict(sent.form) == {"amount_to_capture": "900"}
    assert (answer.fact.signal, answer.fact.amount) == (PaymentSignal.CAPTURED, 900)


async def test_an_intent_is_cancelled(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Under the operation's key; the answer says that it is."""
    answer = await gateway.cancel_intent(MADE, key="opn_1-1")
    (sent,) = stripe.received
    assert (sent.path, sent.key) == ("/v1/payment_intents/pi_1/cancel", "opn_1-1")
    assert sent.form == ()
    assert answer.fact.signal is PaymentSignal.CANCELLED


async def test_every_request_names_the_key_and_the_version_the_sdk_was_made_for(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """An account's default version never decides what we read."""
    await gateway.create_intent(REQUEST)
    headers = stripe.received[0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Stripe-Version"] == "2026-08-26.dahlia"


async def test_an_intents_answer_is_a_fact(gateway: StripeGateway) -> None:
    """The answer holds the intent's id, its client secret and what it says of the payment."""
    answer = await gateway.create_intent(REQUEST)
    assert answer.stripe_payment_intent_id == "pi_1"
    assert answer.client_secret == "pi_1_secret_hush"
    assert answer.fact.origin is FactOrigin.ANSWER
    assert answer.fact.resource_type == "payment_intent"
    assert answer.fact.resource_id == "pi_1"
    assert answer.fact.event_time == datetime.fromtimestamp(CREATED, UTC)
    assert answer.fact.signal is PaymentSignal.REQUIRES_PAYMENT_METHOD


async def test_asking_twice_makes_one_intent_and_one_fact(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """The same key gives the same answer, and the same answer the same fact."""
    first = await gateway.create_intent(REQUEST)
    second = await gateway.create_intent(REQUEST)
    assert first == second
    assert len(stripe.made) == 1


@pytest.mark.parametrize(
    ("status", "signal", "amount"),
    [
        ("requires_payment_method", PaymentSignal.REQUIRES_PAYMENT_METHOD, None),
        ("requires_confirmation", PaymentSignal.REQUIRES_CONFIRMATION, None),
        ("requires_action", PaymentSignal.REQUIRES_ACTION, None),
        ("processing", PaymentSignal.PROCESSING, None),
        ("requires_capture", PaymentSignal.AUTHORISED, 1200),
        ("canceled", PaymentSignal.CANCELLED, None),
        ("succeeded", PaymentSignal.CAPTURED, 1100),
    ],
)
async def test_an_intent_is_read_by_its_status(
    gateway: StripeGateway,
    stripe: FakeStripe,
    status: str,
    signal: PaymentSignal,
    amount: int | None,
) -> None:
    """Each status is one signal, with the money it speaks of; the fact's id says all of it."""
    stripe.objects["pi_1"] = intent_body(
        "pi_1",
        status=status,
        amount_capturable=1200,
        amount_received=1100,
        latest_charge={"id": "ch_1", "object": "charge"},
    )
    answer = await gateway.read_intent("pi_1")
    assert (answer.fact.signal, answer.fact.amount) == (signal, amount)
    assert answer.fact.id == f"pi_1:{status}" + (f":{amount}" if amount else "")
    assert answer.stripe_charge_id == "ch_1"
    assert await gateway.read_intent("pi_1") == answer


async def test_a_failed_attempt_is_read_with_its_failure(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """An intent that waits for another method after a decline says why; so does the fact's id."""
    failure = {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.",
        "charge": "ch_1",
    }
    stripe.objects["pi_1"] = intent_body("pi_1", last_payment_error=failure)
    first = (await gateway.read_intent("pi_1")).fact
    stripe.objects["pi_1"] = intent_body("pi_1", last_payment_error={**failure, "charge": "ch_2"})
    second = (await gateway.read_intent("pi_1")).fact
    assert first.signal is PaymentSignal.ATTEMPT_FAILED
    assert first.failure == PaymentFailure(
        code="card_declined",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
    )
    assert first.id != second.id


@pytest.mark.parametrize("field", ["code", "decline_code"])
async def test_a_bank_that_asks_for_the_customer_has_not_declined(
    gateway: StripeGateway, stripe: FakeStripe, field: str
) -> None:
    """The customer can still pay with the same intent, once they are there."""
    failure = {"type": "card_error", "code": "card_declined", field: "authentication_required"}
    stripe.objects["pi_1"] = intent_body("pi_1", last_payment_error=failure)
    fact = (await gateway.read_intent("pi_1")).fact
    assert fact.signal is PaymentSignal.AUTHENTICATION_REQUIRED
    assert fact.failure


@pytest.mark.parametrize(
    "fields",
    [{"status": "requires_magic"}, {"client_secret": None}, {"created": "now"}, {"id": None}],
    ids=str,
)
async def test_an_answer_that_can_not_be_read_is_an_unknown_outcome(
    gateway: StripeGateway, stripe: FakeStripe, fields: dict[str, object]
) -> None:
    """Stripe did something, and we can't tell what: never a failure, and an error in the log."""
    stripe.script = [Reply(status=200, body=intent_body("pi_1", **fields))]
    with capture_logs() as logs:
        error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert "error" in {entry["log_level"] for entry in logs}


async def test_the_sdk_logs_no_answer(
    gateway: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its finest level, no client secret is written."""
    caplog.set_level(logging.DEBUG)
    await gateway.create_intent(REQUEST)
    assert "hush" not in caplog.text


async def test_nothing_is_reported_about_this_machine(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """The SDK's telemetry is off."""
    await gateway.create_intent(REQUEST)
    await gateway.create_intent(REQUEST)
    for sent in stripe.received:
        assert "X-Stripe-Client-Telemetry" not in sent.headers
        assert "telemetry_id" not in sent.headers["X-Stripe-Client-User-Agent"]
        assert "platform" not in sent.headers["X-Stripe-Client-User-Agent"]


async def test_calls_run_side_by_side(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Twenty calls at once, each with its own key, make twenty intents."""
    requests = [replace(REQUEST, key=f"key-{number}") for number in range(20)]
    answers = await asyncio.gather(*(gateway.create_intent(each) for each in requests))
    assert len({answer.stripe_payment_intent_id for answer in answers}) == 20
    assert len(stripe.made) == 20
