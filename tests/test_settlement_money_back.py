"""Settlement of what goes back, and of what people decide: payments, orders and tasks follow."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import OrderStatus
from boxoffice_server.domain.payment import PaymentFact, PaymentSignal
from boxoffice_server.domain.refund import DisputeStatus, RefundNews, RefundStatus
from boxoffice_server.domain.stream import RecordKind
from boxoffice_server.domain.task import LeasePolicy, TaskState, acknowledge, offer
from boxoffice_server.ports import Repository, Store
from boxoffice_server.settlement import Locked, Settled
from tests.domain.facts import START
from tests.domain.money_back import dispute_news, refund_news
from tests.storage.samples import a_refund, at
from tests.support.settling import CAPTURED, Sale, a_fact, sell

SUCCEEDED, FAILED = RefundStatus.SUCCEEDED, RefundStatus.FAILED


async def paid(store: Store, *, function: str = "") -> Sale:
    """A sale whose money is there."""
    sale = await sell(store, function=function)
    await sale.settle(CAPTURED, intent="pi_1", charge="ch_1")
    return sale


def status_of(settled: Settled) -> OrderStatus:
    """The status of the order."""
    assert settled.order is not None
    return settled.order.status


async def state_of(sale: Sale) -> TaskState:
    """The state of the order's task."""
    task = await sale.task()
    assert task is not None
    return task.state


# -- refunds --------------------------------------------------------------------------------------


async def test_partial_refund_changes_only_the_payment(store: Store) -> None:
    """The order is paid for, and its task stays; nothing is told of the order."""
    sale = await paid(store, function="ship")
    before = await sale.order()
    result = await sale.refund(refund_news(amount=400))
    assert result.order == before == await sale.order()
    assert (result.payment.refunded, result.payment.refund_time) == (400, None)
    assert await state_of(sale) is TaskState.PENDING
    assert await sale.statuses() == ["created", "paid"]
    told = [each for each in await sale.told() if each.kind is RecordKind.PAYMENT]
    assert len(told) == result.payment.version - 1 == 2


async def test_order_is_refunded_with_the_last_part(store: Store) -> None:
    """Its task is withdrawn then; the time is the vendor's."""
    sale = await paid(store, function="ship")
    await sale.refund(refund_news(number=1, second=12, amount=400))
    result = await sale.refund(refund_news(number=2, second=11, amount=850))
    assert status_of(result) is OrderStatus.REFUNDED
    assert result.payment.refunded == 1250
    assert result.payment.refund_time == START + timedelta(seconds=12)
    assert await state_of(sale) is TaskState.WITHDRAWN
    assert await sale.statuses() == ["created", "paid", "refunded"]


async def test_refund_that_is_on_its_way_moves_no_order(store: Store) -> None:
    """It may still fail; the payment tells of it all the same."""
    sale = await paid(store)
    pending = await sale.refund(refund_news(RefundStatus.PENDING))
    assert status_of(pending) is OrderStatus.TASK_STARTED
    assert (pending.payment.refunded, pending.payment.version) == (0, 3)


async def test_refund_that_fails_later_restores_the_order(store: Store) -> None:
    """Its task is offered again, at once."""
    sale = await paid(store, function="ship")
    withdrawn = await sale.refund(refund_news(SUCCEEDED, second=10))
    assert status_of(withdrawn) is OrderStatus.REFUNDED
    restored = await sale.refund(refund_news(FAILED, second=11))
    assert status_of(restored) is OrderStatus.PAID
    assert (restored.payment.refunded, restored.payment.refund_time) == (0, None)
    task = await sale.task()
    assert task is not None
    assert task.state is TaskState.PENDING
    assert task.available_time > at(60)
    assert await sale.statuses() == ["created", "paid", "refunded", "paid"]


async def test_task_that_was_started_is_never_undone(store: Store) -> None:
    """The order is refunded, the work goes on; it is started again where the refund fails."""
    sale = await paid(store, function="ship")
    await sale.start_task()
    assert status_of(await sale.refund(refund_news(second=10))) is OrderStatus.REFUNDED
    assert await state_of(sale) is TaskState.ACKNOWLEDGED
    restored = await sale.refund(refund_news(FAILED, second=11))
    assert status_of(restored) is OrderStatus.TASK_STARTED


async def test_order_without_a_function_is_restored_to_where_it_was(store: Store) -> None:
    """It was started by its payment, and is again."""
    sale = await paid(store)
    assert status_of(await sale.refund(refund_news(second=10))) is OrderStatus.REFUNDED
    restored = await sale.refund(refund_news(FAILED, second=11))
    assert status_of(restored) is OrderStatus.TASK_STARTED


async def test_duplicate_news_change_nothing(store: Store) -> None:
    """No event and no new version of anything."""
    sale = await paid(store)
    news = refund_news(amount=400)
    first = await sale.refund(news)
    told = await sale.told()
    assert await sale.refund(news, news) == first
    assert await sale.told() == told


async def test_refund_of_ours_is_not_kept_a_second_time(store: Store) -> None:
    """What the vendor says finds it by our id, and by the vendor's from then on."""
    sale = await paid(store)
    asked = a_refund(1)
    await store.write(lambda repo: repo.refunds.insert(asked))
    await sale.refund(refund_news(amount=400, second=1, refund_id=asked.id))
    result = await sale.refund(refund_news(FAILED, amount=400, second=2))
    (kept,) = await store.read(lambda repo: repo.refunds.of_payment(sale.payment.id))
    assert (kept.id, kept.status, kept.stripe_refund_id) == (asked.id, FAILED, "re_1")
    assert result.payment.refunded == 0


async def test_refund_that_names_an_answered_one_of_ours_is_another(store: Store) -> None:
    """Two refunds at the vendor are two here, whatever their metadata claims, so both count."""
    sale = await paid(store)
    asked = a_refund(1)
    await store.write(lambda repo: repo.refunds.insert(asked))
    first, second = (
        refund_news(number=number, amount=400, second=number, refund_id=asked.id)
        for number in (1, 2)
    )
    result = await sale.refund(first, second, first)
    kept = await store.read(lambda repo: repo.refunds.of_payment(sale.payment.id))
    assert {each.stripe_refund_id for each in kept} == {"re_1", "re_2"}
    assert result.payment.refunded == 800


async def test_refund_of_another_payment_is_not_taken_for_ours(store: Store) -> None:
    """Our id in the metadata counts for the payment it was made for."""
    other = await sell(store, number=2)
    sale = await paid(store)
    asked = a_refund(1, payment=2)
    await store.write(lambda repo: repo.refunds.insert(asked))
    await sale.refund(refund_news(amount=400, refund_id=asked.id))
    assert await store.read(lambda repo: repo.refunds.get(asked.id)) == asked
    (made,) = await store.read(lambda repo: repo.refunds.of_payment(sale.payment.id))
    assert made.id != asked.id
    assert (await other.settle()).payment.refunded == 0


async def test_ad_hoc_payment_is_refunded_alone(store: Store) -> None:
    """There is no order to follow."""
    sale = await sell(store, ad_hoc=True)
    await sale.settle(CAPTURED)
    result = await sale.refund(refund_news())
    assert result.order is None
    assert (result.payment.refunded, result.payment.refund_time) == (
        1250,
        START + timedelta(seconds=1),
    )
    assert [each.kind for each in await sale.told()] == [RecordKind.PAYMENT] * 2


STORY: list[PaymentFact | RefundNews] = [
    a_fact(PaymentSignal.CAPTURED, after=3, amount=1000),
    refund_news(SUCCEEDED, number=1, second=5, amount=600),
    refund_news(SUCCEEDED, number=2, second=6, amount=400),
    refund_news(FAILED, number=2, second=7, amount=400),
]
ENDS = [
    # The refund that fails, and the one that does not: part of the money is back.
    (STORY, OrderStatus.PAID, 600, None),
    # Before it fails all that was captured is back.
    (STORY[:3], OrderStatus.REFUNDED, 1000, START + timedelta(seconds=6)),
]


@pytest.mark.parametrize(("story", "status", "refunded", "time"), ENDS, ids=["part", "whole"])
async def test_money_ends_the_same_in_every_order_of_arrival(
    store: Store,
    story: list[PaymentFact | RefundNews],
    status: OrderStatus,
    refunded: int,
    time: object,
) -> None:
    """Also where a refund is heard of before the capture that it gives back."""
    for number, arrival in enumerate(permutations(story)):
        sale = await sell(store, number=number, function="ship")
        for each in arrival:
            match each:
                case PaymentFact():
                    result = await sale.settle(each)
                case RefundNews():
                    result = await sale.refund(_of(number, each))
        assert status_of(result) is status
        payment = result.payment
        assert (payment.captured, payment.refunded, payment.refund_time) == (1000, refunded, time)
        task = await sale.task()
        offered = task is not None and task.state is TaskState.PENDING
        assert offered == (status is OrderStatus.PAID)
        assert (await sale.settle()).payment == payment


def _of(sale: int, news: RefundNews) -> RefundNews:
    """News of a refund that no other sale has."""
    return replace(news, stripe_refund_id=f"{news.stripe_refund_id}_{sale}")


# -- disputes -------------------------------------------------------------------------------------


async def test_dispute_changes_only_the_payment(store: Store) -> None:
    """While it is open and when it is lost; nothing is told of the order."""
    sale = await paid(store, function="ship")
    before = await sale.order()
    opened = await sale.dispute(dispute_news())
    assert opened.payment.disputed
    lost = await sale.dispute(dispute_news(DisputeStatus.LOST, second=9))
    assert lost.payment.disputed
    assert lost.payment.version == opened.payment.version + 1
    assert lost.order == before == await sale.order()
    assert await state_of(sale) is TaskState.PENDING
    assert await sale.statuses() == ["created", "paid"]


async def test_payment_is_disputed_while_any_dispute_stands(store: Store) -> None:
    """One that is won leaves the other; old news and duplicates leave both."""
    sale = await paid(store)
    await sale.dispute(dispute_news(number=1))
    await sale.dispute(dispute_news(number=2))
    one_won = await sale.dispute(dispute_news(DisputeStatus.WON, number=1, second=9))
    assert one_won.payment.disputed
    both_won = await sale.dispute(dispute_news(DisputeStatus.WON, number=2, second=9))
    assert not both_won.payment.disputed
    told = await sale.told()
    for old in (dispute_news(number=2), dispute_news(DisputeStatus.WON, number=2, second=9)):
        assert (await sale.dispute(old)).payment == both_won.payment
    assert await sale.told() == told


# -- by hand --------------------------------------------------------------------------------------


async def test_order_is_paid_by_hand(store: Store) -> None:
    """Its task waits as if money had come; the payment says what it said."""
    sale = await sell(store, function="ship")
    result = await sale.set_status(OrderStatus.PAID, after=5)
    assert status_of(result) is OrderStatus.PAID
    assert result.payment == sale.payment
    assert not result.revived
    assert await state_of(sale) is TaskState.PENDING
    kept = await sale.order()
    assert [(each.actor, each.status) for each in kept.manual] == [("kim", OrderStatus.PAID)]


async def test_order_without_a_function_that_is_paid_by_hand_is_started(store: Store) -> None:
    """As one that money paid is; and it stays so when more is heard."""
    sale = await sell(store)
    assert status_of(await sale.set_status(OrderStatus.PAID, after=5)) is OrderStatus.TASK_STARTED
    heard = await sale.settle(a_fact(PaymentSignal.PROCESSING, after=7))
    assert status_of(heard) is OrderStatus.TASK_STARTED
    assert await sale.statuses() == ["created", "paid", "task_started", "task_started"]


async def test_task_of_an_order_that_is_cancelled_by_hand_is_withdrawn(store: Store) -> None:
    """And offered again when it is paid by hand after all, which nobody is alarmed by."""
    sale = await paid(store, function="ship")
    cancelled = await sale.set_status(OrderStatus.CANCELLED, after=20)
    assert status_of(cancelled) is OrderStatus.CANCELLED
    assert await state_of(sale) is TaskState.WITHDRAWN
    again = await sale.set_status(OrderStatus.PAID, after=30)
    assert status_of(again) is OrderStatus.PAID
    assert not again.revived
    assert await state_of(sale) is TaskState.PENDING


async def test_task_that_was_offered_is_withdrawn_too(store: Store) -> None:
    """The worker's lease is worth nothing any more."""
    sale = await paid(store, function="ship")

    def offer_it(repo: Repository, locked: Locked) -> Settled:
        (task,) = repo.tasks.claim(["ship"], now=task_time, limit=9)
        repo.tasks.update(
            offer(task, worker_id="w", lease_id="l", now=task_time, policy=LeasePolicy())
        )
        return sale.settlement.settle(repo, locked)

    task = await sale.task()
    assert task is not None
    task_time = task.available_time
    await sale.run(offer_it)
    await sale.refund(refund_news(second=12))
    withdrawn = await sale.task()
    assert withdrawn is not None
    assert withdrawn.state is TaskState.WITHDRAWN
    with pytest.raises(BoxofficeError) as caught:
        acknowledge(withdrawn, lease_id="l", now=task_time)
    assert caught.value.reason is Reason.LEASE_LOST


async def test_money_that_comes_after_a_person_gave_up_is_alarming(store: Store) -> None:
    """The order is paid all the same."""
    sale = await sell(store)
    await sale.set_status(OrderStatus.CANCELLED, after=5)
    revived = await sale.settle(CAPTURED)
    assert status_of(revived) is OrderStatus.TASK_STARTED
    assert revived.revived
