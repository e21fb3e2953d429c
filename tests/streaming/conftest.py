"""Fixtures for tests of the feed: real stores, and real events in them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from boxoffice_server.api.events import encode_event
from boxoffice_server.ports import Store
from tests.streaming.reading import Feeds
from tests.support.stores import opened_store


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database, encode=encode_event) as opened:
        yield opened


@pytest.fixture
async def sqlite_store(sqlite_database: str) -> AsyncIterator[Store]:
    """An open SQLite store, for what does not differ between the two."""
    async with opened_store(sqlite_database, encode=encode_event) as opened:
        yield opened


@pytest.fixture
async def feeds() -> AsyncIterator[Feeds]:
    """Makes feeds, and stops them in the end."""
    made = Feeds()
    yield made
    await made.stop()


@pytest.fixture
def small_channels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Channels that keep next to nothing for slow streams."""
    monkeypatch.setattr("boxoffice_server.streaming.channel.MOST_RECORDS", 4)
    return iter(())
