"""What happens to subscriptions by itself, and when."""

from boxoffice_sandbox.app_store import renewals
from boxoffice_sandbox.app_store.catalogue import Product
from boxoffice_sandbox.app_store.life import Moment
from boxoffice_sandbox.app_store.subscription import Consent, Intent, Phase, Subscription


def due(found: Subscription, products: dict[str, Product], *, early: int) -> int | None:
    """Return when something happens next, if ever.

    `early` is how long before its end a period that can be renewed is.
    """
    match found.phase:
        case Phase.ACTIVE if renews(found, products):
            begun = int(found.current.fields["purchaseDate"])
            return max(found.renewal_at - min(early, renewals.EARLIEST), begun + 1)
        case Phase.ACTIVE:
            return found.renewal_at
        case Phase.GRACE:
            return found.grace_until
        case Phase.RETRY:
            return renewals.retries_end(found)
    return None


def happen(moment: Moment, found: Subscription) -> None:
    """Do what is due."""
    match found.phase:
        case Phase.ACTIVE:
            _end_period(moment, found)
        case Phase.GRACE:
            renewals.end_grace(moment, found)
        case Phase.RETRY:
            renewals.expire(moment, found, "BILLING_RETRY", Intent.BILLING)


def renews(found: Subscription, products: dict[str, Product]) -> bool:
    """Tell whether a subscription goes on at the end of its period, as things are."""
    return (
        found.auto_renew
        and not found.fails
        and found.consent in (None, Consent.ACCEPTED)
        and products[found.next_product].for_sale
    )


def _end_period(moment: Moment, found: Subscription) -> None:
    if found.consent is Consent.REFUSED:
        renewals.expire(moment, found, "PRICE_INCREASE", Intent.PRICE)
    elif not found.auto_renew:
        renewals.expire(moment, found, "VOLUNTARY", Intent.CANCELLED)
    elif found.consent is Consent.PENDING:
        renewals.expire(moment, found, "PRICE_INCREASE", Intent.PRICE)
    elif not moment.product(found.next_product).for_sale:
        renewals.expire(moment, found, "PRODUCT_NOT_FOR_SALE", Intent.NOT_FOR_SALE)
    elif found.fails:
        renewals.fail(moment, found)
    else:
        renewals.renew(moment, found)
