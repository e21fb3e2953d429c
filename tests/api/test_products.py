"""CreateProduct, GetProduct and ListProducts: what a product may be, and how it is found."""

import pytest

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.sales import PRICES, a_product, create_product

EUR = Money(amount=1, currency_code="eur")
STRING, BOOLEAN = pb.SCHEMA_PROPERTY_TYPE_STRING, pb.SCHEMA_PROPERTY_TYPE_BOOLEAN


def schema(*names: str) -> pb.ProductSchema:
    """A schema of strings with these names."""
    return pb.ProductSchema(
        properties=[pb.SchemaProperty(name=name, type=STRING) for name in names]
    )


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True, scope="module")
def test_product_is_kept_as_it_was_made(grpc_stub: OrdersServiceStub) -> None:
    """Every field comes back from CreateProduct, and the same again from GetProduct."""
    asked = a_product(
        prices=[Money(amount=99_999_999, currency_code="eur"), PRICES[1]],
        schema=pb.ProductSchema(
            properties=[
                pb.SchemaProperty(name="size", type=STRING, required=True),
                pb.SchemaProperty(name="gift", type=BOOLEAN),
                pb.SchemaProperty(name="weight", type=pb.SCHEMA_PROPERTY_TYPE_NUMBER),
            ]
        ),
        task_function_name="ship",
        task_priority=-7,
        tags=["summer", "ü"],
    )
    made = grpc_stub.CreateProduct(
        pb.CreateProductRequest(request_id=new_request_id(), product=asked)
    ).product
    assert made.id.startswith("prd_")
    assert made.etag
    assert made.created_by == "development"
    assert made.create_time == made.update_time
    assert not made.HasField("delete_time")
    for field in ("name", "prices", "schema", "task_function_name", "task_priority", "tags"):
        assert getattr(made, field) == getattr(asked, field), field
    got = grpc_stub.GetProduct(pb.GetProductRequest(product_id=made.id))
    assert got.product == made


def test_output_fields_of_a_new_product_are_ours(grpc_stub: OrdersServiceStub) -> None:
    """What a caller puts into output only fields is ignored."""
    made = create_product(
        grpc_stub, id="prd_mine", etag="77", created_by="me", delete_time={"seconds": 1}
    )
    assert made.id != "prd_mine"
    assert (made.etag, made.created_by) == ("1", "development")
    assert not made.HasField("delete_time")


AT_THE_LIMIT: dict[str, dict[str, object]] = {
    "name of 200": {"name": "n" * 200},
    "name of 200 wide characters": {"name": "\N{PARTY POPPER}" * 200},
    "least amount": {"prices": [EUR]},
    "200 prices": {
        "prices": [
            EUR,
            *(
                Money(amount=1, currency_code=f"a{chr(97 + n // 26)}{chr(97 + n % 26)}")
                for n in range(199)
            ),
        ]
    },
    "100 properties": {"schema": schema(*(f"p{n}" for n in range(100)))},
    "property name of 64": {"schema": schema("p" * 64)},
    "function name of 100": {"task_function_name": "f" * 100},
    "highest priority": {"task_priority": 1000},
    "lowest priority": {"task_priority": -1000},
    "50 tags": {"tags": [f"t{n}" for n in range(50)]},
    "tag of 64": {"tags": ["t" * 64]},
}


@pytest.mark.parametrize("fields", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT.keys())
def test_product_at_the_limit_is_taken(
    grpc_stub: OrdersServiceStub, fields: dict[str, object]
) -> None:
    """What lies on the border belongs to what is allowed."""
    made = create_product(grpc_stub, **fields)
    assert grpc_stub.GetProduct(pb.GetProductRequest(product_id=made.id)).product == made


BEYOND: dict[str, tuple[dict[str, object], str]] = {
    "no name": ({"name": ""}, "name"),
    "name of 201": ({"name": "n" * 201}, "name"),
    "NUL in the name": ({"name": "a\0b"}, "name"),
    "no prices": ({"prices": []}, "prices"),
    "no eur": ({"prices": [PRICES[1]]}, "prices"),
    "currency twice": ({"prices": [EUR, EUR]}, "prices"),
    "201 prices": ({"prices": [EUR] * 201}, "prices"),
    "amount of zero": ({"prices": [Money(amount=0, currency_code="eur")]}, "prices[0].amount"),
    "negative amount": ({"prices": [Money(amount=-1, currency_code="eur")]}, "prices[0].amount"),
    "amount over the most": (
        {"prices": [Money(amount=100_000_000, currency_code="eur")]},
        "prices[0].amount",
    ),
    "currency in capitals": (
        {"prices": [EUR, Money(amount=1, currency_code="USD")]},
        "prices[1].currency_code",
    ),
    "currency of four": (
        {"prices": [EUR, Money(amount=1, currency_code="euro")]},
        "prices[1].currency_code",
    ),
    "101 properties": ({"schema": schema(*(f"p{n}" for n in range(101)))}, "schema.properties"),
    "property twice": ({"schema": schema("p", "p")}, "schema.properties"),
    "property without name": ({"schema": schema("")}, "schema.properties[0].name"),
    "property name of 65": ({"schema": schema("p" * 65)}, "schema.properties[0].name"),
    "NUL in a property name": ({"schema": schema("\0")}, "schema.properties[0].name"),
    "property without type": (
        {"schema": pb.ProductSchema(properties=[pb.SchemaProperty(name="p")])},
        "schema.properties[0].type",
    ),
    "unknown property type": (
        {"schema": {"properties": [{"name": "p", "type": 99}]}},
        "schema.properties[0].type",
    ),
    "function name of 101": ({"task_function_name": "f" * 101}, "task_function_name"),
    "NUL in the function name": ({"task_function_name": "\0"}, "task_function_name"),
    "priority of 1001": ({"task_priority": 1001}, "task_priority"),
    "priority of -1001": ({"task_priority": -1001}, "task_priority"),
    "51 tags": ({"tags": [f"t{n}" for n in range(51)]}, "tags"),
    "tag twice": ({"tags": ["t", "t"]}, "tags"),
    "empty tag": ({"tags": ["t", ""]}, "tags[1]"),
    "tag of 65": ({"tags": ["t" * 65]}, "tags[0]"),
    "NUL in a tag": ({"tags": ["\0"]}, "tags[0]"),
}


@pytest.mark.parametrize(("fields", "path"), BEYOND.values(), ids=BEYOND.keys())
def test_product_beyond_the_limit_is_refused(
    grpc_stub: OrdersServiceStub, fields: dict[str, object], path: str
) -> None:
    """The field that is at fault is named, and no product is made."""
    before = grpc_stub.ListProducts(pb.ListProductsRequest(page_size=1)).resume_token
    with refused_field(f"product.{path}"):
        create_product(grpc_stub, **fields)
    after = grpc_stub.ListProducts(pb.ListProductsRequest(page_size=1)).resume_token
    assert after == before


def test_all_faults_are_told_at_once(grpc_stub: OrdersServiceStub) -> None:
    """A request with several faults is refused once for all of them."""
    bad = pb.Product(name="", prices=[Money(amount=0, currency_code="EUR")], task_priority=5000)
    with refused_field(
        "request_id",
        "product.name",
        "product.prices",
        "product.prices[0].amount",
        "product.prices[0].currency_code",
        "product.task_priority",
    ) as refusal:
        grpc_stub.CreateProduct(pb.CreateProductRequest(product=bad))
    for field, description in refusal.violations.items():
        assert f"{field}: {description}" in refusal.message


def test_a_thousand_faults_are_still_one_readable_error(grpc_stub: OrdersServiceStub) -> None:
    """An error that names many fields fits into what gRPC lets through."""
    prices = [Money(amount=-1, currency_code="\N{PARTY POPPER}" * 99)] * 200
    with refused(Reason.FIELD_INVALID) as refusal:
        create_product(grpc_stub, prices=prices, tags=[""] * 51)
    assert "product.tags[0]" in refusal.violations
    assert refusal.message.endswith("\N{HORIZONTAL ELLIPSIS}")


@pytest.mark.parametrize("product_id", ["prd_unknown", "ord_1", "x" * 64, "🎉"])
def test_unknown_product_is_not_found(grpc_stub: OrdersServiceStub, product_id: str) -> None:
    """An id that nothing has is told back."""
    with refused(Reason.PRODUCT_NOT_FOUND) as refusal:
        grpc_stub.GetProduct(pb.GetProductRequest(product_id=product_id))
    assert refusal.metadata == {"product_id": product_id}
    assert product_id in refusal.message


@pytest.mark.parametrize("product_id", ["", "x" * 65, "prd_\0"])
def test_id_that_none_can_be_is_a_fault_of_the_field(
    grpc_stub: OrdersServiceStub, product_id: str
) -> None:
    """Ids are of 1 to 64 characters."""
    with refused_field("product_id"):
        grpc_stub.GetProduct(pb.GetProductRequest(product_id=product_id))


def test_list_is_newest_first_and_filters_by_tag(grpc_stub: OrdersServiceStub) -> None:
    """A tag finds the products that have it among others, and only these."""
    first = create_product(grpc_stub, tags=["listed", "a"])
    create_product(grpc_stub, tags=["other"])
    second = create_product(grpc_stub, tags=["b", "listed"])
    found = grpc_stub.ListProducts(pb.ListProductsRequest(tag="listed"))
    assert list(found.products) == [second, first]
    assert found.next_page_token == ""
    assert not grpc_stub.ListProducts(pb.ListProductsRequest(tag="list")).products
    everything = grpc_stub.ListProducts(pb.ListProductsRequest(page_size=500)).products
    times = [each.create_time.ToNanoseconds() for each in everything]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("tag", ["t" * 65, "\0"])
def test_tag_that_none_can_be_is_refused(grpc_stub: OrdersServiceStub, tag: str) -> None:
    """A filter is checked as the field it looks at."""
    with refused_field("tag"):
        grpc_stub.ListProducts(pb.ListProductsRequest(tag=tag))
