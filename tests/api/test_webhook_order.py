"""Notifications in any order of arrival: the order ends the same, whichever came first."""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.calls import statuses_until
from tests.support.notices import (
    DECLINE,
    Json,
    charge_of,
    deliver,
    event_of,
    intent_of,
    source_of,
)
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

Event = Callable[[payments_pb2.Payment, int], Json]
STARTED = orders_pb2.ORDER_STATUS_TASK_STARTED


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[WebhooksServiceStub]:
    """The stub that pytest-grpc makes."""
    return WebhooksServiceStub


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub) -> orders_pb2.Product:
    """What is sold."""
    return create_product(orders)


def intent(type_: str, status: str, *, after: int, **fields: object) -> Event:
    """An event about the intent, so many seconds after the beginning."""
    return lambda payment, start: event_of(
        f"payment_intent.{type_}", intent_of(payment, status, **fields), created=start + after
    )


def charge(type_: str, *, after: int, **fields: object) -> Event:
    """An event about a charge."""
    return lambda payment, start: event_of(
        f"charge.{type_}", charge_of(payment, **fields), created=start + after
    )


def source(type_: str, *, after: int) -> Event:
    """An event about a Source."""
    return lambda payment, start: event_of(
        f"source.{type_}", source_of(payment), created=start + after
    )


def failed(after: int) -> Event:
    """An attempt that was declined."""
    return intent(
        "payment_failed", "requires_payment_method", after=after, last_payment_error=DECLINE
    )


# What Stripe says, and where that leaves order and payment.
STORIES: dict[str, tuple[Sequence[Event], str, str]] = {
    "paid after authentication": (
        (
            intent("requires_action", "requires_action", after=1),
            intent("processing", "processing", after=2),
            intent("succeeded", "succeeded", after=3),
            charge("succeeded", after=3),
        ),
        "task_started",
        "complete",
    ),
    "declined, then paid": (
        (
            failed(1),
            charge("failed", after=1, failure_code="card_declined"),
            intent("succeeded", "succeeded", after=2),
            charge("succeeded", after=2),
        ),
        "task_started",
        "complete",
    ),
    "declined after authentication": (
        (
            intent("requires_action", "requires_action", after=1),
            failed(2),
            charge("failed", after=2, failure_code="card_declined"),
        ),
        "failed",
        "requires_payment_method",
    ),
    "declined, then tried again": (
        (failed(1), intent("requires_action", "requires_action", after=2)),
        "created",
        "requires_action",
    ),
    "cancelled after a decline": (
        (failed(1), intent("canceled", "canceled", after=2), charge("failed", after=1)),
        "cancelled",
        "cancelled",
    ),
    "paid although cancelled": (
        (intent("canceled", "canceled", after=1), intent("succeeded", "succeeded", after=2)),
        "task_started",
        "complete",
    ),
    "everything in one second": (
        (
            intent("created", "requires_payment_method", after=0),
            intent("requires_action", "requires_action", after=0),
            failed(0),
        ),
        "failed",
        "requires_payment_method",
    ),
    "legacy charge": (
        (
            source("chargeable", after=1),
            charge("pending", after=2, payment_intent=None),
            charge("succeeded", after=3, payment_intent=None),
        ),
        "task_started",
        "complete",
    ),
    "legacy charge that waits": (
        (source("chargeable", after=1), charge("pending", after=2, payment_intent=None)),
        "charge_created",
        "pending",
    ),
    "legacy source that failed": (
        (source("chargeable", after=1), source("canceled", after=2)),
        "failed",
        "requires_payment_method",
    ),
}


@pytest.fixture
def silent(account: Account) -> Iterator[None]:
    """The sandbox's own webhooks are dropped, so that the test's are alone."""
    account.webhooks("drop")
    yield
    account.webhooks("normal")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_arrival_ends_the_same(
    grpc_stub: WebhooksServiceStub,
    orders: OrdersServiceStub,
    payments: PaymentsServiceStub,
    product: orders_pb2.Product,
    name: str,
) -> None:
    """Status, payment and the shown events follow from what was said, never from when we heard."""
    story, status, payment_status = STORIES[name]
    endings = set()
    for arrival in permutations(range(len(story))):
        payment = create_intent(payments, product.id).payment
        # Our own answer is never newer than what Stripe tells afterwards.
        start = payment.create_time.ToSeconds() + 1
        # Events of one second are shown by their ids, which therefore rise in every round alike.
        events = [
            tell(payment, start) | {"id": f"evt_{number}_{payment.id}"}
            for number, tell in enumerate(story)
        ]
        for index in arrival:
            assert not deliver(grpc_stub, events[index]).duplicate
        assert deliver(grpc_stub, events[arrival[0]]).duplicate
        order = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=payment.order_id)).order
        known = payments.GetPayment(payments_pb2.GetPaymentRequest(payment_id=payment.id)).payment
        shown = [(each.type, each.event_time.ToSeconds() - start) for each in order.vendor_events]
        endings.add(
            (
                orders_pb2.OrderStatus.Name(order.status),
                payments_pb2.PaymentStatus.Name(known.status),
                known.last_error.code,
                tuple(shown),
            )
        )
    (ending,) = endings
    assert ending[0] == f"ORDER_STATUS_{status.upper()}"
    assert ending[1] == f"PAYMENT_STATUS_{payment_status.upper()}"
    assert list(ending[3]) == sorted(ending[3], key=lambda each: each[1])


@pytest.mark.parametrize("order", ["fifo", "reverse"])
def test_webhooks_that_were_held_up_arrive_in_any_order(
    orders: OrdersServiceStub,
    payments: PaymentsServiceStub,
    product: orders_pb2.Product,
    account: Account,
    order: str,
) -> None:
    """The sandbox's own events of a decline and a payment, first to last or last to first."""
    account.webhooks("hold")
    made = create_intent(payments, product.id)
    intent_id = made.payment.stripe_payment_intent_id
    account.press("decline", intent_id)
    account.press("pay", intent_id)
    assert account.release(order)
    assert statuses_until(orders, made.order.id, STARTED)[-2:] == ["paid", "task_started"]
    account.webhooks("normal")


def test_webhooks_that_come_twice_pay_once(
    orders: OrdersServiceStub,
    payments: PaymentsServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Every event is delivered two times: each step is told once all the same."""
    account.webhooks("duplicate")
    made = create_intent(payments, product.id)
    account.press("pay", made.payment.stripe_payment_intent_id)
    assert statuses_until(orders, made.order.id, STARTED) == ["created", "paid", "task_started"]
    account.webhooks("normal")
