"""A sandbox's App Store for each test, and a service that listens to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.app_store.harness import AppStoreDesk, Service, app_store


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Where notifications go."""
    async with Service() as made:
        yield made


@pytest.fixture
async def store(tmp_path: Path, service: Service) -> AsyncIterator[AppStoreDesk]:
    """An App Store that the service listens to."""
    async with app_store(tmp_path, service.url) as made:
        yield made


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[AppStoreDesk]:
    """An App Store that nobody listens to."""
    async with app_store(tmp_path) as made:
        yield made
