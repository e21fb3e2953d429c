"""Intake: what is verified is kept in one transaction with all that follows, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.api.writes import encode_error
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.order import Order, OrderStatus
from boxoffice_server.intake import Delivered, Intake
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import NotificationFilter, Repository, Store
from boxoffice_server.settlement import Settlement, lock
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource
from tests.storage.interleaving import interleaved, until_waiting
from tests.storage.samples import a_notification, a_payment, a_product, an_order
from tests.support.logs import recorded_log
from tests.support.notices import Json, event_of, now, signed
from tests.support.service import WEBHOOK_SECRET
from tests.support.settling import CAPTURED, sell
from tests.support.stores import opened_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = f"pi_1_secret_{'x' * 25}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """An intake on a store that holds one unpaid order."""

    store: Store
    intake: Intake
    clock: BusinessClock
    order: Order

    async def take(self, event: Json) -> Delivered:
        """Deliver an event, signed now."""
        body = json.dumps(event).encode()
        return await self.intake.deliver(Source.STRIPE, signed(body), body)

    async def kept(self) -> list[Notification]:
        """All that is kept."""
        wanted = NotificationFilter()
        return await self.store.read(
            lambda repo: repo.notifications.find(wanted, before_id="", limit=100)
        )

    async def status(self) -> OrderStatus:
        """The order's status."""
        order = await self.store.read(lambda repo: repo.orders.get(self.order.id))
        assert order is not None
        return order.status

    def about(self, type_: str, **fields: object) -> Json:
        """An event about the order's intent."""
        intent = {
            "id": "pi_1",
            "object": "payment_intent",
            "amount": self.order.price.amount,
            "currency": self.order.price.currency,
            "client_secret": SECRET,
            "metadata": {},
            "status": "succeeded",
        }
        return event_of(f"payment_intent.{type_}", intent | fields)


@pytest.fixture
async def inbox(database: str) -> AsyncIterator[Inbox]:
    """An intake, on each store in turn."""
    product = replace(a_product(), task_function_name="")
    order = replace(an_order(product=product), vendor_events=())
    payment = a_payment(intent="pi_1")

    def sell(repo: Repository) -> None:
        repo.orders.insert(order)
        repo.payments.insert(payment)

    async with opened_store(database) as store:
        await store.write(sell)
        clock = BusinessClock()
        intake = make_intake(store, clock)
        yield Inbox(store=store, intake=intake, clock=clock, order=order)


def make_intake(store: Store, clock: BusinessClock) -> Intake:
    """Compose an intake on a store."""
    source = StripeNotificationSource(secrets=[WEBHOOK_SECRET], livemode=False, sandbox=True)
    return Intake(
        store=store,
        clock=clock,
        sources={Source.STRIPE: source},
        settlement=Settlement(clock=clock),
        operations=Operations(
            store=store, clock=clock, instance="me", is_alone=True, encode_error=encode_error
        ),
    )


async def test_kept_with_all_that_follows(inbox: Inbox) -> None:
    """The notification, the order's status and the link between them."""
    delivered = await inbox.take(inbox.about("succeeded"))
    assert delivered.notification.state is NotificationState.APPLIED
    assert delivered.notification.order_id == inbox.order.id
    assert delivered.notification.payment_id == inbox.order.payment_id
    assert await inbox.kept() == [delivered.notification]
    assert await inbox.status() is OrderStatus.TASK_STARTED


async def test_fault_on_the_way_leaves_nothing(inbox: Inbox) -> None:
    """Not even the notification: the vendor sends it again, and then it counts."""
    event = inbox.about("succeeded")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no settlement today")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settlement, "settle", fail)
        with pytest.raises(RuntimeError):
            await inbox.take(event)
    assert await inbox.kept() == []
    assert await inbox.status() is OrderStatus.CREATED
    assert not (await inbox.take(event)).duplicate
    assert await inbox.status() is OrderStatus.TASK_STARTED


async def test_same_event_at_the_same_moment_is_kept_once(inbox: Inbox) -> None:
    """Both look, neither finds it, one keeps it; the other learns of that."""
    event = inbox.about("succeeded")
    delivered = await asyncio.gather(*(inbox.take(event) for _ in range(8)))
    assert sorted(each.duplicate for each in delivered) == [False] + [True] * 7
    (kept,) = await inbox.kept()
    assert {each.notification.id for each in delivered} == {kept.id}


async def test_cancelled_caller_loses_nothing(inbox: Inbox) -> None:
    """A sender that hangs up while it is kept: it is kept all the same."""
    taking = asyncio.create_task(inbox.take(inbox.about("succeeded")))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    again = await inbox.take(inbox.about("processing"))
    assert not again.duplicate
    assert await inbox.status() is OrderStatus.TASK_STARTED


async def test_order_is_locked_against_concurrent_facts(inbox: Inbox) -> None:
    """Different events at once all count: the order shows each of them."""
    types = ["requires_action", "processing", "succeeded", "canceled"]
    await asyncio.gather(*(inbox.take(inbox.about(type_)) for type_ in types))
    order = await inbox.store.read(lambda repo: repo.orders.get(inbox.order.id))
    assert order is not None
    assert {fact.type for fact in order.vendor_events} == {f"payment_intent.{t}" for t in types}
    assert order.status is OrderStatus.TASK_STARTED


async def test_client_secret_is_not_kept(inbox: Inbox) -> None:
    """The body is kept as it came, but for what finishes a payment."""
    event = inbox.about("succeeded")
    delivered = await inbox.take(event)
    body = delivered.notification.body.decode()
    assert SECRET not in body
    expected = json.dumps(event).replace(SECRET, "pi_1_secret_redacted")
    assert body == expected
    assert [each.body.decode() for each in await inbox.kept()] == [expected]


async def test_money_for_a_cancelled_order_raises_an_alert(inbox: Inbox) -> None:
    """A person should look at it; the log says which order."""
    with recorded_log() as log:
        await inbox.take(inbox.about("canceled"))
        await inbox.take(inbox.about("succeeded"))
        await inbox.take(inbox.about("succeeded"))
    alerts = [line for line in log.lines if line["level"] == "error"]
    assert [(each["event"], each["order_id"]) for each in alerts] == [
        ("money arrived for a cancelled order", inbox.order.id)
    ]


async def test_what_can_not_be_read_is_parked_and_told(inbox: Inbox) -> None:
    """The log names the event and the fault, and shows no value."""
    with recorded_log() as log:
        delivered = await inbox.take(inbox.about("succeeded", amount="canary"))
    assert delivered.notification.state is NotificationState.PARKED
    (alert,) = (line for line in log.lines if line["level"] == "error")
    assert alert["vendor_event_id"] == delivered.notification.vendor_event_id
    assert alert["type"] == "payment_intent.succeeded"
    assert "canary" not in log.text


async def test_clock_notice_moves_the_clock_once_it_is_kept(inbox: Inbox) -> None:
    """And a duplicate of it does not move it back after another one."""
    notices = [
        event_of("boxoffice.sandbox.clock_advanced", {"object": "clock", "offset_seconds": offset})
        for offset in (100, 200)
    ]
    for notice in (*notices, notices[0]):
        delivered = await inbox.take(notice)
        assert delivered.notification.state is NotificationState.APPLIED
    ahead = inbox.clock.now() - inbox.clock.real_now()
    assert timedelta(seconds=199) < ahead < timedelta(seconds=201)
    assert await inbox.store.read(lambda repo: repo.log.clock_offset()) == 200


async def test_nothing_is_looked_at_before_it_is_verified(inbox: Inbox) -> None:
    """A refusal by the vendor's adapter ends it: the store is not asked."""

    async def fail(*_: object) -> None:
        raise AssertionError("the store was asked")

    headers: Mapping[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox.store, "write", fail)
        patch.setattr(inbox.store, "read", fail)
        with pytest.raises(BoxofficeError) as error:
            await inbox.intake.deliver(Source.STRIPE, headers, b"{}")
    assert error.value.reason is Reason.SIGNATURE_INVALID


# -- what is heard before it is known whose it is -------------------------------------------------


def early_refund() -> Json:
    """A refund of all the money, of which only the intent and the charge are told."""
    refund = {
        "id": "re_1",
        "object": "refund",
        "amount": 1250,
        "charge": "ch_1",
        "created": now(),
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": None,
        "status": "succeeded",
    }
    return event_of("refund.created", refund)


def learn(repo: Repository) -> None:
    """Settle the payment with the answer that names its intent and its charge."""
    locked = lock(repo, "pay_000001")
    assert locked is not None
    Settlement(clock=BusinessClock()).settle(
        repo, locked, [CAPTURED], stripe_payment_intent_id="pi_1", stripe_charge_id="ch_1"
    )


async def status_in(store: Store) -> OrderStatus:
    """The status of the sale's order."""
    order = await store.read(lambda repo: repo.orders.get("ord_000001"))
    assert order is not None
    return order.status


async def test_refund_that_is_heard_too_early_is_applied_later(database: str) -> None:
    """It is unrelated until the payment knows its charge, and applied by the next look then."""
    async with opened_store(database) as store:
        await sell(store)
        intake = make_intake(store, BusinessClock())
        body = json.dumps(early_refund()).encode()
        delivered = await intake.deliver(Source.STRIPE, signed(body), body)
        assert delivered.notification.state is NotificationState.UNRELATED
        assert delivered.notification.related_id == "pi_1"
        assert await intake.apply_waiting() == 0
        await store.write(learn)
        assert await intake.apply_waiting() == 1
        assert await intake.apply_waiting() == 0
        assert await status_in(store) is OrderStatus.REFUNDED


async def test_one_that_can_not_be_applied_keeps_nobody_waiting(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of in the log and parked, for a person to replay; the others are applied."""
    async with opened_store(database) as store:
        await sell(store)
        intake = make_intake(store, BusinessClock())
        body = json.dumps(early_refund()).encode()
        await intake.deliver(Source.STRIPE, signed(body), body)
        await store.write(learn)
        with monkeypatch.context() as broken:
            broken.setattr(Settlement, "hear_refund", lambda *_: 1 / 0)
            assert await intake.apply_waiting() == 1
        (kept,) = await store.read(
            lambda repo: repo.notifications.find(NotificationFilter(), before_id="", limit=5)
        )
        assert kept.state is NotificationState.PARKED
        assert await intake.apply_waiting() == 0
        await store.write(lambda repo: intake.reapply(repo, kept))
        assert await status_in(store) is OrderStatus.REFUNDED


async def test_refund_waits_for_whoever_is_learning_whose_it_is(postgres_database: str) -> None:
    """Heard while our own answer is being recorded, it is applied once that is committed."""
    async with opened_store(postgres_database) as store, interleaved(postgres_database) as database:
        await sell(store)
        intake = make_intake(store, BusinessClock())
        learner = await database.begin()
        await learner.run(learn)
        body = json.dumps(early_refund()).encode()
        hearing = asyncio.create_task(intake.deliver(Source.STRIPE, signed(body), body))
        await until_waiting(postgres_database)
        await learner.commit()
        assert (await hearing).notification.state is NotificationState.APPLIED
        assert await status_in(store) is OrderStatus.REFUNDED


async def test_whoever_learns_whose_it_is_waits_for_a_refund(postgres_database: str) -> None:
    """Kept as unrelated a moment before, it is found and released."""
    async with opened_store(postgres_database) as store, interleaved(postgres_database) as database:
        await sell(store)
        unrelated = a_notification(state=NotificationState.UNRELATED, related_id="pi_1")

        def keep(repo: Repository) -> None:
            repo.notifications.hold("pi_1")
            assert repo.notifications.insert(unrelated)

        hearing = await database.begin()
        await hearing.run(keep)
        learning = asyncio.create_task(store.write(learn))
        await until_waiting(postgres_database)
        await hearing.commit()
        await learning
        kept = await store.read(lambda repo: repo.notifications.get(unrelated.id))
        assert kept == replace(unrelated, state=NotificationState.WAITING)
