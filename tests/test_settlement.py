"""Settlement: the one place where facts move a payment, its order and its task."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.order import OrderStatus
from boxoffice_server.domain.payment import (
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
    PaymentStatus,
    created,
)
from boxoffice_server.domain.stream import RecordKind
from boxoffice_server.domain.task import TaskState
from boxoffice_server.ports import NotificationFilter, Repository, Store
from boxoffice_server.settlement import lock
from tests.storage.samples import a_notification, a_payment, an_order, at, keep
from tests.support.settling import CAPTURED, a_fact, sell
from tests.support.stores import opened_store


async def test_money_starts_an_order_without_a_function(store: Store) -> None:
    """Two steps in one transaction, told next to each other, and then the payment's."""
    sale = await sell(store)
    result = await sale.settle(CAPTURED)
    assert result.order is not None
    assert result.order.status is OrderStatus.TASK_STARTED
    assert result.order.version == 3
    assert result.payment.state.status is PaymentStatus.COMPLETE
    assert not result.revived
    assert await sale.task() is None
    records = await sale.told()
    assert [(record.kind, record.status) for record in records] == [
        (RecordKind.ORDER, "created"),
        (RecordKind.ORDER, "paid"),
        (RecordKind.ORDER, "task_started"),
        (RecordKind.PAYMENT, "complete"),
    ]
    assert records[0].group != records[1].group
    assert len({record.group for record in records[1:]}) == 1
    assert await sale.order() == result.order
    assert await store.read(lambda repo: repo.payments.get(sale.payment.id)) == result.payment


async def test_money_leaves_an_order_with_a_function_to_a_worker(store: Store) -> None:
    """It is paid, and its one task waits from now on."""
    sale = await sell(store, function="ship")
    result = await sale.settle(CAPTURED)
    assert result.order is not None
    assert result.order.status is OrderStatus.PAID
    task = await sale.task()
    assert task is not None
    assert (task.state, task.attempts, task.lease_id) == (TaskState.PENDING, 0, "")
    assert (task.function_name, task.priority) == ("ship", result.order.product.task_priority)
    assert task.available_time <= datetime.now(UTC)
    again = await sale.settle(a_fact(PaymentSignal.CAPTURED, after=10))
    assert again.order is not None
    assert again.order.status is OrderStatus.PAID
    assert await sale.task() == task


async def test_payment_without_an_order_is_settled_alone(store: Store) -> None:
    """An ad-hoc payment is told of, and nothing else is."""
    sale = await sell(store, ad_hoc=True)
    result = await sale.settle(CAPTURED, intent="pi_1", charge="ch_1")
    assert result.order is None
    assert not result.revived
    assert (result.payment.captured, result.payment.version) == (sale.payment.amount.amount, 2)
    assert [(each.kind, each.status) for each in await sale.told()] == [
        (RecordKind.PAYMENT, "complete")
    ]


async def test_known_fact_changes_nothing(store: Store) -> None:
    """No event and no new version of anything."""
    sale = await sell(store)
    first = await sale.settle(CAPTURED)
    told = await sale.told()
    again = await sale.settle(CAPTURED, CAPTURED)
    assert again == first
    assert await sale.told() == told


async def test_fact_that_changes_nothing_is_seen_by_who_recorded_the_payment(
    postgres_database: str,
) -> None:
    """A process that knows a payment as it has recorded it learns that another knows more."""
    async with opened_store(postgres_database) as here, opened_store(postgres_database) as there:
        nothing = a_fact(PaymentSignal.REQUIRES_PAYMENT_METHOD)
        model = await sell(there, ad_hoc=True)
        payment = replace((await model.settle(nothing)).payment, id="pay_000002")

        def record(repo: Repository) -> None:
            repo.payments.insert(payment)
            repo.log.append(created(payment))

        await here.write(record)
        settled = await replace(model, payment=payment).settle(nothing)
        assert settled.payment == payment

        def known(repo: Repository) -> list[PaymentFact]:
            assert repo.lock_sale("", payment.id) == (None, payment)
            return repo.payments.facts(payment.id)

        assert await here.write(known) == [nothing]


@pytest.mark.parametrize("made", ["REQUIRES_PAYMENT_METHOD", "REQUIRES_CONFIRMATION"])
async def test_intent_made_off_session_asks_nobody(store: Store, made: str) -> None:
    """It is confirmed by the call that makes it, whose outcome is what is still unknown."""
    sale = await sell(store, off_session=True)
    begun = a_fact(PaymentSignal[made])
    known = await sale.settle(begun, intent="pi_1")
    assert known.payment.stripe_payment_intent_id == "pi_1"
    assert known.payment.state == sale.payment.state
    ended = await sale.settle(a_fact(PaymentSignal.ATTEMPT_FAILED))
    again = await sale.settle(begun)
    assert again.payment == ended.payment
    assert again.payment.state.status is PaymentStatus.REQUIRES_PAYMENT_METHOD


async def test_fact_that_moves_nothing_is_still_shown(store: Store) -> None:
    """An event of the vendor's that leaves the status alone makes one of ours all the same.

    The payment does not show it, so nothing is told of the payment.
    """
    sale = await sell(store)
    paid = await sale.settle(CAPTURED)
    more = await sale.settle(a_fact(PaymentSignal.PROCESSING, after=2))
    assert more.payment == paid.payment
    assert paid.order is not None
    assert more.order is not None
    assert more.order.status is paid.order.status
    assert [fact.signal for fact in more.order.vendor_events] == ["processing", "captured"]
    assert await sale.statuses() == ["created", "paid", "task_started", "task_started"]


async def test_acknowledged_task_starts_the_order(store: Store) -> None:
    """The status follows from the task's state, in whatever transaction that was written."""
    sale = await sell(store, function="ship")
    await sale.settle(CAPTURED)
    result = await sale.start_task()
    assert result.order is not None
    assert result.order.status is OrderStatus.TASK_STARTED
    assert await sale.statuses() == ["created", "paid", "task_started"]


async def test_payment_learns_its_intent_once(store: Store) -> None:
    """Whoever is first to know it; it never changes afterwards."""
    sale = await sell(store)
    made = a_fact(PaymentSignal.REQUIRES_PAYMENT_METHOD)
    first = await sale.settle(made, intent="pi_1")
    assert first.payment.stripe_payment_intent_id == "pi_1"
    assert first.payment.update_time > first.payment.create_time
    assert first.order == await sale.order()
    assert await sale.statuses() == ["created"]
    second = await sale.settle(intent="pi_2")
    assert second.payment == first.payment


async def test_payment_is_known_by_the_charge_that_took_its_money(store: Store) -> None:
    """Never by a failed attempt's, and once money was taken by none that only held it."""
    sale = await sell(store)
    failed = a_fact(PaymentSignal.ATTEMPT_FAILED, after=1)
    assert (await sale.settle(failed, charge="ch_1")).payment.stripe_charge_id == ""
    held = a_fact(PaymentSignal.AUTHORISED, after=2)
    assert (await sale.settle(held, charge="ch_2")).payment.stripe_charge_id == "ch_2"
    late = a_fact(PaymentSignal.ATTEMPT_FAILED, after=1, id_="evt_late")
    assert (await sale.settle(late, charge="ch_1")).payment.stripe_charge_id == "ch_2"
    assert (await sale.settle(CAPTURED, charge="ch_3")).payment.stripe_charge_id == "ch_3"
    again = a_fact(PaymentSignal.AUTHORISED, after=3)
    assert (await sale.settle(again, charge="ch_2")).payment.stripe_charge_id == "ch_3"


@pytest.mark.parametrize(
    ("facts", "related"),
    [
        ([a_fact(PaymentSignal.REQUIRES_PAYMENT_METHOD), CAPTURED], "pi_1"),
        ([a_fact(PaymentSignal.PROCESSING), CAPTURED], "pi_1"),
        ([CAPTURED], "pi_1"),
        ([CAPTURED], "ch_1"),
        ([a_fact(PaymentSignal.PROCESSING), CAPTURED], "ch_1"),
    ],
    ids=["made", "on its way", "intent", "charge", "charge on its way"],
)
async def test_what_was_heard_too_early_waits_to_be_applied(
    store: Store, facts: list[PaymentFact], related: str
) -> None:
    """Once a payment knows its charge, whichever fact was the first to tell of its intent."""
    unrelated = replace(a_notification(1), state=NotificationState.UNRELATED, related_id=related)
    other = replace(unrelated, id="ntf_other", vendor_event_id="evt_other", related_id="pi_2")
    applied = replace(a_notification(3), related_id=related)
    await keep(store, unrelated, other, applied)
    sale = await sell(store)
    for fact in facts:
        await sale.settle(fact, intent="pi_1", charge="ch_1")
    waiting = replace(unrelated, state=NotificationState.WAITING)
    kept = await store.read(
        lambda repo: repo.notifications.find(NotificationFilter(), before_id="", limit=9)
    )
    assert {each.id: each for each in kept} == {each.id: each for each in (waiting, other, applied)}


async def test_money_for_a_cancelled_order_is_told_as_such(store: Store) -> None:
    """The order is paid, and whoever settles can raise an alert, once."""
    sale = await sell(store)
    cancelled = await sale.settle(a_fact(PaymentSignal.CANCELLED))
    assert cancelled.order is not None
    assert cancelled.order.status is OrderStatus.CANCELLED
    revived = await sale.settle(CAPTURED)
    assert revived.order is not None
    assert revived.order.status is OrderStatus.TASK_STARTED
    assert revived.revived
    assert not (await sale.settle(CAPTURED)).revived


async def test_payment_that_is_not_there_can_not_be_locked(store: Store) -> None:
    """None is answered; what to tell a caller is theirs to decide."""
    assert await store.write(lambda repo: lock(repo, "pay_none")) is None


async def test_payment_whose_order_is_gone_is_a_fault_of_ours(store: Store) -> None:
    """It can't be settled, and the transaction leaves nothing."""
    sale = await sell(store, ad_hoc=True)
    lost = replace(a_payment(2), order_id=an_order(2).id)
    await keep(store, lost)
    with pytest.raises(AssertionError, match="order ord_000002 is gone"):
        await replace(sale, payment=lost).settle(CAPTURED)
    assert await store.read(lambda repo: repo.payments.facts(lost.id)) == []


# -- what is held, what is taken, and who has to be there -----------------------------------------


async def test_held_money_is_no_sale(store: Store) -> None:
    """The order stays created until the money is taken; part of it is enough."""
    sale = await sell(store, function="ship")
    held = await sale.settle(a_fact(PaymentSignal.AUTHORISED, amount=1250))
    assert held.order is not None
    assert held.order.status is OrderStatus.CREATED
    assert held.payment.state.status is PaymentStatus.REQUIRES_CAPTURE
    assert (held.payment.authorised, held.payment.captured) == (1250, 0)
    assert await sale.task() is None
    taken = await sale.settle(a_fact(PaymentSignal.CAPTURED, after=2, amount=400))
    assert taken.order is not None
    assert taken.order.status is OrderStatus.PAID
    assert (taken.payment.authorised, taken.payment.captured) == (0, 400)


async def test_absent_customer_has_until_a_deadline(store: Store) -> None:
    """It counts from the first time the bank asked, and is over with what the customer does."""
    limit = timedelta(hours=2)
    sale = await sell(store, limit=limit)
    first = a_fact(PaymentSignal.AUTHENTICATION_REQUIRED, after=5)
    again = a_fact(PaymentSignal.AUTHENTICATION_REQUIRED, after=60)
    asked = await sale.settle(again, first)
    assert asked.order is not None
    assert asked.order.status is OrderStatus.CREATED
    assert asked.payment.state.status is PaymentStatus.REQUIRES_ACTION
    assert asked.payment.action_deadline == first.event_time + limit
    overdue = await store.read(lambda repo: repo.payments.overdue(at(7300), limit=9))
    assert overdue == [asked.payment]
    declined = await sale.settle(a_fact(PaymentSignal.ATTEMPT_FAILED, after=65))
    assert declined.order is not None
    assert declined.order.status is OrderStatus.FAILED
    assert declined.payment.action_deadline == asked.payment.action_deadline
    paid = await sale.settle(a_fact(PaymentSignal.CAPTURED, after=70))
    assert paid.payment.action_deadline is None
    assert await store.read(lambda repo: repo.payments.overdue(at(7300), limit=9)) == []


async def test_customer_who_is_there_has_no_deadline(store: Store) -> None:
    """What they have to do they do now, or give it up."""
    sale = await sell(store)
    asked = await sale.settle(a_fact(PaymentSignal.REQUIRES_ACTION))
    assert asked.payment.state.status is PaymentStatus.REQUIRES_ACTION
    assert asked.payment.action_deadline is None


async def test_legacy_order_is_charged_before_it_is_paid(store: Store) -> None:
    """Whether the charge was heard of while it was pending, or only when it had succeeded."""
    slow = await sell(store, flow=PaymentFlow.LEGACY_CHARGE)
    await slow.settle(a_fact(PaymentSignal.LEGACY_CHARGE_PENDING), charge="ch_1")
    await slow.settle(CAPTURED, charge="ch_1")
    assert await slow.statuses() == ["created", "charge_created", "paid", "task_started"]


async def test_legacy_order_that_is_paid_at_once_was_charged_too(store: Store) -> None:
    """A watcher sees the same steps."""
    fast = await sell(store, flow=PaymentFlow.LEGACY_CHARGE)
    await fast.settle(CAPTURED, charge="ch_1")
    assert await fast.statuses() == ["created", "charge_created", "paid", "task_started"]
