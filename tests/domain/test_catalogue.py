"""What a product of the catalogue of subscriptions may be."""

from dataclasses import replace

import pytest

from boxoffice_server.domain.catalogue import subscription_product_violations
from boxoffice_server.domain.subscription import SubscriptionProduct, SubscriptionSource
from tests.support.subscriptions import a_subscription_product

SOLD = a_subscription_product()
BY_HAND = a_subscription_product(source=SubscriptionSource.MANUAL)

GOOD: dict[str, SubscriptionProduct] = {
    "sold": SOLD,
    "granted by hand": BY_HAND,
    "name of 200": replace(SOLD, name="n" * 200),
    "group and tier of 64": replace(SOLD, group="g" * 64, tier="t" * 64),
    "app of 155": replace(SOLD, app="a" * 155),
    "vendor id of 255": replace(SOLD, vendor_product_id="v" * 255),
    "no rank": replace(SOLD, rank=None),
    "negative rank": replace(SOLD, rank=-7),
}

BAD: dict[str, tuple[SubscriptionProduct, str]] = {
    "no name": (replace(SOLD, name=""), "name"),
    "name of 201": (replace(SOLD, name="n" * 201), "name"),
    "no group": (replace(SOLD, group=""), "subscription_group"),
    "group of 65": (replace(SOLD, group="g" * 65), "subscription_group"),
    "no tier": (replace(SOLD, tier=""), "subscription_tier"),
    "tier of 65": (replace(SOLD, tier="t" * 65), "subscription_tier"),
    "no app": (replace(SOLD, app=""), "app"),
    "app of 156": (replace(SOLD, app="a" * 156), "app"),
    "no vendor id": (replace(SOLD, vendor_product_id=""), "vendor_product_id"),
    "vendor id of 256": (replace(SOLD, vendor_product_id="v" * 256), "vendor_product_id"),
    "vendor id with NUL": (replace(SOLD, vendor_product_id="a\x00"), "vendor_product_id"),
    "app of a grant": (replace(BY_HAND, app="a"), "app"),
    "vendor id of a grant": (replace(BY_HAND, vendor_product_id="a"), "vendor_product_id"),
}


@pytest.mark.parametrize("product", GOOD.values(), ids=GOOD.keys())
def test_product_within_the_limits_is_one(product: SubscriptionProduct) -> None:
    """Nothing is wrong with it."""
    assert subscription_product_violations(product) == []


@pytest.mark.parametrize(("product", "field"), BAD.values(), ids=BAD.keys())
def test_product_beyond_the_limits_is_none(product: SubscriptionProduct, field: str) -> None:
    """The field that is wrong is named."""
    found = subscription_product_violations(product)
    assert [each.field for each in found] == [f"product.{field}"]
