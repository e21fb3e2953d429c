"""One life of a subscription, told in every order: the same events and entitlements each time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.replay_command import EXIT_EQUAL, replay
from tests.support.app_store import AppStore, catalogue, running_app_store
from tests.support.app_store_life import (
    EARLIEST,
    TOLD,
    Life,
    Reading,
    check,
    check_streams,
    live,
    order_of,
    read,
)
from tests.support.entitled import event_frames
from tests.support.readings import events, published
from tests.support.service import running_service, service_settings
from tests.support.stores import sqlite_url

KEY = "sk_test_boxoffice_order"


@pytest.fixture(scope="module")
def apple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppStore]:
    """An App Store of the module's own."""
    with running_app_store(tmp_path_factory.mktemp("app-store")) as apple:
        yield apple


@contextmanager
def opened(apple: AppStore, url: str) -> Iterator[EntitlementsServiceStub]:
    """A service that the App Store tells of everything."""
    variables = apple.variables() | {"BOXOFFICE_STRIPE_API_KEY": KEY}
    with (
        running_service(url, timings=None, **variables) as service,
        grpc.insecure_channel(service.grpc_address) as channel,
    ):
        stub = EntitlementsServiceStub(channel)
        catalogue(stub)
        apple.point(service.http_url, key=KEY)
        yield stub
        apple.point("", key=KEY)


@pytest.fixture(scope="module")
def lived(apple: AppStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Life, Reading]:
    """The life, told to a service as it went on; and what that made of it."""

    def tell() -> None:
        apple.release("fifo")
        apple.wait_sent()

    with opened(apple, sqlite_url(tmp_path_factory.mktemp("live"))) as stub:
        apple.mode("hold")
        life = live(apple, after=tell)
        apple.mode("normal")
        reading = read(stub, life.user_id)
        check_streams(stub, life.user_id)
        told = published(stub, life.user_id)
        assert order_of(told) == list(TOLD)
    return life, reading


def test_life_is_told_as_it_is_lived(lived: tuple[Life, Reading]) -> None:
    """Every event at its time, none too many, in the order of the life."""
    check(lived[1])


ORDERS: dict[str, Callable[[Life], list[str]]] = {
    "in order": lambda life: list(life.signed),
    "in reverse": lambda life: list(life.signed[::-1]),
    "doubled": lambda life: [each for each in life.signed for _ in range(2)],
    "doubled and shuffled": lambda life: life.shuffled(1) + life.shuffled(2),
    "shuffled": lambda life: life.shuffled(3),
}


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_has_the_same_end(
    apple: AppStore, lived: tuple[Life, Reading], database: str, order: str
) -> None:
    """All ids too. What was published on the way and did not hold is marked, and replay agrees."""
    life, expected = lived
    with opened(apple, database) as stub:
        apple.redeliver(*ORDERS[order](life))
        apple.wait_sent()
        assert read(stub, life.user_id) == expected
        check_streams(stub, life.user_id)
    assert replay(service_settings(database), swap=False) == EXIT_EQUAL


def test_what_comes_late_and_turned_round_is_corrected(
    apple: AppStore, database: str, tmp_path: Path
) -> None:
    """The clock publishes what it must while nobody tells it better; the end is the same."""
    in_time = [None] * len(("bought", "renewed", "failed"))

    def tell_what_is_in_time() -> None:
        if in_time:
            in_time.pop()
            apple.release("fifo")
            apple.wait_sent()

    with opened(apple, database) as stub:
        apple.mode("hold")
        life = live(apple, after=tell_what_is_in_time)
        # Grace has ended, and that it was paid is not known.
        frames = event_frames(stub, user_id=life.user_id, **EARLIEST)
        retry = subscriptions_pb2.SUBSCRIPTION_EVENT_TYPE_BILLING_RETRY_STARTED
        assert retry in (each.type for frame in frames for each in frame.events)
        frames.close()
        apple.release("reverse")
        apple.mode("normal")
        apple.wait_sent()
        late = read(stub, life.user_id)
        check(late)
        check_streams(stub, life.user_id)
        superseded = [
            each for each in events(stub, life.user_id, superseded=True) if each.superseded
        ]
        assert retry in [each.type for each in superseded]
    assert replay(service_settings(database), swap=False) == EXIT_EQUAL
    with opened(apple, sqlite_url(tmp_path, "in_order.db")) as stub:
        apple.redeliver(*life.signed)
        apple.wait_sent()
        assert read(stub, life.user_id) == late
