"""Services in processes of their own."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer
from tests.support.service import running_sandbox
from tests.support.serving import Replicas, Service


@pytest.fixture(scope="session")
def started_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service as `make serve` runs it; what the tests before have left is its past."""
    with Service(tmp_path_factory.mktemp("sqlite")) as service:
        yield service


@pytest.fixture(scope="session")
def started_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Service]:
    """The same on PostgreSQL."""
    url = postgres_server.create_database()
    with Service(tmp_path_factory.mktemp("postgresql"), database_url=url) as service:
        yield service
    postgres_server.drop_database(url)


@pytest.fixture
def on_sqlite(started_on_sqlite: Service) -> Service:
    """A service on SQLite: it runs, and its sandbox does nothing out of the ordinary."""
    return ready(started_on_sqlite)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> Service:
    """The same on each store in turn."""
    return ready(request.getfixturevalue(f"started_on_{request.param}"))


@pytest.fixture(scope="session")
def started_replicas(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Replicas]:
    """Two services on one database of PostgreSQL, beside a sandbox that outlives both."""
    folder = tmp_path_factory.mktemp("replicas")
    url = postgres_server.create_database()
    with running_sandbox(folder) as sandbox:
        one, other = (
            Service(folder / name, database_url=url, sandbox_url=sandbox.url)
            for name in ("one", "other")
        )
        # At once, on an empty database: whoever comes second waits for the tables.
        one.launch()
        other.launch()
        try:
            one.wait_serving()
            other.wait_serving()
            yield one, other
        finally:
            one.close()
            other.close()
    postgres_server.drop_database(url)


@pytest.fixture
def replicas(started_replicas: Replicas) -> Replicas:
    """Two replicas that run; Stripe knows of the first one alone."""
    for each in reversed(started_replicas):
        ready(each)
    return started_replicas


def ready(service: Service) -> Service:
    """Have a service run and its sandbox behave, whatever a test before did to them."""
    if service.running.returncode is not None:
        service.start()
    service.calm()
    return service
