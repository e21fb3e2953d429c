"""The vendor's customers, as the service knows them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.payment import Customer
from boxoffice_server.operations import customers as module
from boxoffice_server.operations.customers import Customers
from boxoffice_server.ports import PaymentGateway, Repository, Store
from tests.support.stores import opened_store

NO_GATEWAY = cast("PaymentGateway", None)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database) as opened:
        yield opened


@dataclass
class CountingCustomers:
    """The customers of a transaction, and how often they are read."""

    repo: Repository
    reads: int = 0

    @property
    def customers(self) -> "CountingCustomers":
        return self

    def get(self, user_id: str) -> Customer | None:
        self.reads += 1
        return self.repo.customers.get(user_id)

    def keep(self, proposed: Customer) -> Customer:
        return self.repo.customers.keep(proposed)


async def kept(customers: Customers, store: Store, user_id: str) -> tuple[Customer, int]:
    """Keep a customer in a transaction; answers how often they were read, too."""

    def body(repo: Repository) -> tuple[Customer, int]:
        counting = CountingCustomers(repo)
        customer = customers.keep(cast("Repository", counting), user_id)
        return customer, counting.reads

    return await store.write(body)


async def learn(store: Store, user_id: str) -> Customer:
    """Have a user be the vendor's customer."""
    return await store.write(
        lambda repo: repo.customers.learn_stripe_id(user_id, f"cus_of_{user_id}")
    )


async def test_customer_of_the_vendors_is_read_once(store: Store) -> None:
    """Until the vendor knows them they are read each time, and then never again."""
    customers = Customers(store=store, clock=BusinessClock(), gateway=NO_GATEWAY)
    made, _ = await kept(customers, store, "user-1")
    assert not made.stripe_customer_id
    assert await kept(customers, store, "user-1") == (made, 1)
    learned = await learn(store, "user-1")
    assert await kept(customers, store, "user-1") == (learned, 1)
    assert await kept(customers, store, "user-1") == (learned, 0)


async def test_memory_has_room_for_the_last_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was longest not asked for is forgotten, and read again."""
    monkeypatch.setattr(module, "MOST_KNOWN", 2)
    customers = Customers(store=store, clock=BusinessClock(), gateway=NO_GATEWAY)
    for user in ("a", "b", "c"):
        await kept(customers, store, user)
        await learn(store, user)
    for user in ("a", "b", "a", "c"):
        await kept(customers, store, user)
    reads = {user: (await kept(customers, store, user))[1] for user in ("a", "c")}
    assert reads == {"a": 0, "c": 0}
    assert (await kept(customers, store, "b"))[1] == 1
