"""Business time as the sandbox moves it: who may, and what happens at once."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import purchases_pb2, subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.app import Timings
from tests.support.app_store import GROUP, AppStore, catalogue
from tests.support.calls import new_request_id, new_user
from tests.support.entitled import event_frames
from tests.support.readings import event_names, held
from tests.support.service import Account, Sandbox, ServiceThread, running_service, wait_until
from tests.support.stores import sqlite_url

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


@pytest.fixture(scope="module")
def sandbox(app_store: AppStore) -> Sandbox:
    """The sandbox of the module's App Store."""
    return app_store.sandbox


@pytest.fixture(scope="module")
def variables(app_store: AppStore) -> dict[str, str]:
    """The App Store's."""
    return app_store.variables()


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A sweeper that looks at its start, and then only when it is stirred."""
    return Timings(look_every=timedelta(hours=1))


@pytest.fixture(scope="module")
def apple(apple: AppStore, grpc_stub: EntitlementsServiceStub) -> AppStore:
    """An App Store all of whose products are in the catalogue."""
    catalogue(grpc_stub)
    return apple


@pytest.fixture(autouse=True)
def at_real_time(service: ServiceThread, account: Account) -> Iterator[None]:
    """Each test begins and ends where business time is real time."""
    yield
    assert move(service, json.dumps({"offset_seconds": 0}), key=account.key) == 200


def move(service: ServiceThread, body: str, *, key: str | None) -> int:
    """Say how far business time is ahead; answers the status."""
    request = urllib.request.Request(  # noqa: S310 -- always http to loopback
        f"{service.http_url}/sandbox/clock",
        data=body.encode(),
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def move_to(service: ServiceThread, account: Account, time: datetime) -> timedelta:
    """Have it be some time now, to the second before; answers how far ahead that is."""
    seconds = int((time - datetime.now(UTC)).total_seconds())
    assert move(service, json.dumps({"offset_seconds": seconds}), key=account.key) == 200
    return timedelta(seconds=seconds)


def ahead(stub: EntitlementsServiceStub) -> timedelta:
    """How far business time is ahead of real time, to the minute."""
    token = stub.CreateAppAccountToken(
        purchases_pb2.CreateAppAccountTokenRequest(request_id=new_request_id(), user_id=new_user())
    )
    difference = token.create_time.ToDatetime(UTC) - datetime.now(UTC)
    return timedelta(minutes=round(difference / timedelta(minutes=1)))


def cancelled(apple: AppStore, stub: EntitlementsServiceStub) -> tuple[str, datetime]:
    """A user whose subscription ends by itself, of which nothing more is told; and when it does."""
    user = str(uuid.uuid4())
    apple.act(apple.buy(app_account_token=user), "cancel")
    apple.wait_sent()
    (entitlement,) = held(stub, user)
    return user, entitlement.access_until.ToDatetime(UTC)


@pytest.mark.parametrize("key", [None, "", "sk_test_boxoffice_other", "é"])
def test_nobody_moves_it_without_the_key(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, key: str | None
) -> None:
    """The key of the service's own account at the sandbox."""
    given = None if key is None else key.encode("utf-8").decode("latin-1")
    assert move(service, '{"offset_seconds": 86400}', key=given) == 401
    assert ahead(grpc_stub) == timedelta(0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "86400",
        "[]",
        "{}",
        '{"offset_seconds": "1"}',
        '{"offset_seconds": 1.5}',
        '{"offset_seconds": true}',
        '{"offset_seconds": null}',
        '{"offset_seconds": 99999999999}',
        '{"offset_seconds": 1e400}',
    ],
)
def test_body_that_says_no_time_is_refused(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, account: Account, body: str
) -> None:
    """It stays as it is."""
    assert move(service, body, key=account.key) == 400
    assert ahead(grpc_stub) == timedelta(0)


def test_expiry_is_published_at_once_when_its_time_comes(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, account: Account, apple: AppStore
) -> None:
    """The sweeper is stirred, and does not wait for its hour."""
    user, end = cancelled(apple, grpc_stub)
    move_to(service, account, end + DAY)
    frames = event_frames(
        grpc_stub, user_id=user, start_position=streams_pb2.START_POSITION_EARLIEST
    )
    told = (each.type for frame in frames for each in frame.events)
    assert subscriptions_pb2.SUBSCRIPTION_EVENT_TYPE_EXPIRED_VOLUNTARILY in told
    frames.close()


def test_check_is_right_at_the_instant_though_nobody_sweeps(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, account: Account, apple: AppStore
) -> None:
    """Access ends when it ends; the event may come later."""
    user, end = cancelled(apple, grpc_stub)
    offset = move_to(service, account, end - timedelta(seconds=1))
    asked = pb.CheckEntitlementRequest(user_id=user, subscription_group=GROUP)
    allowed_at: list[datetime] = []

    def is_over() -> bool:
        begun = datetime.now(UTC) + offset
        if grpc_stub.CheckEntitlement(asked).allowed:
            allowed_at.append(begun)
            return False
        return True

    wait_until(is_over, "access did not end")
    assert end <= datetime.now(UTC) + offset
    assert allowed_at[-1] < end
    (entitlement,) = held(grpc_stub, user)
    assert entitlement.status == subscriptions_pb2.ENTITLEMENT_STATUS_EXPIRED_VOLUNTARILY
    assert event_names(grpc_stub, user) == ["started", "renewal_disabled"]


def test_restart_keeps_it(database_url: str, account: Account, service: ServiceThread) -> None:
    """It is kept in the store; another process on the same database has it too."""
    del service
    variables = {"BOXOFFICE_STRIPE_API_KEY": account.key}
    url = database_url
    if url.startswith("sqlite"):
        url = sqlite_url(Path(url.removeprefix("sqlite:///")).parent, "restarted.db")
    for offset in (0, 90):
        with (
            running_service(url, timings=None, **variables) as restarted,
            grpc.insecure_channel(restarted.grpc_address) as channel,
        ):
            stub = EntitlementsServiceStub(channel)
            assert ahead(stub) == offset * DAY
            body = json.dumps({"offset_seconds": 90 * 86400})
            assert move(restarted, body, key=account.key) == 200
            assert ahead(stub) == 90 * DAY


def test_service_whose_key_is_no_sandbox_key_has_no_such_door(
    store: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing moves real time."""
    del store
    key = "sk_test_of_somebody"
    url = sqlite_url(tmp_path_factory.mktemp("real"))
    with running_service(url, BOXOFFICE_STRIPE_API_KEY=key) as service:
        assert move(service, '{"offset_seconds": 1}', key=key) == 404
