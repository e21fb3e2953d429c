"""The App Store's notifications and a service that is down, or is killed, while they come."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.ports import Repository
from boxoffice_server.replay_command import EXIT_DIFFERENT, EXIT_EQUAL
from tests.support.app_store import AppStore, catalogue, running_app_store
from tests.support.app_store_life import Life, Reading, check, check_streams, live, read
from tests.support.logs import recorded_log
from tests.support.readings import events, notification_states, statuses
from tests.support.service import running_service, wait_until
from tests.support.serving import KEY, Service
from tests.support.stores import opened_store, sqlite_url

SECONDS = 30
MONTHLY = "premium_monthly"
# How many notifications have come when the service is killed.
SOME = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who asks a service."""

    entitlements: EntitlementsServiceStub
    webhooks: WebhooksServiceStub

    def has(self, *uuids: str) -> bool:
        """Tell whether these notifications have come."""
        return set(uuids) <= notification_states(self.webhooks).keys()

    def wait(self, *uuids: str) -> None:
        """Wait until they have."""
        wait_until(lambda: self.has(*uuids), "not all that was missed was read", seconds=SECONDS)


@pytest.fixture
def apple(tmp_path: Path) -> Iterator[AppStore]:
    """An App Store of the test's own, which has told nobody of anything."""
    folder = tmp_path / "app-store"
    folder.mkdir()
    with running_app_store(folder) as apple:
        yield apple


@contextmanager
def opened(apple: AppStore, url: str) -> Iterator[Caller]:
    """A service that the App Store tells of everything, and goes on telling when it is down."""
    variables = apple.variables() | {"BOXOFFICE_STRIPE_API_KEY": KEY}
    with running_service(url, timings=None, **variables) as service:
        apple.point(service.http_url, key=KEY)
        with called(service.grpc_address) as caller:
            yield caller


@contextmanager
def called(address: str) -> Iterator[Caller]:
    """Somebody who asks a service that runs there."""
    with grpc.insecure_channel(address) as channel:
        yield Caller(
            entitlements=EntitlementsServiceStub(channel), webhooks=WebhooksServiceStub(channel)
        )


def told_in_order(apple: AppStore, life: Life, url: str) -> Reading:
    """What a service makes of a life that it is told in order."""
    with opened(apple, url) as caller:
        catalogue(caller.entitlements)
        apple.redeliver(*life.signed)
        apple.wait_sent()
        return read(caller.entitlements, life.user_id)


def test_what_was_missed_is_read_at_the_next_start(
    apple: AppStore, database: str, tmp_path: Path
) -> None:
    """However short the outage was, and however long."""
    user = str(uuid.uuid4())
    with opened(apple, database) as caller:
        catalogue(caller.entitlements)
        subscription = apple.buy(app_account_token=user)
        apple.wait_sent()
        assert statuses(caller.entitlements, user) == {MONTHLY: "active_with_renewal"}
    apple.act(subscription, "cancel")
    apple.wait_sent()
    cancelled = apple.told(subscription)[-1]
    assert apple.results(cancelled) == ["NO_RESPONSE"]
    with opened(apple, database) as caller:
        caller.wait(cancelled)
        assert statuses(caller.entitlements, user) == {MONTHLY: "active_without_renewal"}
    apple.mode("lose")
    life = live(apple)
    apple.mode("normal")
    assert {result for each in life.signed for result in apple.results(each)} == {"NO_RESPONSE"}
    with opened(apple, database) as caller:
        caller.wait(*life.signed)
        missed = read(caller.entitlements, life.user_id)
        check(missed)
        check_streams(caller.entitlements, life.user_id)
        apple.redeliver(*life.shuffled(1))
        apple.wait_sent()
        assert read(caller.entitlements, life.user_id) == missed
    assert told_in_order(apple, life, sqlite_url(tmp_path, "in_order.db")) == missed


def test_some_that_were_lost_on_the_way_are_read_later(
    apple: AppStore, database: str, tmp_path: Path
) -> None:
    """Every second one never came."""
    modes = ["lose", "normal"] * 10

    def lose_every_second() -> None:
        apple.wait_sent()
        apple.mode(modes.pop())

    with opened(apple, database) as caller:
        catalogue(caller.entitlements)
        life = live(apple, after=lose_every_second)
        apple.mode("normal")
    lost = [each for each in life.signed if apple.results(each) == ["NO_RESPONSE"]]
    assert 0 < len(lost) < len(life.signed)
    with opened(apple, database) as caller:
        caller.wait(*life.signed)
        found = read(caller.entitlements, life.user_id)
        check(found)
        check_streams(caller.entitlements, life.user_id)
    assert told_in_order(apple, life, sqlite_url(tmp_path, "in_order.db")) == found


def test_one_of_two_replicas_reads_what_was_missed(apple: AppStore, postgres_database: str) -> None:
    """The other leaves it to that one."""
    user = str(uuid.uuid4())
    with opened(apple, postgres_database) as caller:
        catalogue(caller.entitlements)
        apple.buy(app_account_token=user)
        apple.wait_sent()
    subscriptions = [apple.buy(app_account_token=user) for _ in range(3)]
    apple.wait_sent()
    missed = [each for it in subscriptions for each in apple.told(it)]
    with (
        recorded_log() as log,
        opened(apple, postgres_database) as one,
        opened(apple, postgres_database) as other,
    ):
        one.wait(*missed)
        other.wait(*missed)
        apple.act(subscriptions[0], "cancel")
        apple.wait_sent()
        asked = [each for each in log.lines if each.get("call") == "notifications"]
        assert [each["event"] for each in asked] == ["the App Store answered"]
        (taken,) = [each for each in log.lines if each["event"] == "notifications had been missed"]
        assert taken["taken"] == len(missed)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, apple: AppStore, tmp_path: Path) -> Iterator[Service]:
    """A service in a process of its own, on each store in turn."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    with Service(
        tmp_path / "service",
        database_url=url,
        sandbox_url=apple.sandbox.url,
        **apple.variables(),
    ) as service:
        yield service


def test_kill_between_and_during_deliveries_changes_nothing(
    apple: AppStore, service: Service, tmp_path: Path
) -> None:
    """Apple sends again what was not taken; replay finds what is kept to be what follows."""
    apple.point(f"http://{service.http_address}", key=KEY)
    apple.settings(mode="hold", retry_hours=[1.0] * 5)
    with called(service.grpc_address) as caller:
        catalogue(caller.entitlements)
        life = live(apple)
        apple.release(life.shuffled(1))
        wait_until(lambda: came(caller, life) >= SOME, "nothing came")
    service.restart()
    apple.sandbox.control("app-store/notifications/retry", {})
    apple.wait_sent()
    apple.settings(mode="normal")
    apple.redeliver(*life.shuffled(2))
    service.restart()
    apple.sandbox.control("app-store/notifications/retry", {})
    apple.wait_sent()
    with called(service.grpc_address) as caller:
        assert came(caller, life) == len(life.signed)
        survived = read(caller.entitlements, life.user_id)
        check(survived)
        check_streams(caller.entitlements, life.user_id)
        event_id = events(caller.entitlements, life.user_id)[0].id
    check_replay(service, event_id)
    assert told_in_order(apple, life, sqlite_url(tmp_path, "in_order.db")) == survived


def came(caller: Caller, life: Life) -> int:
    """How many notifications of a life have come."""
    return len(notification_states(caller.webhooks).keys() & set(life.signed))


def check_replay(service: Service, event_id: str) -> None:
    """See that everything follows from the facts; what does not is found, and mended."""
    url = service.environment["BOXOFFICE_DATABASE_URL"]
    if url.startswith("sqlite:"):
        service.running.terminate()
        assert service.running.wait() == 0
    assert replay(service) == (EXIT_EQUAL, "What is kept is what follows from the facts.")
    asyncio.run(mark_superseded(url, event_id))
    found = "Differences: 1. Start it with --swap to mend them."
    assert replay(service) == (EXIT_DIFFERENT, found)
    assert replay(service, "--swap") == (EXIT_EQUAL, "Differences mended: 1.")
    assert replay(service)[0] == EXIT_EQUAL


async def mark_superseded(url: str, event_id: str) -> None:
    """Have a canonical event stand as one that later facts contradict."""

    def mark(repo: Repository) -> None:
        event = repo.subscription_events.get(event_id)
        assert event is not None
        repo.subscription_events.update(replace(event, superseded=True))

    async with opened_store(url) as store:
        await store.write(mark)


def replay(service: Service, *options: str) -> tuple[int, str]:
    """Run `boxoffice replay`; answers its exit code and its last line."""
    ended = subprocess.run(
        [sys.executable, "-m", "boxoffice_server", "replay", *options],
        env={"PATH": "", **service.environment},
        cwd=service.folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, ended.stdout.splitlines()[-1]
