"""What Stripe's answers say about payments, as facts.

An answer's time is the object's own beginning: an answer is never newer than a notification. A
fact's id follows from all that it says, so asking again adds nothing until Stripe says more.
"""

from datetime import UTC, datetime

from boxoffice_server.domain.payment import (
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentSignal,
)
from boxoffice_server.ports import ChargeAnswer, IntentAnswer, SourceAnswer
from boxoffice_server.vendors.json_object import JsonObject
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe.sayings import (
    Saying,
    charge_says,
    intent_says,
    read_failure,
)


def intent_answer(intent: JsonObject) -> IntentAnswer:
    """Read an intent."""
    return _intent_answer(intent, client_secret=intent.identifier("client_secret"))


def book_intent_answer(intent: JsonObject) -> IntentAnswer:
    """Read an intent of the books, which are for nobody to pay with."""
    return _intent_answer(intent, client_secret="")


def _intent_answer(intent: JsonObject, *, client_secret: str) -> IntentAnswer:
    attempt = intent.child("last_payment_error").reference("charge")
    return IntentAnswer(
        stripe_payment_intent_id=intent.identifier("id"),
        client_secret=client_secret,
        stripe_charge_id=intent.reference("latest_charge"),
        fact=_fact(
            "payment_intent",
            intent.identifier("id"),
            intent.identifier("status"),
            intent_says(intent),
            event_time=intent.time("created"),
            attempt=attempt,
        ),
    )


def charge_answer(charge: JsonObject) -> ChargeAnswer:
    """Read a legacy charge."""
    charge_id = charge.identifier("id")
    return ChargeAnswer(
        stripe_charge_id=charge_id,
        fact=_fact(
            "charge",
            charge_id,
            charge.identifier("status"),
            charge_says(charge),
            event_time=charge.time("created"),
        ),
    )


def declined_charge(fault: JsonObject, payment: Payment) -> ChargeAnswer:
    """Read an error that has left a failed charge behind.

    It does not say when; that it was not before the payment was made is all that is known.
    """
    charge_id = fault.identifier("charge")
    began = datetime.fromtimestamp(int(payment.create_time.timestamp()), UTC)
    saying = Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=read_failure(fault))
    return ChargeAnswer(
        stripe_charge_id=charge_id,
        fact=_fact("charge", charge_id, "declined", saying, event_time=began),
    )


def source_answer(source: JsonObject) -> SourceAnswer:
    """Read a Source; it need not have an amount."""
    theirs = source.child("metadata")
    return SourceAnswer(
        stripe_source_id=source.identifier("id"),
        stripe_customer_id=source.reference("customer"),
        status=source.identifier("status"),
        amount=source.money_if_any(),
        order_id=theirs.text(keys.ORDER_ID),
        user_id=theirs.text(keys.USER_ID),
    )


def _fact(
    kind: str,
    resource_id: str,
    status: str,
    saying: Saying,
    *,
    event_time: datetime,
    attempt: str = "",
) -> PaymentFact:
    told = [resource_id, status]
    if saying.failure:
        told += [attempt, saying.failure.code, saying.failure.decline_code]
    if saying.amount is not None:
        told.append(str(saying.amount))
    return PaymentFact(
        id=":".join(told),
        origin=FactOrigin.ANSWER,
        type=kind,
        resource_type=kind,
        resource_id=resource_id,
        event_time=event_time,
        signal=saying.signal,
        failure=saying.failure,
        amount=saying.amount,
    )
