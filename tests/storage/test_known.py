"""What a process knows of sales and products, and how it learns that they have changed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

import asyncpg
import pytest

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.order import Order, created
from boxoffice_server.domain.payment import Payment
from boxoffice_server.domain.product import Product
from boxoffice_server.ports import OvertakenError, Repository, Store
from boxoffice_server.storage.session import GatheringSession
from tests.storage.interleaving import until_waiting
from tests.storage.samples import a_fact, a_payment, a_product, an_operation, an_order
from tests.support.stores import opened_store, until

ORDER, PAYMENT = an_order().id, a_payment(1).id
ALONE = replace(a_payment(2), order_id="")


def sell(repo: Repository) -> None:
    """Records an order and its payment, as the first transaction of a sale does."""
    repo.operations.record(an_operation())
    repo.orders.insert(an_order())
    repo.payments.insert(a_payment(1))
    repo.log.append(created(an_order()))


def charge(repo: Repository) -> None:
    """Records a payment for no order."""
    repo.payments.insert(ALONE)
    repo.log.append(created(an_order(2)))


def end(repo: Repository) -> tuple[Order | None, Payment | None, int]:
    """Records what follows, as the second transaction does; answers what it has found."""
    order, payment = repo.lock_sale(ORDER, PAYMENT)
    assert payment is not None
    facts = repo.payments.facts(PAYMENT)
    repo.payments.add_fact(PAYMENT, a_fact(7))
    repo.payments.update(replace(payment, version=payment.version + 1))
    repo.operations.end(replace(an_operation(), answer=b"told", settled=True))
    return order, payment, len(facts)


@pytest.fixture
async def sold(store: Store) -> Store:
    """A store that has just recorded a sale."""
    await store.write(sell)
    return store


@pytest.fixture
async def other(postgres_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of somebody else's to the same database."""
    connection = await asyncpg.connect(postgres_database)
    yield connection
    await connection.close()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What PostgreSQL is asked from now on, but for BEGIN and COMMIT."""
    statements: list[str] = []
    run = GatheringSession._run

    def told(session: GatheringSession, sql: str, arguments: Sequence[object]) -> object:
        statements.append(sql)
        return run(session, sql, arguments)

    monkeypatch.setattr(GatheringSession, "_run", told)
    return statements


async def test_sale_is_found_as_it_was_recorded(sold: Store) -> None:
    """And what the transaction writes of it is there afterwards."""
    assert await sold.write(end) == (an_order(), a_payment(1), 0)
    payment = await sold.read(lambda repo: repo.payments.get(PAYMENT))
    assert payment == replace(a_payment(1), version=a_payment(1).version + 1)
    assert await sold.read(lambda repo: repo.payments.facts(PAYMENT)) == [a_fact(7)]


async def test_payment_for_no_order_is_found_as_it_was_recorded(store: Store) -> None:
    """It is locked alone."""
    await store.write(charge)
    assert await store.write(lambda repo: repo.lock_sale("", ALONE.id)) == (None, ALONE)


@pytest.mark.parametrize("what", ["order", "payment", "fact"])
async def test_whatever_has_changed_meanwhile_is_seen(sold: Store, what: str) -> None:
    """Of either, or a new fact, whose writer writes its payment as it was."""
    order, payment = replace(an_order(), version=9), replace(a_payment(1), version=9)

    def change(repo: Repository) -> None:
        if what == "order":
            repo.orders.update(order)
        elif what == "payment":
            repo.payments.update(payment)
        else:
            repo.payments.add_fact(PAYMENT, a_fact(1))
            repo.payments.update(a_payment(1))

    await sold.write(change)
    seen_order, seen_payment, facts = await sold.write(end)
    assert seen_order == (order if what == "order" else an_order())
    assert seen_payment == (payment if what == "payment" else a_payment(1))
    assert facts == (1 if what == "fact" else 0)


async def test_payment_that_was_recorded_with_a_fact_keeps_it(store: Store) -> None:
    """Only a payment without facts is taken to have none."""

    def body(repo: Repository) -> None:
        sell(repo)
        repo.payments.add_fact(PAYMENT, a_fact(1))

    await store.write(body)
    assert await store.write(end) == (an_order(), a_payment(1), 1)


async def test_payment_for_an_order_that_was_there_before_sees_its_changes(store: Store) -> None:
    """Only what was recorded together is known."""
    order = replace(an_order(), version=9)
    await store.write(lambda repo: repo.orders.insert(an_order()))

    def pay(repo: Repository) -> None:
        repo.operations.record(an_operation())
        repo.payments.insert(a_payment(1))
        repo.log.append(created(an_order()))

    await store.write(pay)
    await store.write(lambda repo: repo.orders.update(order))
    assert await store.write(end) == (order, a_payment(1), 0)


async def test_transaction_that_was_rolled_back_leaves_nothing_known(store: Store) -> None:
    """A sale that was not recorded is not there."""

    def fail(repo: Repository) -> None:
        sell(repo)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 -- our own, without a text
        await store.write(fail)
    assert await store.write(lambda repo: repo.lock_sale(ORDER, PAYMENT)) == (None, None)


async def test_nothing_is_kept_where_the_operation_has_ended(sold: Store) -> None:
    """Whoever comes too late with all that is right about the sale is told so."""
    ended = replace(an_operation(), answer=b"first", settled=True)
    await sold.write(lambda repo: repo.operations.end(ended))
    with pytest.raises(OvertakenError):
        await sold.write(end)
    assert await sold.read(lambda repo: repo.payments.get(PAYMENT)) == a_payment(1)
    assert await sold.read(lambda repo: repo.payments.facts(PAYMENT)) == []


async def test_sale_is_checked_before_anything_else_is_read(
    postgres_database: str, other: asyncpg.Connection
) -> None:
    """What is read of it afterwards is of the same moment, or a later one."""
    async with opened_store(postgres_database) as store:
        await store.write(lambda repo: repo.products.insert(a_product()))
        await store.write(sell)
        await other.execute("UPDATE orders SET version = 9")

        def body(repo: Repository) -> int:
            order, _ = repo.lock_sale(ORDER, PAYMENT)
            repo.products.get(a_product().id)
            assert order is not None
            assert order.version == 9, "the first run ends before this"
            return order.version

        assert await store.write(body) == 9


async def test_known_sale_takes_one_statement(
    postgres_database: str, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither read nor begun: that is what knowing it is good for."""
    async with opened_store(postgres_database) as store:
        await store.write(sell)
        ran.clear()
        monkeypatch.setattr(GatheringSession, "_begin", lambda _: pytest.fail("it has begun"))
        await store.write(end)
    assert len([sql for sql in ran if "payment_facts" in sql]) == 1


CHANGED_ORDER, CHANGED_PAYMENT = replace(an_order(), version=9), replace(a_payment(1), version=9)


@pytest.mark.parametrize(
    ("statement", "ends_by", "found"),
    [
        ("UPDATE payments SET version = 9", "COMMIT", (an_order(), CHANGED_PAYMENT, 0)),
        # Though the second transaction writes the payment alone.
        ("UPDATE orders SET version = 9", "COMMIT", (CHANGED_ORDER, a_payment(1), 0)),
        ("UPDATE payments SET version = 9", "ROLLBACK", (an_order(), a_payment(1), 0)),
    ],
)
async def test_change_that_is_not_committed_yet_is_waited_for(
    postgres_database: str,
    other: asyncpg.Connection,
    statement: str,
    ends_by: str,
    found: tuple[Order, Payment, int],
) -> None:
    """The second transaction sees what became of it: one that is rolled back is none."""
    async with opened_store(postgres_database) as store:
        await store.write(sell)
        await other.execute(f"BEGIN; {statement}")
        ending = asyncio.create_task(store.write(end))
        await until_waiting(postgres_database)
        await other.execute(ends_by)
        assert await ending == found
        assert await store.read(lambda repo: repo.payments.facts(PAYMENT)) == [a_fact(7)]


def buy(repo: Repository) -> Product | None:
    """Takes a product and writes what depends on it, as a sale does."""
    product = repo.products.on_sale(a_product().id)
    repo.payments.insert(a_payment(1 if product is None else product.task_priority))
    return product


def refuse(repo: Repository) -> None:
    """Takes a product, and finds something wrong with it."""
    product = repo.products.on_sale(a_product().id)
    assert product is not None
    raise ValueError(product.name)


async def test_product_is_sold_as_it_is(store: Store) -> None:
    """However often it was sold before, and whoever has changed it since."""
    product = replace(a_product(), task_priority=1)
    await store.write(lambda repo: repo.products.insert(product))
    for number in (2, 3, 4):
        assert await store.write(buy) == product
        product = replace(product, task_priority=number)
        await store.write(partial(_update, product=product))


async def test_product_that_was_never_there_is_not_on_sale(store: Store) -> None:
    """Nor does anyone remember that, once it is there."""
    assert await store.write(buy) is None
    product = replace(a_product(), task_priority=2)
    await store.write(lambda repo: repo.products.insert(product))
    assert await store.write(buy) == product


async def test_product_is_refused_for_what_it_is(store: Store) -> None:
    """Not for what it was: a transaction that fails knows nothing that was not checked."""
    product = replace(a_product(), task_priority=1)
    await store.write(lambda repo: repo.products.insert(product))
    await store.write(buy)
    await store.write(partial(_update, product=replace(product, name="changed")))
    with pytest.raises(ValueError, match="changed"):
        await store.write(refuse)


async def test_known_product_is_not_read(postgres_database: str, ran: list[str]) -> None:
    """Until all connections are new: the database behind them may be another one."""
    async with opened_store(postgres_database) as store:
        await store.write(lambda repo: repo.products.insert(a_product()))
        for _ in range(3):
            await store.write(lambda repo: repo.products.on_sale(a_product().id))
        assert len([sql for sql in ran if sql.startswith("SELECT products")]) == 1
        await _end_all_others(postgres_database)
        await until(partial(_is_there, store))
        ran.clear()
        await store.write(lambda repo: repo.products.on_sale(a_product().id))
        assert len([sql for sql in ran if sql.startswith("SELECT products")]) == 1


def _update(repo: Repository, *, product: Product) -> None:
    repo.products.update(product)


async def _is_there(store: Store) -> bool:
    try:
        await store.read(lambda repo: repo.log.bounds())
    except BoxofficeError:
        return False
    return True


async def _end_all_others(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
