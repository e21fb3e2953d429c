"""Stripe's notifications as tests make them up: objects, events around them, signatures."""

import json
import time
import uuid
from typing import Any

from stripe import WebhookSignature

from boxoffice.payments.v1 import payments_pb2 as payments_pb
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.service import WEBHOOK_SECRET

Json = dict[str, Any]

DECLINE = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "insufficient_funds",
    "message": "Your card has insufficient funds.",
}


def now() -> int:
    """Whole seconds, as Stripe counts time."""
    return int(time.time())


def metadata_of(payment: payments_pb.Payment) -> Json:
    """The metadata that our own calls put on Stripe's objects."""
    return {
        "boxoffice_order_id": payment.order_id,
        "boxoffice_payment_id": payment.id,
        "boxoffice_user_id": payment.user_id,
    }


def intent_of(payment: payments_pb.Payment, status: str, **fields: object) -> Json:
    """The intent of a payment, in a status."""
    return {
        "id": payment.stripe_payment_intent_id,
        "object": "payment_intent",
        "amount": payment.amount.amount,
        "amount_capturable": 0,
        "amount_received": payment.amount.amount if status == "succeeded" else 0,
        "created": now(),
        "currency": payment.amount.currency_code,
        "last_payment_error": None,
        "livemode": False,
        "metadata": metadata_of(payment),
        "status": status,
        **fields,
    }


def charge_of(payment: payments_pb.Payment, **fields: object) -> Json:
    """A charge that an attempt at a payment's intent made."""
    return {
        "id": f"ch_{uuid.uuid4().hex[:24]}",
        "object": "charge",
        "amount": payment.amount.amount,
        "amount_captured": payment.amount.amount,
        "captured": True,
        "currency": payment.amount.currency_code,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": metadata_of(payment),
        "outcome": {"type": "authorized", "reason": None},
        "payment_intent": payment.stripe_payment_intent_id,
        "status": "succeeded",
        **fields,
    }


def source_of(payment: payments_pb.Payment, **fields: object) -> Json:
    """A Source that the customer's device made for an order."""
    return {
        "id": f"src_{uuid.uuid4().hex[:24]}",
        "object": "source",
        "amount": payment.amount.amount,
        "currency": payment.amount.currency_code,
        "livemode": False,
        "metadata": {
            "boxoffice_order_id": payment.order_id,
            "boxoffice_user_id": payment.user_id,
        },
        "redirect": {"status": "succeeded", "failure_reason": None},
        "status": "chargeable",
        **fields,
    }


def event_of(type_: str, told: Json, **fields: object) -> Json:
    """An event that tells of an object, as Stripe sends it."""
    return {
        "id": f"evt_{uuid.uuid4().hex[:24]}",
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": now(),
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
        **fields,
    }


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> dict[str, str]:
    """Sign a body with the SDK, as Stripe does."""
    timestamp = now() if at is None else at
    header = WebhookSignature.generate_signature_header(body.decode(), secret, timestamp)
    return {"Stripe-Signature": header}


def deliver_body(
    webhooks: WebhooksServiceStub, body: bytes, headers: dict[str, str]
) -> pb.DeliverNotificationResponse:
    """Deliver a body by RPC."""
    return webhooks.DeliverNotification(
        pb.DeliverNotificationRequest(
            source=pb.NOTIFICATION_SOURCE_STRIPE, headers=headers, body=body
        )
    )


def deliver(webhooks: WebhooksServiceStub, event: Json) -> pb.DeliverNotificationResponse:
    """Deliver an event by RPC, signed now."""
    body = json.dumps(event).encode()
    return deliver_body(webhooks, body, signed(body))
