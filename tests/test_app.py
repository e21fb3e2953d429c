"""The application: it starts as a whole or not at all, and leaves nothing when it ends."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.app import Application, StartError
from boxoffice_server.settings import Settings
from boxoffice_server.storage import SchemaOutdated, StoreLocked, migrate
from tests.support.sales import create_product
from tests.support.service import running_service, service_settings


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a database that is up to date and empty."""
    address = f"sqlite:///{tmp_path / 'boxoffice.db'}"
    migrate(address)
    return address


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def start_and_stop(settings: Settings) -> None:
    """Run an application for a moment."""
    application = Application(settings)
    await application.start()
    await application.stop()


@pytest.mark.parametrize("variable", ["BOXOFFICE_GRPC_ADDRESS", "BOXOFFICE_HTTP_ADDRESS"])
async def test_taken_port_is_named_and_leaves_nothing_open(
    url: str, taken: str, variable: str
) -> None:
    """The message says which variable to change; the file can be used at once."""
    with pytest.raises(StartError, match=f"{variable} {taken}"):
        await start_and_stop(service_settings(url, **{variable: taken}))
    await start_and_stop(service_settings(url))


async def test_end_leaves_no_task_running(url: str) -> None:
    """Whatever was started has ended."""
    before = asyncio.all_tasks()
    await start_and_stop(service_settings(url))
    assert asyncio.all_tasks() == before


async def test_failed_start_leaves_no_task_running(url: str, taken: str) -> None:
    """Nor does what was started before the fault."""
    before = asyncio.all_tasks()
    with pytest.raises(StartError):
        await start_and_stop(service_settings(url, BOXOFFICE_HTTP_ADDRESS=taken))
    assert asyncio.all_tasks() == before


async def test_stopping_twice_is_stopping_once(url: str) -> None:
    """A second end finds nothing to do."""
    application = Application(service_settings(url))
    await application.start()
    await application.stop()
    await application.stop()


async def test_database_without_a_schema_is_refused(tmp_path: Path) -> None:
    """Serving does not migrate by itself."""
    settings = service_settings(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(SchemaOutdated):
        await start_and_stop(settings)


async def test_file_belongs_to_one_service(url: str) -> None:
    """A second one on the same file is refused, and the first goes on."""
    first = Application(service_settings(url))
    await first.start()
    try:
        with pytest.raises(StoreLocked):
            await start_and_stop(service_settings(url))
    finally:
        await first.stop()
    await start_and_stop(service_settings(url))


def test_everything_is_there_after_a_restart(url: str) -> None:
    """Products, request ids and the place in the log."""
    request = pb.CreateProductRequest(
        request_id="same",
        product=pb.Product(name="kept", prices=[{"amount": 1, "currency_code": "eur"}]),  # type: ignore[list-item]
    )
    answers = []
    for _ in range(2):
        with (
            running_service(url, timings=None) as service,
            grpc.insecure_channel(service.grpc_address) as channel,
        ):
            orders = OrdersServiceStub(channel)
            answers.append(orders.CreateProduct(request))
            first = answers[0]
            got = orders.GetProduct(pb.GetProductRequest(product_id=first.product.id))
            assert got.product == first.product
            watch = orders.WatchOrders(
                pb.WatchOrdersRequest(resume_token=first.resume_token), timeout=10
            )
            assert next(iter(watch)).HasField("caught_up")
            watch.cancel()
            create_product(orders)
    assert answers[0] == answers[1]
