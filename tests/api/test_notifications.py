"""ListNotifications and ReplayNotification: what was kept, found again and applied again."""

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe import notifications
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.notices import deliver, event_of, intent_of
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

APPLIED, UNRELATED, PARKED = (
    pb.NOTIFICATION_STATE_APPLIED,
    pb.NOTIFICATION_STATE_UNRELATED,
    pb.NOTIFICATION_STATE_PARKED,
)
STRIPE = pb.NOTIFICATION_SOURCE_STRIPE
SUCCEEDED, CANCELED = "payment_intent.succeeded", "payment_intent.canceled"

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
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


@pytest.fixture(scope="module")
def inbox(
    grpc_stub: WebhooksServiceStub,
    orders: OrdersServiceStub,
    payments: PaymentsServiceStub,
    account: Account,
) -> list[pb.Notification]:
    """Five notifications of three types in all states, oldest first."""
    account.webhooks("drop")
    payment = create_intent(payments, create_product(orders).id).payment
    stranger = intent_of(payment, "canceled", id="pi_stranger", metadata={})
    events = [
        event_of("first.unknown", {"object": "thing"}),
        event_of(CANCELED, intent_of(payment, "canceled")),
        event_of(CANCELED, stranger),
        event_of(SUCCEEDED, intent_of(payment, "succeeded")),
        event_of("first.unknown", {"object": "thing"}),
    ]
    return [deliver(grpc_stub, event).notification for event in events]


def test_filters_find_what_they_name(
    grpc_stub: WebhooksServiceStub, inbox: list[pb.Notification]
) -> None:
    """One by one and together, newest first, each as it was answered when it came."""

    def found(**filters: object) -> list[int]:
        request = pb.ListNotificationsRequest(**filters)  # type: ignore[arg-type]
        answer = grpc_stub.ListNotifications(request)
        return [inbox.index(each) for each in answer.notifications if each in inbox]

    assert found() == [4, 3, 2, 1, 0]
    assert found(source=STRIPE) == [4, 3, 2, 1, 0]
    assert found(type=CANCELED) == [2, 1]
    assert found(type="payment_intent") == []
    assert found(state=PARKED) == [4, 0]
    assert found(state=APPLIED) == [3, 1]
    assert found(state=UNRELATED) == [2]
    assert found(source=STRIPE, state=APPLIED, type=CANCELED) == [1]
    assert found(state=PARKED, type=SUCCEEDED) == []


BAD_FILTERS: dict[str, tuple[dict[str, object], str]] = {
    "unknown source": ({"source": 99}, "source"),
    "unknown state": ({"state": 99}, "state"),
    "type of 201": ({"type": "x" * 201}, "type"),
    "NUL in the type": ({"type": "\0"}, "type"),
}


@pytest.mark.parametrize(("filters", "field"), BAD_FILTERS.values(), ids=BAD_FILTERS.keys())
def test_bad_filter_is_refused(
    grpc_stub: WebhooksServiceStub, filters: dict[str, object], field: str
) -> None:
    """What nothing can match by its form is a fault of the caller's."""
    with refused_field(field):
        grpc_stub.ListNotifications(pb.ListNotificationsRequest(**filters))  # type: ignore[arg-type]


def replay(webhooks: WebhooksServiceStub, notification_id: str) -> pb.Notification:
    """Apply a notification again."""
    request = pb.ReplayNotificationRequest(
        request_id=new_request_id(), notification_id=notification_id
    )
    return webhooks.ReplayNotification(request).notification


def test_replay_of_what_was_applied_changes_nothing(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """The fact is known, so nothing follows from it."""
    kept = deliver(grpc_stub, event_of(SUCCEEDED, intent_of(payment, "succeeded"))).notification
    request = orders_pb2.GetOrderRequest(order_id=payment.order_id)
    order = orders.GetOrder(request).order
    assert replay(grpc_stub, kept.id) == kept
    assert orders.GetOrder(request).order == order


def test_replay_applies_what_an_older_release_parked(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, payment: payments_pb2.Payment
) -> None:
    """The type is unknown when it comes and known when it is replayed: the order is paid then."""
    with pytest.MonkeyPatch.context() as older:
        older.delitem(notifications._READERS, SUCCEEDED)
        event = event_of(SUCCEEDED, intent_of(payment, "succeeded"))
        kept = deliver(grpc_stub, event).notification
        assert kept.state == PARKED
        assert replay(grpc_stub, kept.id).state == PARKED
    replayed = replay(grpc_stub, kept.id)
    assert (replayed.id, replayed.state, replayed.order_id) == (kept.id, APPLIED, payment.order_id)
    order = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=payment.order_id)).order
    assert order.status == orders_pb2.ORDER_STATUS_TASK_STARTED
    assert deliver(grpc_stub, event).duplicate
    listed = grpc_stub.ListNotifications(pb.ListNotificationsRequest(type=SUCCEEDED))
    assert replayed in listed.notifications


def test_replay_of_what_is_unrelated_leaves_it_so(
    grpc_stub: WebhooksServiceStub, inbox: list[pb.Notification]
) -> None:
    """It still belongs to nothing of ours."""
    assert replay(grpc_stub, inbox[2].id) == inbox[2]


def test_unknown_notification_is_not_found(grpc_stub: WebhooksServiceStub) -> None:
    """An id that nothing has is told back; one that nothing can have is a fault."""
    with refused(Reason.NOTIFICATION_NOT_FOUND) as refusal:
        replay(grpc_stub, "ntf_none")
    assert refusal.metadata == {"notification_id": "ntf_none"}
    for bad in ("", "x" * 65, "\0"):
        with refused_field("notification_id"):
            replay(grpc_stub, bad)
