"""What is given by hand, what it allows, and what became of it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import purchases_pb2, subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.entitlements.v1.subscription_products_pb2 import SubscriptionProduct
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, refused, refused_field
from tests.support.entitled import numbers

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[EntitlementsServiceStub]:
    """The stub that pytest-grpc makes."""
    return EntitlementsServiceStub


def stamp(time: datetime) -> Timestamp:
    """A time on the wire."""
    made = Timestamp()
    made.FromDatetime(time)
    return made


def now() -> datetime:
    """The present."""
    return datetime.now(UTC)


def new_user() -> str:
    """A user whom nobody knows."""
    return f"user-{next(numbers)}"


def a_gift(stub: EntitlementsServiceStub, **fields: Any) -> SubscriptionProduct:  # noqa: ANN401
    """A product that is given by hand, in a group of its own."""
    described: dict[str, Any] = {
        "source": subscriptions_pb2.SUBSCRIPTION_SOURCE_MANUAL,
        "name": "A gift",
        "subscription_group": f"gifts-{next(numbers)}",
        "subscription_tier": "gold",
        "rank": 1,
    }
    product = SubscriptionProduct(**(described | fields))
    request = pb.CreateSubscriptionProductRequest(request_id=new_request_id(), product=product)
    return stub.CreateSubscriptionProduct(request).product


def grant_request(
    product: SubscriptionProduct,
    user_id: str,
    **fields: Any,  # noqa: ANN401
) -> purchases_pb2.GrantEntitlementRequest:
    """A request to give a product."""
    described: dict[str, Any] = {
        "request_id": new_request_id(),
        "user_id": user_id,
        "product_id": product.id,
        "reason": "a prize",
        "actor": "support",
    }
    return purchases_pb2.GrantEntitlementRequest(**(described | fields))


def revoke_request(grant_id: str, **fields: Any) -> purchases_pb2.RevokeGrantRequest:  # noqa: ANN401
    """A request to take a grant back."""
    described: dict[str, Any] = {
        "request_id": new_request_id(),
        "grant_id": grant_id,
        "reason": "a mistake",
        "actor": "support",
    }
    return purchases_pb2.RevokeGrantRequest(**(described | fields))


def allowed(stub: EntitlementsServiceStub, product: SubscriptionProduct, user_id: str) -> bool:
    """Whether a user may use the product's group."""
    request = pb.CheckEntitlementRequest(
        user_id=user_id, subscription_group=product.subscription_group
    )
    return stub.CheckEntitlement(request).allowed


def test_a_grant_allows_until_it_is_taken_back(grpc_stub: EntitlementsServiceStub) -> None:
    """And says what it is in the meantime, and afterwards."""
    product, user_id = a_gift(grpc_stub), new_user()
    assert not allowed(grpc_stub, product, user_id)
    given = grpc_stub.GrantEntitlement(grant_request(product, user_id))
    assert given.grant.reason == "a prize"
    assert given.entitlement.status == subscriptions_pb2.ENTITLEMENT_STATUS_USING_PROMOTION
    assert not given.entitlement.HasField("expire_time")
    assert allowed(grpc_stub, product, user_id)
    taken = grpc_stub.RevokeGrant(revoke_request(given.grant.id))
    assert taken.entitlement.status == subscriptions_pb2.ENTITLEMENT_STATUS_REVOKED
    assert (taken.grant.revoke_reason, taken.grant.revoke_actor) == ("a mistake", "support")
    assert not allowed(grpc_stub, product, user_id)
    listed = grpc_stub.ListSubscriptionEvents(pb.ListSubscriptionEventsRequest(user_id=user_id))
    types = [subscriptions_pb2.SubscriptionEventType.Name(each.type) for each in listed.events]
    assert types == [
        "SUBSCRIPTION_EVENT_TYPE_REVOKED",
        "SUBSCRIPTION_EVENT_TYPE_STARTED_WITH_PROMOTION",
    ]


def test_a_grant_that_begins_later_allows_nothing_before(
    grpc_stub: EntitlementsServiceStub,
) -> None:
    """Its entitlement is not there yet, and is known for the future."""
    product, user_id = a_gift(grpc_stub), new_user()
    start = now() + HOUR
    request = grant_request(
        product, user_id, from_time=stamp(start), until_time=stamp(start + HOUR)
    )
    given = grpc_stub.GrantEntitlement(request)
    assert not given.HasField("entitlement")
    assert not allowed(grpc_stub, product, user_id)


def test_the_same_request_gives_once(grpc_stub: EntitlementsServiceStub) -> None:
    """The second one gets the first one's answer."""
    product, user_id = a_gift(grpc_stub), new_user()
    request = grant_request(product, user_id)
    first, second = grpc_stub.GrantEntitlement(request), grpc_stub.GrantEntitlement(request)
    assert first == second
    listed = grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(user_id=user_id))
    assert len(listed.entitlements) == 1


def test_only_what_is_given_by_hand_can_be_given(grpc_stub: EntitlementsServiceStub) -> None:
    """Not what a vendor sells, nor what is not there."""
    sold = a_gift(
        grpc_stub,
        source=subscriptions_pb2.SUBSCRIPTION_SOURCE_APP_STORE,
        app="com.example.app",
        vendor_product_id=f"com.example.{next(numbers)}",
    )
    with refused(Reason.PRODUCT_NOT_GRANTABLE):
        grpc_stub.GrantEntitlement(grant_request(sold, new_user()))
    with refused(Reason.SUBSCRIPTION_PRODUCT_NOT_FOUND):
        grpc_stub.GrantEntitlement(grant_request(SubscriptionProduct(id="spr_none"), "user"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"product_id": ""}, "product_id"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"actor": ""}, "actor"),
        ({"request_id": ""}, "request_id"),
        ({"until_time": stamp(datetime(2020, 1, 1, tzinfo=UTC))}, "until_time"),
        ({"environment": 99}, "environment"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(
    grpc_stub: EntitlementsServiceStub, fields: dict[str, Any], field: str
) -> None:
    """With the field that is wrong."""
    with refused_field(field):
        grpc_stub.GrantEntitlement(
            grant_request(a_gift(grpc_stub), **({"user_id": new_user()} | fields))
        )


def test_a_grant_is_taken_back_once(grpc_stub: EntitlementsServiceStub) -> None:
    """What was never given can't be, and what is over neither."""
    given = grpc_stub.GrantEntitlement(grant_request(a_gift(grpc_stub), new_user()))
    grpc_stub.RevokeGrant(revoke_request(given.grant.id))
    with refused(Reason.GRANT_ENDED):
        grpc_stub.RevokeGrant(revoke_request(given.grant.id))
    with refused(Reason.GRANT_NOT_FOUND):
        grpc_stub.RevokeGrant(revoke_request("grt_none"))


def test_what_was_known_at_another_time_is_told(grpc_stub: EntitlementsServiceStub) -> None:
    """Before it was taken back it was known to go on; today it is known that it did not."""
    product, user_id = a_gift(grpc_stub), new_user()
    given = grpc_stub.GrantEntitlement(grant_request(product, user_id))
    known_at = now()
    grpc_stub.RevokeGrant(revoke_request(given.grant.id))
    later = stamp(now() + HOUR)
    request = pb.ListEntitlementsRequest(user_id=user_id, known_at=stamp(known_at), as_of=later)
    (then,) = grpc_stub.ListEntitlements(request).entitlements
    assert then.status == subscriptions_pb2.ENTITLEMENT_STATUS_USING_PROMOTION
    request.ClearField("known_at")
    (today,) = grpc_stub.ListEntitlements(request).entitlements
    assert today.status == subscriptions_pb2.ENTITLEMENT_STATUS_REVOKED
    before = stamp(given.grant.create_time.ToDatetime(UTC) - HOUR)
    nothing = grpc_stub.ListEntitlements(
        pb.ListEntitlementsRequest(user_id=user_id, known_at=before)
    )
    assert not nothing.entitlements


def test_known_at_needs_a_user_and_is_not_in_the_future(
    grpc_stub: EntitlementsServiceStub,
) -> None:
    """Each with its field."""
    with refused_field("user_id"):
        grpc_stub.ListEntitlements(pb.ListEntitlementsRequest(known_at=stamp(now() - HOUR)))
    with refused_field("known_at"):
        grpc_stub.ListEntitlements(
            pb.ListEntitlementsRequest(user_id="user", known_at=stamp(now() + HOUR))
        )


def test_a_token_is_a_users(grpc_stub: EntitlementsServiceStub) -> None:
    """A lower-case UUID; a user may have several, and detaching ends them all."""
    user_id = new_user()
    tokens = set()
    for _ in range(2):
        request = purchases_pb2.CreateAppAccountTokenRequest(
            request_id=new_request_id(), user_id=user_id
        )
        tokens.add(grpc_stub.CreateAppAccountToken(request).app_account_token)
        assert grpc_stub.CreateAppAccountToken(request).app_account_token in tokens
    assert len(tokens) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in tokens)
    detached = grpc_stub.DetachUser(
        purchases_pb2.DetachUserRequest(
            request_id=new_request_id(), user_id=user_id, actor="support"
        )
    )
    assert detached.ended_tokens == 2


def test_detaching_a_user_ends_what_they_had(grpc_stub: EntitlementsServiceStub) -> None:
    """Each subscription that was theirs is named."""
    product, user_id = a_gift(grpc_stub), new_user()
    given = grpc_stub.GrantEntitlement(grant_request(product, user_id))
    detached = grpc_stub.DetachUser(
        purchases_pb2.DetachUserRequest(
            request_id=new_request_id(), user_id=user_id, actor="support"
        )
    )
    assert list(detached.lineage_ids) == [given.entitlement.lineage_id]
    assert not allowed(grpc_stub, product, user_id)


def test_what_was_given_by_hand_has_nobody_to_ask(grpc_stub: EntitlementsServiceStub) -> None:
    """And what is not there neither."""
    given = grpc_stub.GrantEntitlement(grant_request(a_gift(grpc_stub), new_user()))
    ask = purchases_pb2.ReconcileSubscriptionRequest
    with refused(Reason.SUBSCRIPTION_NOT_RECONCILABLE):
        grpc_stub.ReconcileSubscription(
            ask(request_id=new_request_id(), entitlement_id=given.entitlement.id)
        )
    with refused(Reason.LINEAGE_NOT_FOUND):
        grpc_stub.ReconcileSubscription(ask(request_id=new_request_id(), lineage_id="lin_none"))
    with refused(Reason.ENTITLEMENT_NOT_FOUND):
        grpc_stub.ReconcileSubscription(ask(request_id=new_request_id(), entitlement_id="ent_none"))
    with refused_field("subscription"):
        grpc_stub.ReconcileSubscription(ask(request_id=new_request_id()))
