"""Stripe's notifications: who sent them, when, and what they say (https://docs.stripe.com/webhooks).

The signature covers the raw bytes, so nothing is parsed before it holds.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from stripe import SignatureVerificationError, WebhookSignature

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import (
    Notification,
    PaymentTidings,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.payment import FactOrigin, PaymentFact, PaymentSignal
from boxoffice_server.domain.payment_method import MethodNews
from boxoffice_server.domain.refund import DisputeNews, RefundNews
from boxoffice_server.vendors.json_object import (
    JsonObject,
    MalformedObjectError,
    parse_object,
)
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe.news import (
    detached_news,
    dispute_news,
    gives_money_back,
    method_news,
    refund_news,
    setup_news,
)
from boxoffice_server.vendors.stripe.sayings import EVENT_TYPES, Saying

SIGNATURE_HEADER: Final = "stripe-signature"
TOLERANCE_SECONDS: Final = 300
CLOCK_ADVANCED: Final = "boxoffice.sandbox.clock_advanced"

# Far beyond any sandbox story, and small enough for a timedelta and every time that follows.
_MOST_OFFSET_SECONDS = 100 * 366 * 86_400

# Events hold client secrets, which finish a payment; what is kept of an event has none.
_CLIENT_SECRET: Final = re.compile(rb"_secret_[A-Za-z0-9]{16,}")

_Notification = VerifiedNotification | Notification


class StripeNotificationSource:
    """Verifies and reads Stripe's notifications. Holds the secrets and nothing else.

    Several secrets are valid side by side while one is rolled. `livemode` is the mode of our key.
    `sandbox` says that the key is a sandbox's, so that its clock moves ours.
    """

    def __init__(self, *, secrets: Sequence[str], livemode: bool, sandbox: bool) -> None:
        if not secrets or not all(secrets):
            raise ValueError("at least one webhook secret is needed, and none may be empty")
        self._secrets = tuple(secrets)
        self._livemode = livemode
        self._sandbox = sandbox

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> VerifiedNotification:
        signed_at = self._check_signature(headers, body)
        # Whole seconds, as the signature counts them.
        if abs(int(now.timestamp()) - signed_at) > TOLERANCE_SECONDS:
            raise BoxofficeError(
                Reason.TIMESTAMP_OUT_OF_TOLERANCE,
                f"the notification was signed more than {TOLERANCE_SECONDS} s before or after now",
                metadata={"tolerance_seconds": str(TOLERANCE_SECONDS)},
            )
        try:
            event = parse_object(body)
            livemode = event.flag("livemode")
            verified = read_event(event, body)
        except MalformedObjectError as error:
            raise _malformed(str(error)) from error
        if livemode is not self._livemode:
            theirs, ours = _mode(live=livemode), _mode(live=self._livemode)
            raise BoxofficeError(
                Reason.LIVEMODE_MISMATCH,
                f"the notification is from Stripe's {theirs} mode and the service in {ours} mode",
                metadata={"notification_mode": theirs, "service_mode": ours},
            )
        return verified

    def tidings(self, notification: VerifiedNotification | Notification) -> Tidings | None:
        read = _READERS.get(notification.type)
        if read is None:
            return None
        try:
            return read(notification, parse_object(notification.body).child("data"))
        except MalformedObjectError as error:
            raise _malformed(str(error)) from error

    def clock_offset(self, notification: VerifiedNotification) -> int | None:
        if not self._sandbox or notification.type != CLOCK_ADVANCED:
            return None
        try:
            data = parse_object(notification.body).child("data")
            offset = _told(data, "clock").integer("offset_seconds")
        except MalformedObjectError as error:
            raise _malformed(str(error)) from error
        if offset > _MOST_OFFSET_SECONDS:
            raise _malformed("offset_seconds is out of range")
        return offset

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> int:
        """Tell when the body was signed, in seconds since 1970, if it was signed by Stripe.

        The SDK decodes the body and compares texts, both of which raise for anything but UTF-8
        and ASCII; neither is ever signed by Stripe.
        """
        header = next(
            (value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER), ""
        )
        try:
            payload = body.decode()
        except UnicodeDecodeError as error:
            raise _wrong_signature("the body is no UTF-8") from error
        if not header:
            raise _wrong_signature("the Stripe-Signature header is missing")
        if not header.isascii():
            raise _wrong_signature("the Stripe-Signature header is no ASCII")
        if not any(_signed_with(secret, payload, header) for secret in self._secrets):
            raise _wrong_signature("the Stripe-Signature header does not fit the body")
        return _timestamp(header)


def _signed_with(secret: str, payload: str, header: str) -> bool:
    try:
        WebhookSignature.verify_header(payload, header, secret, tolerance=None)
    except SignatureVerificationError:
        return False
    return True


def _timestamp(header: str) -> int:
    """Read the time that the signature covers: the first one, as the SDK does."""
    items = (item.split("=", 2) for item in header.split(","))
    return next(int(item[1]) for item in items if item[0] == "t")


def read_event(event: JsonObject, body: bytes) -> VerifiedNotification:
    """Read what is kept of an event that is known to be Stripe's."""
    if event.text("object") != "event":
        raise MalformedObjectError("object is no event")
    data = event.child("data")
    if not isinstance(data.fields.get("object"), dict):
        raise MalformedObjectError("data.object is no object")
    told = data.child("object")
    return VerifiedNotification(
        source=Source.STRIPE,
        vendor_event_id=event.identifier("id"),
        type=event.identifier("type"),
        # A few objects, such as a balance, have no id.
        resource_id=told.identifier("id") if "id" in told.fields else "",
        event_time=event.time("created"),
        body=_CLIENT_SECRET.sub(b"_secret_redacted", body),
    )


def _told(data: JsonObject, kind: str) -> JsonObject:
    """Read the object that an event tells of, which must be of this kind."""
    told = data.child("object")
    if told.text("object") != kind:
        raise MalformedObjectError(f"data.object is no {kind}")
    return told


def _payment(notification: _Notification, data: JsonObject) -> PaymentTidings:
    kind = notification.type.partition(".")[0]
    told = _told(data, kind)
    return _tidings(notification, kind, told, EVENT_TYPES[notification.type](told))


def _refund(notification: _Notification, data: JsonObject) -> RefundNews | PaymentTidings:
    refund = _told(data, "refund")
    if gives_money_back(refund):
        return refund_news(refund, notification.event_time)
    return _tidings(notification, "refund", refund, Saying(signal=PaymentSignal.RECORDED))


def _dispute(notification: _Notification, data: JsonObject) -> DisputeNews:
    return dispute_news(_told(data, "dispute"), notification.event_time)


def _method(notification: _Notification, data: JsonObject) -> MethodNews:
    return method_news(_told(data, "payment_method"), notification.event_time)


def _detached_method(notification: _Notification, data: JsonObject) -> MethodNews:
    """Read a detached method, whose customer stands only in what has changed about it.

    https://docs.stripe.com/api/events/object#event_object-data-previous_attributes
    """
    return detached_news(
        _told(data, "payment_method"),
        notification.event_time,
        stripe_customer_id=data.child("previous_attributes").reference("customer"),
    )


def _setup(notification: _Notification, data: JsonObject) -> MethodNews | None:
    return setup_news(_told(data, "setup_intent"), notification.event_time)


_READERS: Final[Mapping[str, Callable[[_Notification, JsonObject], Tidings | None]]] = {
    **dict.fromkeys(EVENT_TYPES, _payment),
    # A refund of a charge was told under a name of its own before refunds had theirs.
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.failed": _refund,
    "refund.updated": _refund,
    "charge.dispute.closed": _dispute,
    "charge.dispute.created": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.updated": _dispute,
    "payment_method.attached": _method,
    "payment_method.automatically_updated": _method,
    "payment_method.detached": _detached_method,
    "payment_method.updated": _method,
    "setup_intent.succeeded": _setup,
}

HANDLED_TYPES: Final = frozenset(_READERS)
"""The types of event that this release understands."""


def _tidings(
    notification: _Notification, kind: str, told: JsonObject, saying: Saying
) -> PaymentTidings:
    resource_id, ours = told.identifier("id"), told.child("metadata")
    intent_id, charge_id = _intent_and_charge(kind, told)
    return PaymentTidings(
        fact=PaymentFact(
            id=notification.vendor_event_id,
            origin=FactOrigin.NOTIFICATION,
            type=notification.type,
            resource_type=kind,
            resource_id=resource_id,
            event_time=notification.event_time,
            signal=saying.signal,
            failure=saying.failure,
            amount=saying.amount,
        ),
        stripe_payment_intent_id=intent_id,
        stripe_charge_id=charge_id,
        payment_id=ours.text(keys.PAYMENT_ID),
        order_id=ours.text(keys.ORDER_ID),
        user_id=ours.text(keys.USER_ID),
        amount=told.money_if_any(),
        # A Source is made by a customer's device with a publishable key; intents and charges are
        # made with our secret key alone (https://docs.stripe.com/keys).
        untrusted=kind == "source",
        chargeable_source_id=resource_id if notification.type == "source.chargeable" else "",
    )


def _intent_and_charge(kind: str, told: JsonObject) -> tuple[str, str]:
    """Read which intent and which charge an object is, or belongs to."""
    match kind:
        case "payment_intent":
            return told.identifier("id"), told.reference("latest_charge")
        case "charge":
            return told.reference("payment_intent"), told.identifier("id")
        case "refund":
            return told.reference("payment_intent"), told.reference("charge")
        case _:
            return "", ""


def _mode(*, live: bool) -> str:
    return "live" if live else "test"


def _wrong_signature(message: str) -> BoxofficeError:
    return BoxofficeError(Reason.SIGNATURE_INVALID, message)


def _malformed(fault: str) -> BoxofficeError:
    return BoxofficeError(
        Reason.NOTIFICATION_MALFORMED,
        f"the notification is no event of Stripe's: {fault}",
        metadata={"fault": fault},
    )
