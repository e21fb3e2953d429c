"""Rule R: what a vendor's snapshot shows and no signal had told. A notification was lost."""

from collections.abc import Iterator
from dataclasses import dataclass

from boxoffice_server.domain.facets import Facets
from boxoffice_server.domain.signals import Cause, Snapshot
from boxoffice_server.domain.subscription import SubscriptionEventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A toggle that must have happened."""

    type: SubscriptionEventType
    new_product: str = ""
    cause: Cause = Cause.PLAIN


def missed(snapshot: Snapshot, facets: Facets) -> Iterator[Missed]:
    """Tell which toggles make the facets agree with a snapshot.

    While renewal is off nothing else is of account: it may be switched on again.
    """
    if snapshot.auto_renew is False:
        if facets.auto_renew:
            yield Missed(type=SubscriptionEventType.RENEWAL_DISABLED)
        return
    if snapshot.auto_renew is True and not facets.auto_renew:
        yield Missed(type=SubscriptionEventType.RENEWAL_ENABLED)
    enabled, pending = SubscriptionEventType.RENEWAL_ENABLED, snapshot.pending_product
    if pending and pending != facets.pending_product:
        yield Missed(type=SubscriptionEventType.SWITCHING_PRODUCT, new_product=pending)
    elif pending == "" and facets.pending_product:
        yield Missed(type=enabled, cause=Cause.PREFERENCE)
    if snapshot.price_pending is True and not facets.price_pending:
        yield Missed(type=SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED)
    elif snapshot.price_agreed is True and facets.price_pending:
        yield Missed(type=enabled, cause=Cause.PRICE)
