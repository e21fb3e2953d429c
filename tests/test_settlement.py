"""Settlement: the one place where facts move an order, its payment and its task."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.order import Order, OrderStatus, created
from boxoffice_server.domain.payment import (
    FactOrigin,
    PaymentFact,
    PaymentSignal,
    PaymentStatus,
)
from boxoffice_server.domain.stream import LogRecord, Token, TokenKind
from boxoffice_server.domain.task import LeasePolicy, Task, TaskState, acknowledge, offer
from boxoffice_server.ports import Repository, Store
from boxoffice_server.settlement import Settled, settle
from tests.storage.samples import a_payment, a_product, an_order
from tests.support.stores import make_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An empty store, on each database in turn."""
    async with make_store(database_url) as store:
        yield store


def a_fact(signal: PaymentSignal, *, after: int = 1) -> PaymentFact:
    """A fact that a notification told, so many seconds after the beginning."""
    return PaymentFact(
        id=f"evt_{signal}_{after}",
        origin=FactOrigin.NOTIFICATION,
        type=f"payment_intent.{signal}",
        resource_type="payment_intent",
        resource_id="pi_1",
        event_time=NOW + timedelta(seconds=after),
        signal=signal,
    )


CAPTURED = a_fact(PaymentSignal.CAPTURED, after=9)


async def sell(store: Store, *, function: str = "") -> Order:
    """Keep a new order with its payment, of which nothing is known yet."""
    product = replace(a_product(), task_function_name=function)
    order = replace(an_order(product=product), vendor_events=())
    payment = a_payment()

    def keep(repo: Repository) -> None:
        repo.orders.insert(order)
        repo.payments.insert(payment)
        repo.log.append(created(order))

    await store.write(keep)
    return order


async def settled(store: Store, order: Order, *facts: PaymentFact, intent: str = "") -> Settled:
    """Settle an order with facts, as whoever learned them does."""

    def body(repo: Repository) -> Settled:
        locked = repo.orders.get(order.id, lock=True)
        assert locked is not None
        return settle(repo, locked, facts, clock=BusinessClock(), stripe_payment_intent_id=intent)

    return await store.write(body)


async def records_up_to(store: Store, token: Token | None) -> list[LogRecord]:
    """Read the log up to a token, once that is numbered."""
    assert token is not None
    number: int | None = token.number
    if token.kind is TokenKind.APPEND:
        number = None
        while number is None:
            number = await store.read(lambda repo: repo.log.resolve(token.number))
    records, _ = await store.read(lambda repo: repo.log.read(after=0, limit=100))
    return [record for record in records if record.position <= (number or 0)]


async def task_of(store: Store, order: Order) -> Task | None:
    """The order's task as it is kept."""
    return await store.read(lambda repo: repo.tasks.by_order(order.id))


async def test_money_starts_an_order_without_a_function(store: Store) -> None:
    """Two steps in one transaction, told next to each other; the token lies behind both."""
    order = await sell(store)
    result = await settled(store, order, CAPTURED)
    assert result.order.status is OrderStatus.TASK_STARTED
    assert result.order.version == order.version + 2
    assert result.payment.state.status is PaymentStatus.COMPLETE
    assert not result.revived
    assert await task_of(store, order) is None
    records = await records_up_to(store, result.token)
    assert [record.status for record in records] == ["created", "paid", "task_started"]
    assert records[1].group == records[2].group != records[0].group
    assert await store.read(lambda repo: repo.orders.get(order.id)) == result.order


async def test_money_leaves_an_order_with_a_function_to_a_worker(store: Store) -> None:
    """It is paid, and its one task waits from now on."""
    order = await sell(store, function="ship")
    result = await settled(store, order, CAPTURED)
    assert result.order.status is OrderStatus.PAID
    task = await task_of(store, order)
    assert task is not None
    assert (task.state, task.attempts, task.lease_id) == (TaskState.PENDING, 0, "")
    assert (task.function_name, task.priority) == ("ship", order.product.task_priority)
    assert task.available_time <= datetime.now(UTC)
    again = await settled(store, order, a_fact(PaymentSignal.CAPTURED, after=10))
    assert again.order.status is OrderStatus.PAID
    assert await task_of(store, order) == task


async def test_known_fact_changes_nothing(store: Store) -> None:
    """No event, no token, no new version of anything."""
    order = await sell(store)
    first = await settled(store, order, CAPTURED)
    again = await settled(store, order, CAPTURED, CAPTURED)
    assert again.token is None
    assert (again.order, again.payment) == (first.order, first.payment)


async def test_fact_that_moves_nothing_is_still_shown(store: Store) -> None:
    """An event of the vendor's that leaves the status alone makes one of ours all the same."""
    order = await sell(store)
    paid = await settled(store, order, CAPTURED)
    more = await settled(store, order, a_fact(PaymentSignal.PROCESSING, after=2))
    assert more.order.status is paid.order.status
    assert [fact.signal for fact in more.order.vendor_events] == ["processing", "captured"]
    records = await records_up_to(store, more.token)
    assert [record.status for record in records][-1] == "task_started"
    assert len(records) == 4


async def test_acknowledged_task_starts_the_order(store: Store) -> None:
    """The status follows from the task's state, in whatever transaction that was written."""
    order = await sell(store, function="ship")
    await settled(store, order, CAPTURED)

    def start(repo: Repository) -> Settled:
        locked = repo.orders.get(order.id, lock=True)
        task = repo.tasks.by_order(order.id)
        assert locked is not None
        assert task is not None
        offered = offer(task, worker_id="w", lease_id="l", now=NOW, policy=LeasePolicy())
        repo.tasks.update(acknowledge(offered, lease_id="l", now=NOW))
        return settle(repo, locked, (), clock=BusinessClock())

    result = await store.write(start)
    assert result.order.status is OrderStatus.TASK_STARTED
    records = await records_up_to(store, result.token)
    assert [record.status for record in records] == ["created", "paid", "task_started"]


async def test_payment_learns_its_intent_once(store: Store) -> None:
    """Whoever is first to know it; it never changes afterwards."""
    order = await sell(store)
    created_ = a_fact(PaymentSignal.REQUIRES_PAYMENT_METHOD)
    first = await settled(store, order, created_, intent="pi_1")
    assert first.payment.stripe_payment_intent_id == "pi_1"
    assert first.payment.update_time > first.payment.create_time
    assert first.token is None
    second = await settled(store, order, intent="pi_2")
    assert second.payment == first.payment


async def test_money_for_a_cancelled_order_is_told_as_such(store: Store) -> None:
    """The order is paid, and whoever settles can raise an alert, once."""
    order = await sell(store)
    cancelled = await settled(store, order, a_fact(PaymentSignal.CANCELLED))
    assert cancelled.order.status is OrderStatus.CANCELLED
    revived = await settled(store, order, CAPTURED)
    assert revived.order.status is OrderStatus.TASK_STARTED
    assert revived.revived
    assert not (await settled(store, order, CAPTURED)).revived


async def test_order_without_a_payment_is_a_fault_of_ours(store: Store) -> None:
    """It can't be settled, and the transaction leaves nothing."""
    order = replace(an_order(), vendor_events=())
    await store.write(lambda repo: repo.orders.insert(order))
    with pytest.raises(AssertionError, match="has no payment"):
        await settled(store, order, CAPTURED)
    assert await store.read(lambda repo: repo.orders.facts(order.id)) == []
