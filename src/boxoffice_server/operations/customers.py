"""The vendor's customers: one for each user, made at the first need."""

from datetime import timedelta

from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.payment import Customer
from boxoffice_server.latest import Latest
from boxoffice_server.ports import (
    Clock,
    KeySpentError,
    Operation,
    PaymentGateway,
    Repository,
    Store,
)

# Stripe's clock may be behind ours by this much where its books are read.
CLOCK_MARGIN = timedelta(minutes=5)
# How many customers are kept in memory, some 4 MB of them.
MOST_KNOWN = 10_000


class Customers:
    """Knows users as the vendor knows them."""

    def __init__(self, *, store: Store, clock: Clock, gateway: PaymentGateway) -> None:
        self._store = store
        self._clock = clock
        self._gateway = gateway
        # Those whom the vendor knows: none of them ever changes.
        self._known: Latest[Customer] = Latest(MOST_KNOWN)

    def keep(self, repo: Repository, user_id: str) -> Customer:
        """Answer a user's customer, which may not be the vendor's yet."""
        known = self._known.get(user_id)
        if known is not None:
            return known
        known = repo.customers.get(user_id)
        if known is not None:
            self._remember(known)
            return known
        now = self._clock.now()
        return repo.customers.keep(
            Customer(
                id=new_id(Prefix.CUSTOMER, now),
                user_id=user_id,
                stripe_customer_id="",
                create_time=now,
            )
        )

    def _remember(self, customer: Customer) -> None:
        if customer.stripe_customer_id:
            self._known.keep(customer.user_id, customer)

    async def stripe_id(self, customer: Customer, operation: Operation) -> str:
        """Answer the vendor's id of a customer; has the vendor make them if it has not yet.

        All operations use one key for that, so that they make one customer; if the vendor answers
        nothing but a failure to it, this operation finds them, or makes them under its own.
        Whatever was made twice all the same, because the vendor forgot a key, only the first is
        used.
        """
        if customer.stripe_customer_id:
            return customer.stripe_customer_id
        try:
            made = await self._gateway.create_customer(customer, key=f"create-{customer.id}")
        except KeySpentError:
            since = customer.create_time - CLOCK_MARGIN
            found = await self._gateway.find_customer(customer, since=since)
            made = found or await self._gateway.create_customer(
                customer, key=f"{operation.vendor_key}-customer"
            )
        known = await self._store.write(
            lambda repo: repo.customers.learn_stripe_id(customer.user_id, made)
        )
        return known.stripe_customer_id
