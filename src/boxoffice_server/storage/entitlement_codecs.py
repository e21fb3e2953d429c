"""How what follows from facts is written as rows, and read from them: events and entitlements."""

import json
from collections.abc import Sequence
from typing import Any

from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementStatus,
    Environment,
    SubscriptionEvent,
    SubscriptionEventType,
    SubscriptionSource,
)
from boxoffice_server.storage.codecs import Row, Values, text
from boxoffice_server.storage.times import (
    from_microseconds,
    from_microseconds_or_none,
    to_microseconds,
    to_microseconds_or_none,
)


def from_subscription_event(event: SubscriptionEvent) -> Values:
    """Write a subscription event as a row."""
    return {
        "id": event.id,
        "lineage_id": event.lineage_id,
        "entitlement_id": event.entitlement_id,
        "user_id": event.user_id,
        "source": event.source.value,
        "environment": event.environment.value,
        "source_product_id": event.source_product_id,
        "vendor_product_id": event.vendor_product_id,
        "subscription_group": event.subscription_group,
        "subscription_tier": event.subscription_tier,
        "type": event.type.value,
        "event_time": to_microseconds(event.event_time),
        "create_time": to_microseconds(event.create_time),
        "expire_time": to_microseconds_or_none(event.expire_time),
        "new_product_id": event.new_product_id,
        "new_vendor_product_id": event.new_vendor_product_id,
        "promotion_reference": event.promotion_reference,
        "fact_id": event.fact_id,
        "notification_id": event.notification_id,
        "superseded": event.superseded,
    }


def to_subscription_event(row: Row) -> SubscriptionEvent:
    """Read a subscription event from its row."""
    return SubscriptionEvent(
        id=row["id"],
        lineage_id=row["lineage_id"],
        entitlement_id=row["entitlement_id"],
        user_id=row["user_id"],
        source=SubscriptionSource(row["source"]),
        environment=Environment(row["environment"]),
        source_product_id=row["source_product_id"],
        vendor_product_id=row["vendor_product_id"],
        subscription_group=row["subscription_group"],
        subscription_tier=row["subscription_tier"],
        type=SubscriptionEventType(row["type"]),
        event_time=from_microseconds(row["event_time"]),
        create_time=from_microseconds(row["create_time"]),
        expire_time=from_microseconds_or_none(row["expire_time"]),
        new_product_id=row["new_product_id"],
        new_vendor_product_id=row["new_vendor_product_id"],
        promotion_reference=row["promotion_reference"],
        fact_id=row["fact_id"],
        notification_id=row["notification_id"],
        superseded=row["superseded"],
    )


def from_entitlement(entitlement: Entitlement, bands: Sequence[Band]) -> Values:
    """Write an entitlement as a row, its present band by columns."""
    return {
        "id": entitlement.id,
        "lineage_id": entitlement.lineage_id,
        "user_id": entitlement.user_id,
        "source": entitlement.source.value,
        "environment": entitlement.environment.value,
        "source_product_id": entitlement.source_product_id,
        "vendor_product_id": entitlement.vendor_product_id,
        "subscription_group": entitlement.subscription_group,
        "subscription_tier": entitlement.subscription_tier,
        "rank": entitlement.rank,
        "version": entitlement.version,
        "removed": False,
        "create_time": to_microseconds(entitlement.create_time),
        **_from_band(entitlement.now),
        "later": _from_bands(entitlement.later),
        "bands": _from_bands(bands),
    }


def to_entitlement(row: Row) -> Entitlement:
    """Read an entitlement from its row, which need not have all its bands."""
    return Entitlement(
        id=row["id"],
        lineage_id=row["lineage_id"],
        user_id=row["user_id"],
        source=SubscriptionSource(row["source"]),
        environment=Environment(row["environment"]),
        source_product_id=row["source_product_id"],
        vendor_product_id=row["vendor_product_id"],
        subscription_group=row["subscription_group"],
        subscription_tier=row["subscription_tier"],
        rank=row["rank"],
        version=row["version"],
        create_time=from_microseconds(row["create_time"]),
        now=_to_band(row),
        later=to_bands(row["later"]),
    )


def _from_bands(bands: Sequence[Band]) -> str:
    return text([_from_band(band) for band in bands]) if bands else ""


def to_bands(value: str) -> tuple[Band, ...]:
    """Read bands as they are kept."""
    return tuple(_to_band(each) for each in json.loads(value)) if value else ()


def _from_band(band: Band) -> dict[str, Any]:
    return {
        "from_time": to_microseconds(band.from_time),
        "until_time": to_microseconds_or_none(band.until_time),
        "status": band.status.value,
        "expire_time": to_microseconds(band.expire_time),
        "access_until": to_microseconds(band.access_until),
        "new_product_id": band.new_product_id,
        "new_vendor_product_id": band.new_vendor_product_id,
        "event_type": None if band.event_type is None else band.event_type.value,
        "event_id": band.event_id,
        "fact_id": band.fact_id,
        "notification_id": band.notification_id,
    }


def _to_band(row: Row) -> Band:
    type_ = row["event_type"]
    return Band(
        from_time=from_microseconds(row["from_time"]),
        until_time=from_microseconds_or_none(row["until_time"]),
        status=EntitlementStatus(row["status"]),
        expire_time=from_microseconds(row["expire_time"]),
        access_until=from_microseconds(row["access_until"]),
        new_product_id=row["new_product_id"],
        new_vendor_product_id=row["new_vendor_product_id"],
        event_type=None if type_ is None else SubscriptionEventType(type_),
        event_id=row["event_id"],
        fact_id=row["fact_id"],
        notification_id=row["notification_id"],
    )
