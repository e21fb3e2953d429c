"""What is kept comes back as it was, is found by every filter, and is paged through by its key."""

from dataclasses import replace

import pytest

from boxoffice_server.domain.order import Order, OrderStatus
from boxoffice_server.domain.task import TaskState
from boxoffice_server.ports import OrderFilter, Repository, Store, TaskFilter
from tests.storage.samples import (
    a_payment,
    a_product,
    a_task,
    an_operation,
    an_order,
    at,
    keep,
)


async def test_product_comes_back_as_it_was(store: Store) -> None:
    """Every field of a product survives, before and after a change."""
    product = a_product()
    await keep(store, product)
    assert await store.read(lambda repo: repo.products.get(product.id)) == product
    changed = replace(product, name="x", tags=("b",), version=2, delete_time=at(9))
    await store.write(lambda repo: repo.products.update(changed))
    assert await store.write(lambda repo: repo.products.get(product.id, lock=True)) == changed
    assert await store.read(lambda repo: repo.products.get("prd_none")) is None


async def test_products_are_listed_newest_first_without_the_deleted(store: Store) -> None:
    """Pages go from the newest down, skip what is deleted, and know tags as they are now."""
    products = [a_product(n, tags=("even",) if n % 2 == 0 else ()) for n in range(1, 7)]
    await keep(store, *products)
    gone = replace(products[3], delete_time=at(9))
    untagged = replace(products[1], tags=("odd",))
    await store.write(lambda repo: repo.products.update(gone))
    await store.write(lambda repo: repo.products.update(untagged))

    async def ids(*, tag: str = "", before_id: str = "", limit: int = 9) -> list[int]:
        found = await store.read(
            lambda repo: repo.products.find(tag=tag, before_id=before_id, limit=limit)
        )
        return [int(each.id[4:]) for each in found]

    assert await ids() == [6, 5, 3, 2, 1]
    assert await ids(limit=2) == [6, 5]
    assert await ids(before_id="prd_000005", limit=2) == [3, 2]
    assert await ids(tag="even") == [6]
    assert await ids(tag="odd") == [2]


async def test_order_comes_back_as_it_was(store: Store) -> None:
    """Every field of an order survives, the product and the vendor's events in it as well."""
    order = an_order()
    await keep(store, order)
    assert await store.read(lambda repo: repo.orders.get(order.id)) == order
    changed = replace(order, status=OrderStatus.PAID, tags=("b", "a"), vendor_events=(), version=2)
    await store.write(lambda repo: repo.orders.update(changed))
    assert await store.write(lambda repo: repo.orders.get(order.id, lock=True)) == changed
    assert await store.read(lambda repo: repo.orders.get("ord_none")) is None


async def test_order_keeps_the_product_as_it_was_sold(store: Store) -> None:
    """A change of the product does not reach the orders of it."""
    order = an_order()
    await store.write(lambda repo: repo.products.insert(order.product))
    await keep(store, order)
    changed = replace(order.product, name="other", delete_time=at(9), version=2)
    await store.write(lambda repo: repo.products.update(changed))
    assert await store.read(lambda repo: repo.orders.get(order.id)) == order


def some_orders() -> list[Order]:
    """Six orders that differ in what filters look at."""
    other = a_product(2)
    return [
        an_order(1),
        an_order(2, user_id="user-9"),
        an_order(3, target_user_id="user-9"),
        an_order(4, status=OrderStatus.PAID),
        an_order(5, status=OrderStatus.FAILED, product=other),
        an_order(6, tags=("gift", "vip")),
    ]


ORDER_FILTERS: list[tuple[OrderFilter, list[int]]] = [
    (OrderFilter(), [6, 5, 4, 3, 2, 1]),
    (OrderFilter(order_ids=("ord_000005", "ord_000001", "ord_none")), [5, 1]),
    (OrderFilter(user_id="user-9"), [2]),
    (OrderFilter(target_user_id="user-9"), [3]),
    (OrderFilter(statuses=(OrderStatus.PAID, OrderStatus.FAILED)), [5, 4]),
    (OrderFilter(product_id="prd_000002"), [5]),
    (OrderFilter(tag="gift"), [6]),
    (OrderFilter(from_time=at(5)), [6, 5]),
    (OrderFilter(until_time=at(3)), [2, 1]),
    (OrderFilter(from_time=at(2), until_time=at(4), tag="vip", user_id="user-1"), [3]),
]


async def test_orders_are_found_by_every_filter(store: Store) -> None:
    """Each filter finds its orders, newest first; `until_time` itself is left out."""
    await keep(store, *some_orders())

    def body(repo: Repository) -> list[list[int]]:
        found = [repo.orders.find(wanted, before_id="", limit=9) for wanted, _ in ORDER_FILTERS]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await store.read(body) == [expected for _, expected in ORDER_FILTERS]


async def test_orders_are_paged_through_without_gap_or_repetition(store: Store) -> None:
    """Each page begins below the last id of the page before."""
    await keep(store, *some_orders())

    async def page(before_id: str) -> list[str]:
        found = await store.read(
            lambda repo: repo.orders.find(OrderFilter(tag="vip"), before_id=before_id, limit=4)
        )
        return [order.id for order in found]

    assert await page("") == ["ord_000006", "ord_000005", "ord_000004", "ord_000003"]
    assert await page("ord_000003") == ["ord_000002", "ord_000001"]
    assert await page("ord_000001") == []


async def test_task_comes_back_as_it_was(store: Store) -> None:
    """Every field of a task survives, before and after it was offered and acknowledged."""
    task = a_task()
    await keep(store, task)
    assert await store.read(lambda repo: repo.tasks.get(task.id)) == task
    changed = replace(
        task,
        state=TaskState.ACKNOWLEDGED,
        attempts=2,
        worker_id="w",
        lease_id="lse_1",
        lease_time=at(30),
        acknowledge_time=at(31),
    )
    await store.write(lambda repo: repo.tasks.update(changed))
    assert await store.write(lambda repo: repo.tasks.get(task.id, lock=True)) == changed
    assert await store.read(lambda repo: repo.tasks.by_order(task.order_id)) == changed
    assert await store.read(lambda repo: repo.tasks.get("tsk_none")) is None


async def test_tasks_are_claimed_by_priority_then_age(store: Store) -> None:
    """Only tasks of these functions, unfinished and due, are claimed; the most urgent first."""
    tasks = [
        a_task(1, available=9),
        a_task(2, state=TaskState.ACKNOWLEDGED),
        a_task(3, function_name="other"),
        a_task(4),
        a_task(5, priority=7),
        a_task(6, state=TaskState.WITHDRAWN),
        a_task(7, state=TaskState.OFFERED),
        a_task(8, function_name="mail", priority=7),
    ]
    await keep(store, *tasks)

    async def claimed(now: int, limit: int) -> list[int]:
        found = await store.write(
            lambda repo: repo.tasks.claim(["print", "mail"], now=at(now), limit=limit)
        )
        return [int(task.id[4:]) for task in found]

    assert await claimed(0, 9) == [5, 8, 4, 7]
    assert await claimed(9, 9) == [5, 8, 1, 4, 7]
    assert await claimed(9, 2) == [5, 8]
    assert await claimed(-1, 9) == []


async def test_next_available_task_is_told(store: Store) -> None:
    """The earliest time of an unfinished task of these functions is told, None without any."""
    await keep(
        store,
        a_task(1, available=9),
        a_task(2, available=5, state=TaskState.ACKNOWLEDGED),
        a_task(3, available=7, state=TaskState.OFFERED),
        a_task(4, available=2, function_name="other"),
    )
    assert await store.read(lambda repo: repo.tasks.next_available(["print", "mail"])) == at(7)
    assert await store.read(lambda repo: repo.tasks.next_available(["mail"])) is None


TASK_FILTERS: list[tuple[TaskFilter, list[int]]] = [
    (TaskFilter(), [3, 2, 1]),
    (TaskFilter(function_name="other"), [2]),
    (TaskFilter(states=(TaskState.OFFERED, TaskState.WITHDRAWN)), [3]),
    (TaskFilter(order_id="ord_000001"), [1]),
    (TaskFilter(order_id="ord_000001", function_name="other"), []),
]


async def test_tasks_are_found_by_every_filter(store: Store) -> None:
    """Each filter finds its tasks, newest first."""
    tasks = [a_task(1), a_task(2, function_name="other"), a_task(3, state=TaskState.OFFERED)]
    await keep(store, *tasks)

    def body(repo: Repository) -> list[list[int]]:
        found = [repo.tasks.find(wanted, before_id="", limit=9) for wanted, _ in TASK_FILTERS]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await store.read(body) == [expected for _, expected in TASK_FILTERS]
    page = await store.read(
        lambda repo: repo.tasks.find(TaskFilter(), before_id="tsk_000003", limit=1)
    )
    assert [task.id for task in page] == ["tsk_000002"]


async def test_order_has_one_task(store: Store) -> None:
    """A second task for an order is refused, and leaves nothing."""
    await keep(store, a_task(1))
    second = replace(a_task(2), order_id="ord_000001")
    with pytest.raises(Exception, match=r"(?i)unique"):
        await keep(store, second)
    assert await store.read(lambda repo: repo.tasks.get(second.id)) is None


async def test_change_of_what_is_not_there_is_an_error(store: Store) -> None:
    """An update that meets no row is a fault of the program and never silent."""
    with pytest.raises(LookupError):
        await store.write(lambda repo: repo.products.update(a_product()))
    with pytest.raises(LookupError):
        await store.write(lambda repo: repo.operations.update(an_operation()))
    with pytest.raises(LookupError):
        await store.write(lambda repo: repo.payments.update(a_payment()))
    with pytest.raises(LookupError):
        await store.write(lambda repo: repo.customers.learn_stripe_id("nobody", "cus_1"))
