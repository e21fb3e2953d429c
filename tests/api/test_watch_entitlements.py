"""WatchEntitlements and WatchSubscriptionEvents: the snapshot, what follows it, and the filters."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.api import entitlement_streams
from boxoffice_server.api.entitlement_streams import SnapshotThenTail
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.subscription import (
    Entitlement,
    EntitlementChange,
    Environment,
    SubscriptionEventType,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository
from tests.support.calls import new_user, refused, refused_field
from tests.support.entitled import (
    TODAY,
    a_new_product,
    around,
    entitled,
    entitlement_frames,
    entitlements_caught_up,
    event_frames,
    events_caught_up,
    keep,
    number,
    numbers,
    remove,
)
from tests.support.service import ServiceThread
from tests.support.subscriptions import ACTIVE, EXPIRED, TRIAL, a_key, a_subscription_event

EARLIEST, LATEST = streams_pb2.START_POSITION_EARLIEST, streams_pb2.START_POSITION_LATEST

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


@pytest.fixture
def product(service: ServiceThread) -> SubscriptionProduct:
    """A product of a group that no other test has."""
    made = a_new_product(group=f"group-{next(numbers)}")
    keep(service, made)
    return made


def check_order(frames: Iterable[pb.WatchEntitlementsResponse]) -> None:
    """Nothing is missing between the frames, and each snapshot comes first and is one whole."""
    through: int | None = None
    snapshot = True
    for frame in frames:
        assert through is None or frame.prev_through == through
        through = frame.through
        assert snapshot or not frame.snapshot
        if frame.snapshot:
            assert bool(frame.resume_token) is not frame.more
        snapshot = frame.snapshot and frame.more


def local_copy(frames: Iterable[pb.WatchEntitlementsResponse]) -> dict[str, words.Entitlement]:
    """What a caller knows who keeps the greatest version of each."""
    known: dict[str, words.Entitlement] = {}
    removed: dict[str, int] = {}
    for frame in frames:
        for event in frame.events:
            told = event.entitlement
            newest = max(known[told.id].version if told.id in known else 0, removed.get(told.id, 0))
            if told.version > newest:
                known[told.id] = told
                if event.removed:
                    removed[told.id] = known.pop(told.id).version
    return known


def versions(frames: Iterable[pb.WatchEntitlementsResponse]) -> dict[str, int]:
    """The versions of a caller's copies."""
    return {id_: told.version for id_, told in local_copy(frames).items()}


def test_stream_begins_with_a_snapshot(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """Of all that match, as they are now; after it the stream has caught up."""
    swept = entitled(new_user(), product, around(TRIAL, -9, -1), around(ACTIVE, -1, 9))
    lost = entitled(new_user(), product, around(EXPIRED, -1))
    early = entitled(new_user(), product, around(ACTIVE, 1, 9))
    number(service, keep(service, swept, lost, early))
    frames = entitlements_caught_up(grpc_stub, subscription_groups=[product.group])
    check_order(frames)
    first, *others = frames
    assert first.snapshot
    assert first.prev_through == first.through == first.head > 0
    assert first.HasField("server_time")
    told = {event.entitlement.id: event for event in first.events}
    assert set(told) == {swept.id, lost.id}
    active = words.ENTITLEMENT_STATUS_ACTIVE_WITH_RENEWAL
    assert told[swept.id].entitlement.status == active
    assert told[swept.id].position == 0
    assert not told[swept.id].HasField("create_time")
    assert not any(frame.events for frame in others)
    request = pb.GetEntitlementRequest(entitlement_id=swept.id)
    assert grpc_stub.GetEntitlement(request).entitlement == told[swept.id].entitlement


def test_empty_snapshot_is_told(grpc_stub: EntitlementsServiceStub) -> None:
    """So that a caller drops the copy of before."""
    first = entitlements_caught_up(grpc_stub, user_id=new_user())[0]
    assert first.snapshot
    assert not first.more
    assert first.resume_token
    assert not first.events


def test_every_version_follows_live(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """What is new, what changes, what is taken back and what comes again."""
    user = new_user()
    old = entitled(user, product, around(TRIAL, -9, 9))
    number(service, keep(service, old))
    frames = entitlement_frames(grpc_stub, user_id=user)
    seen = [next(frames)]
    changed = replace(old, version=2, now=around(ACTIVE, -1, 20))
    new = entitled(user, product, around(ACTIVE, -1, 9))
    keep(service, changed)
    keep(service, new)
    remove(service, replace(new, version=2))
    keep(service, replace(new, version=3))
    while versions(seen) != {old.id: 2, new.id: 3}:
        seen.append(next(frames))
    frames.close()
    check_order(seen)
    told = [
        (event.entitlement.id, event.entitlement.version, event.removed)
        for frame in seen
        for event in frame.events
    ]
    assert told == [
        (old.id, 1, False),
        (old.id, 2, False),
        (new.id, 1, False),
        (new.id, 2, True),
        (new.id, 3, False),
    ]
    live = [event for frame in seen[1:] for event in frame.events]
    assert all(event.position > 0 and event.HasField("create_time") for event in live)
    assert len({event.id for event in live}) == len(live)


def test_stream_resumes_after_any_frame(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """After the snapshot, a write or a list: without a second snapshot, and without a gap."""
    user = new_user()
    first = entitled(user, product, around(TRIAL, -9, 9))
    number(service, keep(service, first))
    watching = partial(entitlements_caught_up, grpc_stub, user_id=user)
    snapshot = watching()[0]
    listed = grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(user_id=user)).resume_token
    token = keep(service, replace(first, version=2))
    number(service, keep(service, replace(first, version=3)))

    def found(**start: Any) -> list[int]:  # noqa: ANN401
        frames = watching(**start)
        check_order(frames)
        assert not any(frame.snapshot for frame in frames)
        return [event.entitlement.version for frame in frames for event in frame.events]

    assert found(resume_token=token) == [3]
    assert found(resume_token=snapshot.resume_token) == [2, 3]
    assert found(resume_token=listed) == [2, 3]
    assert found(start_position=EARLIEST) == [1, 2, 3]
    assert found(start_position=LATEST) == []


def test_change_during_the_snapshot_is_not_lost(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    product: SubscriptionProduct,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever page it falls between, and whatever it does there: the log tells it again."""
    monkeypatch.setattr(entitlement_streams, "SNAPSHOT_ITEMS", 2)
    user = new_user()
    kept = [entitled(user, product, around(ACTIVE, -1, 9)) for _ in range(6)]
    keep(service, *kept)
    # One that was read, one that will be, and one that is new, each while a page is read.
    steps = [
        replace(kept[5], version=2),
        replace(kept[0], version=2),
        entitled(user, product, around(TRIAL, -1, 9)),
    ]
    expected = {each.id: each.version for each in (*kept, *steps)}
    pages: list[str] = []
    read = SnapshotThenTail._read

    async def read_and_change(self: SnapshotThenTail, before: str) -> list[Entitlement]:
        found = await read(self, before)
        step = steps[len(pages)]
        pages.append(before)

        def change(repo: Repository) -> None:
            repo.entitlements.upsert(step, (step.now,))
            repo.log.append(EntitlementChange(entitlement=step, create_time=step.create_time))

        await self._store.write(change)
        return found

    monkeypatch.setattr(SnapshotThenTail, "_read", read_and_change)
    frames = entitlement_frames(grpc_stub, user_id=user)
    seen = [next(frames)]
    while seen[-1].more or versions(seen) != expected:
        seen.append(next(frames))
    frames.close()
    check_order(seen)
    assert [len(frame.events) for frame in seen if frame.snapshot] == [2, 2, 2]
    assert len(pages) == 3


def test_filters_choose_the_entitlements(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """In the snapshot as in what follows it."""
    user = new_user()
    other = a_new_product(group=f"group-{next(numbers)}")
    kept = [
        entitled(user, product, around(ACTIVE, -1, 9)),
        entitled(new_user(), product, around(ACTIVE, -1, 9)),
        entitled(user, other, around(ACTIVE, -1, 9)),
        replace(entitled(user, product, around(ACTIVE, -1, 9)), source=SubscriptionSource.MANUAL),
        replace(entitled(user, product, around(ACTIVE, -1, 9)), environment=Environment.PRODUCTION),
    ]
    number(service, keep(service, other, *kept))
    ids = [each.id for each in kept]

    def found(**wanted: Any) -> set[int]:  # noqa: ANN401
        both = [
            {
                ids.index(event.entitlement.id)
                for frame in entitlements_caught_up(grpc_stub, **wanted, **start)
                for event in frame.events
                if event.entitlement.id in ids
            }
            for start in ({}, {"start_position": EARLIEST})
        ]
        assert both[0] == both[1]
        return both[0]

    assert found() == {0, 1, 2, 3}
    assert found(user_id=user) == {0, 2, 3}
    assert found(subscription_groups=[product.group]) == {0, 1, 3}
    assert found(subscription_groups=[product.group, other.group]) == {0, 1, 2, 3}
    assert found(source=words.SUBSCRIPTION_SOURCE_MANUAL) == {3}
    assert found(source=words.SUBSCRIPTION_SOURCE_APP_STORE, user_id=user) == {0, 2}
    assert found(environment=words.ENVIRONMENT_PRODUCTION) == {4}
    assert found(subscription_groups=["none"]) == set()


def test_events_follow_live_and_from_anywhere(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread
) -> None:
    """By user, type, group and source; each once, in log order."""
    user = new_user()

    def event(**fields: Any) -> str:  # noqa: ANN401
        key = a_key(next(numbers), environment=Environment.SANDBOX)
        made = a_subscription_event(next(numbers), key=key, user_id=user, day=TODAY)
        made = replace(made, **fields)
        tokens.append(number(service, keep(service, made)))
        return made.id

    tokens: list[str] = []
    frames = event_frames(grpc_stub, user_id=user)
    assert next(frames).HasField("caught_up")
    ids = [
        event(),
        event(type=SubscriptionEventType.STARTED),
        event(subscription_group="basic"),
        event(source=SubscriptionSource.MANUAL),
    ]
    live: list[words.SubscriptionEvent] = []
    while len(live) < len(ids):
        live += next(frames).events
    frames.close()
    assert [each.id for each in live] == ids
    positions = [each.position for each in live]
    assert positions == sorted(positions)
    production = event(environment=Environment.PRODUCTION)

    def found(**wanted: Any) -> list[int]:  # noqa: ANN401
        start = {} if "resume_token" in wanted else {"start_position": EARLIEST}
        seen = events_caught_up(grpc_stub, user_id=user, **start, **wanted)
        return [ids.index(each.id) for each in seen]

    assert found() == [0, 1, 2, 3]
    assert found(resume_token=tokens[1]) == [2, 3]
    assert found(types=[words.SUBSCRIPTION_EVENT_TYPE_STARTED]) == [1]
    assert found(subscription_groups=["basic", "none"]) == [2]
    assert found(source=words.SUBSCRIPTION_SOURCE_MANUAL) == [3]
    live_only = events_caught_up(
        grpc_stub,
        user_id=user,
        start_position=EARLIEST,
        environment=words.ENVIRONMENT_PRODUCTION,
    )
    assert [each.id for each in live_only] == [production]


def test_silent_stream_tells_progress(grpc_stub: EntitlementsServiceStub) -> None:
    """After the snapshot and its end."""
    frames = entitlement_frames(
        grpc_stub, user_id=new_user(), progress_interval=timedelta(seconds=1)
    )
    seen = [next(frames) for _ in range(3)]
    frames.close()
    check_order(seen)
    assert [frame.WhichOneof("marker") for frame in seen] == [None, "caught_up", "progress"]


def test_bad_watches_are_refused(grpc_stub: EntitlementsServiceStub) -> None:
    """Each field that is wrong is named, and a mangled token is."""
    for wanted, field in (
        ({"user_id": "u" * 65}, "user_id"),
        ({"subscription_groups": ["g", ""]}, "subscription_groups[1]"),
        ({"subscription_groups": ["g"] * 51}, "subscription_groups"),
        ({"source": 99}, "source"),
        ({"environment": 99}, "environment"),
        ({"progress_interval": timedelta(seconds=61)}, "progress_interval"),
    ):
        with refused_field(field):
            next(entitlement_frames(grpc_stub, **wanted))
        with refused_field(field):
            next(event_frames(grpc_stub, **wanted))
    with refused_field("types[0]"):
        next(event_frames(grpc_stub, types=[99]))
    for frames in (entitlement_frames, event_frames):
        with refused(Reason.RESUME_TOKEN_INVALID):
            next(frames(grpc_stub, resume_token="mangled"))
