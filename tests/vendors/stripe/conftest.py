"""A Stripe of the tests' own, and a gateway to it."""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from boxoffice_server.vendors.stripe.books import StripeBooks
from boxoffice_server.vendors.stripe.client import Patience, StripeConnection
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from boxoffice_server.vendors.stripe.methods import StripeMethods
from tests.support.processes import Process, free_address
from tests.support.stripe_openapi import StripeOpenApi
from tests.vendors.stripe.calls import (
    AT_ONCE,
    KEY,
    Doors,
)
from tests.vendors.stripe.fake_stripe import (
    FakeStripe,
)
from tests.vendors.stripe.sandbox import KEY as SANDBOX_KEY
from tests.vendors.stripe.sandbox import Buttons, Inbox


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


@pytest.fixture
def doors(gateway: StripeGateway, methods: StripeMethods, books: StripeBooks) -> Doors:
    """All of these."""
    return Doors(gateway=gateway, methods=methods, books=books)


# -- against the sandbox --------------------------------------------------------------------------


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[str]:
    """A sandbox of the test's own, whose clock and accounts nobody else sees."""
    command = [sys.executable, "-m", "boxoffice_sandbox", "serve", "--address", "127.0.0.1:0"]
    nobody = f"http://{free_address()}/"
    with Process([*command, "--webhook-url", nobody], cwd=tmp_path) as process:
        yield f"http://{process.wait_for(r'sandbox (.+) READY')[1]}"


@pytest.fixture
async def buttons(sandbox: str) -> AsyncIterator[Buttons]:
    """The sandbox's buttons."""
    async with aiohttp.ClientSession() as session:
        yield Buttons(address=sandbox, http=session)


@pytest.fixture
async def inbox(buttons: Buttons) -> AsyncIterator[Inbox]:
    """An inbox that the sandbox notifies."""
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/webhooks/stripe", inbox.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.address = "http://{}:{}/webhooks/stripe".format(*runner.addresses[0][:2])
    await buttons.press(f"accounts/{SANDBOX_KEY}", webhook_url=inbox.address)
    yield inbox
    await runner.cleanup()


@pytest.fixture
async def sandboxed(sandbox: str) -> AsyncIterator[StripeConnection]:
    """A connection to the sandbox that repeats at once."""
    patience = Patience(pauses=(timedelta(), timedelta()))
    connection = StripeConnection(
        api_key=SANDBOX_KEY, api_base=f"{sandbox}/stripe", patience=patience
    )
    yield connection
    await connection.close()
