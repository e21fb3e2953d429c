"""Fixtures for all tests.

What tests leave to chance follows from a seed that is told at their begin; BOXOFFICE_TEST_SEED
replays it.
"""

import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from boxoffice_server.ports import Store
from boxoffice_server.storage import migrate
from tests.support.postgres import PostgresServer
from tests.support.stores import opened_store, sqlite_url

# Who starts the tests in the background may have Ctrl-C ignored, and so would have every program
# that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# In the environment, so that all processes of one run have the same.
SEED = os.environ.setdefault("BOXOFFICE_TEST_SEED", str(random.randrange(1_000_000)))

CRASH_CELL = "tests/crash/test_matrix.py::test_it_happens_once["


def pytest_report_header() -> str:
    """Tell the seed."""
    return f"BOXOFFICE_TEST_SEED={SEED}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the crash matrix was run: here, for its own process has no summary."""
    reports = [
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    ]
    ran = sum(report.nodeid.startswith(CRASH_CELL) for report in reports)
    if ran:
        from tests.crash.selection import EVERY  # noqa: PLC0415 -- takes a second

        terminalreporter.write_line(f"crash matrix: {ran} of {len(EVERY)} cells")


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Begin each test's own chance anew, whichever tests ran before."""
    random.seed(f"{SEED} {request.node.nodeid}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL that all tests share, started when the first one asks for it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of the test's own, on each store in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'boxoffice.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


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
