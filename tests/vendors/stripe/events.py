"""Stripe's events as the tests need them, signed as Stripe signs them."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from stripe import WebhookSignature

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import (
    PaymentTidings,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.payment import PaymentFailure
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource

SECRET = "whsec_one"
OTHER_SECRET = "whsec_two"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
CREATED = SECONDS - 5

METADATA = {
    "boxoffice_order_id": "ord_1",
    "boxoffice_payment_id": "pay_1",
    "boxoffice_user_id": "user-1",
}
INTENT: dict[str, object] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1250,
    "amount_capturable": 0,
    "created": CREATED,
    "currency": "eur",
    "last_payment_error": None,
    "livemode": False,
    "metadata": METADATA,
    "status": "requires_payment_method",
}
CHARGE: dict[str, object] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1250,
    "captured": True,
    "currency": "eur",
    "failure_code": None,
    "failure_message": None,
    "livemode": False,
    "metadata": METADATA,
    "outcome": {"type": "authorized", "reason": None},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
LEGACY_CHARGE = CHARGE | {"payment_intent": None}
SOURCE_OBJECT: dict[str, object] = {
    "id": "src_1",
    "object": "source",
    "amount": 1250,
    "currency": "eur",
    "livemode": False,
    "metadata": {"boxoffice_order_id": "ord_1", "boxoffice_user_id": "user-1"},
    "redirect": {"status": "succeeded", "failure_reason": None},
    "status": "chargeable",
}
REFUND: dict[str, object] = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "charge": "ch_1",
    "created": CREATED - 60,
    "currency": "eur",
    "metadata": {"boxoffice_refund_id": "rfd_1", **METADATA},
    "payment_intent": "pi_1",
    "reason": "duplicate",
    "status": "succeeded",
}
DISPUTE: dict[str, object] = {
    "id": "du_1",
    "object": "dispute",
    "amount": 1250,
    "charge": "ch_1",
    "created": CREATED - 60,
    "currency": "eur",
    "evidence_details": {"due_by": CREATED + 60},
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}
METHOD: dict[str, object] = {
    "id": "pm_1",
    "object": "payment_method",
    "card": {"brand": "visa", "exp_month": 8, "exp_year": 2031, "last4": "4242"},
    "created": CREATED - 60,
    "customer": "cus_1",
    "type": "card",
}
SETUP_INTENT: dict[str, object] = {
    "id": "seti_1",
    "object": "setup_intent",
    "customer": "cus_1",
    "payment_method": "pm_1",
    "status": "succeeded",
}
DECLINE = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "lost_card",
    "message": "Your card was declined.",
}
DECLINED = PaymentFailure(
    code="card_declined", decline_code="lost_card", message="Your card was declined."
)

REFUSALS = {
    Reason.SIGNATURE_INVALID,
    Reason.TIMESTAMP_OUT_OF_TOLERANCE,
    Reason.NOTIFICATION_MALFORMED,
    Reason.LIVEMODE_MISMATCH,
}

source = StripeNotificationSource(secrets=[SECRET], livemode=False, sandbox=False)
sandboxed = StripeNotificationSource(secrets=[SECRET], livemode=False, sandbox=True)


def event(type_: str, told: object, **fields: object) -> dict[str, object]:
    """Make an event as Stripe sends it."""
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": CREATED,
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    } | fields


SUCCEEDED = event("payment_intent.succeeded", INTENT | {"status": "succeeded"})


def signed(
    body: bytes, *, secret: str = SECRET, at: int = SECONDS, name: str = "Stripe-Signature"
) -> dict[str, str]:
    """Sign a body with the SDK, as Stripe does."""
    header = WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return {name: header}


def verified(
    headers: Mapping[str, str],
    body: bytes,
    *,
    using: StripeNotificationSource = source,
    now: datetime = NOW,
) -> VerifiedNotification:
    """Have a notification verified."""
    return asyncio.run(using.verify(headers, body, now=now))


def verify(
    told: object, *, using: StripeNotificationSource = source, at: int = SECONDS
) -> VerifiedNotification:
    """Sign a body and have it verified."""
    body = json.dumps(told).encode()
    return verified(signed(body, at=at), body, using=using)


def refusal(
    headers: Mapping[str, str], body: bytes, *, using: StripeNotificationSource = source
) -> BoxofficeError:
    """Have a notification refused, and answer how."""
    with pytest.raises(BoxofficeError) as caught:
        verified(headers, body, using=using)
    return caught.value


def tidings(type_: str, told: object, **data: object) -> Tidings | None:
    """Read what an event says; `data` is what else it has beside the object."""
    return source.tidings(verify(event(type_, told, data={"object": told} | data)))


def payment_tidings(type_: str, told: object) -> PaymentTidings:
    """Read what an event says about a payment."""
    read = tidings(type_, told)
    assert isinstance(read, PaymentTidings)
    return read
