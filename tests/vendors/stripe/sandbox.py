"""What the tests against the sandbox need of it: an inbox, its buttons, and payments to make."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import PaymentTidings, Tidings, VerifiedNotification
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentState,
    PaymentStatus,
    PendingReason,
)
from boxoffice_server.domain.refund import Refund, RefundReason, RefundStatus
from boxoffice_server.ports import IntentRequest
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource

KEY = "sk_test_boxoffice_adapter"
SECRET = "whsec_boxoffice_sandbox"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAYMENT = Payment(
    id="pay_1",
    user_id="user-1",
    order_id="ord_1",
    created_by="shop",
    description="",
    amount=Money(amount=1250, currency="eur"),
    state=PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN),
    create_time=NOW,
    update_time=NOW,
)
REFUND = Refund(
    id="rfd_1",
    payment_id="pay_1",
    user_id="user-1",
    amount=Money(amount=500, currency="eur"),
    status=RefundStatus.PENDING,
    reason=RefundReason.REQUESTED_BY_CUSTOMER,
    failure_reason="",
    stripe_refund_id="",
    heard_time=None,
    create_time=NOW,
    update_time=NOW,
)


@dataclass
class Inbox:
    """Takes the sandbox's notifications as the service does, and keeps what they say."""

    source: StripeNotificationSource = field(
        default_factory=lambda: StripeNotificationSource(
            secrets=[SECRET], livemode=False, sandbox=True
        )
    )
    address: str = ""
    verified: list[VerifiedNotification] = field(default_factory=list)
    told: list[Tidings] = field(default_factory=list)
    offset: timedelta = timedelta()
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        """Take one notification; the sandbox repeats one that is refused."""
        now = datetime.now(UTC) + self.offset
        verified = await self.source.verify(request.headers, await request.read(), now=now)
        offset = self.source.clock_offset(verified)
        tidings = self.source.tidings(verified)
        async with self.news:
            self.verified.append(verified)
            self.told += [tidings] if tidings else []
            self.offset = timedelta(seconds=offset) if offset is not None else self.offset
            self.news.notify_all()
        return web.Response()

    def payments(self) -> list[PaymentTidings]:
        """Tell what was said about payments."""
        return [each for each in self.told if isinstance(each, PaymentTidings)]

    async def wait_for(self, *types: str) -> None:
        """Wait until notifications of all these types have come."""
        async with self.news:
            await asyncio.wait_for(
                self.news.wait_for(lambda: set(types) <= {each.type for each in self.verified}), 10
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Buttons:
    """The sandbox's control doors."""

    address: str
    http: aiohttp.ClientSession

    async def press(self, path: str, /, **body: object) -> None:
        """Press one of them."""
        async with self.http.post(f"{self.address}/control/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()


async def customer_of(gateway: StripeGateway, payment: Payment) -> str:
    """Make the customer who pays; asking twice makes one."""
    customer = Customer(
        id=f"cst_{payment.id}", user_id=payment.user_id, stripe_customer_id="", create_time=NOW
    )
    stripe_customer_id = await gateway.create_customer(customer, key=f"create-{customer.id}")
    assert (
        await gateway.create_customer(customer, key=f"create-{customer.id}") == stripe_customer_id
    )
    return stripe_customer_id


async def request_for(
    gateway: StripeGateway, payment: Payment, *, stripe_payment_method_id: str = ""
) -> IntentRequest:
    """Make the customer, and say what the intent is for."""
    return IntentRequest(
        payment=payment,
        stripe_customer_id=await customer_of(gateway, payment),
        stripe_payment_method_id=stripe_payment_method_id,
        key=f"{payment.id}-1",
    )
