"""One moment in the life of a subscription: what it changes, and what Apple then tells.

What customers do is in `purchases` and `renewals`, what Apple gives back in `money_back`, and
what happens by itself in `passing`. Nothing in these has any effect but on what it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from boxoffice_sandbox.app_store.catalogue import Offer, OfferMode, Product, billing_day, period_end
from boxoffice_sandbox.app_store.subscription import (
    Subscription,
    Transaction,
    offer_fields,
    renewal_info,
)
from boxoffice_sandbox.errors import invalid_request

Json = dict[str, Any]

_STOREFRONT = {"storefront": "BEL", "storefrontId": "143446"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a notification is made of: a snapshot of the moment that it tells of.

    `data` are further members of its data. Where there is no transaction the notification is
    about none, and `instead` is what it has in place of data.
    """

    type: str
    subtype: str | None = None
    at: int
    bundle_id: str
    environment: str
    status: int | None = None
    transaction: Json | None = None
    renewal: Json | None = None
    data: Json = field(default_factory=dict)
    instead: Json = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Moment:
    """A time, what is sold at it, and what is told of it."""

    now: int
    products: dict[str, Product]
    new_id: Callable[[str], str]
    """Makes the next id for an environment."""
    notices: list[Notice] = field(default_factory=list)

    def product(self, name: str) -> Product:
        """Return a product by its id."""
        if name not in self.products:
            known = ", ".join(self.products)
            raise invalid_request(f"No such product: {name}. There are {known}.")
        return self.products[name]

    def tell(
        self,
        found: Subscription,
        kind: str,
        subtype: str | None = None,
        *,
        transaction: Transaction | None = None,
        **data: Any,  # noqa: ANN401  (any member of Apple's data)
    ) -> None:
        """Note what Apple tells of a subscription as it is now."""
        told = found.current if transaction is None else transaction
        self.notices.append(
            Notice(
                type=kind,
                subtype=subtype,
                at=self.now,
                bundle_id=found.bundle_id,
                environment=found.environment,
                status=found.status,
                transaction=dict(told.fields),
                renewal=renewal_info(found, self.products),
                data=data,
            )
        )


def begin_period(
    moment: Moment,
    found: Subscription,
    product: Product,
    *,
    start: int,
    reason: str,
    offer: Offer | None = None,
) -> Transaction:
    """Add a period and make it the current one; the next comes without a change of product."""
    ends_with_offer = offer is not None and offer.mode is not OfferMode.PAY_AS_YOU_GO
    length = offer.period if offer is not None and ends_with_offer else product.period
    found.day = billing_day(start, found.day)
    found.renewal_at = period_end(start, length, day=found.day)
    if product.id != found.product:
        found.own_price = None
    _use_offer(found, product, offer)
    found.product = found.next_product = product.id
    is_first = not found.transactions
    transaction = Transaction(
        modified=moment.now,
        fields={
            "transactionId": found.id if is_first else moment.new_id(found.environment),
            "originalTransactionId": found.id,
            "webOrderLineItemId": moment.new_id(found.environment),
            "bundleId": found.bundle_id,
            "productId": product.id,
            "subscriptionGroupIdentifier": product.group_identifier,
            "purchaseDate": start,
            "originalPurchaseDate": start if is_first else _first_purchase(found),
            "expiresDate": found.renewal_at,
            "quantity": 1,
            "type": "Auto-Renewable Subscription",
            **({} if found.app_account_token is None else _token(found)),
            "inAppOwnershipType": "FAMILY_SHARED" if found.is_family_shared else "PURCHASED",
            **({} if offer is None else offer_fields(offer, product)),
            "environment": found.environment,
            "transactionReason": reason,
            **_STOREFRONT,
            "price": _price(found, product, offer),
            "currency": product.currency,
            "appTransactionId": found.app_transaction_id,
        },
    )
    found.transactions.append(transaction)
    return transaction


def _first_purchase(found: Subscription) -> int:
    return int(found.transactions[0].fields["purchaseDate"])


def _token(found: Subscription) -> Json:
    return {"appAccountToken": found.app_account_token}


def _price(found: Subscription, product: Product, offer: Offer | None) -> int:
    if offer is not None:
        return offer.price
    return product.price if found.own_price is None else found.own_price


def _use_offer(found: Subscription, product: Product, offer: Offer | None) -> None:
    """Count an offer's periods down: one that is paid as you go comes again."""
    if offer is None or offer.mode is not OfferMode.PAY_AS_YOU_GO:
        found.offer, found.offer_left = None, 0
        return
    is_running = found.offer == offer.id and found.product == product.id and found.offer_left > 0
    found.offer_left = (found.offer_left if is_running else offer.periods) - 1
    found.offer = offer.id if found.offer_left > 0 else None
