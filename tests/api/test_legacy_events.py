"""Sources and charges of old: found by metadata, which is believed as far as its writer is."""

from collections.abc import Callable

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.notices import Json, charge_of, deliver, event_of, source_of
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

APPLIED, UNRELATED = pb.NOTIFICATION_STATE_APPLIED, pb.NOTIFICATION_STATE_UNRELATED
CREATED, FAILED, CHARGED, STARTED = (
    orders_pb2.ORDER_STATUS_CREATED,
    orders_pb2.ORDER_STATUS_FAILED,
    orders_pb2.ORDER_STATUS_CHARGE_CREATED,
    orders_pb2.ORDER_STATUS_TASK_STARTED,
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[WebhooksServiceStub]:
    """The stub that pytest-grpc makes."""
    return WebhooksServiceStub


@pytest.fixture
def payment(
    orders: OrdersServiceStub, payments: PaymentsServiceStub, account: Account
) -> payments_pb2.Payment:
    """The payment of a new order, of which Stripe says nothing by itself."""
    account.webhooks("drop")
    return create_intent(payments, create_product(orders).id).payment


def order_of(orders: OrdersServiceStub, payment: payments_pb2.Payment) -> orders_pb2.Order:
    """The order as it is now."""
    return orders.GetOrder(orders_pb2.GetOrderRequest(order_id=payment.order_id)).order


def later(payment: payments_pb2.Payment) -> int:
    """A second after the payment was made, by Stripe's clock."""
    return payment.create_time.ToSeconds() + 2


def test_legacy_charge_goes_from_pending_to_paid(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """A charge without an intent leads to its order by the metadata that we wrote."""
    charge = charge_of(payment, payment_intent=None, status="pending")
    at = later(payment)
    answer = deliver(grpc_stub, event_of("charge.pending", charge, created=at))
    assert (answer.notification.state, answer.notification.order_id) == (APPLIED, payment.order_id)
    assert order_of(orders, payment).status == CHARGED
    deliver(grpc_stub, event_of("charge.succeeded", charge, created=at + 1))
    assert order_of(orders, payment).status == STARTED


def test_legacy_charge_that_fails_fails_the_order(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """And a later one may still pay it."""
    charge = charge_of(payment, payment_intent=None)
    at = later(payment)
    deliver(grpc_stub, event_of("charge.failed", charge, created=at))
    assert order_of(orders, payment).status == FAILED
    deliver(grpc_stub, event_of("charge.succeeded", charge | {"id": "ch_2"}, created=at + 1))
    assert order_of(orders, payment).status == STARTED


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 1},
        {"currency": "usd"},
        {"amount": None},
        {"metadata": {}},
        {"metadata": {"boxoffice_order_id": "ord_none"}},
    ],
)
def test_charge_that_does_not_agree_is_not_ours(
    grpc_stub: WebhooksServiceStub,
    orders: OrdersServiceStub,
    payment: payments_pb2.Payment,
    fields: Json,
) -> None:
    """The order's own price, in its own currency, or nothing."""
    before = order_of(orders, payment)
    charge = charge_of(payment, payment_intent=None, **fields)
    answer = deliver(grpc_stub, event_of("charge.succeeded", charge, created=later(payment)))
    assert answer.notification.state == UNRELATED
    assert order_of(orders, payment) == before


def test_source_that_agrees_is_believed(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """Amount, currency and payer are the order's: chargeable is noted, failed fails the order."""
    at = later(payment)
    told = source_of(payment)
    answer = deliver(grpc_stub, event_of("source.chargeable", told, created=at))
    assert answer.notification.state == APPLIED
    order = order_of(orders, payment)
    assert order.status == CREATED
    assert [event.type for event in order.vendor_events] == ["source.chargeable"]
    deliver(grpc_stub, event_of("source.failed", told, created=at + 1))
    assert order_of(orders, payment).status == FAILED


def metadata(payment: payments_pb2.Payment, **changes: str) -> Json:
    """The metadata of a Source, with changes."""
    ours = {"boxoffice_order_id": payment.order_id, "boxoffice_user_id": payment.user_id}
    return {"metadata": {name: value for name, value in (ours | changes).items() if value}}


LIES: dict[str, Callable[[payments_pb2.Payment], Json]] = {
    "another amount": lambda _: {"amount": 1249},
    "no amount": lambda _: {"amount": None},
    "another currency": lambda _: {"currency": "usd"},
    "another user": lambda payment: metadata(payment, boxoffice_user_id="somebody"),
    "no user": lambda payment: metadata(payment, boxoffice_user_id=""),
    "another order": lambda payment: metadata(payment, boxoffice_order_id="ord_none"),
    "no order": lambda payment: metadata(payment, boxoffice_order_id=""),
    "payment for the order": lambda payment: {
        "metadata": {
            "boxoffice_payment_id": payment.id,
            "boxoffice_user_id": payment.user_id,
        }
    },
}


@pytest.mark.parametrize("type_", ["chargeable", "failed", "canceled"])
@pytest.mark.parametrize("lie", LIES)
def test_source_that_does_not_agree_is_not_believed(
    grpc_stub: WebhooksServiceStub,
    orders: OrdersServiceStub,
    payment: payments_pb2.Payment,
    lie: str,
    type_: str,
) -> None:
    """A customer's device writes what it likes; none of it moves another's order."""
    before = order_of(orders, payment)
    told = source_of(payment, **LIES[lie](payment))
    answer = deliver(grpc_stub, event_of(f"source.{type_}", told, created=later(payment)))
    assert answer.notification.state == UNRELATED
    assert answer.notification.order_id == ""
    assert order_of(orders, payment) == before


def test_nothing_a_source_says_pays_an_order(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """Every type of a Source together leaves the order unpaid."""
    for index, type_ in enumerate(("chargeable", "failed", "canceled")):
        told = source_of(payment)
        deliver(grpc_stub, event_of(f"source.{type_}", told, created=later(payment) + index))
    assert order_of(orders, payment).status == FAILED
