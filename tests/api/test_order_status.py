"""SetOrderStatus: what a person decides holds until something decisive is heard later."""

import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice_server.domain.errors import Reason
from tests.support.calls import (
    events_until,
    new_request_id,
    refused,
    refused_field,
    statuses_until,
)
from tests.support.desk import Desk, order_status_name, refund_request
from tests.support.service import Account
from tests.support.work import acknowledge, working

STARTED = pb.ORDER_STATUS_TASK_STARTED
SETTABLE = ["created", "failed", "paid", "task_started", "cancelled", "refunded"]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def value(name: str) -> pb.OrderStatus.ValueType:
    """The status of a name."""
    return pb.OrderStatus.Value(f"ORDER_STATUS_{name.upper()}")


def set_request(order: str, status: str, **fields: object) -> pb.SetOrderStatusRequest:
    """Set a status by hand, under a new request id."""
    asked = {
        "request_id": new_request_id(),
        "order_id": order,
        "status": value(status),
        "reason": "a customer has called",
        "actor": "ann",
    }
    return pb.SetOrderStatusRequest(**(asked | fields))  # type: ignore[arg-type]  # as they are


@pytest.mark.parametrize("status", SETTABLE)
@pytest.mark.parametrize("before", ["open", "paid"])
def test_every_status_can_be_set(
    grpc_stub: OrdersServiceStub, desk: Desk, status: str, before: str
) -> None:
    """It is told with its reason, actor and time, moves no money, and is in the stream once."""
    made = desk.intended() if before == "open" else desk.sold()
    desk.account.wait_delivered()
    order = desk.order(made.order.id)
    answer = grpc_stub.SetOrderStatus(set_request(order.id, status, etag=order.etag))
    # An order whose product has no task starts by itself once it is paid.
    ends = "task_started" if status == "paid" else status
    assert order_status_name(answer.order) == ends
    assert answer.order == desk.order(order.id)
    (manual,) = answer.order.manual_statuses
    assert (manual.status, manual.reason, manual.actor) == (
        value(status),
        "a customer has called",
        "ann",
    )
    assert manual.HasField("create_time")
    assert desk.payment(made.payment.id).status == (
        payments_pb2.PAYMENT_STATUS_COMPLETE
        if before == "paid"
        else payments_pb2.PAYMENT_STATUS_REQUIRES_PAYMENT_METHOD
    )
    last = events_until(grpc_stub, order.id, lambda event: len(event.order.manual_statuses) == 1)[
        -1
    ]
    assert last.order.manual_statuses == [manual]


def test_charge_created_is_given_by_charges_alone(desk: Desk) -> None:
    """And no status at all can't be set."""
    order = desk.intended().order
    for status in ("charge_created", "unspecified"):
        with refused_field("status"):
            desk.orders.SetOrderStatus(set_request(order.id, status))
    request = set_request(order.id, "paid")
    request.status = 99  # type: ignore[assignment]  # what a newer caller may send
    with refused_field("status"):
        desk.orders.SetOrderStatus(request)


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no request id": ({"request_id": ""}, "request_id"),
    "no order": ({"order_id": ""}, "order_id"),
    "no reason": ({"reason": ""}, "reason"),
    "long reason": ({"reason": "r" * 501}, "reason"),
    "no actor": ({"actor": ""}, "actor"),
    "long actor": ({"actor": "a" * 65}, "actor"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(
    grpc_stub: OrdersServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named."""
    with refused_field(field):
        grpc_stub.SetOrderStatus(set_request("ord_1", "paid", **fields))


def test_unknown_order_and_old_etag(grpc_stub: OrdersServiceStub, desk: Desk) -> None:
    """A decision on what was read before is not taken over one that came since."""
    with refused(Reason.ORDER_NOT_FOUND):
        grpc_stub.SetOrderStatus(set_request("ord_none", "paid"))
    order = desk.intended().order
    first = grpc_stub.SetOrderStatus(set_request(order.id, "failed", etag=order.etag)).order
    with refused(Reason.ETAG_MISMATCH) as refusal:
        grpc_stub.SetOrderStatus(set_request(order.id, "paid", etag=order.etag))
    assert refusal.metadata["etag"] == first.etag
    assert desk.order(order.id) == first


def test_same_request_is_one_decision(grpc_stub: OrdersServiceStub, desk: Desk) -> None:
    """Replays add nothing; two requests that say the same are two decisions."""
    order = desk.intended().order
    request = set_request(order.id, "failed")
    first = grpc_stub.SetOrderStatus(request)
    assert grpc_stub.SetOrderStatus(request) == first
    again = grpc_stub.SetOrderStatus(set_request(order.id, "failed")).order
    assert len(again.manual_statuses) == 2


def test_money_that_comes_later_holds_over_what_was_decided(
    grpc_stub: OrdersServiceStub, desk: Desk
) -> None:
    """An order that was cancelled by hand is paid by the customer all the same."""
    made = desk.intended()
    grpc_stub.SetOrderStatus(set_request(made.order.id, "cancelled"))
    desk.account.press("pay", made.payment.stripe_payment_intent_id)
    seen = statuses_until(grpc_stub, made.order.id, STARTED)
    assert seen == ["created", "cancelled", "paid", "task_started"]


def test_decline_that_comes_later_decides_nothing(
    grpc_stub: OrdersServiceStub, desk: Desk, account: Account
) -> None:
    """What was set by hand stands: the customer may still try."""
    made = desk.intended()
    grpc_stub.SetOrderStatus(set_request(made.order.id, "paid"))
    account.press("decline", made.payment.stripe_payment_intent_id)
    account.wait_delivered()
    assert order_status_name(desk.order(made.order.id)) == "task_started"


def test_full_refund_that_comes_later_holds_over_what_was_decided(
    grpc_stub: OrdersServiceStub, desk: Desk
) -> None:
    """The money went back, whatever was set before."""
    made = desk.sold()
    grpc_stub.SetOrderStatus(set_request(made.order.id, "failed"))
    desk.payments.RefundPayment(refund_request(made.payment.id))
    assert order_status_name(desk.order(made.order.id)) == "refunded"


def test_task_follows_what_was_decided(grpc_stub: OrdersServiceStub, desk: Desk) -> None:
    """Paid by hand it is offered, cancelled by hand it is withdrawn, and paid again offered again.

    A worker that holds it has lost it.
    """
    function = "by-hand"
    order = desk.intended(task_function_name=function).order
    grpc_stub.SetOrderStatus(set_request(order.id, "paid"))
    assert order_status_name(desk.order(order.id)) == "paid"
    with working(grpc_stub, function) as worker:
        offer = worker.take()
        assert offer.order.id == order.id
        grpc_stub.SetOrderStatus(set_request(order.id, "cancelled"))
        assert desk.task(order.id).state == pb.TASK_STATE_WITHDRAWN
        with refused(Reason.LEASE_LOST):
            acknowledge(grpc_stub, offer)
    grpc_stub.SetOrderStatus(set_request(order.id, "paid"))
    with working(grpc_stub, function) as worker:
        answer = worker.start()
    assert order_status_name(answer.order) == "task_started"
    assert desk.task(order.id).state == pb.TASK_STATE_ACKNOWLEDGED


def test_started_task_stays_started(grpc_stub: OrdersServiceStub, desk: Desk) -> None:
    """What a worker has begun is not undone by a decision; the order says what was decided."""
    function = "begun-by-hand"
    made = desk.sold(task_function_name=function)
    with working(grpc_stub, function) as worker:
        worker.start()
    answer = grpc_stub.SetOrderStatus(set_request(made.order.id, "refunded"))
    assert order_status_name(answer.order) == "refunded"
    assert desk.task(made.order.id).state == pb.TASK_STATE_ACKNOWLEDGED
    back = grpc_stub.SetOrderStatus(set_request(made.order.id, "paid"))
    assert order_status_name(back.order) == "task_started"
