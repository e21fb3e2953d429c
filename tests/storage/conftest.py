"""Fixtures for tests of the store: every test that asks for `store` runs on both."""

from collections.abc import AsyncIterator

import pytest

from boxoffice_server.ports import Store
from tests.support.stores import opened_store


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database) as opened:
        yield opened
