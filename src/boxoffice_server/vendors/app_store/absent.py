"""A service that is not set up for the App Store."""

from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.ports import SubmittedPurchase


class NoAppStore:
    """Refuses purchases, for there is no app of ours in which they could have been made."""

    async def read(self, purchase: SubmittedPurchase, *, now: datetime) -> SubscriptionFact:
        """Raise SOURCE_NOT_CONFIGURED."""
        del purchase, now
        raise BoxofficeError(
            Reason.SOURCE_NOT_CONFIGURED,
            "the service is not set up for the App Store: BOXOFFICE_APP_STORE_APPS is empty",
            metadata={"source": "app_store"},
        )
