"""An order's data: it fits the product's schema, or the order is not made."""

import math

import pytest
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_user, refused
from tests.support.sales import create_intent, create_product


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub) -> orders_pb2.Product:
    """A product whose orders name a size, and may say more."""
    properties = [
        orders_pb2.SchemaProperty(
            name="size", type=orders_pb2.SCHEMA_PROPERTY_TYPE_STRING, required=True
        ),
        orders_pb2.SchemaProperty(name="gift", type=orders_pb2.SCHEMA_PROPERTY_TYPE_BOOLEAN),
        orders_pb2.SchemaProperty(name="weight", type=orders_pb2.SCHEMA_PROPERTY_TYPE_NUMBER),
    ]
    return create_product(orders, schema=orders_pb2.ProductSchema(properties=properties))


def struct(**values: str | bool | float) -> Struct:
    """Data as it goes over the wire."""
    data = Struct()
    data.update(values)
    return data


GOOD = {
    "required alone": struct(size="L"),
    "everything": struct(size="L", gift=True, weight=1.5),
    "empty text": struct(size=""),
    "longest text": struct(size="\N{PARTY POPPER}" * 1000),
    "false and zero": struct(size="L", gift=False, weight=0),
    "largest number": struct(size="L", weight=-1.7976931348623157e308),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_fitting_data_is_kept_as_sent(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    data: Struct,
) -> None:
    """The answer has it, and so has the order ever after."""
    order = create_intent(grpc_stub, product.id, data=data).order
    assert order.data == data
    got = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=order.id))
    assert got.order.data == data


BAD = {
    "nothing": (struct(), {"size": "is required"}),
    "optional alone": (struct(gift=True), {"size": "is required"}),
    "number for text": (struct(size=1), {"size": "must be a string"}),
    "boolean for text": (struct(size=True), {"size": "must be a string"}),
    "text of 1001": (
        struct(size="x" * 1001),
        {"size": "must have from 0 to 1000 characters"},
    ),
    "NUL in text": (struct(size="\0"), {"size": "must not hold a NUL character"}),
    "text for boolean": (struct(size="L", gift="yes"), {"gift": "must be a boolean"}),
    "number for boolean": (struct(size="L", gift=1), {"gift": "must be a boolean"}),
    "text for number": (struct(size="L", weight="1"), {"weight": "must be a number"}),
    "boolean for number": (struct(size="L", weight=False), {"weight": "must be a number"}),
    "no number": (struct(size="L", weight=math.nan), {"weight": "must be finite"}),
    "infinity": (struct(size="L", weight=-math.inf), {"weight": "must be finite"}),
    "unknown property": (struct(size="L", colour="red"), {"colour": "is not in the product"}),
    "property without a name": (
        Struct(fields={"size": Value(string_value="L"), "": Value(bool_value=True)}),
        {"": "is not in the product"},
    ),
    "null": (
        Struct(fields={"size": Value(null_value=NullValue.NULL_VALUE)}),
        {"size": "must be a string, a boolean or a number"},
    ),
    "list": (
        Struct(fields={"size": Value(list_value=ListValue())}),
        {"size": "must be a string, a boolean or a number"},
    ),
    "object": (
        Struct(fields={"size": Value(struct_value=Struct())}),
        {"size": "must be a string, a boolean or a number"},
    ),
    "value without a kind": (
        Struct(fields={"size": Value()}),
        {"size": "must be a string, a boolean or a number"},
    ),
    "all wrong": (
        struct(gift=1, weight="1", other=1),
        {
            "size": "is required",
            "gift": "must be a boolean",
            "weight": "must be a number",
            "other": "is not in the product",
        },
    ),
}


@pytest.mark.parametrize(("data", "faults"), BAD.values(), ids=BAD.keys())
def test_data_that_does_not_fit_is_refused(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    data: Struct,
    faults: dict[str, str],
) -> None:
    """Every property that is at fault is named, and no order is made."""
    user = new_user()
    with refused(Reason.DATA_SCHEMA_MISMATCH) as refusal:
        create_intent(grpc_stub, product.id, user_id=user, data=data)
    assert refusal.metadata == {"product_id": product.id}
    assert set(refusal.violations) == {f"data.{name}" for name in faults}
    for name, fault in faults.items():
        assert fault in refusal.violations[f"data.{name}"]
    assert not orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=user)).orders


def test_data_of_very_many_or_very_long_names_is_refused_readably(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product
) -> None:
    """However much is at fault, the error fits into what gRPC lets through."""
    for names in ([f"name {n}" for n in range(5000)], ["\N{PARTY POPPER}" * 100_000]):
        data = struct(size="L", **dict.fromkeys(names, 1))
        with refused(Reason.DATA_SCHEMA_MISMATCH) as refusal:
            create_intent(grpc_stub, product.id, data=data)
        assert refusal.violations
