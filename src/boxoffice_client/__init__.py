"""What internal callers of Boxoffice install: a channel, streams that resume, readable errors.

The stubs are in `boxoffice.orders.v1` and its siblings.
"""

from boxoffice_client.channel import open_channel
from boxoffice_client.entitlements import (
    EntitlementCopy,
    WatchedEntitlements,
    watch_entitlements,
)
from boxoffice_client.errors import (
    REASON_DOMAIN,
    ErrorInfo,
    ResumeImpossible,
    StreamBroken,
    WatchError,
    error_info,
)
from boxoffice_client.orders import WatchedOrders, watch_orders
from boxoffice_client.payments import WatchedPayments, watch_payments
from boxoffice_client.subscription_events import (
    WatchedSubscriptionEvents,
    watch_subscription_events,
)
from boxoffice_client.watch import BackOff, Start, Watch, Watched, Whole

__all__ = [
    "REASON_DOMAIN",
    "BackOff",
    "EntitlementCopy",
    "ErrorInfo",
    "ResumeImpossible",
    "Start",
    "StreamBroken",
    "Watch",
    "WatchError",
    "Watched",
    "WatchedEntitlements",
    "WatchedOrders",
    "WatchedPayments",
    "WatchedSubscriptionEvents",
    "Whole",
    "error_info",
    "open_channel",
    "watch_entitlements",
    "watch_orders",
    "watch_payments",
    "watch_subscription_events",
]
