"""CreateOrder: an order without Stripe, refused and checked like any other sale."""

import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice_server.domain.errors import Reason
from tests.support.calls import caught_up, new_request_id, new_user, refused, refused_field
from tests.support.desk import Desk, status_name
from tests.support.sales import PRICES, create_product

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module")
def product(grpc_stub: OrdersServiceStub) -> pb.Product:
    """What is sold."""
    return create_product(grpc_stub)


def order_request(product_id: str, **fields: object) -> pb.CreateOrderRequest:
    """Ask for an order of a new user's, under a new request id."""
    asked = {"request_id": new_request_id(), "user_id": new_user(), "product_id": product_id}
    return pb.CreateOrderRequest(**(asked | fields))  # type: ignore[arg-type]  # as they are


def test_order_is_what_was_asked_for(
    grpc_stub: OrdersServiceStub, product: pb.Product, desk: Desk
) -> None:
    """With its payment, which waits; the stream tells of both, and the same request of no more."""
    request = order_request(
        product.id, currency_code="usd", tags=["a", "b"], target_user_id="receiver"
    )
    answer = grpc_stub.CreateOrder(request)
    order = answer.order
    assert order == desk.order(order.id)
    assert (order.user_id, order.target_user_id) == (request.user_id, "receiver")
    assert (order.price, list(order.tags)) == (PRICES[1], ["a", "b"])
    assert (order.status, order.created_by) == (pb.ORDER_STATUS_CREATED, "development")
    payment = desk.payment(order.payment_id)
    assert (payment.order_id, payment.amount) == (order.id, PRICES[1])
    assert status_name(payment) == "requires_payment_method"
    assert grpc_stub.CreateOrder(request) == answer
    (event,) = desk.history(payment.id)
    assert event.type == payments_pb2.PAYMENT_EVENT_TYPE_CREATED
    assert event.payment == payment
    listed = grpc_stub.ListOrders(pb.ListOrdersRequest(user_id=request.user_id))
    assert list(listed.orders) == [order]
    assert caught_up(grpc_stub, order_id=order.id, resume_token=answer.resume_token) == []


REFUSALS: dict[str, tuple[dict[str, object], Reason]] = {
    "unknown product": ({"product_id": "prd_none"}, Reason.PRODUCT_NOT_FOUND),
    "currency without a price": ({"currency_code": "gbp"}, Reason.CURRENCY_NOT_PRICED),
    "data without a schema": ({"data": {"size": "L"}}, Reason.DATA_SCHEMA_MISMATCH),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_order_leaves_nothing(
    grpc_stub: OrdersServiceStub, product: pb.Product, case: tuple[dict[str, object], Reason]
) -> None:
    """And its request id is free again."""
    fields, reason = case
    request = order_request(product.id)
    bad = pb.CreateOrderRequest()
    bad.CopyFrom(request)
    bad.MergeFrom(pb.CreateOrderRequest(**fields))  # type: ignore[arg-type]  # as they are
    with refused(reason):
        grpc_stub.CreateOrder(bad)
    assert not grpc_stub.ListOrders(pb.ListOrdersRequest(user_id=bad.user_id)).orders
    assert grpc_stub.CreateOrder(request).order.user_id == request.user_id


def test_deleted_product_is_not_sold(grpc_stub: OrdersServiceStub) -> None:
    """Not even to who has known it."""
    gone = create_product(grpc_stub)
    grpc_stub.DeleteProduct(
        pb.DeleteProductRequest(request_id=new_request_id(), product_id=gone.id)
    )
    with refused(Reason.PRODUCT_DELETED):
        grpc_stub.CreateOrder(order_request(gone.id))


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no request id": ({"request_id": ""}, "request_id"),
    "no user": ({"user_id": ""}, "user_id"),
    "receiver of 65": ({"target_user_id": "u" * 65}, "target_user_id"),
    "no product": ({"product_id": ""}, "product_id"),
    "currency in capitals": ({"currency_code": "EUR"}, "currency_code"),
    "tag twice": ({"tags": ["t", "t"]}, "tags"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(
    grpc_stub: OrdersServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named."""
    with refused_field(field):
        grpc_stub.CreateOrder(order_request(**({"product_id": "prd_1"} | fields)))  # type: ignore[arg-type]
