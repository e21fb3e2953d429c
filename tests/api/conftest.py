"""The service under test: our own server behind pytest-grpc's fixtures, one for each module."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.app import Timings
from tests.support.app_store import AppStore, running_app_store
from tests.support.desk import Desk
from tests.support.postgres import PostgresServer
from tests.support.service import (
    Account,
    Sandbox,
    ServiceThread,
    running_sandbox,
    running_service,
)
from tests.support.stores import sqlite_url


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The vendor sandbox that all modules share, each with an account of its own."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def app_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppStore]:
    """The App Store of a sandbox of the module's own, for its clock is everyone's.

    A module that has one overrides `sandbox` and `variables` to be this one's.
    """
    with running_app_store(tmp_path_factory.mktemp("app-store")) as app_store:
        yield app_store


@pytest.fixture(scope="module")
def apple(app_store: AppStore, service: ServiceThread, account: Account) -> Iterator[AppStore]:
    """The same while it tells the service of everything."""
    app_store.point(service.http_url, key=account.key)
    yield app_store
    app_store.settings(service_url="", mode="normal")


@pytest.fixture(scope="module")
def account(sandbox: Sandbox) -> Account:
    """The module's own Stripe account."""
    return sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}")


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> str:
    """Which store the service works on. A module for both parametrizes this, indirectly."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="module")
def database_url(
    request: pytest.FixtureRequest,
    store: str,
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A database of the module's own, with all tables."""
    if store == "sqlite":
        folder = tmp_path_factory.mktemp("service")
        shutil.copy(sqlite_template, folder)
        yield sqlite_url(folder)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(template=request.getfixturevalue("postgres_template"))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="module")
def timings() -> Timings | None:
    """How long things take; a module with other times overrides it."""
    return None


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """More of the service's environment; a module that needs some overrides it."""
    return {}


@pytest.fixture(scope="module")
def service(
    account: Account,
    database_url: str,
    timings: Timings | None,
    variables: dict[str, str],
) -> Iterator[ServiceThread]:
    """The running service, told of everything that happens on its account."""
    environment = {
        "BOXOFFICE_STRIPE_API_KEY": account.key,
        "BOXOFFICE_STRIPE_API_BASE": account.sandbox.stripe_api_base,
    }
    with running_service(database_url, timings=timings, **(environment | variables)) as service:
        account.point_webhooks(service)
        yield service
        account.stop_webhooks()


@pytest.fixture(scope="module")
def grpc_server(service: ServiceThread) -> ServiceThread:
    """Our server, in the place of the synchronous one that pytest-grpc would make."""
    return service


@pytest.fixture(scope="module")
def grpc_addr(service: ServiceThread) -> str:
    """Where our server takes calls."""
    return service.grpc_address


@pytest.fixture(scope="module")
def orders(grpc_channel: grpc.Channel) -> OrdersServiceStub:
    """Products, orders and tasks."""
    return OrdersServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def payments(grpc_channel: grpc.Channel) -> PaymentsServiceStub:
    """Payments."""
    return PaymentsServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def webhooks(grpc_channel: grpc.Channel) -> WebhooksServiceStub:
    """Notifications."""
    return WebhooksServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def entitlements(grpc_channel: grpc.Channel) -> EntitlementsServiceStub:
    """Entitlements, their events and their catalogue."""
    return EntitlementsServiceStub(grpc_channel)


@pytest.fixture(scope="module")
def desk(orders: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> Desk:
    """Where payments are made."""
    return Desk(orders=orders, payments=payments, account=account)
