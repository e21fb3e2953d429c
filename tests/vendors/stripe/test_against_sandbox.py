"""The adapter against the sandbox: what it asks for is done, and what it is told holds together."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import Tidings, VerifiedNotification
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentMethodType,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    derive_state,
)
from boxoffice_server.ports import IntentAnswer, IntentRequest
from boxoffice_server.vendors.stripe.gateway import Patience, StripeGateway
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource
from tests.support.processes import Process, free_address

KEY = "sk_test_boxoffice_adapter"
SECRET = "whsec_boxoffice_sandbox"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAYMENT = Payment(
    id="pay_1",
    user_id="user-1",
    order_id="ord_1",
    amount=Money(amount=1250, currency="eur"),
    method_type=PaymentMethodType.CARD,
    vendor_idempotency_key="pay_1-1",
    stripe_payment_intent_id="",
    state=PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN),
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
        verified = self.source.verify(request.headers, await request.read(), now=now)
        offset = self.source.clock_offset(verified)
        tidings = self.source.tidings(verified)
        async with self.news:
            self.verified.append(verified)
            self.told += [tidings] if tidings else []
            self.offset = timedelta(seconds=offset) if offset is not None else self.offset
            self.news.notify_all()
        return web.Response()

    async def wait_for(self, *types: str) -> None:
        """Wait until notifications of all these types have come."""
        async with self.news:
            await asyncio.wait_for(
                self.news.wait_for(lambda: set(types) <= {each.type for each in self.verified}), 10
            )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[str]:
    """A sandbox of the test's own, whose clock and accounts nobody else sees."""
    command = [sys.executable, "-m", "boxoffice_sandbox", "serve", "--address", "127.0.0.1:0"]
    nobody = f"http://{free_address()}/"
    with Process([*command, "--webhook-url", nobody], cwd=tmp_path) as process:
        yield f"http://{process.wait_for(r'sandbox (.+) READY')[1]}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for the sandbox's control doors."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def inbox(sandbox: str, http: aiohttp.ClientSession) -> AsyncIterator[Inbox]:
    """An inbox that the sandbox notifies."""
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/webhooks/stripe", inbox.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.address = "http://{}:{}/webhooks/stripe".format(*runner.addresses[0][:2])
    await control(http, f"{sandbox}/control/accounts/{KEY}", webhook_url=inbox.address)
    yield inbox
    await runner.cleanup()


@pytest.fixture
async def gateway(sandbox: str) -> AsyncIterator[StripeGateway]:
    """A gateway that repeats at once."""
    pauses = (timedelta(), timedelta())
    gateway = StripeGateway(
        api_key=KEY, api_base=f"{sandbox}/stripe", patience=Patience(pauses=pauses)
    )
    yield gateway
    await gateway.close()


async def control(http: aiohttp.ClientSession, url: str, **body: object) -> None:
    """Press one of the sandbox's buttons."""
    async with http.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def begin(gateway: StripeGateway, payment: Payment) -> IntentAnswer:
    """Make a customer and an intent for a payment."""
    customer = Customer(
        id=f"cst_{payment.id}", user_id=payment.user_id, stripe_customer_id="", create_time=NOW
    )
    stripe_customer_id = await gateway.create_customer(customer)
    assert await gateway.create_customer(customer) == stripe_customer_id
    return await gateway.create_intent(
        IntentRequest(payment=payment, stripe_customer_id=stripe_customer_id)
    )


@pytest.mark.parametrize("method_type", list(PaymentMethodType))
async def test_a_payment_is_told_from_its_beginning_to_its_end(
    gateway: StripeGateway,
    inbox: Inbox,
    sandbox: str,
    http: aiohttp.ClientSession,
    method_type: PaymentMethodType,
) -> None:
    """Declined, tried again and paid: notifications and answers agree on every method."""
    await control(http, f"{sandbox}/control/accounts/{KEY}", legacy=True)
    payment = replace(
        PAYMENT,
        id=f"pay_{method_type}",
        method_type=method_type,
        vendor_idempotency_key=f"pay_{method_type}-1",
    )
    answer = await begin(gateway, payment)
    intent = answer.stripe_payment_intent_id
    assert answer.fact.signal is PaymentSignal.REQUIRES_PAYMENT_METHOD
    assert answer.client_secret.startswith(f"{intent}_secret_")

    await control(http, f"{sandbox}/control/payment_intents/{intent}/decline")
    declined = (await gateway.read_intent(intent)).fact
    await inbox.wait_for("payment_intent.payment_failed")
    assert declined.signal is PaymentSignal.ATTEMPT_FAILED
    assert declined.failure
    assert declined.failure.code

    await control(http, f"{sandbox}/control/payment_intents/{intent}/pay")
    paid = (await gateway.read_intent(intent)).fact
    await inbox.wait_for("payment_intent.created", "payment_intent.succeeded", "charge.succeeded")
    assert paid.signal is PaymentSignal.CAPTURED

    told = [tidings.fact for tidings in inbox.told]
    assert derive_state([*told, answer.fact, declined]).status is PaymentStatus.COMPLETE
    assert derive_state([answer.fact, declined, paid]).status is PaymentStatus.COMPLETE
    for tidings in inbox.told:
        assert tidings.stripe_payment_intent_id == intent
        assert (tidings.order_id, tidings.payment_id) == (payment.order_id, payment.id)
        assert (tidings.user_id, tidings.amount) == (payment.user_id, payment.amount)
        assert not tidings.untrusted


async def test_a_lost_answer_costs_nothing(
    gateway: StripeGateway, inbox: Inbox, sandbox: str, http: aiohttp.ClientSession
) -> None:
    """A connection that breaks after the work: the repeat gets the same intent, made once."""
    fault = {"account": KEY, "method": "POST", "path": "/v1/payment_intents"}
    await control(http, f"{sandbox}/control/faults", **fault, kind="reset_after", times=1)
    payment = replace(PAYMENT, id="pay_lost", vendor_idempotency_key="pay_lost-1")
    answer = await begin(gateway, payment)
    await inbox.wait_for("payment_intent.created")
    made = [each.resource_id for each in inbox.verified if each.type == "payment_intent.created"]
    assert made == [answer.stripe_payment_intent_id]


async def test_an_amount_below_stripes_least_is_refused(gateway: StripeGateway) -> None:
    """The least amount is Stripe's to know."""
    payment = replace(
        PAYMENT, amount=Money(amount=1, currency="eur"), vendor_idempotency_key="pay_small-1"
    )
    with pytest.raises(BoxofficeError) as caught:
        await begin(gateway, payment)
    assert caught.value.reason is Reason.VENDOR_REFUSED
    assert caught.value.metadata["vendor_code"] == "amount_too_small"


async def test_a_key_that_stripe_does_not_know_reaches_nothing(sandbox: str) -> None:
    """A wrong key is our own fault, and nothing happened."""
    gateway = StripeGateway(api_key="sk_test_nobody", api_base=f"{sandbox}/stripe")
    with pytest.raises(BoxofficeError) as caught:
        await gateway.read_intent("pi_1")
    await gateway.close()
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE


async def test_the_sandboxs_clock_moves_ours_before_its_own(
    gateway: StripeGateway, inbox: Inbox, sandbox: str, http: aiohttp.ClientSession
) -> None:
    """A day ahead, notifications are signed in the sandbox's time and taken in ours."""
    first = await begin(gateway, replace(PAYMENT, id="pay_now", vendor_idempotency_key="pay_now-1"))
    await control(http, f"{sandbox}/control/clock", advance_seconds=86_400)
    assert inbox.offset >= timedelta(days=1)
    later = await begin(
        gateway, replace(PAYMENT, id="pay_later", vendor_idempotency_key="pay_later-1")
    )
    assert later.fact.event_time - first.fact.event_time >= timedelta(days=1)
    async with inbox.news:
        await asyncio.wait_for(
            inbox.news.wait_for(
                lambda: (
                    later.stripe_payment_intent_id in {each.resource_id for each in inbox.verified}
                )
            ),
            10,
        )
