"""What Stripe's objects and events say about a payment, in the words of the domain.

The meaning of each event type is Stripe's own: https://docs.stripe.com/api/events/types.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from boxoffice_server.domain.payment import PaymentFailure, PaymentSignal
from boxoffice_server.vendors.stripe.json_object import JsonObject, MalformedObjectError


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What one object says, and why an attempt failed if it says that."""

    signal: PaymentSignal
    failure: PaymentFailure | None = None


_INTENT_SIGNALS = {
    "requires_payment_method": PaymentSignal.REQUIRES_PAYMENT_METHOD,
    "requires_confirmation": PaymentSignal.REQUIRES_CONFIRMATION,
    "requires_action": PaymentSignal.REQUIRES_ACTION,
    "processing": PaymentSignal.PROCESSING,
    "requires_capture": PaymentSignal.AUTHORISED,
    "canceled": PaymentSignal.CANCELLED,
    "succeeded": PaymentSignal.CAPTURED,
}


def intent_says(intent: JsonObject) -> Saying:
    """Tell what an intent says by its status.

    An attempt that failed puts the intent back to requires_payment_method, with the failure in
    last_payment_error (https://docs.stripe.com/payments/paymentintents/lifecycle). In any other
    status that field speaks of an attempt that is over.
    """
    signal = _INTENT_SIGNALS.get(intent.text("status"))
    if signal is None:
        raise MalformedObjectError("status is none that a payment intent has")
    if signal is PaymentSignal.REQUIRES_PAYMENT_METHOD:
        failure = _intent_failure(intent)
        if failure is not None:
            return Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=failure)
    return Saying(signal=signal)


def _intent_failure(intent: JsonObject) -> PaymentFailure | None:
    error = intent.child("last_payment_error")
    if not error.fields:
        return None
    return PaymentFailure(
        code=error.text("code"),
        decline_code=error.text("decline_code"),
        message=error.text("message"),
    )


def _intent_failed(intent: JsonObject) -> Saying:
    return Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=_intent_failure(intent))


def _intent_capturable(intent: JsonObject) -> Saying:
    """Say that money is held, which it is only while there is some left to capture.

    https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
    """
    if intent.integer("amount_capturable") > 0:
        return Saying(signal=PaymentSignal.AUTHORISED)
    return Saying(signal=PaymentSignal.RECORDED)


def _charge_pending(charge: JsonObject) -> Saying:
    """Say that the money is on its way: for an intent's attempt, or for a legacy charge."""
    if charge.reference("payment_intent"):
        return Saying(signal=PaymentSignal.PROCESSING)
    return Saying(signal=PaymentSignal.LEGACY_CHARGE_PENDING)


def _charge_succeeded(charge: JsonObject) -> Saying:
    """Say that the money is taken, or only held where the charge is not captured yet.

    A charge under manual capture succeeds when it is authorised; its `captured` is false then
    (https://docs.stripe.com/api/charges/object#charge_object-captured).
    """
    captured = charge.flag("captured")
    return Saying(signal=PaymentSignal.CAPTURED if captured else PaymentSignal.AUTHORISED)


def _charge_failed(charge: JsonObject) -> Saying:
    """Say that an attempt failed, whether an intent's or a legacy charge.

    A charge gives the issuer's decline code as the outcome's reason; the reasons of other outcomes
    are Radar's rules (https://docs.stripe.com/declines).
    """
    outcome = charge.child("outcome")
    declined = outcome.text("type") == "issuer_declined"
    failure = PaymentFailure(
        code=charge.text("failure_code"),
        decline_code=outcome.text("reason") if declined else "",
        message=charge.text("failure_message"),
    )
    return Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=failure)


def _source_failed(source: JsonObject) -> Saying:
    """Say that a customer did not authorise a Source, or let it lapse: it can't be charged.

    https://docs.stripe.com/sources
    """
    reason = source.child("redirect").text("failure_reason")
    failure = PaymentFailure(code=reason, decline_code="", message="") if reason else None
    return Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=failure)


def _always(signal: PaymentSignal) -> Callable[[JsonObject], Saying]:
    def says(_object: JsonObject) -> Saying:
        return Saying(signal=signal)

    return says


# Each event type that is understood, and how its object is read. The part before the dot is the
# kind of object. A Source that may be charged says nothing about money yet: charging it is ours
# to do. A new intent says where it begins, so that it is known before the answer to our call is.
EVENT_TYPES: Mapping[str, Callable[[JsonObject], Saying]] = {
    "charge.failed": _charge_failed,
    "charge.pending": _charge_pending,
    "charge.succeeded": _charge_succeeded,
    "payment_intent.amount_capturable_updated": _intent_capturable,
    "payment_intent.canceled": _always(PaymentSignal.CANCELLED),
    "payment_intent.created": intent_says,
    "payment_intent.payment_failed": _intent_failed,
    "payment_intent.processing": _always(PaymentSignal.PROCESSING),
    "payment_intent.requires_action": _always(PaymentSignal.REQUIRES_ACTION),
    "payment_intent.succeeded": _always(PaymentSignal.CAPTURED),
    "source.canceled": _source_failed,
    "source.chargeable": _always(PaymentSignal.RECORDED),
    "source.failed": _source_failed,
}
