"""What a vendor is asked about a subscription."""

from datetime import datetime

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.subscription import LineageKey
from boxoffice_server.ports import SubscriptionVendor


async def ask(
    vendor: SubscriptionVendor, key: LineageKey, *, now: datetime
) -> list[SubscriptionFact]:
    """Ask how a lineage stands, and for all its periods: one that nobody told of may be among them.

    A vendor answers for all that its customer has; only what is of this lineage is returned, or of
    one that goes on from it.
    """
    found = await vendor.statuses(key, now=now)
    async for page in vendor.history(key, now=now):
        found += page
    return [each for each in found if each.lineage == key or each.previous_lineage == key.lineage]
