"""What every transaction promises: all or nothing, no race won twice, and an end of its own."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import change, created
from boxoffice_server.domain.payment import Customer
from boxoffice_server.domain.task import LeasePolicy, Task, TaskState, offer
from boxoffice_server.ports import OrderFilter, Repository, Store
from boxoffice_server.storage import create_store
from boxoffice_server.storage.transactions import MOST_WRITES
from tests.storage.samples import (
    a_customer,
    a_notification,
    a_payment,
    a_task,
    an_operation,
    an_order,
    at,
    events_of,
    keep,
)
from tests.support.stores import (
    appended,
    opened_store,
    plain_encode,
    position_of,
    until,
    whole_log,
)

MANY = 20


async def test_error_in_the_body_leaves_nothing(store: Store) -> None:
    """A body that raises is rolled back, its events included, and its error comes through."""

    def body(repo: Repository) -> None:
        repo.orders.insert(an_order())
        repo.log.append(created(an_order()))
        repo.log.append_clock(60, at(0))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(body)
    assert await store.read(lambda repo: repo.orders.get("ord_000001")) is None
    assert await store.read(lambda repo: repo.log.clock_offset()) == 0
    token = await store.write(lambda repo: appended(repo, created(an_order(2))))
    assert await position_of(store, token) == 1
    assert [record.subject_id for record in await whole_log(store)] == ["ord_000002"]


async def test_read_transaction_changes_nothing(store: Store) -> None:
    """A write in a transaction that only reads is a fault of the program."""
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        await store.read(lambda repo: repo.orders.insert(an_order()))
    assert await store.read(lambda repo: repo.orders.get("ord_000001")) is None


async def test_concurrent_operations_with_one_key_are_kept_once(store: Store) -> None:
    """Of many callers with the same request id, one gets to do the work."""

    async def ask(owner: int) -> bool:
        operation = an_operation(owner=str(owner))
        return await store.write(lambda repo: repo.operations.insert(operation))

    answers = await asyncio.gather(*(ask(owner) for owner in range(MANY)))
    assert answers.count(True) == 1
    kept = await store.read(lambda repo: repo.operations.get(an_operation().key))
    assert kept is not None
    assert kept.owner == str(answers.index(True))


async def test_concurrent_deliveries_of_one_notification_are_kept_once(store: Store) -> None:
    """Of many deliveries of the same vendor event, one is kept."""

    async def deliver(number: int) -> bool:
        notification = a_notification(number, vendor_event=1)
        return await store.write(lambda repo: repo.notifications.insert(notification))

    answers = await asyncio.gather(*(deliver(number) for number in range(MANY)))
    assert answers.count(True) == 1


async def test_concurrent_first_payments_share_one_customer(store: Store) -> None:
    """Of many proposed customers of one user, one stays, and everybody is told which."""

    async def propose(number: int) -> Customer:
        return await store.write(lambda repo: repo.customers.keep(a_customer(number)))

    answers = await asyncio.gather(*(propose(number) for number in range(MANY)))
    assert len({customer.id for customer in answers}) == 1


async def test_task_is_never_claimed_twice(store: Store) -> None:
    """Many workers at once: each task is offered to one of them, and none is left."""
    await keep(store, *(a_task(number) for number in range(1, 41)))

    def body(repo: Repository, worker: int) -> list[Task]:
        claimed = repo.tasks.claim(["print"], now=at(0), limit=3)
        for task in claimed:
            lease = {"worker_id": str(worker), "lease_id": f"lse_{worker}"}
            repo.tasks.update(offer(task, now=at(0), policy=LeasePolicy(), **lease))
        return claimed

    async def work(worker: int) -> list[str]:
        mine: list[str] = []
        left = True
        while left:
            mine += [task.id for task in await store.write(lambda repo: body(repo, worker))]
            # Tasks that others hold are passed over, so an empty claim is not the end.
            next_time = await store.read(lambda repo: repo.tasks.next_available(["print"]))
            left = next_time is not None and next_time <= at(0)
        return mine

    claimed = await asyncio.gather(*(work(worker) for worker in range(8)))
    ids = sorted(task_id for mine in claimed for task_id in mine)
    assert ids == [f"tsk_{number:06}" for number in range(1, 41)]
    task = await store.read(lambda repo: repo.tasks.get("tsk_000001"))
    assert task is not None
    assert task.state is TaskState.OFFERED


async def test_locked_order_changes_one_at_a_time(store: Store) -> None:
    """Concurrent changes of one order each see the one before, in the log's order as well."""
    await keep(store, an_order())

    def body(repo: Repository, number: int) -> None:
        order = repo.orders.get("ord_000001", lock=True)
        assert order is not None
        event = change(order, now=at(number), tags=(str(number),))
        assert event is not None
        repo.orders.update(event.order)
        repo.log.append(event)

    await asyncio.gather(*(store.write(partial(body, number=number)) for number in range(MANY)))
    order = await store.read(lambda repo: repo.orders.get("ord_000001"))
    assert order is not None
    assert order.version == MANY + 1
    await until(lambda: head_is(store, MANY))
    versions = [int(record.payload.split()[1]) for record in await whole_log(store)]
    assert versions == list(range(2, MANY + 2))


async def test_locked_sale_changes_one_at_a_time(store: Store) -> None:
    """Whoever waited sees both as they were left, also by those who lock only one of them."""
    await keep(store, an_order(), a_payment(1))

    def change_both(repo: Repository) -> None:
        order, payment = repo.lock_sale("ord_000001", "pay_000001")
        assert order is not None
        assert payment is not None
        # Whatever else asks for them in this transaction gets the same.
        assert repo.orders.get("ord_000001", lock=True) == order
        assert repo.payments.get("pay_000001", lock=True) == payment
        repo.orders.update(replace(order, version=order.version + 1))
        repo.payments.update(replace(payment, version=payment.version + 1))

    def change_order(repo: Repository) -> None:
        order = repo.orders.get("ord_000001", lock=True)
        assert order is not None
        repo.orders.update(replace(order, version=order.version + 1))

    def change_payment(repo: Repository) -> None:
        payment = repo.payments.get("pay_000001", lock=True)
        assert payment is not None
        repo.payments.update(replace(payment, version=payment.version + 1))

    changes = (change_both, change_order, change_payment) * MANY
    await asyncio.gather(*(store.write(change) for change in changes))
    order, payment = await store.write(lambda repo: repo.lock_sale("ord_000001", "pay_000001"))
    assert order is not None
    assert payment is not None
    assert (order.version, payment.version) == (1 + 2 * MANY, 1 + 2 * MANY)


async def test_sale_that_is_not_whole_is_locked_as_far_as_it_goes(store: Store) -> None:
    """Either may be missing; what was written or locked before is the same."""
    await keep(store, an_order(), a_payment(1))

    def body(repo: Repository) -> None:
        order, payment = repo.lock_sale("ord_000001", "pay_none")
        assert (order, payment) == (an_order(), None)
        assert repo.lock_sale("ord_none", "pay_000001") == (None, a_payment(1))
        changed = replace(an_order(), version=7)
        repo.orders.update(changed)
        assert repo.lock_sale("ord_000001", "pay_000001") == (changed, a_payment(1))

    await store.write(body)


async def head_is(store: Store, head: int) -> bool:
    """Tells whether the log has grown this far."""
    return (await store.read(lambda repo: repo.log.bounds())).head >= head


async def test_write_outlives_its_caller(store: Store) -> None:
    """A caller that is cancelled while its transaction runs does not undo it."""

    def body(repo: Repository) -> None:
        for event in events_of(an_order(), 3):
            repo.log.append(event)

    caller = asyncio.get_running_loop().create_task(store.write(body))
    # The transaction is on its way once the caller has had its turn.
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await until(lambda: head_is(store, 3))


async def test_write_that_waits_for_its_turn_ends_with_its_caller(store: Store) -> None:
    """Else the store would do, for nobody, what others still wait for."""
    writes = [
        asyncio.create_task(store.write(partial(keep_order, number=number)))
        for number in range(MOST_WRITES + 2)
    ]
    await asyncio.sleep(0)
    # None of them is through yet, so the last two are not begun.
    writes[-2].cancel()
    await asyncio.wait(writes)
    kept = await store.read(lambda repo: repo.orders.find(OrderFilter(), before_id="", limit=99))
    numbers = [number for number in range(MOST_WRITES + 2) if number != MOST_WRITES]
    assert {order.id for order in kept} == {an_order(number).id for number in numbers}


def keep_order(repo: Repository, *, number: int) -> None:
    """Keeps an order."""
    repo.orders.insert(an_order(number))


async def test_close_waits_for_running_transactions(database: str) -> None:
    """A transaction whose caller has left is finished before the store is closed."""
    async with opened_store(database) as store:
        event = created(an_order())
        caller = asyncio.get_running_loop().create_task(
            store.write(lambda repo: repo.log.append(event))
        )
        await asyncio.sleep(0)
        caller.cancel()
    async with opened_store(database) as store:
        await until(lambda: head_is(store, 1))
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_closed_store_is_unavailable(database: str) -> None:
    """A store that is not open refuses, with the error callers know."""
    store = create_store(database, encode=plain_encode)
    with pytest.raises(BoxofficeError) as caught:
        await store.read(lambda repo: repo.log.bounds())
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    async with opened_store(database) as opened:
        await opened.read(lambda repo: repo.log.bounds())
    with pytest.raises(BoxofficeError):
        await opened.write(lambda repo: repo.orders.insert(an_order()))


async def test_all_fields_of_an_operation_survive_a_takeover(store: Store) -> None:
    """A new owner takes an operation whose lease has run out; the request stays as it was."""
    first = an_operation()
    await store.write(lambda repo: repo.operations.insert(first))
    taken = replace(first, owner="other", lease_time=at(90))
    await store.write(lambda repo: repo.operations.update(replace(taken, fingerprint=b"x")))
    assert await store.read(lambda repo: repo.operations.get(first.key)) == taken


async def test_what_a_transaction_has_written_is_what_it_reads(store: Store) -> None:
    """An order that was inserted, locked or changed is seen so at once, and by others once kept."""
    order = an_order()
    event = change(order, now=at(1), tags=("seen",))
    assert event is not None

    def insert(repo: Repository) -> None:
        repo.orders.insert(order)
        assert repo.orders.get(order.id, lock=True) == order

    def update(repo: Repository) -> None:
        assert repo.orders.get(order.id) == order
        assert repo.orders.get(order.id, lock=True) == order
        repo.orders.update(event.order)
        assert repo.orders.get(order.id) == event.order
        assert repo.orders.get(order.id, lock=True) == event.order

    await store.write(insert)
    assert await store.read(lambda repo: repo.orders.get(order.id)) == order
    await store.write(update)
    assert await store.read(lambda repo: repo.orders.get(order.id)) == event.order
