"""What is a product, what it costs, and which data an order of it may have."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.product import (
    MAX_FUNCTION_NAME,
    MAX_NAME,
    MAX_PRICES,
    MAX_PRIORITY,
    MAX_PROPERTIES,
    MAX_PROPERTY_NAME,
    MAX_STRING_VALUE,
    Product,
    PropertyType,
    SchemaProperty,
    check_data,
    price_in,
    product_violations,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EUR = Money(amount=1250, currency="eur")
USD = Money(amount=1400, currency="usd")
SCHEMA = (
    SchemaProperty(name="seat", type=PropertyType.STRING, required=True),
    SchemaProperty(name="meal", type=PropertyType.BOOLEAN, required=False),
    SchemaProperty(name="weight", type=PropertyType.NUMBER, required=False),
)
PRODUCT = Product(
    id="prd_1",
    name="Ticket",
    prices=(EUR, USD),
    schema=SCHEMA,
    task_function_name="print-ticket",
    task_priority=5,
    tags=("a",),
    created_by="caller",
    version=1,
    create_time=NOW,
    update_time=NOW,
)


def names(count: int) -> tuple[SchemaProperty, ...]:
    """Make this many properties with names of their own."""
    return tuple(
        SchemaProperty(name=f"p{number}", type=PropertyType.STRING, required=False)
        for number in range(count)
    )


def currencies(count: int) -> tuple[Money, ...]:
    """Make this many prices in currencies of their own, eur among them."""
    codes = [f"{a}{b}z" for a in "abcdefghijklmnop" for b in "abcdefghijklmnop"]
    return (EUR, *(Money(amount=1, currency=code) for code in codes[: count - 1]))


@pytest.mark.parametrize(
    "product",
    [
        PRODUCT,
        replace(PRODUCT, prices=(EUR,), schema=(), tags=(), task_function_name=""),
        replace(PRODUCT, name="n" * MAX_NAME, task_function_name="f" * MAX_FUNCTION_NAME),
        replace(PRODUCT, task_priority=MAX_PRIORITY),
        replace(PRODUCT, task_priority=-MAX_PRIORITY),
        replace(PRODUCT, prices=currencies(MAX_PRICES)),
        replace(PRODUCT, schema=names(MAX_PROPERTIES)),
    ],
    ids=["whole", "least", "names", "first", "last", "prices", "schema"],
)
def test_a_product_within_all_limits_is_right(product: Product) -> None:
    """Nothing is wrong with the largest and the smallest."""
    assert product_violations(product) == []


@pytest.mark.parametrize(
    ("product", "fields"),
    [
        (replace(PRODUCT, name=""), ["product.name"]),
        (replace(PRODUCT, name="n" * (MAX_NAME + 1)), ["product.name"]),
        (
            replace(PRODUCT, task_function_name="f" * (MAX_FUNCTION_NAME + 1)),
            ["product.task_function_name"],
        ),
        (replace(PRODUCT, task_priority=MAX_PRIORITY + 1), ["product.task_priority"]),
        (replace(PRODUCT, task_priority=-MAX_PRIORITY - 1), ["product.task_priority"]),
        (replace(PRODUCT, tags=("",)), ["product.tags[0]"]),
        (replace(PRODUCT, prices=()), ["product.prices"]),
        (replace(PRODUCT, prices=(USD,)), ["product.prices"]),
        (replace(PRODUCT, prices=(EUR, EUR)), ["product.prices"]),
        (replace(PRODUCT, prices=currencies(MAX_PRICES + 1)), ["product.prices"]),
        (
            replace(PRODUCT, prices=(EUR, replace(USD, amount=0))),
            ["product.prices[1].amount"],
        ),
        (
            replace(PRODUCT, prices=(EUR, replace(USD, currency="US"))),
            ["product.prices[1].currency_code"],
        ),
        (replace(PRODUCT, schema=names(MAX_PROPERTIES + 1)), ["product.schema.properties"]),
        (replace(PRODUCT, schema=(*names(1), *names(1))), ["product.schema.properties"]),
        (
            replace(PRODUCT, schema=(replace(SCHEMA[0], name=""),)),
            ["product.schema.properties[0].name"],
        ),
        (
            replace(PRODUCT, schema=(replace(SCHEMA[0], name="n" * (MAX_PROPERTY_NAME + 1)),)),
            ["product.schema.properties[0].name"],
        ),
        (
            replace(PRODUCT, name="", prices=(), task_priority=9999),
            ["product.name", "product.task_priority", "product.prices"],
        ),
    ],
)
def test_what_is_wrong_with_a_product_is_named_by_its_field(
    product: Product, fields: list[str]
) -> None:
    """All faults at once, each under the path that it has in the request."""
    assert [each.field for each in product_violations(product)] == fields


def test_a_product_costs_its_price_in_each_currency() -> None:
    """The price that was set for it, never one that was converted."""
    assert price_in(PRODUCT, "eur") == EUR
    assert price_in(PRODUCT, "usd") == USD


@pytest.mark.parametrize("currency", ["gbp", "EUR", ""])
def test_a_product_has_no_price_in_another_currency(currency: str) -> None:
    """The error names both."""
    with pytest.raises(BoxofficeError) as caught:
        price_in(PRODUCT, currency)
    assert caught.value.reason is Reason.CURRENCY_NOT_PRICED
    assert caught.value.metadata == {"product_id": "prd_1", "currency_code": currency}


@pytest.mark.parametrize(
    "data",
    [
        {"seat": "12A"},
        {"seat": "", "meal": True, "weight": 1.5},
        {"seat": "s" * MAX_STRING_VALUE, "meal": False, "weight": -0.0},
    ],
)
def test_data_that_fits_the_schema_is_kept(data: dict[str, object]) -> None:
    """As it is."""
    assert check_data(PRODUCT, data) == data


def test_a_product_without_a_schema_takes_no_data() -> None:
    """And needs none."""
    plain = replace(PRODUCT, schema=())
    assert check_data(plain, {}) == {}
    with pytest.raises(BoxofficeError):
        check_data(plain, {"seat": "12A"})


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        ({}, {"data.seat": "is required"}),
        ({"meal": True}, {"data.seat": "is required"}),
        ({"seat": None}, {"data.seat": "must be a string, a boolean or a number"}),
        ({"seat": ["12A"]}, {"data.seat": "must be a string, a boolean or a number"}),
        ({"seat": {"row": 12}}, {"data.seat": "must be a string, a boolean or a number"}),
        ({"seat": 12.0}, {"data.seat": "must be a string"}),
        ({"seat": True}, {"data.seat": "must be a string"}),
        (
            {"seat": "s" * (MAX_STRING_VALUE + 1)},
            {"data.seat": "must have from 0 to 1000 characters"},
        ),
        ({"seat": "\x00"}, {"data.seat": "must not hold a NUL character"}),
        ({"seat": "12A", "meal": "yes"}, {"data.meal": "must be a boolean"}),
        ({"seat": "12A", "meal": 1.0}, {"data.meal": "must be a boolean"}),
        ({"seat": "12A", "weight": "1"}, {"data.weight": "must be a number"}),
        ({"seat": "12A", "weight": True}, {"data.weight": "must be a number"}),
        ({"seat": "12A", "weight": math.nan}, {"data.weight": "must be finite"}),
        ({"seat": "12A", "weight": -math.inf}, {"data.weight": "must be finite"}),
        (
            {"row": 1.0, "meal": "no"},
            {
                "data.row": "is not in the product's schema",
                "data.meal": "must be a boolean",
                "data.seat": "is required",
            },
        ),
    ],
    ids=str,
)
def test_data_that_breaks_the_schema_is_refused(
    data: dict[str, object], faults: dict[str, str]
) -> None:
    """Each fault under its own path."""
    with pytest.raises(BoxofficeError) as caught:
        check_data(PRODUCT, data)
    error = caught.value
    assert error.reason is Reason.DATA_SCHEMA_MISMATCH
    assert error.metadata == {"product_id": "prd_1"}
    assert {each.field: each.description for each in error.violations} == faults
