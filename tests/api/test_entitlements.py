"""GetEntitlement, ListEntitlements and ListSubscriptionEvents: as it is, was and will be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice_server.api import entitlement_reads, pages
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.subscription import (
    Entitlement,
    EntitlementStatus,
    Environment,
    SubscriptionEvent,
    SubscriptionEventType,
    SubscriptionProduct,
    SubscriptionSource,
)
from tests.support.calls import new_user, refused, refused_field
from tests.support.entitled import (
    TODAY,
    a_new_product,
    around,
    entitled,
    events_caught_up,
    keep,
    numbers,
    remove,
)
from tests.support.service import ServiceThread
from tests.support.subscriptions import (
    ACTIVE,
    EXPIRED,
    TRIAL,
    a_key,
    a_subscription_event,
    on,
)

SANDBOX = Environment.SANDBOX
IN_TRIAL = words.ENTITLEMENT_STATUS_USING_FREE_TRIAL
IS_ACTIVE = words.ENTITLEMENT_STATUS_ACTIVE_WITH_RENEWAL
HAS_EXPIRED = words.ENTITLEMENT_STATUS_EXPIRED_VOLUNTARILY

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


@pytest.fixture(scope="module")
def product(service: ServiceThread) -> SubscriptionProduct:
    """A product that is in the catalogue."""
    made = a_new_product(group=f"group-{next(numbers)}")
    keep(service, made)
    return made


def day(number: float) -> Timestamp:
    """A time so many days from now."""
    stamp = Timestamp()
    stamp.FromDatetime(on(TODAY + number))
    return stamp


def listed(
    stub: EntitlementsServiceStub,
    **wanted: Any,  # noqa: ANN401
) -> list[words.Entitlement]:
    """All entitlements that match, page by page."""
    request = pb.ListEntitlementsRequest(page_size=2, **wanted)
    found: list[words.Entitlement] = []
    while True:
        answer = stub.ListEntitlements(request)
        assert len(answer.entitlements) <= 2
        assert answer.resume_token
        found += answer.entitlements
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def a_life(user_id: str, product: SubscriptionProduct) -> tuple[Entitlement, Callable[..., str]]:
    """A trial until 20 days ago, then active until in 10 days, then over; and how to keep it."""
    trial, active = around(TRIAL, -50, -20), around(ACTIVE, -20, 10)
    entitlement = entitled(user_id, product, active, around(EXPIRED, 10))
    return entitlement, lambda service: keep(service, entitlement, past=(trial,))


def test_entitlement_is_told_with_what_put_it_there(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """Get and List tell the same; what follows this product is named."""
    user = new_user()
    band = replace(
        around(EntitlementStatus.SWITCHING_PRODUCT, -1, 9),
        new_product_id="spr_next",
        new_vendor_product_id="com.example.next",
    )
    kept = entitled(user, product, band)
    token = keep(service, kept)
    told = grpc_stub.GetEntitlement(
        pb.GetEntitlementRequest(entitlement_id=kept.id, at_least_as_fresh=token)
    ).entitlement
    assert told.user_id == user
    assert told.status_category == words.STATUS_CATEGORY_ACTIVE_BUT_LOSING
    assert (told.new_product_id, told.new_vendor_product_id) == ("spr_next", "com.example.next")
    assert told.create_time.ToDatetime(UTC) == kept.create_time
    assert told.from_time.ToDatetime(UTC) == band.from_time
    assert told.until_time.ToDatetime(UTC) == band.until_time
    assert told.expire_time.ToDatetime(UTC) == band.expire_time
    assert told.origin == words.EntitlementOrigin(
        event_type=words.SUBSCRIPTION_EVENT_TYPE_RENEWED,
        event_id=band.event_id,
        fact_id=band.fact_id,
        notification_id=band.notification_id,
    )
    assert listed(grpc_stub, user_id=user) == [told]


def test_silence_tells_of_no_event(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """What the clock brought about has no fact, and without an event its type is not told."""
    band = replace(around(ACTIVE, -1), event_type=None, event_id="", fact_id="", notification_id="")
    kept = entitled(new_user(), product, band)
    keep(service, kept)
    told = grpc_stub.GetEntitlement(pb.GetEntitlementRequest(entitlement_id=kept.id)).entitlement
    assert told.origin == words.EntitlementOrigin()
    assert not told.HasField("until_time")


def test_entitlement_that_is_not_there_is_not_found(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """Nor one that was taken back, nor one that has not begun."""
    gone = entitled(new_user(), product, around(ACTIVE, -1, 9))
    early = entitled(new_user(), product, around(ACTIVE, 1, 9))
    keep(service, gone, early)
    remove(service, replace(gone, version=2))
    for each in ("ent_none", gone.id, early.id):
        with refused(Reason.ENTITLEMENT_NOT_FOUND) as refusal:
            grpc_stub.GetEntitlement(pb.GetEntitlementRequest(entitlement_id=each))
        assert refusal.metadata == {"entitlement_id": each}
    assert listed(grpc_stub, user_id=gone.user_id) == []
    assert listed(grpc_stub, user_id=early.user_id) == []


def test_entitlements_are_told_as_of_any_time(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """From what is known now; what lies ahead if nothing more is heard."""
    user = new_user()
    _, sell = a_life(user, product)
    sell(service)

    def status(**when: Any) -> list[int]:  # noqa: ANN401
        return [each.status for each in listed(grpc_stub, user_id=user, **when)]

    assert status() == [IS_ACTIVE]
    assert status(as_of=day(-51)) == []
    assert status(as_of=day(-50)) == [IN_TRIAL]
    assert status(as_of=day(-21)) == [IN_TRIAL]
    assert status(as_of=day(-20)) == [IS_ACTIVE]
    assert status(as_of=day(9)) == [IS_ACTIVE]
    assert status(as_of=day(10)) == [HAS_EXPIRED]
    assert status(as_of=day(999)) == [HAS_EXPIRED]
    # Filters by status look at that time.
    assert status(as_of=day(-30), statuses=[IN_TRIAL]) == [IN_TRIAL]
    assert status(as_of=day(-30), statuses=[IS_ACTIVE]) == []
    lost = words.STATUS_CATEGORY_LOST
    assert status(as_of=day(20), status_categories=[lost]) == [HAS_EXPIRED]
    assert status(status_categories=[lost]) == []


def test_filters_by_status_follow_the_clock(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """A row that nobody has swept is found by what it has become."""
    user = new_user()
    keep(service, entitled(user, product, around(TRIAL, -9, -1), around(ACTIVE, -1, 9)))
    assert listed(grpc_stub, user_id=user, statuses=[IN_TRIAL]) == []
    (found,) = listed(grpc_stub, user_id=user, statuses=[IS_ACTIVE])
    assert found.status == IS_ACTIVE


def test_entitlements_are_found_by_every_filter(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread, product: SubscriptionProduct
) -> None:
    """Newest first, and no page repeats or leaves out one."""
    user, group = new_user(), product.group
    other = a_new_product(group=f"group-{next(numbers)}")
    kept = [
        entitled(user, product, around(ACTIVE, -1, 9)),
        entitled(user, product, around(EXPIRED, -1)),
        entitled(user, other, around(TRIAL, -1, 9)),
        replace(entitled(user, product, around(ACTIVE, -1, 9)), source=SubscriptionSource.MANUAL),
        replace(entitled(user, product, around(ACTIVE, -1, 9)), environment=Environment.PRODUCTION),
    ]
    keep(service, other, *kept)
    ids = [each.id for each in kept]

    def found(**wanted: Any) -> list[int]:  # noqa: ANN401
        return [ids.index(each.id) for each in listed(grpc_stub, user_id=user, **wanted)]

    assert found() == [3, 2, 1, 0]
    assert found(subscription_group=group) == [3, 1, 0]
    assert found(statuses=[HAS_EXPIRED, IN_TRIAL]) == [2, 1]
    assert found(status_categories=[words.STATUS_CATEGORY_ENGAGED]) == [3, 0]
    assert found(statuses=[IN_TRIAL], status_categories=[words.STATUS_CATEGORY_LOST]) == [2, 1]
    assert found(source=words.SUBSCRIPTION_SOURCE_MANUAL) == [3]
    assert found(environment=words.ENVIRONMENT_PRODUCTION) == [4]
    assert found(subscription_group="none") == []


def test_what_is_rare_is_found_over_several_pages(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    product: SubscriptionProduct,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call reads so many rows and no more; its page may be empty and be followed by another."""
    user = new_user()
    wanted = entitled(user, product, around(ACTIVE, -40, 9))
    others = [entitled(user, product, around(ACTIVE, -9, 9)) for _ in range(12)]
    keep(service, wanted, *others)
    monkeypatch.setattr(entitlement_reads, "MOST_ROUNDS", 2)
    monkeypatch.setattr(entitlement_reads, "MOST_ITEMS", 2)
    request = pb.ListEntitlementsRequest(user_id=user, as_of=day(-30), statuses=[IS_ACTIVE])
    sizes = []
    while True:
        answer = grpc_stub.ListEntitlements(request)
        sizes.append([each.id for each in answer.entitlements])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert sizes == [[], [], [], [wanted.id]]
    assert pages.MOST_ITEMS == 500


def test_bad_lists_are_refused(grpc_stub: EntitlementsServiceStub) -> None:
    """Each field that is wrong is named."""
    for wanted, field in (
        ({"user_id": "u" * 65}, "user_id"),
        ({"subscription_group": "g" * 65}, "subscription_group"),
        ({"page_size": -1}, "page_size"),
        ({"statuses": [99]}, "statuses[0]"),
        ({"status_categories": [1, 99]}, "status_categories[1]"),
        ({"source": 99}, "source"),
        ({"environment": 99}, "environment"),
        ({"as_of": Timestamp(seconds=1 << 60)}, "as_of"),
    ):
        with refused_field(field):
            grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(**wanted))
    with refused(Reason.PAGE_TOKEN_INVALID):
        grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(page_token="x"))
    with refused_field("entitlement_id"):
        grpc_stub.GetEntitlement(pb.GetEntitlementRequest())


# -- events ---------------------------------------------------------------------------------------


def an_event(user_id: str, days: float, **fields: Any) -> SubscriptionEvent:  # noqa: ANN401
    """An event of a test's, so many days ago."""
    key = a_key(next(numbers), environment=SANDBOX)
    event = a_subscription_event(next(numbers), key=key, user_id=user_id, day=TODAY - days)
    return replace(event, **fields)


def test_event_is_told_with_every_field(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread
) -> None:
    """The list and the stream tell the same, but for the place in the log."""
    event = an_event(new_user(), 3)
    keep(service, event)
    request = pb.ListSubscriptionEventsRequest(user_id=event.user_id)
    (told,) = grpc_stub.ListSubscriptionEvents(request).events
    expected = words.SubscriptionEvent(
        id=event.id,
        user_id=event.user_id,
        source=words.SUBSCRIPTION_SOURCE_APP_STORE,
        environment=words.ENVIRONMENT_SANDBOX,
        source_product_id="spr_000001",
        vendor_product_id="com.example.1",
        subscription_group="premium",
        subscription_tier="gold",
        type=words.SUBSCRIPTION_EVENT_TYPE_RENEWED,
        published_type="payments.subscriptions.renewed",
        new_product_id="spr_000002",
        new_vendor_product_id="com.example.2",
        promotion_reference="SUMMER",
        entitlement_id="ent_000001",
        lineage_id=event.lineage_id,
        fact_id=event.fact_id,
        notification_id=event.notification_id,
    )
    assert event.expire_time is not None
    expected.event_time.FromDatetime(event.event_time)
    expected.create_time.FromDatetime(event.create_time)
    expected.expire_time.FromDatetime(event.expire_time)
    assert told == expected
    (streamed,) = events_caught_up(grpc_stub, user_id=event.user_id, start_position=2)
    assert streamed.position > 0
    streamed.position = 0
    assert streamed == told


def test_events_are_found_by_every_filter(
    grpc_stub: EntitlementsServiceStub, service: ServiceThread
) -> None:
    """The newest of the vendor's moments first, page by page."""
    user = new_user()
    kept = [
        an_event(user, 5, type=SubscriptionEventType.STARTED),
        an_event(user, 1),
        an_event(user, 3, subscription_group="basic", entitlement_id="ent_other"),
        an_event(user, 2, superseded=True),
        an_event(user, 4, source=SubscriptionSource.MANUAL),
        an_event(user, 0, environment=Environment.PRODUCTION),
    ]
    keep(service, *kept)
    ids = [each.id for each in kept]

    def found(**wanted: Any) -> list[int]:  # noqa: ANN401
        request = pb.ListSubscriptionEventsRequest(user_id=user, page_size=2, **wanted)
        seen: list[int] = []
        while True:
            answer = grpc_stub.ListSubscriptionEvents(request)
            seen += [ids.index(each.id) for each in answer.events]
            if not answer.next_page_token:
                return seen
            request.page_token = answer.next_page_token

    assert found() == [1, 2, 4, 0]
    assert found(include_superseded=True) == [1, 3, 2, 4, 0]
    assert found(types=[words.SUBSCRIPTION_EVENT_TYPE_STARTED]) == [0]
    assert found(subscription_group="basic") == [2]
    assert found(entitlement_id="ent_other") == [2]
    assert found(lineage_id=kept[1].lineage_id) == [1]
    assert found(source=words.SUBSCRIPTION_SOURCE_MANUAL) == [4]
    assert found(environment=words.ENVIRONMENT_PRODUCTION) == [5]
    assert found(from_time=day(-4), until_time=day(-1)) == [2, 4]


def test_bad_lists_of_events_are_refused(grpc_stub: EntitlementsServiceStub) -> None:
    """Each field that is wrong is named."""
    with refused_field(
        "page_size", "user_id", "entitlement_id", "lineage_id", "subscription_group"
    ):
        grpc_stub.ListSubscriptionEvents(
            pb.ListSubscriptionEventsRequest(
                page_size=-1,
                user_id="u" * 65,
                entitlement_id="e" * 65,
                lineage_id="l" * 65,
                subscription_group="g" * 65,
            )
        )
    for wanted, field in (
        ({"types": [5, 99]}, "types[1]"),
        ({"source": 99}, "source"),
        ({"environment": 99}, "environment"),
        ({"from_time": Timestamp(seconds=1 << 60)}, "from_time"),
        ({"until_time": Timestamp(seconds=1 << 60)}, "until_time"),
    ):
        with refused_field(field):
            grpc_stub.ListSubscriptionEvents(pb.ListSubscriptionEventsRequest(**wanted))
    with refused(Reason.PAGE_TOKEN_INVALID):
        grpc_stub.ListSubscriptionEvents(pb.ListSubscriptionEventsRequest(page_token="x"))
