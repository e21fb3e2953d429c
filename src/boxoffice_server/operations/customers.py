"""The vendor's customers: one for each user, made at the first need."""

from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.payment import Customer
from boxoffice_server.ports import Clock, PaymentGateway, Repository, Store


class Customers:
    """Knows users as the vendor knows them."""

    def __init__(self, *, store: Store, clock: Clock, gateway: PaymentGateway) -> None:
        self._store = store
        self._clock = clock
        self._gateway = gateway

    def keep(self, repo: Repository, user_id: str) -> Customer:
        """Answer a user's customer, which may not be the vendor's yet."""
        known = repo.customers.get(user_id)
        if known is not None:
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

    async def stripe_id(self, customer: Customer) -> str:
        """Answer the vendor's id of a customer; has the vendor make them if it has not yet.

        Whatever was made twice, because the vendor forgot the key, only the first is used.
        """
        if customer.stripe_customer_id:
            return customer.stripe_customer_id
        made = await self._gateway.create_customer(customer)
        known = await self._store.write(
            lambda repo: repo.customers.learn_stripe_id(customer.user_id, made)
        )
        return known.stripe_customer_id
