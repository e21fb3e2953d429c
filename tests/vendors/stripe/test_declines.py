"""Errors of Stripe's that are answers: what a decline leaves behind, and what is done already."""

import json

import pytest
from structlog.testing import capture_logs

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.payment import FactOrigin, PaymentSignal
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from tests.vendors.stripe.calls import AWAY, CHARGE, DECLINED, MADE, NOW, refusal
from tests.vendors.stripe.fake_stripe import FakeStripe, Fault, Reply, intent_body, stripe_error

DECLINE: dict[str, object] = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "lost_card",
    "message": "Your card was declined.",
    "charge": "ch_1",
}
AUTHENTICATION = DECLINE | {
    "code": "authentication_required",
    "decline_code": "authentication_required",
}


def declined(error: dict[str, object]) -> Reply:
    """Make the answer to an intent that was confirmed and declined."""
    intent = intent_body("pi_7", last_payment_error=error, latest_charge="ch_1")
    return Reply(
        status=402,
        body={"error": error | {"payment_intent": intent}},
        headers={"Request-Id": "req_declined"},
    )


def unexpected_state(intent: object) -> Reply:
    """Make the answer to what can't be done to an intent in its state."""
    return Reply(
        status=400,
        body=stripe_error(
            "invalid_request_error",
            "This PaymentIntent could not be changed because of its status.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        ),
    )


@pytest.mark.parametrize(
    ("error", "signal"),
    [
        (DECLINE, PaymentSignal.ATTEMPT_FAILED),
        (AUTHENTICATION, PaymentSignal.AUTHENTICATION_REQUIRED),
    ],
    ids=["declined", "authentication required"],
)
@pytest.mark.parametrize("before", [[], [Fault.RESET_AFTER], [Fault.TRUNCATED]], ids=str)
async def test_a_decline_is_an_answer(
    gateway: StripeGateway,
    stripe: FakeStripe,
    error: dict[str, object],
    signal: PaymentSignal,
    before: list[Fault],
) -> None:
    """The intent is there, and says why; also when a repeat is what found out."""
    stripe.script = [*before, declined(error)]
    with capture_logs() as logs:
        answer = await gateway.create_intent(AWAY)
    assert answer.stripe_payment_intent_id == "pi_7"
    assert answer.client_secret == "pi_7_secret_hush"
    assert answer.stripe_charge_id == "ch_1"
    assert (answer.fact.signal, answer.fact.origin) == (signal, FactOrigin.ANSWER)
    assert answer.fact.failure
    assert answer.fact.failure.code == error["code"]
    assert logs[-1]["vendor_request_id"] == "req_declined"
    assert "hush" not in json.dumps(logs, default=str)


async def test_a_decline_is_the_same_fact_as_the_intent_that_is_read(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Whoever asks again learns nothing new."""
    stripe.script = [declined(DECLINE)]
    stripe.objects["pi_7"] = intent_body("pi_7", last_payment_error=DECLINE, latest_charge="ch_1")
    assert await gateway.create_intent(AWAY) == await gateway.read_intent("pi_7")


@pytest.mark.parametrize(
    "step",
    [DECLINED, Reply(status=402, body=stripe_error("card_error", "No.", payment_intent="pi_1"))],
    ids=["no intent", "only its id"],
)
async def test_a_decline_that_leaves_nothing_to_read_is_a_refusal(
    gateway: StripeGateway, stripe: FakeStripe, step: Reply
) -> None:
    """Nothing is guessed about an intent that is not in the answer."""
    stripe.script = [step]
    assert (await refusal(gateway.create_intent(AWAY))).reason is Reason.VENDOR_REFUSED


async def test_an_unreadable_intent_in_a_decline_is_an_unknown_outcome(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Stripe did something, and we can't tell what."""
    intent = intent_body("pi_7", status="requires_magic")
    stripe.script = [Reply(status=402, body={"error": DECLINE | {"payment_intent": intent}})]
    assert (await refusal(gateway.create_intent(AWAY))).reason is Reason.OUTCOME_UNKNOWN


async def test_a_refused_parameter_is_no_answer(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """An intent in an error that is no decline was not made by this request."""
    stripe.script = [unexpected_state(intent_body("pi_7"))]
    assert (await refusal(gateway.create_intent(AWAY))).reason is Reason.VENDOR_REFUSED


async def test_what_is_captured_already_is_captured(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """The error says how much was taken."""
    stripe.script = [unexpected_state(intent_body("pi_1", status="succeeded", amount_received=900))]
    answer = await gateway.capture_intent(MADE, amount=1250, key="opn_1-1")
    assert (answer.fact.signal, answer.fact.amount) == (PaymentSignal.CAPTURED, 900)


async def test_what_is_cancelled_already_is_cancelled(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Whoever did it."""
    stripe.script = [unexpected_state(intent_body("pi_1", status="canceled"))]
    answer = await gateway.cancel_intent(MADE, key="opn_1-1")
    assert answer.fact.signal is PaymentSignal.CANCELLED


@pytest.mark.parametrize(
    "intent",
    [intent_body("pi_1", status="canceled"), intent_body("pi_1"), "pi_1", None, {"status": 7}],
    ids=["canceled", "requires_payment_method", "an id", "none", "no intent"],
)
async def test_a_capture_that_can_not_be_is_refused(
    gateway: StripeGateway, stripe: FakeStripe, intent: object
) -> None:
    """Unless the error shows that the money is taken, Stripe has said no."""
    stripe.script = [unexpected_state(intent)]
    error = await refusal(gateway.capture_intent(MADE, amount=1250, key="opn_1-1"))
    assert error.reason is Reason.VENDOR_REFUSED
    assert error.metadata["vendor_code"] == "payment_intent_unexpected_state"


async def test_a_paid_intent_is_not_cancelled(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Money that was taken is given back, not cancelled."""
    stripe.script = [unexpected_state(intent_body("pi_1", status="succeeded"))]
    error = await refusal(gateway.cancel_intent(MADE, key="opn_1-1"))
    assert error.reason is Reason.VENDOR_REFUSED


@pytest.mark.parametrize("error", [DECLINE, AUTHENTICATION], ids=["declined", "authentication"])
async def test_a_declined_charge_is_an_answer(
    gateway: StripeGateway, stripe: FakeStripe, error: dict[str, object]
) -> None:
    """The charge's id and why it failed stand in the error; when, only the payment bounds.

    There is nothing at which a customer could authenticate a legacy charge: that is a decline too.
    """
    stripe.script = [Reply(status=402, body={"error": error})]
    answer = await gateway.create_charge(CHARGE)
    assert answer.stripe_charge_id == answer.fact.resource_id == "ch_1"
    assert answer.fact.signal is PaymentSignal.ATTEMPT_FAILED
    assert answer.fact.failure
    assert answer.fact.failure.code == error["code"]
    assert answer.fact.event_time == NOW
    assert len(stripe.received) == 1


async def test_a_charge_that_was_never_tried_is_refused(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """No charge is left behind, so there is nothing to say about one."""
    stripe.script = [Reply(status=402, body=stripe_error("card_error", "No card", code="missing"))]
    error = await refusal(gateway.create_charge(CHARGE))
    assert error.reason is Reason.VENDOR_REFUSED
    assert error.metadata["vendor_code"] == "missing"
