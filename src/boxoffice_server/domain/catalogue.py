"""The catalogue of subscriptions: what one of its products may be, and that it has changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from boxoffice_server.domain.errors import BoxofficeError, FieldViolation, Reason
from boxoffice_server.domain.subscription import SubscriptionProduct, SubscriptionSource
from boxoffice_server.domain.text import text_violations

MAX_NAME = 200
MAX_GROUP = 64
MAX_TIER = 64
MAX_APP = 155
MAX_VENDOR_PRODUCT_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueChange:
    """That a product of the catalogue was made, changed or deleted; nobody streams it."""

    id: str
    product: SubscriptionProduct
    create_time: datetime


def subscription_product_violations(product: SubscriptionProduct) -> list[FieldViolation]:
    """Tell everything that keeps this from being a product of the catalogue."""
    found = text_violations(product.name, "product.name", most=MAX_NAME)
    found += text_violations(product.group, "product.subscription_group", most=MAX_GROUP)
    found += text_violations(product.tier, "product.subscription_tier", most=MAX_TIER)
    app, vendor = product.app, product.vendor_product_id
    match product.source:
        case SubscriptionSource.APP_STORE:
            found += text_violations(app, "product.app", most=MAX_APP)
            found += text_violations(
                vendor, "product.vendor_product_id", most=MAX_VENDOR_PRODUCT_ID
            )
        case SubscriptionSource.MANUAL:
            what = "must be empty for what is granted by hand"
            for field, value in {"app": app, "vendor_product_id": vendor}.items():
                if value:
                    found.append(FieldViolation(field=f"product.{field}", description=what))
        case _:
            assert_never(product.source)
    return found


def tier_rank_mismatch(product: SubscriptionProduct, rank: int | None) -> BoxofficeError:
    """Refuse a product whose tier has this other rank."""
    return BoxofficeError(
        Reason.TIER_RANK_MISMATCH,
        f"tier {product.tier} of group {product.group} has "
        f"{'no rank' if rank is None else f'rank {rank}'} in another product",
        metadata={
            "subscription_group": product.group,
            "subscription_tier": product.tier,
            "rank": "" if rank is None else str(rank),
        },
    )
