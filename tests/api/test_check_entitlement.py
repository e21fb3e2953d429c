"""CheckEntitlement and BatchCheckEntitlements: who may use what, now, and how fresh that is."""

import uuid
from typing import Any

import grpc
import pytest

from boxoffice.common.v1 import errors_pb2
from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.stream import TokenKind, decode_token
from boxoffice_server.domain.subscription import Environment, SubscriptionProduct
from tests.support.calls import new_user, refused, refused_field
from tests.support.entitled import a_new_product, around, entitled, keep, numbers
from tests.support.sales import create_product
from tests.support.service import ServiceThread
from tests.support.subscriptions import ACTIVE, EXPIRED, TRIAL, a_key, an_entitlement
from tests.support.tokens import a_token

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


@pytest.fixture(scope="module")
def tiers(service: ServiceThread) -> dict[str, SubscriptionProduct]:
    """A group with three tiers, one of them without a rank; by their names."""
    group = f"group-{next(numbers)}"
    ranks = {"gold": 2, "silver": 1, "odd": None}
    made = {name: a_new_product(group=group, tier=name, rank=rank) for name, rank in ranks.items()}
    keep(service, *made.values())
    return made


def check(
    stub: EntitlementsServiceStub,
    user_id: str,
    tiers: dict[str, SubscriptionProduct],
    **more: Any,  # noqa: ANN401
) -> pb.CheckEntitlementResponse:
    """Ask whether a user may use the group."""
    return stub.CheckEntitlement(
        pb.CheckEntitlementRequest(user_id=user_id, subscription_group=tiers["gold"].group, **more)
    )


def test_user_with_access_is_allowed(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """The entitlement that allows it is told, with what put it there."""
    user = new_user()
    kept = entitled(user, tiers["silver"], around(ACTIVE, -3, 27))
    keep(service, kept)
    answer = check(grpc_stub, user, tiers)
    assert answer.allowed
    told = answer.entitlement
    assert (told.id, told.user_id, told.version) == (kept.id, user, 1)
    assert (told.source_product_id, told.vendor_product_id) == (
        tiers["silver"].id,
        tiers["silver"].vendor_product_id,
    )
    assert (told.subscription_tier, told.rank) == ("silver", 1)
    assert told.status == subscriptions_pb2.ENTITLEMENT_STATUS_ACTIVE_WITH_RENEWAL
    assert told.status_category == subscriptions_pb2.STATUS_CATEGORY_ENGAGED
    assert told.source == subscriptions_pb2.SUBSCRIPTION_SOURCE_APP_STORE
    assert told.environment == subscriptions_pb2.ENVIRONMENT_SANDBOX
    assert told.access_until.ToDatetime(kept.now.access_until.tzinfo) == kept.now.access_until
    assert told.lineage_id == kept.lineage_id
    origin = told.origin
    assert (origin.event_id, origin.fact_id, origin.notification_id) == (
        kept.now.event_id,
        kept.now.fact_id,
        kept.now.notification_id,
    )
    assert origin.event_type == subscriptions_pb2.SUBSCRIPTION_EVENT_TYPE_RENEWED


def test_tier_is_enough_by_rank_or_by_name(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """A better one allows a lower one; one without a rank allows itself only."""
    users = {name: new_user() for name in tiers}
    keep(
        service,
        *(entitled(users[name], product, around(ACTIVE, -1, 9)) for name, product in tiers.items()),
    )
    allowed = {
        (has, asks)
        for has in tiers
        for asks in tiers
        if check(grpc_stub, users[has], tiers, minimum_tier=asks).allowed
    }
    assert allowed == {
        ("gold", "gold"),
        ("gold", "silver"),
        ("silver", "silver"),
        ("odd", "odd"),
    }
    low = check(grpc_stub, users["silver"], tiers, minimum_tier="gold")
    assert low.entitlement.subscription_tier == "silver"


def test_user_without_any_is_not_allowed(
    grpc_stub: EntitlementsServiceStub, tiers: dict[str, SubscriptionProduct]
) -> None:
    """Nobody has to have heard of the user."""
    assert check(grpc_stub, new_user(), tiers) == pb.CheckEntitlementResponse()


def test_most_recently_lost_is_told(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """So that the caller can say what the user had."""
    user = new_user()
    old, late = (
        entitled(user, tiers[name], around(EXPIRED, day))
        for name, day in (("gold", -9), ("silver", -3))
    )
    keep(service, old, late)
    answer = check(grpc_stub, user, tiers)
    assert not answer.allowed
    assert answer.entitlement.id == late.id


def test_check_follows_the_clock_without_a_sweep(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """What the row calls the present may be over, or not have begun."""
    renewed, ended, early = new_user(), new_user(), new_user()
    keep(
        service,
        entitled(renewed, tiers["gold"], around(TRIAL, -9, -1), around(ACTIVE, -1, 9)),
        entitled(ended, tiers["gold"], around(ACTIVE, -9, -1), around(EXPIRED, -1)),
        entitled(early, tiers["gold"], around(ACTIVE, 1, 9)),
    )
    answer = check(grpc_stub, renewed, tiers)
    assert answer.allowed
    active = subscriptions_pb2.ENTITLEMENT_STATUS_ACTIVE_WITH_RENEWAL
    assert answer.entitlement.status == active
    answer = check(grpc_stub, ended, tiers)
    assert not answer.allowed
    expired = subscriptions_pb2.ENTITLEMENT_STATUS_EXPIRED_VOLUNTARILY
    assert answer.entitlement.status == expired
    assert check(grpc_stub, early, tiers) == pb.CheckEntitlementResponse()


def test_environments_never_mix(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """A check looks at the service's own unless it is told otherwise."""
    user = new_user()
    number = next(numbers)
    key = a_key(number, environment=Environment.PRODUCTION)
    kept = an_entitlement(
        number, key=key, user_id=user, product=tiers["gold"], now=around(ACTIVE, -1, 9)
    )
    keep(service, kept)
    assert not check(grpc_stub, user, tiers).allowed
    sandbox = subscriptions_pb2.ENVIRONMENT_SANDBOX
    assert not check(grpc_stub, user, tiers, environment=sandbox).allowed
    production = subscriptions_pb2.ENVIRONMENT_PRODUCTION
    assert check(grpc_stub, user, tiers, environment=production).allowed


def test_unknown_group_or_tier_is_not_found(
    grpc_stub: EntitlementsServiceStub, tiers: dict[str, SubscriptionProduct]
) -> None:
    """Which tells a caller's slip from a user who may not."""
    with refused(Reason.SUBSCRIPTION_GROUP_NOT_FOUND) as refusal:
        grpc_stub.CheckEntitlement(
            pb.CheckEntitlementRequest(user_id="u", subscription_group="none")
        )
    assert refusal.metadata == {"subscription_group": "none"}
    with refused(Reason.SUBSCRIPTION_TIER_NOT_FOUND) as refusal:
        check(grpc_stub, "u", tiers, minimum_tier="none")
    assert refusal.metadata == {
        "subscription_group": tiers["gold"].group,
        "subscription_tier": "none",
    }


def test_bad_checks_are_refused(
    grpc_stub: EntitlementsServiceStub, tiers: dict[str, SubscriptionProduct]
) -> None:
    """Each field that is wrong is named."""
    with refused_field("user_id", "subscription_group", "minimum_tier"):
        grpc_stub.CheckEntitlement(
            pb.CheckEntitlementRequest(user_id="u" * 65, minimum_tier="t" * 65)
        )
    with refused_field("environment"):
        check(grpc_stub, "u", tiers, environment=77)


# -- freshness ------------------------------------------------------------------------------------


def test_token_of_a_write_is_taken(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
    grpc_channel: grpc.Channel,
) -> None:
    """At once after it, numbered or not: every time its effect is seen; any write's will do."""
    for _ in range(20):
        user = new_user()
        token = keep(service, entitled(user, tiers["gold"], around(ACTIVE, -1, 9)))
        assert check(grpc_stub, user, tiers, at_least_as_fresh=token).allowed
    create_product(OrdersServiceStub(grpc_channel))
    listed = grpc_stub.ListEntitlements(pb.ListEntitlementsRequest()).resume_token
    assert not check(grpc_stub, new_user(), tiers, at_least_as_fresh=listed).allowed
    assert not check(grpc_stub, new_user(), tiers, fully_consistent=True).allowed


@pytest.mark.parametrize("kind", TokenKind)
def test_token_that_the_log_never_gave_is_refused(
    grpc_stub: EntitlementsServiceStub, tiers: dict[str, SubscriptionProduct], kind: TokenKind
) -> None:
    """Of another log, from ahead of this one, or mangled."""
    real = decode_token(grpc_stub.ListEntitlements(pb.ListEntitlementsRequest()).resume_token)
    other = a_token(log_id=uuid.uuid4(), kind=kind, number=1).encode()
    ahead = a_token(log_id=real.log_id, kind=kind, number=1 << 40).encode()
    for token, reason in (
        (other, Reason.LOG_CHANGED),
        (ahead, Reason.POSITION_AHEAD),
        ("mangled", Reason.RESUME_TOKEN_INVALID),
        ("", Reason.RESUME_TOKEN_INVALID),
    ):
        with refused(reason):
            check(grpc_stub, "u", tiers, at_least_as_fresh=token)
        with refused(reason):
            grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(at_least_as_fresh=token))
        with refused(reason):
            grpc_stub.GetEntitlement(
                pb.GetEntitlementRequest(entitlement_id="ent_1", at_least_as_fresh=token)
            )
        with refused(reason):
            grpc_stub.BatchCheckEntitlements(
                pb.BatchCheckEntitlementsRequest(
                    user_ids=["u"],
                    groups=[pb.GroupQuestion(subscription_group="g")],
                    at_least_as_fresh=token,
                )
            )


# -- many at once ---------------------------------------------------------------------------------


def test_batch_answers_by_position(
    grpc_stub: EntitlementsServiceStub,
    service: ServiceThread,
    tiers: dict[str, SubscriptionProduct],
) -> None:
    """Each answer is CheckEntitlement's; a group or tier that is not there has none."""
    basic = a_new_product(group=f"group-{next(numbers)}", tier="all", rank=None)
    anna, bert, nobody = new_user(), new_user(), new_user()
    gold = entitled(anna, tiers["gold"], around(ACTIVE, -1, 9))
    lost = entitled(bert, tiers["silver"], around(EXPIRED, -1))
    plain = entitled(bert, basic, around(TRIAL, -1, 9))
    keep(service, basic, gold, lost, plain)
    group = tiers["gold"].group
    users = [anna, nobody, bert, anna]
    answer = grpc_stub.BatchCheckEntitlements(
        pb.BatchCheckEntitlementsRequest(
            user_ids=users,
            groups=[
                pb.GroupQuestion(subscription_group=group, minimum_tier="silver"),
                pb.GroupQuestion(subscription_group="none"),
                pb.GroupQuestion(subscription_group=basic.group),
                pb.GroupQuestion(subscription_group=group, minimum_tier="none"),
            ],
        )
    )
    first, missing, second, untiered = answer.groups
    assert [each.allowed for each in first.users] == [True, False, False, True]
    ids = [each.entitlement_id for each in first.users]
    assert ids == [gold.id, "", lost.id, gold.id]
    assert first.users[2].status == subscriptions_pb2.ENTITLEMENT_STATUS_EXPIRED_VOLUNTARILY
    single = check(grpc_stub, bert, tiers, minimum_tier="silver").entitlement
    assert first.users[2].access_until == single.access_until
    assert first.users[1] == pb.CheckAnswer()
    assert [each.allowed for each in second.users] == [False, False, True, False]
    assert missing.error == errors_pb2.ERROR_REASON_SUBSCRIPTION_GROUP_NOT_FOUND
    assert untiered.error == errors_pb2.ERROR_REASON_SUBSCRIPTION_TIER_NOT_FOUND
    assert (len(missing.users), len(untiered.users)) == (0, 0)


def test_bad_batches_are_refused(grpc_stub: EntitlementsServiceStub) -> None:
    """Empty ones, too large ones, and what is wrong within."""
    group = pb.GroupQuestion(subscription_group="g")
    for users, groups, fields in (
        ([], [], ("user_ids", "groups")),
        (["u"] * 1001, [group], ("user_ids",)),
        (["u"], [group] * 11, ("groups",)),
        (
            ["u", ""],
            [group, pb.GroupQuestion(minimum_tier="t" * 65)],
            ("user_ids[1]", "groups[1].subscription_group", "groups[1].minimum_tier"),
        ),
    ):
        with refused_field(*fields):
            grpc_stub.BatchCheckEntitlements(
                pb.BatchCheckEntitlementsRequest(user_ids=users, groups=groups)
            )
