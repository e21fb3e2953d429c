"""Subscriptions as a running service has them: kept in its store, told in its log."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from itertools import count

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.domain.stream import decode_token
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementChange,
    EntitlementStatus,
    Environment,
    SubscriptionEvent,
    SubscriptionProduct,
)
from boxoffice_server.ports import Repository
from tests.support.service import ServiceThread
from tests.support.stores import position_of
from tests.support.subscriptions import (
    DAY,
    START,
    a_band,
    a_key,
    a_subscription_product,
    an_entitlement,
)

WATCH_SECONDS = 15

numbers = count(1)
"""Numbers that nothing else has."""

TODAY = (datetime.now(UTC) - START) / DAY
"""How many days after the start it is."""


def around(status: EntitlementStatus, begin: float, end: float | None = None) -> Band:
    """A band between two days, counted from now."""
    expire = None if end is not None or status.category.grants_access else TODAY + begin
    return a_band(status, TODAY + begin, None if end is None else TODAY + end, expire=expire)


def a_new_product(*, group: str, tier: str = "gold", rank: int | None = 2) -> SubscriptionProduct:
    """A product of the app's that nobody has sold."""
    return a_subscription_product(next(numbers), group=group, tier=tier, rank=rank)


def entitled(user_id: str, product: SubscriptionProduct, now: Band, *later: Band) -> Entitlement:
    """What a user has by a subscription of his own, in the environment of a test key."""
    number = next(numbers)
    key = a_key(number, environment=Environment.SANDBOX)
    return an_entitlement(number, key=key, user_id=user_id, product=product, now=now, later=later)


Kept = SubscriptionProduct | Entitlement | SubscriptionEvent


def keep(service: ServiceThread, *things: Kept, past: tuple[Band, ...] = ()) -> str:
    """Keep things in the service's store, in one transaction; answers a token behind them.

    `past` are the bands of the entitlements among them that are over.
    """

    def body(repo: Repository) -> str:
        for thing in things:
            match thing:
                case SubscriptionProduct():
                    assert repo.subscription_products.insert(thing)
                case Entitlement():
                    repo.entitlements.upsert(thing, (*past, thing.now, *thing.later))
                    repo.log.append(
                        EntitlementChange(entitlement=thing, create_time=datetime.now(UTC))
                    )
                case SubscriptionEvent():
                    assert repo.subscription_events.insert_if_absent(thing)
                    repo.log.append(thing)
        return repo.log.here().encode()

    # On PostgreSQL it has its place in the log only after that.
    return number(service, write(service, body))


def write(service: ServiceThread, body: Callable[[Repository], str]) -> str:
    """Run a transaction in the service's store."""
    return service.run(lambda app: app._store.write(body))


def number(service: ServiceThread, token: str) -> str:
    """Wait until a write has its place in the log, which on PostgreSQL comes after it."""
    service.run(lambda app: position_of(app._store, decode_token(token)))
    return token


def remove(service: ServiceThread, entitlement: Entitlement) -> str:
    """Take an entitlement back; `entitlement` is what is told of it last."""

    def body(repo: Repository) -> str:
        repo.entitlements.remove(entitlement.id, entitlement.version)
        change = EntitlementChange(
            entitlement=entitlement, create_time=datetime.now(UTC), removed=True
        )
        repo.log.append(change)
        return repo.log.here().encode()

    return write(service, body)


def entitlement_frames(
    stub: EntitlementsServiceStub, **request: object
) -> Generator[pb.WatchEntitlementsResponse]:
    """Watch entitlements, frame after frame."""
    asked = pb.WatchEntitlementsRequest(**request)  # type: ignore[arg-type]
    watch = stub.WatchEntitlements(asked, timeout=WATCH_SECONDS)
    try:
        yield from watch
    finally:
        watch.cancel()


def event_frames(
    stub: EntitlementsServiceStub, **request: object
) -> Generator[pb.WatchSubscriptionEventsResponse]:
    """Watch subscription events, frame after frame."""
    asked = pb.WatchSubscriptionEventsRequest(**request)  # type: ignore[arg-type]
    watch = stub.WatchSubscriptionEvents(asked, timeout=WATCH_SECONDS)
    try:
        yield from watch
    finally:
        watch.cancel()


def events_caught_up(
    stub: EntitlementsServiceStub, **request: object
) -> list[subscriptions_pb2.SubscriptionEvent]:
    """All subscription events up to the head of the log."""
    seen: list[subscriptions_pb2.SubscriptionEvent] = []
    for frame in event_frames(stub, **request):
        seen += frame.events
        if frame.HasField("caught_up"):
            break
    return seen


def entitlements_caught_up(
    stub: EntitlementsServiceStub, **request: object
) -> list[pb.WatchEntitlementsResponse]:
    """All frames of entitlements up to the head of the log."""
    seen: list[pb.WatchEntitlementsResponse] = []
    for frame in entitlement_frames(stub, **request):
        seen.append(frame)
        if frame.HasField("caught_up"):
            break
    return seen
