"""A Stripe of the tests' own, and a gateway to it."""

from collections.abc import AsyncIterator

import pytest

from boxoffice_server.vendors.stripe.books import StripeBooks
from boxoffice_server.vendors.stripe.client import StripeConnection
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from boxoffice_server.vendors.stripe.methods import StripeMethods
from tests.support.stripe_openapi import StripeOpenApi
from tests.vendors.stripe.calls import (
    AT_ONCE,
    KEY,
)
from tests.vendors.stripe.fake_stripe import (
    FakeStripe,
)


@pytest.fixture(scope="session")
def openapi() -> StripeOpenApi:
    """Stripe's own description of its API."""
    return StripeOpenApi.load()


@pytest.fixture
async def stripe(openapi: StripeOpenApi) -> AsyncIterator[FakeStripe]:
    """A Stripe to fail to order. Every request it got must be one that Stripe describes."""
    async with FakeStripe() as fake:
        yield fake
    for received in fake.received:
        openapi.check_request(received.method, received.path, list(received.form))


@pytest.fixture
async def connection(stripe: FakeStripe) -> AsyncIterator[StripeConnection]:
    """A connection that repeats at once."""
    connection = StripeConnection(api_key=KEY, api_base=stripe.address, patience=AT_ONCE)
    yield connection
    await connection.close()


@pytest.fixture
def gateway(connection: StripeConnection) -> StripeGateway:
    """A gateway to it."""
    return StripeGateway(connection)


@pytest.fixture
def methods(connection: StripeConnection) -> StripeMethods:
    """The payment methods that are saved there."""
    return StripeMethods(connection)


@pytest.fixture
def books(connection: StripeConnection) -> StripeBooks:
    """Its books."""
    return StripeBooks(connection)
