"""What the tests ask the gateway for, and what Stripe may answer instead."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentMethodType,
    PaymentState,
    PaymentStatus,
    PendingReason,
    Reuse,
)
from boxoffice_server.domain.refund import Refund, RefundReason, RefundStatus
from boxoffice_server.ports import ChargeRequest, IntentRequest, SetupRequest
from boxoffice_server.vendors.stripe.books import StripeBooks
from boxoffice_server.vendors.stripe.client import Patience
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from boxoffice_server.vendors.stripe.methods import StripeMethods
from tests.vendors.stripe.fake_stripe import (
    Reply,
    stripe_error,
)

T = TypeVar("T")

KEY = "sk_test_boxoffice_gateway"

# Three repeats at once: what is tested is how often and with what, not how long it takes.
AT_ONCE = Patience(
    request=timedelta(seconds=10),
    call=timedelta(seconds=60),
    pauses=(timedelta(), timedelta(), timedelta()),
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CUSTOMER = Customer(id="cst_1", user_id="user-1", stripe_customer_id="", create_time=NOW)
PAYMENT = Payment(
    id="pay_1",
    user_id="user-1",
    order_id="ord_1",
    created_by="shop",
    description="",
    amount=Money(amount=1250, currency="eur"),
    method_type=PaymentMethodType.BANCONTACT,
    state=PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN),
    create_time=NOW,
    update_time=NOW,
)
REQUEST = IntentRequest(
    payment=PAYMENT, stripe_customer_id="cus_1", stripe_payment_method_id="", key="pay_1-1"
)
# A saved card that is charged while its owner is away.
AWAY = IntentRequest(
    payment=replace(PAYMENT, method_type=PaymentMethodType.CARD, off_session=True),
    stripe_customer_id="cus_1",
    stripe_payment_method_id="pm_1",
    key="pay_1-1",
)
MADE = replace(PAYMENT, stripe_payment_intent_id="pi_1")
CHARGED = replace(PAYMENT, stripe_charge_id="ch_1")
REFUND = Refund(
    id="rfd_1",
    payment_id="pay_1",
    user_id="user-1",
    amount=Money(amount=500, currency="eur"),
    status=RefundStatus.PENDING,
    reason=RefundReason.DUPLICATE,
    failure_reason="",
    stripe_refund_id="",
    heard_time=None,
    create_time=NOW,
    update_time=NOW,
)
CHARGE = ChargeRequest(
    payment=PAYMENT,
    operation_id="opn_1",
    stripe_source_id="src_1",
    stripe_customer_id="cus_1",
    key="opn_1-1",
)
SETUP = SetupRequest(
    user_id="user-1",
    stripe_customer_id="cus_1",
    method_type=PaymentMethodType.CARD,
    reuse=Reuse.OFF_SESSION,
    key="opn_1-1",
)
ATTEMPTS = len(AT_ONCE.pauses) + 1

API_ERROR = stripe_error("api_error", "An unknown error occurred")
SERVER_ERROR = Reply(status=500, body=API_ERROR)
SERVER_ERROR_AFTER_WORK = Reply(status=500, body=API_ERROR, after_work=True)
IN_FLIGHT = Reply(
    status=409,
    body=stripe_error("idempotency_error", "In flight", code="idempotency_key_in_use"),
)
TOO_MANY = Reply(
    status=429,
    body=stripe_error("invalid_request_error", "Too many requests", code="rate_limit"),
    headers={"Retry-After": "7"},
)
WRONG_KEY = Reply(
    status=401, body=stripe_error("invalid_request_error", "Invalid API Key provided")
)
FORBIDDEN = Reply(
    status=403, body=stripe_error("invalid_request_error", "The key lacks a permission")
)
TOO_SMALL = Reply(
    status=400,
    body=stripe_error(
        "invalid_request_error",
        "Amount must be at least 50 cents",
        code="amount_too_small",
        param="amount",
    ),
    headers={"Request-Id": "req_small"},
)
DECLINED = Reply(
    status=402,
    body=stripe_error(
        "card_error", "Your card was declined.", code="card_declined", decline_code="lost_card"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """All that is asked of Stripe, over one connection."""

    gateway: StripeGateway
    methods: StripeMethods
    books: StripeBooks


async def refusal(work: object) -> BoxofficeError:
    """Await a call that must be refused, and answer how."""
    assert asyncio.iscoroutine(work)
    with pytest.raises(BoxofficeError) as caught:
        await work
    return caught.value


async def read_all(pages: AsyncIterator[list[T]]) -> list[T]:
    """Read all pages of the books."""
    return [entry async for page in pages for entry in page]
