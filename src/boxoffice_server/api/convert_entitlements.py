"""Between generated messages and the domain, for subscriptions and entitlements."""

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.entitlements.v1 import subscription_products_pb2 as products_pb
from boxoffice.entitlements.v1 import subscriptions_pb2 as pb
from boxoffice_server.api.convert import (
    enum_name,
    enum_text,
    member,
    to_timestamp,
)
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import scope
from boxoffice_server.domain.subscription import (
    FOREVER,
    Band,
    Entitlement,
    EntitlementChange,
    EntitlementStatus,
    Environment,
    StatusCategory,
    SubscriptionEvent,
    SubscriptionEventType,
    SubscriptionProduct,
    SubscriptionSource,
)

# -- words ----------------------------------------------------------------------------------------


def to_source(source: SubscriptionSource) -> pb.SubscriptionSource.ValueType:
    """Write a source."""
    return pb.SubscriptionSource.Value(enum_name(source, "SUBSCRIPTION_SOURCE"))


def from_source(number: pb.SubscriptionSource.ValueType, field: str) -> SubscriptionSource:
    """Read a source, which must be one."""
    name = enum_text(pb.SubscriptionSource, number)
    return member(SubscriptionSource, name, "SUBSCRIPTION_SOURCE", field)


def from_source_or_none(
    number: pb.SubscriptionSource.ValueType, field: str
) -> SubscriptionSource | None:
    """Read the source of a filter, which may be absent."""
    return from_source(number, field) if number else None


def to_environment(environment: Environment) -> pb.Environment.ValueType:
    """Write an environment."""
    return pb.Environment.Value(enum_name(environment, "ENVIRONMENT"))


def from_environment(
    number: pb.Environment.ValueType, field: str, *, default: Environment
) -> Environment:
    """Read an environment; the service's own where it is absent."""
    if not number:
        return default
    return member(Environment, enum_text(pb.Environment, number), "ENVIRONMENT", field)


def to_status(status: EntitlementStatus) -> pb.EntitlementStatus.ValueType:
    """Write a status."""
    return pb.EntitlementStatus.Value(enum_name(status, "ENTITLEMENT_STATUS"))


def from_statuses(
    statuses: Iterable[pb.EntitlementStatus.ValueType],
    categories: Iterable[pb.StatusCategory.ValueType],
) -> tuple[EntitlementStatus, ...]:
    """Read the statuses of a filter, and those of its categories."""
    found = {
        member(
            EntitlementStatus,
            enum_text(pb.EntitlementStatus, number),
            "ENTITLEMENT_STATUS",
            f"statuses[{index}]",
        )
        for index, number in enumerate(statuses)
    }
    for index, number in enumerate(categories):
        name = enum_text(pb.StatusCategory, number)
        field = f"status_categories[{index}]"
        category = member(StatusCategory, name, "STATUS_CATEGORY", field)
        found |= {status for status in EntitlementStatus if status.category is category}
    return tuple(sorted(found))


def _to_type(type_: SubscriptionEventType) -> pb.SubscriptionEventType.ValueType:
    return pb.SubscriptionEventType.Value(enum_name(type_, "SUBSCRIPTION_EVENT_TYPE"))


def _to_type_or_none(
    type_: SubscriptionEventType | None,
) -> pb.SubscriptionEventType.ValueType:
    return pb.SUBSCRIPTION_EVENT_TYPE_UNSPECIFIED if type_ is None else _to_type(type_)


def from_event_types(
    numbers: Iterable[pb.SubscriptionEventType.ValueType], field: str
) -> tuple[SubscriptionEventType, ...]:
    """Read the event types of a filter."""
    return tuple(
        member(
            SubscriptionEventType,
            enum_text(pb.SubscriptionEventType, number),
            "SUBSCRIPTION_EVENT_TYPE",
            f"{field}[{index}]",
        )
        for index, number in enumerate(numbers)
    )


def scopes(source: SubscriptionSource | None, environment: Environment) -> frozenset[str]:
    """Name what a watcher of a source, or of all, asks the log for."""
    sources = SubscriptionSource if source is None else (source,)
    return frozenset(scope(each, environment) for each in sources)


# -- things ---------------------------------------------------------------------------------------


def to_subscription_product(product: SubscriptionProduct) -> products_pb.SubscriptionProduct:
    """Write a product of the catalogue."""
    return products_pb.SubscriptionProduct(
        id=product.id,
        source=to_source(product.source),
        app=product.app,
        vendor_product_id=product.vendor_product_id,
        name=product.name,
        subscription_group=product.group,
        subscription_tier=product.tier,
        rank=product.rank,
        create_time=to_timestamp(product.create_time),
        update_time=to_timestamp(product.update_time),
    )


def to_entitlement(entitlement: Entitlement, band: Band) -> pb.Entitlement:
    """Write an entitlement as it stands by one of its bands."""
    return pb.Entitlement(
        id=entitlement.id,
        user_id=entitlement.user_id,
        source=to_source(entitlement.source),
        environment=to_environment(entitlement.environment),
        source_product_id=entitlement.source_product_id,
        vendor_product_id=entitlement.vendor_product_id,
        subscription_group=entitlement.subscription_group,
        subscription_tier=entitlement.subscription_tier,
        rank=entitlement.rank,
        status_category=pb.StatusCategory.Value(enum_name(band.status.category, "STATUS_CATEGORY")),
        status=to_status(band.status),
        expire_time=_unless_never(band.expire_time),
        access_until=_unless_never(band.access_until),
        new_product_id=band.new_product_id,
        new_vendor_product_id=band.new_vendor_product_id,
        version=entitlement.version,
        create_time=to_timestamp(entitlement.create_time),
        from_time=to_timestamp(band.from_time),
        until_time=None if band.until_time is None else to_timestamp(band.until_time),
        origin=pb.EntitlementOrigin(
            event_type=_to_type_or_none(band.event_type),
            event_id=band.event_id,
            fact_id=band.fact_id,
            notification_id=band.notification_id,
        ),
        lineage_id=entitlement.lineage_id,
    )


def to_entitlement_event(change: EntitlementChange) -> pb.EntitlementEvent:
    """Write a change of an entitlement, without the position that the log gives it."""
    return pb.EntitlementEvent(
        id=change.id,
        entitlement=to_entitlement(change.entitlement, change.entitlement.now),
        removed=change.removed,
        create_time=to_timestamp(change.create_time),
    )


def to_subscription_event(event: SubscriptionEvent) -> pb.SubscriptionEvent:
    """Write a subscription event, without the position that the log gives it."""
    return pb.SubscriptionEvent(
        id=event.id,
        user_id=event.user_id,
        source=to_source(event.source),
        environment=to_environment(event.environment),
        source_product_id=event.source_product_id,
        vendor_product_id=event.vendor_product_id,
        subscription_group=event.subscription_group,
        subscription_tier=event.subscription_tier,
        type=_to_type(event.type),
        published_type=event.type.published_type,
        event_time=to_timestamp(event.event_time),
        create_time=to_timestamp(event.create_time),
        expire_time=_unless_never(event.expire_time),
        new_product_id=event.new_product_id,
        new_vendor_product_id=event.new_vendor_product_id,
        promotion_reference=event.promotion_reference,
        entitlement_id=event.entitlement_id,
        lineage_id=event.lineage_id,
        fact_id=event.fact_id,
        notification_id=event.notification_id,
        superseded=event.superseded,
    )


def _unless_never(time: datetime | None) -> Timestamp | None:
    return None if time is None or time >= FOREVER else to_timestamp(time)


# -- refusals -------------------------------------------------------------------------------------


def entitlement_not_found(entitlement_id: str) -> BoxofficeError:
    """Refuse an entitlement that is not there."""
    return BoxofficeError(
        Reason.ENTITLEMENT_NOT_FOUND,
        f"there is no entitlement {entitlement_id}",
        metadata={"entitlement_id": entitlement_id},
    )


def subscription_product_not_found(product_id: str) -> BoxofficeError:
    """Refuse a product that is not in the catalogue."""
    return BoxofficeError(
        Reason.SUBSCRIPTION_PRODUCT_NOT_FOUND,
        f"there is no subscription product {product_id}",
        metadata={"product_id": product_id},
    )
