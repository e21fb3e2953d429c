"""request_id: every write that carries one happens once, and always answers the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as webhooks_pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.notices import deliver, event_of
from tests.support.sales import a_product, create_intent, create_product, intent_request

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write RPC, a request that it takes, and another that it would take too."""

    # Generic for type checkers only.
    call: "grpc.UnaryUnaryMultiCallable[Any, Any]"
    request: Any
    other: Any

    def under(self, request_id: str, *, other: bool = False) -> Message:
        """Call it under a request id."""
        request = type(self.request)()
        request.CopyFrom(self.other if other else self.request)
        request.request_id = request_id
        answer: Message = self.call(request)
        return answer


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def creates(orders: OrdersServiceStub) -> Write:
    """CreateProduct."""
    return Write(
        call=orders.CreateProduct,
        request=pb.CreateProductRequest(product=a_product(name="one", tags=["x"])),
        other=pb.CreateProductRequest(product=a_product(name="two", tags=["x"])),
    )


def updates(orders: OrdersServiceStub) -> Write:
    """UpdateProduct."""
    product = create_product(orders)
    mask = FieldMask(paths=["name"])
    return Write(
        call=orders.UpdateProduct,
        request=pb.UpdateProductRequest(
            product=pb.Product(id=product.id, name="new", etag=product.etag), update_mask=mask
        ),
        other=pb.UpdateProductRequest(
            product=pb.Product(id=product.id, name="newer"), update_mask=mask
        ),
    )


def deletes(orders: OrdersServiceStub) -> Write:
    """DeleteProduct, whose answer stays although the product can't be deleted again."""
    one, two = create_product(orders), create_product(orders)
    return Write(
        call=orders.DeleteProduct,
        request=pb.DeleteProductRequest(product_id=one.id),
        other=pb.DeleteProductRequest(product_id=two.id),
    )


def tags(orders: OrdersServiceStub, payments: PaymentsServiceStub) -> Write:
    """UpdateOrder."""
    order = create_intent(payments, create_product(orders).id).order
    mask = FieldMask(paths=["tags"])
    return Write(
        call=orders.UpdateOrder,
        request=pb.UpdateOrderRequest(
            order=pb.Order(id=order.id, tags=["a"], etag=order.etag), update_mask=mask
        ),
        other=pb.UpdateOrderRequest(order=pb.Order(id=order.id, tags=["b"]), update_mask=mask),
    )


def intents(orders: OrdersServiceStub, payments: PaymentsServiceStub) -> Write:
    """CreatePaymentIntent, with data whose order on the wire may differ."""
    properties = [
        pb.SchemaProperty(name=f"p{n}", type=pb.SCHEMA_PROPERTY_TYPE_NUMBER) for n in range(9)
    ]
    product = create_product(orders, schema=pb.ProductSchema(properties=properties))
    data = {f"p{n}": n for n in range(9)}
    return Write(
        call=payments.CreatePaymentIntent,
        request=intent_request(product.id, data=data, request_id=""),
        other=intent_request(product.id, data={**data, "p8": 9}, request_id=""),
    )


def replays(webhooks: WebhooksServiceStub) -> Write:
    """ReplayNotification."""
    told = [deliver(webhooks, event_of("some.type", {"object": "thing"})) for _ in range(2)]
    one, two = (
        webhooks_pb.ReplayNotificationRequest(notification_id=each.notification.id) for each in told
    )
    return Write(call=webhooks.ReplayNotification, request=one, other=two)


WRITES = ["creates", "updates", "deletes", "tags", "intents", "replays"]


@pytest.fixture
def write(
    request: pytest.FixtureRequest,
    grpc_stub: OrdersServiceStub,
    payments: PaymentsServiceStub,
    webhooks: WebhooksServiceStub,
) -> Write:
    """One write RPC after the other."""
    make: dict[str, Callable[[], Write]] = {
        "creates": lambda: creates(grpc_stub),
        "updates": lambda: updates(grpc_stub),
        "deletes": lambda: deletes(grpc_stub),
        "tags": lambda: tags(grpc_stub, payments),
        "intents": lambda: intents(grpc_stub, payments),
        "replays": lambda: replays(webhooks),
    }
    return make[request.param]()


every_write = pytest.mark.parametrize("write", WRITES, indirect=True)


def mark(orders: OrdersServiceStub) -> int:
    """Write something, and tell its position in the log once it is numbered."""
    write = creates(orders).under(new_request_id())
    assert isinstance(write, pb.CreateProductResponse)
    request = pb.WatchOrdersRequest(resume_token=write.resume_token)
    watch = orders.WatchOrders(request, timeout=10)
    frame = next(iter(watch))
    watch.cancel()
    return frame.prev_through


def in_bytes(message: Message) -> bytes:
    """Serialise a message so that equal ones have equal bytes."""
    return message.SerializeToString(deterministic=True)


@every_write
def test_same_request_gets_the_same_answer(write: Write, grpc_stub: OrdersServiceStub) -> None:
    """Byte for byte, as often as it is sent, and nothing happens a second time."""
    request_id = new_request_id()
    first = write.under(request_id)
    before = mark(grpc_stub)
    for _ in range(3):
        assert in_bytes(write.under(request_id)) == in_bytes(first)
    assert mark(grpc_stub) == before + 1


@every_write
def test_another_body_under_the_same_id_is_refused(
    write: Write, grpc_stub: OrdersServiceStub
) -> None:
    """It changes nothing, and the first answer stands."""
    request_id = new_request_id()
    first = write.under(request_id)
    before = mark(grpc_stub)
    with refused(Reason.REQUEST_ID_REUSED) as refusal:
        write.under(request_id, other=True)
    assert refusal.metadata == {"request_id": request_id}
    assert mark(grpc_stub) == before + 1
    assert in_bytes(write.under(request_id)) == in_bytes(first)
    write.under(new_request_id(), other=True)


@every_write
def test_concurrent_calls_under_one_id_are_one_write(write: Write) -> None:
    """Eight callers at once get one answer."""
    request = type(write.request)()
    request.CopyFrom(write.request)
    request.request_id = new_request_id()
    calls = [write.call.future(request) for _ in range(8)]
    assert len({in_bytes(call.result()) for call in calls}) == 1


@every_write
def test_request_id_has_from_1_to_36_characters(write: Write) -> None:
    """At the border it is taken, beyond it is refused."""
    for bad in ("", "x" * 37, "a\0b"):
        with refused_field("request_id"):
            write.under(bad)
    write.under("\N{PARTY POPPER}" + new_request_id()[1:])


def test_one_id_serves_different_methods(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """The scope of a request id is one RPC."""
    request_id = new_request_id()
    product = creates(grpc_stub).under(request_id)
    assert isinstance(product, pb.CreateProductResponse)
    request = intent_request(product.product.id, request_id=request_id)
    assert payments.CreatePaymentIntent(request).order.product.id == product.product.id


def test_refusal_uses_up_no_request_id(grpc_stub: OrdersServiceStub) -> None:
    """What was refused before anything was written may be mended and sent under the same id."""
    request_id = new_request_id()
    mask = FieldMask(paths=["name"])
    request = pb.UpdateProductRequest(
        request_id=request_id, product=pb.Product(id="prd_none", name="n"), update_mask=mask
    )
    with refused(Reason.PRODUCT_NOT_FOUND):
        grpc_stub.UpdateProduct(request)
    request.product.id = create_product(grpc_stub).id
    assert grpc_stub.UpdateProduct(request).product.name == "n"


def test_replay_tells_what_was_not_what_is(grpc_stub: OrdersServiceStub) -> None:
    """The stored answer comes again although the product has changed since."""
    write, request_id = creates(grpc_stub), new_request_id()
    first = write.under(request_id)
    assert isinstance(first, pb.CreateProductResponse)
    grpc_stub.DeleteProduct(
        pb.DeleteProductRequest(request_id=new_request_id(), product_id=first.product.id)
    )
    assert write.under(request_id) == first


def test_field_that_this_release_does_not_know_makes_another_request(
    grpc_stub: OrdersServiceStub,
) -> None:
    """A newer caller's field belongs to the body, so it is no replay of one without."""
    write, request_id = creates(grpc_stub), new_request_id()
    write.under(request_id)
    unknown = write.request.SerializeToString() + b"\xf8\x7f\x01"
    request = pb.CreateProductRequest.FromString(unknown)
    request.request_id = request_id
    with refused(Reason.REQUEST_ID_REUSED):
        grpc_stub.CreateProduct(request)
