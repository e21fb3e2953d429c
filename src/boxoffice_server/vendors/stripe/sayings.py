"""What Stripe's objects and events say about a payment, in the words of the domain.

The meaning of each event type is Stripe's own: https://docs.stripe.com/api/events/types.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from boxoffice_server.domain.payment import PaymentFailure, PaymentSignal
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What one object says, why an attempt failed, and how much is held or was taken."""

    signal: PaymentSignal
    failure: PaymentFailure | None = None
    amount: int | None = None


# Both a code and a decline code (https://docs.stripe.com/declines/codes).
_AUTHENTICATION_REQUIRED = "authentication_required"


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
    match signal:
        case PaymentSignal.REQUIRES_PAYMENT_METHOD:
            failure = _intent_failure(intent)
            return Saying(signal=signal) if failure is None else _failed(failure)
        case PaymentSignal.AUTHORISED:
            return Saying(signal=signal, amount=intent.count("amount_capturable"))
        case PaymentSignal.CAPTURED:
            return _intent_succeeded(intent)
        case _:
            return Saying(signal=signal)


def _failed(failure: PaymentFailure | None) -> Saying:
    """Say that an attempt failed; a bank that asks for the customer has not declined.

    https://docs.stripe.com/payments/save-during-payment#web-handle-failed-off-session
    """
    signal = PaymentSignal.ATTEMPT_FAILED
    if failure and _AUTHENTICATION_REQUIRED in (failure.code, failure.decline_code):
        signal = PaymentSignal.AUTHENTICATION_REQUIRED
    return Saying(signal=signal, failure=failure)


def read_failure(error: JsonObject) -> PaymentFailure:
    """Read why an attempt failed from what Stripe calls an error."""
    return PaymentFailure(
        code=error.text("code"),
        decline_code=error.text("decline_code"),
        message=error.text("message"),
    )


def _intent_failure(intent: JsonObject) -> PaymentFailure | None:
    error = intent.child("last_payment_error")
    return read_failure(error) if error.fields else None


def _intent_succeeded(intent: JsonObject) -> Saying:
    return Saying(signal=PaymentSignal.CAPTURED, amount=intent.count("amount_received"))


def _intent_failed(intent: JsonObject) -> Saying:
    return _failed(_intent_failure(intent))


def _intent_capturable(intent: JsonObject) -> Saying:
    """Say that money is held, which it is only while there is some left to capture.

    https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
    """
    held = intent.integer("amount_capturable")
    if held > 0:
        return Saying(signal=PaymentSignal.AUTHORISED, amount=held)
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
    if not charge.flag("captured"):
        return Saying(signal=PaymentSignal.AUTHORISED, amount=charge.count("amount"))
    return _charge_captured(charge)


def _charge_captured(charge: JsonObject) -> Saying:
    return Saying(signal=PaymentSignal.CAPTURED, amount=charge.count("amount_captured"))


def _charge_failed(charge: JsonObject) -> Saying:
    """Say that an attempt failed, whether an intent's or a legacy charge.

    A charge gives the issuer's decline code as the outcome's reason; the reasons of other outcomes
    are Radar's rules (https://docs.stripe.com/declines). There is nothing at which a customer could
    authenticate a legacy charge, so for these a bank that asks for the customer has declined.
    """
    outcome = charge.child("outcome")
    declined = outcome.text("type") == "issuer_declined"
    failure = PaymentFailure(
        code=charge.text("failure_code"),
        decline_code=outcome.text("reason") if declined else "",
        message=charge.text("failure_message"),
    )
    if charge.reference("payment_intent"):
        return _failed(failure)
    return Saying(signal=PaymentSignal.ATTEMPT_FAILED, failure=failure)


def charge_says(charge: JsonObject) -> Saying:
    """Tell what a charge says by its status.

    One that was only held and is refunded has given the hold back, for good
    (https://docs.stripe.com/charges/placing-a-hold).
    """
    match charge.text("status"):
        case "pending":
            return _charge_pending(charge)
        case "failed":
            return _charge_failed(charge)
        case "succeeded" if charge.flag("refunded") and not charge.flag("captured"):
            return Saying(signal=PaymentSignal.CANCELLED)
        case "succeeded":
            return _charge_succeeded(charge)
        case _:
            raise MalformedObjectError("status is none that a charge has")


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


# Each event type that speaks of a payment, and how its object is read. The part before the dot is
# the kind of object. A Source that may be charged says nothing about money yet: charging it is ours
# to do. A new intent says where it begins, so that it is known before the answer to our call is.
# What was given back is told by the refunds themselves, and a hold that has run out by its intent,
# which is cancelled then.
EVENT_TYPES: Mapping[str, Callable[[JsonObject], Saying]] = {
    "charge.captured": _charge_captured,
    "charge.expired": _always(PaymentSignal.RECORDED),
    "charge.failed": _charge_failed,
    "charge.pending": _charge_pending,
    "charge.refunded": _always(PaymentSignal.RECORDED),
    "charge.succeeded": _charge_succeeded,
    "payment_intent.amount_capturable_updated": _intent_capturable,
    "payment_intent.canceled": _always(PaymentSignal.CANCELLED),
    "payment_intent.created": intent_says,
    "payment_intent.payment_failed": _intent_failed,
    "payment_intent.processing": _always(PaymentSignal.PROCESSING),
    "payment_intent.requires_action": _always(PaymentSignal.REQUIRES_ACTION),
    "payment_intent.succeeded": _intent_succeeded,
    "source.canceled": _source_failed,
    "source.chargeable": _always(PaymentSignal.RECORDED),
    "source.failed": _source_failed,
}
