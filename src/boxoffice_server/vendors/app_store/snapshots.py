"""How things stood when the App Store signed a renewal info: what rule R compares."""

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.signals import Order, Rank, Snapshot
from boxoffice_server.vendors.app_store.payload import Renewal, Transaction

# https://developer.apple.com/documentation/appstoreserverapi/priceincreasestatus
_NOT_ANSWERED, _AGREED = 0, 1


def snapshot(fact: SubscriptionFact, transaction: Transaction | None, renewal: Renewal) -> Snapshot:
    """Tell how things stood when a renewal info was signed."""
    price = renewal.price_increase
    return Snapshot(
        order=Order(time=fact.sign_time, rank=Rank.SNAPSHOT, tie=fact.vendor_id),
        time=fact.sign_time,
        fact_id=fact.id,
        product=renewal.product or (transaction.period.product if transaction else ""),
        period_key=transaction.period.key if transaction else "",
        auto_renew=renewal.auto_renew,
        pending_product=_pending(renewal),
        price_pending=None if price is None else price == _NOT_ANSWERED,
        price_agreed=None if price is None else price == _AGREED,
        lost=None if transaction is None else transaction.revocation_time is not None,
    )


def period_snapshot(fact: SubscriptionFact, transaction: Transaction) -> Snapshot:
    """Tell how a period stood when its transaction was signed alone: whether it was lost."""
    return Snapshot(
        order=Order(time=fact.sign_time, rank=Rank.SNAPSHOT, tie=fact.vendor_id),
        time=fact.sign_time,
        fact_id=fact.id,
        product=transaction.period.product,
        period_key=transaction.period.key,
        lost=transaction.revocation_time is not None,
    )


def _pending(renewal: Renewal) -> str | None:
    """Tell which product is to follow; empty where it is the same one.

    Of another one nothing is said while renewal is off: it may be switched on again.
    """
    if not renewal.next_product:
        return None
    if renewal.next_product == renewal.product:
        return ""
    return renewal.next_product if renewal.auto_renew else None
