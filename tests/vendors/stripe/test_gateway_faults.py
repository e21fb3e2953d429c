"""What the gateway makes of refusals, faults of the line and answers that never came."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
import stripe as sdk
from structlog.testing import capture_logs

from boxoffice_server.domain.errors import Reason
from boxoffice_server.operations.engine import MOST_AT_WORK, MOST_LEFT
from boxoffice_server.ports import KeySpentError
from boxoffice_server.vendors.stripe.client import StripeConnection
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from tests.support.processes import free_address
from tests.support.stores import until
from tests.vendors.stripe.calls import (
    AT_ONCE,
    ATTEMPTS,
    DECLINED,
    FORBIDDEN,
    IN_FLIGHT,
    KEY,
    REQUEST,
    SERVER_ERROR,
    SERVER_ERROR_AFTER_WORK,
    TOO_MANY,
    TOO_SMALL,
    WRONG_KEY,
    refusal,
)
from tests.vendors.stripe.fake_stripe import (
    FakeStripe,
    Fault,
    Reply,
    stripe_error,
)


@pytest.mark.parametrize(
    "step",
    [
        SERVER_ERROR,
        SERVER_ERROR_AFTER_WORK,
        IN_FLIGHT,
        Fault.RESET_BEFORE,
        Fault.RESET_AFTER,
        Fault.TRUNCATED,
        Reply(status=502, body="<html>Bad gateway</html>"),
        Reply(status=503, body={"error": "upstream"}),
        Reply(status=200, body='{"id": "pi_1", "client_sec'),
        Reply(status=200, body=["pi_1"]),
    ],
    ids=str,
)
async def test_an_unknown_outcome_is_asked_again_under_the_same_key(
    gateway: StripeGateway, stripe: FakeStripe, step: Fault | Reply
) -> None:
    """One fault, then an answer: two requests that are alike to the byte, one intent."""
    stripe.script = [step]
    answer = await gateway.create_intent(REQUEST)
    first, second = stripe.received
    assert answer.stripe_payment_intent_id == "pi_1"
    assert (first.key, first.form) == (second.key, second.form)
    assert len(stripe.made) == 1


@pytest.mark.parametrize(
    ("step", "made"),
    [
        (SERVER_ERROR, 0),
        (SERVER_ERROR_AFTER_WORK, 1),
        (IN_FLIGHT, 0),
        (Fault.RESET_BEFORE, 0),
        (Fault.RESET_AFTER, 1),
        (Fault.TRUNCATED, 1),
    ],
    ids=str,
)
async def test_an_outcome_that_stays_unknown_is_never_called_a_failure(
    gateway: StripeGateway, stripe: FakeStripe, step: Fault | Reply, made: int
) -> None:
    """The repeats are few; then the caller hears OUTCOME_UNKNOWN and when to ask again."""
    stripe.script = [step] * ATTEMPTS
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert error.metadata["payment_id"] == "pay_1"
    assert error.retry_after
    assert len(stripe.received) == ATTEMPTS
    assert {sent.key for sent in stripe.received} == {"pay_1-1"}
    assert len(stripe.made) == made


async def test_a_late_answer_is_asked_for_again(stripe: FakeStripe) -> None:
    """One request is bounded, and the repeat under the same key gets what the first one made."""
    patience = replace(AT_ONCE, request=timedelta(seconds=1))
    connection = StripeConnection(api_key=KEY, api_base=stripe.address, patience=patience)
    gateway = StripeGateway(connection)
    stripe.script = [Fault.LATE]
    answer = await gateway.create_intent(REQUEST)
    await connection.close()
    assert answer.stripe_payment_intent_id == "pi_1"
    assert [sent.key for sent in stripe.received] == ["pay_1-1", "pay_1-1"]
    assert len(stripe.made) == 1


async def test_requests_do_not_wait_for_each_other(stripe: FakeStripe) -> None:
    """Their time is counted as Stripe's, and one that was never sent must not end as unknown."""
    most = MOST_AT_WORK + MOST_LEFT
    patience = replace(AT_ONCE, request=timedelta(seconds=60), call=timedelta(seconds=60))
    connection = StripeConnection(api_key=KEY, api_base=stripe.address, patience=patience)
    gateway = StripeGateway(connection)
    stripe.script = [Fault.LATE] * most
    asking = [asyncio.create_task(gateway.create_intent(REQUEST)) for _ in range(most)]

    async def all_are_there() -> bool:
        return len(stripe.received) == most

    await until(all_are_there)
    stripe.answer_late_ones()
    answers = await asyncio.gather(*asking)
    await connection.close()
    assert {answer.stripe_payment_intent_id for answer in answers} == {"pi_1"}


async def test_an_answer_that_is_always_late_is_an_unknown_outcome(stripe: FakeStripe) -> None:
    """The intent is there, and nobody has told us."""
    patience = replace(AT_ONCE, request=timedelta(seconds=0.2))
    connection = StripeConnection(api_key=KEY, api_base=stripe.address, patience=patience)
    gateway = StripeGateway(connection)
    stripe.script = [Fault.LATE] * ATTEMPTS
    error = await refusal(gateway.create_intent(REQUEST))
    await connection.close()
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert len(stripe.received) == ATTEMPTS
    assert len(stripe.made) == 1


@pytest.mark.parametrize("header", ["Stripe-Should-Retry", "Idempotent-Replayed"])
async def test_a_stored_server_error_spends_the_key(
    gateway: StripeGateway, stripe: FakeStripe, header: str
) -> None:
    """Stripe replays a stored 500 for ever, so what happened is found out by reading."""
    value = "false" if header == "Stripe-Should-Retry" else "true"
    stripe.script = [Fault.RESET_AFTER, replace(SERVER_ERROR, headers={header: value})]
    error = await refusal(gateway.create_intent(REQUEST))
    assert isinstance(error, KeySpentError)
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert error.metadata["payment_id"] == "pay_1"
    assert error.retry_after
    assert len(stripe.received) == 2


async def test_a_request_in_flight_spends_no_key(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Whatever Stripe says of repeats: under another key the work would be done twice."""
    stripe.script = [replace(IN_FLIGHT, headers={"Stripe-Should-Retry": "false"})] * ATTEMPTS
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert not isinstance(error, KeySpentError)
    assert len(stripe.received) == ATTEMPTS


async def test_a_read_spends_no_key(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """There is none to spend."""
    stripe.script = [replace(SERVER_ERROR, headers={"Stripe-Should-Retry": "false"})]
    error = await refusal(gateway.read_intent("pi_1"))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert len(stripe.received) == 1


async def test_a_call_ends_when_its_time_is_over(stripe: FakeStripe) -> None:
    """The whole call is bounded, whatever one request may take."""
    patience = replace(AT_ONCE, request=timedelta(seconds=30), call=timedelta(seconds=0.2))
    connection = StripeConnection(api_key=KEY, api_base=stripe.address, patience=patience)
    gateway = StripeGateway(connection)
    stripe.script = [Fault.LATE]
    error = await refusal(gateway.create_intent(REQUEST))
    await connection.close()
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert len(stripe.received) == 1


async def test_a_cancelled_caller_ends_the_call(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Cancellation passes through: shielding is the business of whoever owns the task."""
    stripe.script = [Fault.LATE]
    call = asyncio.create_task(gateway.create_intent(REQUEST))
    await asyncio.wait_for(stripe.arrived.wait(), 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            TOO_SMALL,
            {
                "vendor_code": "amount_too_small",
                "vendor_param": "amount",
                "vendor_request_id": "req_small",
            },
        ),
        (DECLINED, {"vendor_code": "card_declined", "vendor_decline_code": "lost_card"}),
        (FORBIDDEN, {"vendor_code": "invalid_request_error"}),
    ],
    ids=["400", "402", "403"],
)
async def test_a_refusal_is_told_in_stripes_words(
    gateway: StripeGateway, stripe: FakeStripe, step: Reply, told: dict[str, str]
) -> None:
    """What Stripe refuses for good is asked once, and its code and message are passed on."""
    stripe.script = [step]
    error = await refusal(gateway.create_intent(REQUEST))
    assert isinstance(step.body, dict)
    assert error.reason is Reason.VENDOR_REFUSED
    assert error.message == f"Stripe refused: {step.body['error']['message']}"
    assert error.metadata == {"payment_id": "pay_1", **told}
    assert len(stripe.received) == 1


async def test_an_intent_that_stripe_does_not_know_is_refused(gateway: StripeGateway) -> None:
    """A 404 is an answer."""
    error = await refusal(gateway.read_intent("pi_none"))
    assert error.reason is Reason.VENDOR_REFUSED
    assert error.metadata["vendor_request_id"] == "req_missing"
    assert error.metadata["stripe_payment_intent_id"] == "pi_none"


async def test_too_many_requests_did_nothing(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """A 429 is told at once, with the time that Stripe asks for."""
    stripe.script = [TOO_MANY]
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert error.retry_after == timedelta(seconds=7)
    assert len(stripe.received) == 1


@pytest.mark.parametrize("header", ["-1", "soon", "1e9", "٣", "9" * 5000, "0", "90"])
async def test_a_strange_retry_after_is_kept_in_bounds(
    gateway: StripeGateway, stripe: FakeStripe, header: str
) -> None:
    """Whatever the header says, the caller is told to wait between a second and a minute."""
    stripe.script = [replace(TOO_MANY, headers={"Retry-After": header})]
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.retry_after is not None
    assert timedelta(seconds=1) <= error.retry_after <= timedelta(seconds=60)


async def test_a_refused_connection_did_nothing() -> None:
    """Nobody listens, so nothing was sent."""
    address = f"http://{free_address()}"
    connection = StripeConnection(api_key=KEY, api_base=address, patience=AT_ONCE)
    error = await refusal(StripeGateway(connection).create_intent(REQUEST))
    await connection.close()
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert error.retry_after


async def test_a_wrong_key_raises_an_alarm(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """A 401 is our own fault: the caller may come back, and the log shows an error."""
    stripe.script = [WRONG_KEY]
    with capture_logs() as logs:
        error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert error.retry_after
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert KEY not in str(logs)


@pytest.mark.parametrize("second", [TOO_MANY, WRONG_KEY, FORBIDDEN], ids=["429", "401", "403"])
async def test_an_answer_given_before_the_key_is_looked_at_settles_nothing(
    gateway: StripeGateway, stripe: FakeStripe, second: Reply
) -> None:
    """After a request that may have done its work, such an answer leaves the outcome unknown."""
    stripe.script = [Fault.RESET_AFTER, *[second] * (ATTEMPTS - 1)]
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert len(stripe.made) == 1


@pytest.mark.parametrize("second", [TOO_SMALL, DECLINED], ids=["400", "402"])
async def test_an_answer_under_the_key_settles_what_came_before(
    gateway: StripeGateway, stripe: FakeStripe, second: Reply
) -> None:
    """A repeat that Stripe refuses says that the first request did nothing either."""
    stripe.script = [Fault.RESET_BEFORE, second]
    error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.VENDOR_REFUSED


async def test_a_key_used_for_another_request_is_our_own_fault(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Stripe tells two requests under one key apart; that is an error of ours, not the caller's."""
    fault = stripe_error("idempotency_error", "Keys for idempotent requests can only be used with")
    stripe.script = [Reply(status=400, body=fault)]
    with capture_logs() as logs:
        error = await refusal(gateway.create_intent(REQUEST))
    assert error.reason is Reason.INTERNAL
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_read_that_fails_leaves_nothing_unknown(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Reading changes nothing at Stripe, so the caller is only told to come back."""
    stripe.script = [SERVER_ERROR] * ATTEMPTS
    error = await refusal(gateway.read_intent("pi_1"))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert len(stripe.received) == ATTEMPTS


@pytest.mark.parametrize(
    "step",
    [
        TOO_SMALL,
        WRONG_KEY,
        TOO_MANY,
        replace(SERVER_ERROR, headers={"Stripe-Should-Retry": "false"}),
    ],
)
async def test_no_exception_of_the_sdks_leaves_the_gateway(
    gateway: StripeGateway, stripe: FakeStripe, step: Reply
) -> None:
    """Not even as the cause: its text is Stripe's answer, which a traceback would print."""
    stripe.script = [step]
    error: BaseException | None = await refusal(gateway.create_intent(REQUEST))
    while error is not None:
        assert not isinstance(error, sdk.StripeError)
        error = error.__cause__ or error.__context__


async def test_what_looks_like_a_secret_is_blotted_out(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Stripe's words are passed on without keys and client secrets."""
    message = "No such thing: sk_live_51abc, rk_test_9, whsec_x1, pi_1_secret_hush, whatever"
    body = stripe_error("invalid_request_error", message, param="sk_test_4eC39")
    stripe.script = [Reply(status=400, body=body)]
    with capture_logs() as logs:
        error = await refusal(gateway.create_intent(REQUEST))
    told = json.dumps([error.message, error.metadata, logs], default=str)
    for secret in ("51abc", "rk_test_9", "whsec_x1", "hush", "4eC39"):
        assert secret not in told
    assert "whatever" in error.message
