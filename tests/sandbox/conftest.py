"""A sandbox in a process of its own for all tests, and an account of its own for each."""

import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import stripe

from tests.sandbox.harness import Desk, Listener, frozen, listening
from tests.support.processes import Process
from tests.support.stripe_openapi import StripeOpenApi

_numbers = count(1)


@pytest.fixture(scope="session")
def openapi() -> StripeOpenApi:
    """Stripe's OpenAPI document."""
    return StripeOpenApi.load()


@pytest.fixture(scope="session")
def sandbox_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `host:port` of a running sandbox that sends no webhooks unless an account says so."""
    database: Path = tmp_path_factory.mktemp("sandbox") / "sandbox.db"
    command = [sys.executable, "-m", "boxoffice_sandbox", "serve", "--address", "127.0.0.1:0"]
    with Process([*command, "--database", database, "--webhook-url", ""]) as process:
        yield process.wait_for(r"^sandbox (\S+) READY$").group(1)
        process.terminate()
        assert process.wait() == 0
        assert process.output.count("\n") == 1, process.output


@pytest.fixture
async def frozen_desk(tmp_path: Path, openapi: StripeOpenApi) -> AsyncIterator[Desk]:
    """A desk at a sandbox of the test's own whose real clock stands still."""
    stripe.enable_telemetry = False
    async with frozen(tmp_path / "sandbox.db", openapi) as made:
        yield made


@pytest.fixture
async def desk(sandbox_address: str, openapi: StripeOpenApi) -> AsyncIterator[Desk]:
    """An account that nobody used before, with the legacy switch off."""
    stripe.enable_telemetry = False
    made = Desk(sandbox_address, f"sk_test_boxoffice_test{next(_numbers)}", openapi)
    yield made
    await made.close()


@pytest.fixture
async def legacy_desk(desk: Desk) -> Desk:
    """An account with the legacy switch on."""
    await desk.control(f"accounts/{desk.key}", {"legacy": True})
    return desk


@pytest.fixture
async def listener(desk: Desk) -> AsyncIterator[Listener]:
    """Where the account's webhooks go."""
    async with listening(desk) as made:
        yield made
