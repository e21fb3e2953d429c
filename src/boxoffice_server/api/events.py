"""Events as the log keeps them and streams tell them."""

from typing import assert_never

from boxoffice_server.api.convert import to_order_event, to_product
from boxoffice_server.api.convert_entitlements import (
    to_entitlement_event,
    to_subscription_event,
    to_subscription_product,
)
from boxoffice_server.api.convert_payments import to_payment_event
from boxoffice_server.domain.catalogue import CatalogueChange
from boxoffice_server.domain.order import OrderEvent
from boxoffice_server.domain.payment import PaymentEvent
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.subscription import EntitlementChange, SubscriptionEvent
from boxoffice_server.ports import LogEvent


def encode_event(event: LogEvent) -> bytes:
    """Serialise an event, but for its position."""
    match event:
        case OrderEvent():
            return to_order_event(event).SerializeToString()
        case PaymentEvent():
            return to_payment_event(event).SerializeToString()
        case Product():
            return to_product(event).SerializeToString()
        case CatalogueChange():
            return to_subscription_product(event.product).SerializeToString()
        case SubscriptionEvent():
            return to_subscription_event(event).SerializeToString()
        case EntitlementChange():
            return to_entitlement_event(event).SerializeToString()
        case _:
            assert_never(event)
