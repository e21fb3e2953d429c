"""Fixtures for tests of the store: every test that asks for `store` runs on both."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from boxoffice_server.ports import Store
from boxoffice_server.storage import migrate
from tests.support.postgres import PostgresServer
from tests.support.stores import opened_store, sqlite_url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    migrate(sqlite_url(folder))
    return folder / "boxoffice.db"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database with all tables, to be copied."""
    url = postgres_server.create_database()
    migrate(url)
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a SQLite file with all tables."""
    shutil.copy(sqlite_template, tmp_path / "boxoffice.db")
    return sqlite_url(tmp_path)


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The address of a PostgreSQL database with all tables."""
    url = postgres_server.create_database(template=postgres_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The address of a database with all tables, once on each of the two."""
    return cast("str", request.getfixturevalue(f"{request.param}_database"))


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """An open store, once on each of the two."""
    async with opened_store(database) as opened:
        yield opened
