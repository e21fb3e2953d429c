"""A database that the first release filled becomes this release's, with everything in it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, inspect

from boxoffice_server.domain.notification import NotificationState, Source
from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentFact,
    PaymentMethodType,
    PaymentState,
    PaymentStatus,
    PendingReason,
)
from boxoffice_server.ports import (
    NotificationFilter,
    Operation,
    OperationKey,
    OrderFilter,
    PaymentFilter,
    Repository,
    Store,
)
from boxoffice_server.storage import _maintain, migrate
from boxoffice_server.storage.codecs import (
    Values,
    from_fact,
    from_failure,
    from_notification,
    from_operation,
    from_order,
    from_product,
    from_task,
)
from boxoffice_server.storage.tables import metadata
from boxoffice_server.storage.times import to_microseconds
from tests.storage.samples import (
    a_fact,
    a_notification,
    a_product,
    a_task,
    an_operation,
    an_order,
    at,
)
from tests.support.stores import opened_store
from tools.check_migrations import differences

LOG_ID = uuid.UUID("0193523a-0000-7000-8000-000000000001")
FACTS = (a_fact(1), a_fact(2, failure=True))
COMPLETE = PaymentState(status=PaymentStatus.COMPLETE)
DECLINED = PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD, last_failure=FACTS[1].failure)
UNKNOWN = PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN)
HELD = PaymentState(status=PaymentStatus.REQUIRES_CAPTURE)


def sold(number: int, name: str = "Ticket") -> Order:
    """An order of a product of this name."""
    return an_order(number, product=replace(a_product(number), name=name))


def a_payment_of(order: Order, state: PaymentState | None = None, **fields: Any) -> Payment:  # noqa: ANN401
    """The payment of an order, as this release makes it of what the first one kept."""
    return Payment(
        id=order.payment_id,
        user_id=order.user_id,
        order_id=order.id,
        created_by=order.created_by,
        description=order.product.name,
        amount=order.price,
        state=state or UNKNOWN,
        create_time=order.create_time,
        update_time=at(50),
        **fields,
    )


ORDERS = [sold(1), sold(2), sold(3, name="O'Neill's \"gala\" \\ 5 — 100 %"), sold(4)]
PAYMENTS = [
    a_payment_of(ORDERS[0], COMPLETE, stripe_payment_intent_id="pi_1", captured=1250),
    a_payment_of(ORDERS[1]),
    a_payment_of(
        ORDERS[2],
        DECLINED,
        stripe_payment_intent_id="pi_3",
        method_type=PaymentMethodType.BANCONTACT,
    ),
    a_payment_of(ORDERS[3], HELD, stripe_payment_intent_id="pi_4", authorised=1250),
]
CUSTOMERS = [
    Customer(id="cst_1", user_id="user-1", stripe_customer_id="cus_1", create_time=at(1)),
    Customer(id="cst_2", user_id="user-2", stripe_customer_id="", create_time=at(2)),
    Customer(id="cst_3", user_id="user-3", stripe_customer_id="", create_time=at(3)),
]
NOTIFICATIONS = [
    replace(a_notification(1), order_id="ord_000001", payment_id="pay_000001"),
    a_notification(2, state=NotificationState.UNRELATED),
]


def asked(payment_id: str, **fields: Any) -> Operation:  # noqa: ANN401
    """An operation that makes an intent, as this release has it of the first one."""
    started = Operation(
        id=payment_id,
        key=OperationKey(caller="shop", operation="CreatePaymentIntent", request_id=payment_id),
        fingerprint=b"\x00\x01",
        resource_id=payment_id,
        answer=None,
        create_time=at(1),
    )
    return replace(started, **fields)


OPERATIONS = [
    asked("pay_000001", answer=b"\x00answer", settled=True),
    asked("pay_000002", owner="gone", lease_time=at(30)),
    asked("pay_000003", answer=b"refused", failed=True, settled=True),
    asked("pay_000004"),
    replace(
        an_operation(), id="", resource_id="", answer=b"", settled=True, owner="", lease_time=None
    ),
]


def without(values: Values, *columns: str) -> Values:
    """A row as the first release had it: without these columns."""
    return {name: value for name, value in values.items() if name not in columns}


def first_payment(payment: Payment) -> Values:
    """A payment's row in the first release."""
    state = payment.state
    return {
        "id": payment.id,
        "user_id": payment.user_id,
        "order_id": payment.order_id,
        "amount": payment.amount.amount,
        "currency": payment.amount.currency,
        "method_type": payment.method_type.value,
        "vendor_idempotency_key": f"boxoffice-{payment.id}-1",
        "stripe_payment_intent_id": payment.stripe_payment_intent_id or None,
        "status": state.status.value,
        "pending_reason": None if state.pending_reason is None else state.pending_reason.value,
        "last_failure": from_failure(state.last_failure),
        "create_time": to_microseconds(payment.create_time),
        "update_time": to_microseconds(payment.update_time),
    }


def first_customer(customer: Customer) -> Values:
    """A customer's row in the first release."""
    return {
        "id": customer.id,
        "user_id": customer.user_id,
        "stripe_customer_id": customer.stripe_customer_id,
        "create_time": to_microseconds(customer.create_time),
    }


def a_record(position: int) -> Values:
    """A record of the log, the same in both releases."""
    return {
        "append_id": position,
        "group_label": f"g{position}",
        "position": position,
        "high_time": to_microseconds(at(position)),
        "event_id": f"evt_{position}",
        "kind": "order",
        "subject_id": "ord_000001",
        "user_id": "user-1",
        "product_id": "prd_000001",
        "status": "created",
        "create_time": to_microseconds(at(position)),
        "payload": b"\x00\xff",
    }


ROWS: dict[str, list[Values]] = {
    "products": [from_product(order.product) for order in ORDERS],
    "product_tags": [{"tag": "a", "product_id": "prd_000001"}],
    "orders": [without(from_order(order), "manual") for order in ORDERS],
    "order_tags": [{"tag": "vip", "order_id": order.id} for order in ORDERS],
    "payments": [first_payment(payment) for payment in PAYMENTS],
    "payment_facts": [
        {"order_id": order_id, **without(from_fact(fact), "amount")}
        for order_id in ("ord_000001", "ord_000003")
        for fact in FACTS
    ],
    "customers": [first_customer(customer) for customer in CUSTOMERS],
    "tasks": [from_task(a_task())],
    "notifications": [
        without(from_notification(each), "payment_id", "related_id") for each in NOTIFICATIONS
    ],
    "operations": [
        without(from_operation(each), "id", "details", "settled", "tries", "attempt", "key_spent")
        for each in OPERATIONS
    ],
    "log": [a_record(1), a_record(2)],
}


def fill(connection: Connection) -> None:
    """Make the schema of the first release, and fill it."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "boxoffice_server.storage:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "0001")
    tables = MetaData()
    tables.reflect(connection)
    for name, rows in ROWS.items():
        connection.execute(tables.tables[name].insert(), rows)
    meta = tables.tables["log_meta"]
    connection.execute(meta.update().values(log_id=LOG_ID.hex, head=2))
    connection.execute(tables.tables["business_clock"].update().values(offset_seconds=86400))


@pytest.fixture
async def url(database_url: str) -> str:
    """The address of a database that the first release filled and this one has migrated."""
    await asyncio.to_thread(_maintain, database_url, fill)
    await asyncio.to_thread(migrate, database_url)
    return database_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """Its store."""
    async with opened_store(url) as opened:
        yield opened


async def test_upgraded_database_has_the_declared_tables(url: str) -> None:
    """No table of the first release is left over, and none differs."""
    found: list[str] = []
    names: set[str] = set()

    def look(connection: Connection) -> None:
        found.extend(differences(connection))
        names.update(inspect(connection).get_table_names())

    await asyncio.to_thread(_maintain, url, look)
    assert found == []
    assert names == {*metadata.tables, "alembic_version"}


async def test_products_and_orders_are_kept(store: Store) -> None:
    """As they were, and found by what they were found by."""
    wanted = OrderFilter(tag="vip", user_id="user-1")
    newest_first = ORDERS[::-1]
    assert await store.read(lambda repo: repo.orders.find(wanted, before_id="", limit=9)) == (
        newest_first
    )
    tagged = await store.read(lambda repo: repo.products.find(tag="a", before_id="", limit=9))
    assert tagged == [ORDERS[0].product]
    assert await store.read(lambda repo: repo.tasks.by_order("ord_000001")) == a_task()


async def test_payments_are_kept(store: Store) -> None:
    """They learn from their orders what a payment has said since, and what was taken or is held."""
    found = await store.read(
        lambda repo: repo.payments.find(PaymentFilter(), before_id="", limit=9)
    )
    assert found == PAYMENTS[::-1]
    assert await store.read(lambda repo: repo.payments.by_intent("pi_1")) == PAYMENTS[0]


async def test_facts_hang_on_payments(store: Store) -> None:
    """Those of an order are its payment's from now on."""

    def body(repo: Repository) -> list[list[PaymentFact]]:
        return [repo.payments.facts(payment.id) for payment in PAYMENTS]

    assert await store.read(body) == [list(FACTS), [], list(FACTS), []]


async def test_customers_are_kept(store: Store) -> None:
    """With Stripe's id or without, which several may be."""

    def body(repo: Repository) -> list[Customer | None]:
        return [repo.customers.get(customer.user_id) for customer in CUSTOMERS]

    assert await store.read(body) == CUSTOMERS
    assert await store.read(lambda repo: repo.customers.by_stripe_id("cus_1")) == CUSTOMERS[0]
    assert await store.read(lambda repo: repo.customers.by_stripe_id("")) is None


async def test_notifications_are_kept(store: Store) -> None:
    """What belongs to an order belongs to its payment too."""
    wanted = NotificationFilter(source=Source.STRIPE)
    found = await store.read(lambda repo: repo.notifications.find(wanted, before_id="", limit=9))
    assert found == NOTIFICATIONS[::-1]


async def test_operations_are_kept(store: Store) -> None:
    """What was answered is settled; what was not keeps the key that Stripe may have seen."""

    def body(repo: Repository) -> list[Operation | None]:
        return [repo.operations.get(each.key) for each in OPERATIONS]

    assert await store.read(body) == OPERATIONS
    claimed = await store.write(
        lambda repo: repo.operations.claim(owner="me", now=at(30), alone=False, limit=9)
    )
    assert {each.vendor_key for each in claimed} == {
        "boxoffice-pay_000002-1",
        "boxoffice-pay_000004-1",
    }


async def test_log_and_clock_are_kept(store: Store) -> None:
    """Every token from before still leads where it led."""
    bounds = await store.read(lambda repo: repo.log.bounds())
    assert (bounds.log_id, bounds.earliest, bounds.head) == (LOG_ID, 1, 2)
    records, through = await store.read(lambda repo: repo.log.read(after=0, limit=9))
    assert [(each.event_id, each.payload) for each in records] == [
        ("evt_1", b"\x00\xff"),
        ("evt_2", b"\x00\xff"),
    ]
    assert through == 2
    assert await store.read(lambda repo: repo.log.clock_offset()) == 86400
