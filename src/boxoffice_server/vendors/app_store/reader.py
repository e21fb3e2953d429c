"""What is known of App Store subscriptions without asking Apple."""

from datetime import timedelta

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.signals import ClockRules, Signal
from boxoffice_server.vendors.app_store.signals import signals


class AppStoreReader:
    """Reads facts, and knows the App Store's time limits.

    A renewal that nobody told of may still be told at the first repetition, an hour after the first
    attempt (https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications).
    Apple tries to renew for 60 days, grace included
    (https://developer.apple.com/documentation/storekit/reducing-involuntary-subscriber-churn).
    """

    rules = ClockRules(leeway=timedelta(hours=1), retry_limit=timedelta(days=60))

    def signals(self, fact: SubscriptionFact) -> list[Signal]:
        """Tell what a fact says."""
        return signals(fact)
