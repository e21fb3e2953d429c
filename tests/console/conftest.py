"""A store in which the long story was told."""

from collections.abc import AsyncIterator

import pytest

from boxoffice_server.ports import Store
from tests.console.tale import NOW, tell_everything
from tests.support.stores import opened_store


@pytest.fixture
async def told(database: str) -> AsyncIterator[Store]:
    """The store, once on each of the two, after the story was told to it."""
    async with opened_store(database) as store:
        await tell_everything(store, NOW)
        yield store
