"""What the log finds its records by."""

from typing import assert_never

from boxoffice_server.domain.catalogue import CatalogueChange
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.order import OrderEvent
from boxoffice_server.domain.payment import PaymentEvent
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.stream import RecordKind, scope
from boxoffice_server.domain.subscription import EntitlementChange, SubscriptionEvent
from boxoffice_server.ports import LogEvent
from boxoffice_server.storage.codecs import Values
from boxoffice_server.storage.times import to_microseconds


def keys_of(event: LogEvent) -> Values:
    """Tell the columns of an event's record, but for its payload and its place."""
    match event:
        case OrderEvent():
            return {**_NO_SUBSCRIPTION, **_of_order(event)}
        case PaymentEvent():
            return {**_NO_SUBSCRIPTION, **_of_payment(event)}
        case Product():
            return {**_NO_SUBSCRIPTION, **_of_product(event)}
        case CatalogueChange():
            return _of_catalogue_change(event)
        case SubscriptionEvent():
            return _of_subscription_event(event)
        case EntitlementChange():
            return _of_entitlement(event)
        case _:
            assert_never(event)


_NO_SUBSCRIPTION = {"scope": "", "subscription_group": ""}


def _of_order(event: OrderEvent) -> Values:
    order = event.order
    return {
        "event_id": event.id,
        "kind": RecordKind.ORDER.value,
        "subject_id": order.id,
        "user_id": order.user_id,
        "product_id": order.product.id,
        "status": order.status.value,
        "create_time": to_microseconds(event.create_time),
    }


def _of_payment(event: PaymentEvent) -> Values:
    payment = event.payment
    return {
        "event_id": event.id,
        "kind": RecordKind.PAYMENT.value,
        "subject_id": payment.id,
        "user_id": payment.user_id,
        "product_id": "",
        "status": payment.state.status.value,
        "create_time": to_microseconds(event.create_time),
    }


def _of_product(product: Product) -> Values:
    return {
        "event_id": hashed_id(Prefix.EVENT, product.id, str(product.version)),
        "kind": RecordKind.PRODUCT.value,
        "subject_id": product.id,
        "user_id": "",
        "product_id": product.id,
        "status": "",
        "create_time": to_microseconds(product.update_time),
    }


def _of_catalogue_change(change: CatalogueChange) -> Values:
    return {
        **_NO_SUBSCRIPTION,
        "event_id": change.id,
        "kind": RecordKind.SUBSCRIPTION_PRODUCT.value,
        "subject_id": change.product.id,
        "user_id": "",
        "product_id": change.product.id,
        "status": "",
        "create_time": to_microseconds(change.create_time),
        "subscription_group": change.product.group,
    }


def _of_subscription_event(event: SubscriptionEvent) -> Values:
    return {
        "event_id": event.id,
        "kind": RecordKind.SUBSCRIPTION_EVENT.value,
        "subject_id": event.entitlement_id,
        "user_id": event.user_id,
        "product_id": event.source_product_id,
        "status": event.type.value,
        "create_time": to_microseconds(event.create_time),
        "scope": scope(event.source, event.environment),
        "subscription_group": event.subscription_group,
    }


def _of_entitlement(change: EntitlementChange) -> Values:
    entitlement = change.entitlement
    return {
        "event_id": change.id,
        "kind": RecordKind.ENTITLEMENT.value,
        "subject_id": entitlement.id,
        "user_id": entitlement.user_id,
        "product_id": entitlement.source_product_id,
        "status": entitlement.now.status.value,
        "create_time": to_microseconds(change.create_time),
        "scope": scope(entitlement.source, entitlement.environment),
        "subscription_group": entitlement.subscription_group,
    }
