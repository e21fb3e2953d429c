"""A Stripe of the tests' own, and a gateway to it."""

from collections.abc import AsyncIterator

import pytest

from boxoffice_server.vendors.stripe.gateway import StripeGateway
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
async def gateway(stripe: FakeStripe) -> AsyncIterator[StripeGateway]:
    """A gateway that repeats at once."""
    gateway = StripeGateway(api_key=KEY, api_base=stripe.address, patience=AT_ONCE)
    yield gateway
    await gateway.close()
