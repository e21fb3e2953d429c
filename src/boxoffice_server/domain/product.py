"""Products: what is sold, for how much, and what an order of it must say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason
from boxoffice_server.domain.money import DEFAULT_CURRENCY, Money, price_violations
from boxoffice_server.domain.text import tag_violations, text_violations

MAX_NAME = 200
MAX_FUNCTION_NAME = 100
MAX_PRIORITY = 1000
MAX_PRICES = 200
MAX_PROPERTIES = 100
MAX_PROPERTY_NAME = 64
MAX_STRING_VALUE = 1000

DataValue = str | bool | float
"""A value in an order's data."""


class PropertyType(StrEnum):
    """What values a property of the data takes."""

    STRING = "string"
    BOOLEAN = "boolean"
    NUMBER = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProperty:
    """One property of an order's data."""

    name: str
    type: PropertyType
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something that is sold one at a time.

    `version` rises by one at every change. A product with a `delete_time` can't be sold any more.
    """

    id: str
    name: str
    prices: tuple[Money, ...]
    schema: tuple[SchemaProperty, ...]
    task_function_name: str
    task_priority: int
    tags: tuple[str, ...]
    created_by: str
    version: int
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None = None


def product_violations(product: Product) -> list[FieldViolation]:
    """Tell everything that keeps this from being a product; empty when nothing does."""
    found = text_violations(product.name, "product.name", most=MAX_NAME)
    found += text_violations(
        product.task_function_name, "product.task_function_name", least=0, most=MAX_FUNCTION_NAME
    )
    if not -MAX_PRIORITY <= product.task_priority <= MAX_PRIORITY:
        what = f"must be from {-MAX_PRIORITY} to {MAX_PRIORITY}"
        found.append(FieldViolation(field="product.task_priority", description=what))
    found += tag_violations(product.tags, "product.tags")
    found += _prices_violations(product.prices)
    found += _schema_violations(product.schema)
    return found


def _prices_violations(prices: tuple[Money, ...]) -> list[FieldViolation]:
    if len(prices) > MAX_PRICES:
        what = f"must hold at most {MAX_PRICES} prices"
        return [FieldViolation(field="product.prices", description=what)]
    found = []
    for index, price in enumerate(prices):
        found += price_violations(price, f"product.prices[{index}]")
    currencies = [price.currency for price in prices]
    if DEFAULT_CURRENCY not in currencies:
        what = f"must hold a price in {DEFAULT_CURRENCY}"
        found.append(FieldViolation(field="product.prices", description=what))
    if len(set(currencies)) != len(currencies):
        what = "must not hold two prices in one currency"
        found.append(FieldViolation(field="product.prices", description=what))
    return found


def _schema_violations(schema: tuple[SchemaProperty, ...]) -> list[FieldViolation]:
    field = "product.schema.properties"
    if len(schema) > MAX_PROPERTIES:
        return [
            FieldViolation(
                field=field, description=f"must hold at most {MAX_PROPERTIES} properties"
            )
        ]
    found = []
    for index, each in enumerate(schema):
        found += text_violations(each.name, f"{field}[{index}].name", most=MAX_PROPERTY_NAME)
    names = [each.name for each in schema]
    if len(set(names)) != len(names):
        found.append(FieldViolation(field=field, description="must not hold a name twice"))
    return found


def price_in(product: Product, currency: str) -> Money:
    """Find the product's price in this currency, or raise CURRENCY_NOT_PRICED."""
    for price in product.prices:
        if price.currency == currency:
            return price
    raise BoxofficeError(
        Reason.CURRENCY_NOT_PRICED,
        f"product {product.id} has no price in {currency}",
        metadata={"product_id": product.id, "currency_code": currency},
    )


def check_data(product: Product, data: Mapping[str, object]) -> dict[str, DataValue]:
    """Return the data if it fits the product's schema, or raise DATA_SCHEMA_MISMATCH."""
    found = []
    fitting: dict[str, DataValue] = {}
    properties = {each.name: each for each in product.schema}
    for name, value in data.items():
        if name not in properties:
            what = "is not in the product's schema"
        elif isinstance(value, str | bool | float):
            fitting[name] = value
            what = _value_fault(properties[name].type, value)
        else:
            what = "must be a string, a boolean or a number"
        if what:
            found.append(FieldViolation(field=f"data.{name}", description=what))
    found += [
        FieldViolation(field=f"data.{each.name}", description="is required")
        for each in product.schema
        if each.required and each.name not in data
    ]
    if found:
        raise BoxofficeError(
            Reason.DATA_SCHEMA_MISMATCH,
            "; ".join(f"{each.field} {each.description}" for each in found),
            metadata={"product_id": product.id},
            violations=found,
        )
    return fitting


def _value_fault(type_: PropertyType, value: DataValue) -> str:
    """Say what is wrong with a value, or nothing. Python counts a bool as a number; we don't."""
    match type_:
        case PropertyType.STRING:
            if not isinstance(value, str):
                return "must be a string"
            faults = text_violations(value, "", least=0, most=MAX_STRING_VALUE)
            return faults[0].description if faults else ""
        case PropertyType.BOOLEAN:
            return "" if isinstance(value, bool) else "must be a boolean"
        case PropertyType.NUMBER:
            if isinstance(value, bool) or not isinstance(value, float):
                return "must be a number"
            return "" if math.isfinite(value) else "must be finite"
        case _:
            assert_never(type_)
