"""The payment gateway over Stripe's official SDK.

Every write carries our own idempotency key, so it may be sent any number of times. The SDK's own
retries are off: what an answer means depends on what earlier requests with the same key may have
done, and only the loop here knows those.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, assert_never

import stripe
import structlog

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.payment import Customer, FactOrigin, PaymentFact
from boxoffice_server.ports import IntentAnswer, IntentRequest
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe import refusals
from boxoffice_server.vendors.stripe.http_client import StripeHttpClient
from boxoffice_server.vendors.stripe.json_object import JsonObject, MalformedObjectError
from boxoffice_server.vendors.stripe.refusals import Outcome
from boxoffice_server.vendors.stripe.sayings import intent_says

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on asking Stripe about one thing.

    One request is given up after `request`, and a whole call, repeats and pauses included, after
    `call`: shorter than the lease of an operation. There are as many repeats as `pauses`; each
    pause is cut by a random part of up to a half, so that many callers don't come back at once.
    """

    request: timedelta = timedelta(seconds=10)
    call: timedelta = timedelta(seconds=20)
    pauses: tuple[timedelta, ...] = (
        timedelta(seconds=0.5),
        timedelta(seconds=1),
        timedelta(seconds=2),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One thing to ask: under which name it is logged, what it is about, and how it is sent."""

    name: str
    about: Mapping[str, str]
    writes: bool
    send: Callable[[], Awaitable[stripe.StripeObject]]


class StripeGateway:
    """Moves money through Stripe. Its session opens at the first call and ends with `close`."""

    def __init__(self, *, api_key: str, api_base: str, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        # The SDK would write an id file into the home folder and report how fast each request was.
        stripe.enable_telemetry = False
        # On its finer levels the SDK logs the bodies of answers, client secrets among them.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._http = StripeHttpClient(timeout_seconds=self._patience.request.total_seconds())
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            http_client=self._http,
            max_network_retries=0,
        )
        self._log = structlog.get_logger(part="stripe")

    async def create_customer(self, customer: Customer) -> str:
        call = _Call(
            name="create_customer",
            about={"customer_id": customer.id},
            writes=True,
            send=lambda: self._client.v1.customers.create_async(
                params={
                    "metadata": {keys.USER_ID: customer.user_id, keys.CUSTOMER_ID: customer.id}
                },
                options={"idempotency_key": f"create-{customer.id}"},
            ),
        )
        return await self._ask(call, lambda answer: answer.identifier("id"))

    async def create_intent(self, request: IntentRequest) -> IntentAnswer:
        payment = request.payment
        call = _Call(
            name="create_intent",
            about={"payment_id": payment.id},
            writes=True,
            send=lambda: self._client.v1.payment_intents.create_async(
                params={
                    "amount": payment.amount.amount,
                    "currency": payment.amount.currency,
                    "customer": request.stripe_customer_id,
                    "payment_method_types": [payment.method_type.value],
                    "metadata": {
                        keys.ORDER_ID: payment.order_id,
                        keys.PAYMENT_ID: payment.id,
                        keys.USER_ID: payment.user_id,
                    },
                },
                options={"idempotency_key": payment.vendor_idempotency_key},
            ),
        )
        return await self._ask(call, _intent_answer)

    async def read_intent(self, stripe_payment_intent_id: str) -> IntentAnswer:
        call = _Call(
            name="read_intent",
            about={"stripe_payment_intent_id": stripe_payment_intent_id},
            writes=False,
            send=lambda: self._client.v1.payment_intents.retrieve_async(stripe_payment_intent_id),
        )
        return await self._ask(call, _intent_answer)

    async def close(self) -> None:
        """Close the connections. No call may be running."""
        await self._http.close_session()

    async def _ask(self, call: _Call, read: Callable[[JsonObject], T]) -> T:
        try:
            async with asyncio.timeout(self._patience.call.total_seconds()):
                answer = await self._send(call)
        except TimeoutError:
            self._log.warning("stripe did not answer in time", call=call.name, **call.about)
            raise _undecided(call) from None
        request_id = answer.last_response.request_id if answer.last_response else None
        log = self._log.bind(call=call.name, vendor_request_id=request_id, **call.about)
        try:
            told = read(JsonObject(answer.to_dict()))
        except MalformedObjectError as error:
            log.exception("stripe's answer can't be read")
            raise _undecided(call) from error
        log.info("stripe answered")
        return told

    async def _send(self, call: _Call) -> stripe.StripeObject:
        """Send until Stripe's answer settles what happened, or patience ends."""
        repeated = False
        for pause in (*self._patience.pauses, None):
            try:
                return await call.send()
            except stripe.StripeError as error:
                # Raised after this block, so that it does not carry Stripe's exception along.
                refusal = self._judge(call, error, repeated=repeated, last=pause is None)
            if refusal is not None:
                raise refusal
            repeated = True
            if pause is not None:
                part = random.uniform(0.5, 1)  # noqa: S311 -- spreads load, guards nothing
                await asyncio.sleep(pause.total_seconds() * part)
        raise AssertionError("the last request is always judged")

    def _judge(
        self, call: _Call, error: stripe.StripeError, *, repeated: bool, last: bool
    ) -> BoxofficeError | None:
        """Tell how the caller is refused; None to send the request again."""
        outcome = refusals.outcome_of(error)
        if call.writes and repeated and not refusals.is_final(error):
            # An earlier request may have done what this one did not.
            outcome = Outcome.UNKNOWN if outcome is not Outcome.KEY_REUSED else outcome
        self._tell(call, error, outcome)
        match outcome:
            case Outcome.REFUSED:
                return refusals.refused(error, call.about)
            case Outcome.NOT_DONE:
                return refusals.not_done(error, call.about)
            case Outcome.SETTLED_UNKNOWN:
                return _undecided(call, error)
            case Outcome.UNKNOWN:
                return _undecided(call, error) if last else None
            case Outcome.KEY_REUSED:
                return refusals.key_reused(error, call.about)
            case _:
                assert_never(outcome)

    def _tell(self, call: _Call, error: stripe.StripeError, outcome: Outcome) -> None:
        ours = isinstance(error, stripe.AuthenticationError | stripe.IdempotencyError)
        self._log.log(
            logging.ERROR if ours else logging.WARNING,
            "stripe refused the api key"
            if isinstance(error, stripe.AuthenticationError)
            else "stripe call failed",
            call=call.name,
            outcome=outcome,
            http_status=error.http_status,
            vendor_code=error.code,
            vendor_request_id=error.request_id,
            fault=refusals.without_secrets(error.user_message or ""),
            **call.about,
        )


def _undecided(call: _Call, error: stripe.StripeError | None = None) -> BoxofficeError:
    return (refusals.unknown if call.writes else refusals.unreadable)(call.about, error)


def _intent_answer(intent: JsonObject) -> IntentAnswer:
    """Read an intent as a fact.

    The fact's time is the intent's own beginning: an answer is never newer than a notification.
    Its id follows from all that it says, so asking again adds nothing until Stripe says more.
    """
    intent_id, status = intent.identifier("id"), intent.identifier("status")
    saying = intent_says(intent)
    told = [intent_id, status]
    if saying.failure:
        charge = intent.child("last_payment_error").reference("charge")
        told += [charge, saying.failure.code, saying.failure.decline_code]
    return IntentAnswer(
        stripe_payment_intent_id=intent_id,
        client_secret=intent.identifier("client_secret"),
        fact=PaymentFact(
            id=":".join(told),
            origin=FactOrigin.ANSWER,
            type="payment_intent",
            resource_type="payment_intent",
            resource_id=intent_id,
            event_time=intent.time("created"),
            signal=saying.signal,
            failure=saying.failure,
        ),
    )
