"""UpdateProduct and DeleteProduct: masks, etags, and orders that keep what was sold."""

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.sales import create_intent, create_product

FIELDS: dict[str, object] = {
    "name": "Another name",
    "prices": [Money(amount=5, currency_code="eur"), Money(amount=6, currency_code="chf")],
    "schema": pb.ProductSchema(
        properties=[pb.SchemaProperty(name="p", type=pb.SCHEMA_PROPERTY_TYPE_NUMBER)]
    ),
    "task_function_name": "other",
    "task_priority": 12,
    "tags": ["new"],
}


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


def update_request(product: pb.Product, *paths: str) -> pb.UpdateProductRequest:
    """Ask to change the fields that these paths name."""
    return pb.UpdateProductRequest(
        request_id=new_request_id(), product=product, update_mask=FieldMask(paths=paths)
    )


def delete_request(product_id: str, etag: str = "") -> pb.DeleteProductRequest:
    """Ask to delete a product."""
    return pb.DeleteProductRequest(request_id=new_request_id(), product_id=product_id, etag=etag)


@pytest.mark.parametrize("path", FIELDS)
def test_mask_changes_the_field_it_names_and_no_other(
    grpc_stub: OrdersServiceStub, path: str
) -> None:
    """All fields are sent, one is named: that one is new, the others stay."""
    old = create_product(grpc_stub, tags=["old"], task_function_name="first")
    sent = pb.Product(id=old.id, **FIELDS)  # type: ignore[arg-type]  # a field's value each
    new = grpc_stub.UpdateProduct(update_request(sent, path)).product
    for field in FIELDS:
        expected = sent if field == path else old
        assert getattr(new, field) == getattr(expected, field), field
    assert new.etag != old.etag
    assert new.create_time == old.create_time
    assert new.update_time.ToNanoseconds() > old.update_time.ToNanoseconds()
    assert grpc_stub.GetProduct(pb.GetProductRequest(product_id=old.id)).product == new


def test_all_fields_change_at_once(grpc_stub: OrdersServiceStub) -> None:
    """A mask may name every field, also to empty those that may be empty."""
    old = create_product(
        grpc_stub, tags=["old"], task_function_name="first", schema=FIELDS["schema"]
    )
    sent = pb.Product(id=old.id, name="n", prices=[Money(amount=1, currency_code="eur")])
    new = grpc_stub.UpdateProduct(update_request(sent, *FIELDS)).product
    for field in FIELDS:
        assert getattr(new, field) == getattr(sent, field), field


@pytest.mark.parametrize(
    "paths", [(), ("id",), ("etag",), ("name", "nonsense"), ("prices.amount",), ("",)]
)
def test_mask_must_name_fields_that_can_change(
    grpc_stub: OrdersServiceStub, paths: tuple[str, ...]
) -> None:
    """An empty mask, an output only field and an unknown one are refused."""
    product = create_product(grpc_stub)
    with refused_field("update_mask"):
        grpc_stub.UpdateProduct(update_request(product, *paths))
    assert grpc_stub.GetProduct(pb.GetProductRequest(product_id=product.id)).product == product


def test_changed_product_must_still_be_one(grpc_stub: OrdersServiceStub) -> None:
    """What the mask names is checked as at creation; what it doesn't name is not looked at."""
    product = create_product(grpc_stub)
    bad = pb.Product(id=product.id, name="", prices=[Money(amount=0, currency_code="usd")])
    with refused_field("product.prices", "product.prices[0].amount"):
        grpc_stub.UpdateProduct(update_request(bad, "prices"))
    assert grpc_stub.GetProduct(pb.GetProductRequest(product_id=product.id)).product == product


def test_update_needs_a_request_id_and_a_product_id(grpc_stub: OrdersServiceStub) -> None:
    """What is missing is named."""
    with refused_field("request_id", "product.id", "update_mask"):
        grpc_stub.UpdateProduct(pb.UpdateProductRequest())
    with refused_field("request_id", "product_id"):
        grpc_stub.DeleteProduct(pb.DeleteProductRequest())


def test_etag_guards_an_update(grpc_stub: OrdersServiceStub) -> None:
    """With the present etag the change goes through; with an older one nothing changes."""
    old = create_product(grpc_stub)
    sent = pb.Product(id=old.id, name="second", etag=old.etag)
    new = grpc_stub.UpdateProduct(update_request(sent, "name")).product
    stale = pb.Product(id=old.id, name="third", etag=old.etag)
    with refused(Reason.ETAG_MISMATCH) as refusal:
        grpc_stub.UpdateProduct(update_request(stale, "name"))
    assert refusal.metadata == {"etag": new.etag}
    assert grpc_stub.GetProduct(pb.GetProductRequest(product_id=old.id)).product.name == "second"


def test_etag_guards_a_deletion(grpc_stub: OrdersServiceStub) -> None:
    """A product that has changed since is not deleted."""
    product = create_product(grpc_stub)
    with refused(Reason.ETAG_MISMATCH):
        grpc_stub.DeleteProduct(delete_request(product.id, "0"))
    deleted = grpc_stub.DeleteProduct(delete_request(product.id, product.etag)).product
    assert deleted.HasField("delete_time")


def test_unknown_product_is_neither_updated_nor_deleted(grpc_stub: OrdersServiceStub) -> None:
    """There is nothing to change."""
    with refused(Reason.PRODUCT_NOT_FOUND) as refusal:
        grpc_stub.UpdateProduct(update_request(pb.Product(id="prd_none", name="x"), "name"))
    assert refusal.metadata == {"product_id": "prd_none"}
    with refused(Reason.PRODUCT_NOT_FOUND):
        grpc_stub.DeleteProduct(delete_request("prd_none"))


def test_deleted_product_is_gone_for_every_method(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """It is not found, not listed, not changed, not deleted twice and not sold."""
    product = create_product(grpc_stub, tags=["doomed"])
    grpc_stub.DeleteProduct(delete_request(product.id))
    with refused(Reason.PRODUCT_NOT_FOUND):
        grpc_stub.GetProduct(pb.GetProductRequest(product_id=product.id))
    assert not grpc_stub.ListProducts(pb.ListProductsRequest(tag="doomed")).products
    with refused(Reason.PRODUCT_DELETED) as refusal:
        grpc_stub.UpdateProduct(update_request(pb.Product(id=product.id, name="x"), "name"))
    assert refusal.metadata == {"product_id": product.id}
    with refused(Reason.PRODUCT_DELETED):
        grpc_stub.DeleteProduct(delete_request(product.id))
    with refused(Reason.PRODUCT_DELETED):
        create_intent(payments, product.id)


def test_order_keeps_the_product_as_it_was_sold(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """Neither an update nor a deletion of the product changes an order of it."""
    sold = create_product(grpc_stub, tags=["a"])
    order = create_intent(payments, sold.id).order
    assert order.product == sold
    sent = pb.Product(id=sold.id, name="dearer", prices=[Money(amount=9, currency_code="eur")])
    grpc_stub.UpdateProduct(update_request(sent, "name", "prices"))
    assert grpc_stub.GetOrder(pb.GetOrderRequest(order_id=order.id)).order == order
    grpc_stub.DeleteProduct(delete_request(sold.id))
    assert grpc_stub.GetOrder(pb.GetOrderRequest(order_id=order.id)).order == order
    listed = grpc_stub.ListOrders(pb.ListOrdersRequest(product_id=sold.id)).orders
    assert list(listed) == [order]


def test_new_price_holds_for_the_next_order(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """The price is that of the moment of the order."""
    product = create_product(grpc_stub)
    sent = pb.Product(id=product.id, prices=[Money(amount=777, currency_code="eur")])
    grpc_stub.UpdateProduct(update_request(sent, "prices"))
    assert create_intent(payments, product.id).order.price.amount == 777
    with refused(Reason.CURRENCY_NOT_PRICED):
        create_intent(payments, product.id, currency_code="usd")


def test_concurrent_updates_lose_none(
    grpc_stub: OrdersServiceStub, grpc_channel: grpc.Channel
) -> None:
    """Sixteen updates at once are sixteen versions."""
    product = create_product(grpc_stub)
    calls = [
        grpc_stub.UpdateProduct.future(
            update_request(pb.Product(id=product.id, name=f"name {number}"), "name")
        )
        for number in range(16)
    ]
    etags = {call.result().product.etag for call in calls}
    assert etags == {str(number) for number in range(2, 18)}
