"""What customers buy in the App Store becomes theirs here, whichever way it is linked."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from boxoffice.entitlements.v1 import purchases_pb2 as pb
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.app import Application
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.subscription import SubscriptionSource
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.rebuilding import Difference, Rebuilding, Rebuilt
from boxoffice_server.vendors.app_store.reader import AppStoreReader
from tests.support.app_store import AppStore, catalogue, reconcile, sell, submit
from tests.support.calls import new_request_id, new_user, refused, refused_field
from tests.support.logs import ServiceLog, recorded_log
from tests.support.readings import (
    event_names,
    events,
    held,
    notification_states,
    status_name,
    statuses,
)
from tests.support.service import Sandbox, ServiceThread
from tests.vendors.app_store.payloads import transaction
from tests.vendors.app_store.signing import make_apple

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

MONTHLY = "premium_monthly"


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
def log() -> Iterator[ServiceLog]:
    """What the service logs."""
    with recorded_log() as log:
        yield log


@pytest.fixture(scope="module")
def apple(log: ServiceLog, apple: AppStore, entitlements: EntitlementsServiceStub) -> AppStore:
    """An App Store all of whose products are in the catalogue."""
    del log
    catalogue(entitlements)
    return apple


def bought(apple: AppStore, user_id: str, product: str = MONTHLY, **given: object) -> str:
    """Something bought with a user's id for a token, and told."""
    subscription = apple.buy(product, app_account_token=user_id, **given)
    apple.wait_sent()
    return subscription


def uuid_user() -> str:
    """A user whose id is a UUID, as some systems have it."""
    return str(uuid.uuid4())


def test_purchase_with_a_registered_token_is_its_users(
    grpc_stub: EntitlementsServiceStub, apple: AppStore, webhooks: WebhooksServiceStub
) -> None:
    """The app passes the token that was made for the user."""
    user = new_user()
    token = grpc_stub.CreateAppAccountToken(
        pb.CreateAppAccountTokenRequest(request_id=new_request_id(), user_id=user)
    ).app_account_token
    subscription = bought(apple, token.upper())
    assert statuses(grpc_stub, user) == {MONTHLY: "active_with_renewal"}
    assert event_names(grpc_stub, user) == ["started"]
    (uuid_,) = apple.told(subscription)
    assert notification_states(webhooks)[uuid_] == "applied"


def test_purchase_with_the_users_own_uuid_is_that_users(
    grpc_stub: EntitlementsServiceStub, apple: AppStore
) -> None:
    """A token that nobody registered is the user's id."""
    user = uuid_user()
    bought(apple, user, product="essential_monthly", offer="trial")
    assert statuses(grpc_stub, user) == {"essential_monthly": "using_free_trial"}


@pytest.mark.parametrize("way", ["signed_transaction", "transaction_id", "receipt_data"])
def test_purchase_without_a_token_waits_until_it_is_handed_in(
    grpc_stub: EntitlementsServiceStub, apple: AppStore, webhooks: WebhooksServiceStub, way: str
) -> None:
    """By whatever the device has of it; what had come before is applied then."""
    user, subscription = new_user(), apple.buy()
    apple.wait_sent()
    (uuid_,) = apple.told(subscription)
    assert notification_states(webhooks)[uuid_] == "parked"
    proof = apple.proof(subscription)
    proof["receipt_data"] = proof["receipt"]
    linked = submit(grpc_stub, user, **{way: proof[way]})
    assert [status_name(each) for each in linked.entitlements] == ["active_with_renewal"]
    assert list(linked.entitlements) == held(grpc_stub, user)
    assert notification_states(webhooks)[uuid_] == "applied"
    apple.act(subscription, "cancel")
    apple.wait_sent()
    assert statuses(grpc_stub, user) == {MONTHLY: "active_without_renewal"}


def test_purchase_of_another_user_is_refused_unless_it_is_to_be_moved(
    grpc_stub: EntitlementsServiceStub, apple: AppStore
) -> None:
    """History stays with whoever held it; who held it loses access at that moment."""
    former, user = uuid_user(), new_user()
    subscription = bought(apple, former)
    proof = {"signed_transaction": apple.proof(subscription)["signed_transaction"]}
    with refused(Reason.SUBSCRIPTION_HELD):
        submit(grpc_stub, user, **proof)
    assert held(grpc_stub, user) == []
    assert statuses(grpc_stub, former) == {MONTHLY: "active_with_renewal"}
    submit(grpc_stub, user, reassign=True, **proof)
    assert statuses(grpc_stub, user) == {MONTHLY: "active_with_renewal"}
    assert statuses(grpc_stub, former) == {MONTHLY: "revoked"}
    assert event_names(grpc_stub, former) == ["started", "revoked"]
    before = events(grpc_stub, user)
    submit(grpc_stub, user, **proof)
    assert events(grpc_stub, user) == before
    apple.act(subscription, "renew")
    apple.wait_sent()
    assert event_names(grpc_stub, user)[-1] == "renewed"
    assert event_names(grpc_stub, former) == ["started", "revoked"]


def _of_another_app(apple: AppStore) -> str:
    apple.offer("other", bundle_id="com.example.another")
    return apple.buy("other")


NONSENSE: dict[str, Callable[[AppStore], tuple[Reason, dict[str, str]]]] = {
    "no transaction": lambda _: (Reason.TRANSACTION_INVALID, {"signed_transaction": "a.b.c"}),
    "nothing signed": lambda _: (Reason.TRANSACTION_INVALID, {"signed_transaction": ""}),
    "signed by another": lambda _: (
        Reason.TRANSACTION_INVALID,
        {"signed_transaction": make_apple().sign(transaction())},
    ),
    "a notification's payload": lambda apple: (
        Reason.TRANSACTION_INVALID,
        {"signed_transaction": apple.proof(apple.buy())["signed_transaction"] + "x"},
    ),
    "of another app": lambda apple: (
        Reason.TRANSACTION_INVALID,
        {"signed_transaction": apple.proof(_of_another_app(apple))["signed_transaction"]},
    ),
    "of another environment": lambda apple: (
        Reason.TRANSACTION_INVALID,
        {
            "signed_transaction": apple.proof(apple.buy(environment="Production"))[
                "signed_transaction"
            ]
        },
    ),
    "id that is none": lambda _: (Reason.TRANSACTION_INVALID, {"transaction_id": "../../x"}),
    "no id": lambda _: (Reason.TRANSACTION_INVALID, {"transaction_id": ""}),
    "id of nobody": lambda _: (Reason.TRANSACTION_NOT_FOUND, {"transaction_id": "2000000000000"}),
    "id of another app": lambda apple: (
        Reason.TRANSACTION_NOT_FOUND,
        {"transaction_id": _of_another_app(apple)},
    ),
    "receipt that is none": lambda _: (Reason.TRANSACTION_INVALID, {"receipt_data": "?"}),
    "empty receipt": lambda _: (Reason.TRANSACTION_INVALID, {"receipt_data": ""}),
    "receipt of nothing": lambda _: (Reason.TRANSACTION_INVALID, {"receipt_data": "MAA="}),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused_and_links_nothing(
    grpc_stub: EntitlementsServiceStub, apple: AppStore, case: str
) -> None:
    """With a reason that says what it is, never as a fault of ours."""
    user = new_user()
    reason, purchase = NONSENSE[case](apple)
    with refused(reason):
        submit(grpc_stub, user, **purchase)
    assert held(grpc_stub, user) == []


def test_request_without_a_purchase_is_refused(
    grpc_stub: EntitlementsServiceStub, apple: AppStore
) -> None:
    """Something must be handed in."""
    del apple
    with refused_field("purchase"):
        submit(grpc_stub, new_user())


def test_family_member_uses_it_until_the_purchaser_says_no(
    grpc_stub: EntitlementsServiceStub, apple: AppStore
) -> None:
    """A member has a subscription of their own, and no token."""
    purchaser, member = uuid_user(), new_user()
    subscription = bought(apple, purchaser)
    apple.act(subscription, "share")
    apple.wait_sent()
    shared = apple.newest()
    submit(grpc_stub, member, transaction_id=shared)
    assert statuses(grpc_stub, member) == {MONTHLY: "active_with_renewal"}
    apple.act(shared, "revoke")
    apple.wait_sent()
    assert statuses(grpc_stub, member) == {MONTHLY: "revoked"}
    assert statuses(grpc_stub, purchaser) == {MONTHLY: "active_with_renewal"}
    assert event_names(grpc_stub, member) == ["started", "revoked"]


def test_purchase_of_an_unknown_product_waits_for_the_catalogue(
    grpc_stub: EntitlementsServiceStub,
    apple: AppStore,
    webhooks: WebhooksServiceStub,
    store: str,
) -> None:
    """It is kept and parked; describing the product applies all that has come of it."""
    user, name = uuid_user(), f"gold_weekly_{store}"
    apple.offer(name)
    subscription = bought(apple, user, product=name)
    apple.act(subscription, "cancel")
    apple.wait_sent()
    uuids = apple.told(subscription)
    assert {notification_states(webhooks)[each] for each in uuids} == {"parked"}
    assert held(grpc_stub, user) == []
    sell(grpc_stub, name)
    assert statuses(grpc_stub, user) == {name: "active_without_renewal"}
    assert event_names(grpc_stub, user) == ["started", "renewal_disabled"]
    assert {notification_states(webhooks)[each] for each in uuids} == {"applied"}


def test_former_customer_comes_back(grpc_stub: EntitlementsServiceStub, apple: AppStore) -> None:
    """The same entitlement has access again."""
    user = uuid_user()
    subscription = bought(apple, user)
    (before,) = held(grpc_stub, user)
    apple.act(subscription, "cancel")
    apple.act(subscription, "skip")
    apple.wait_sent()
    assert statuses(grpc_stub, user) == {MONTHLY: "expired_voluntarily"}
    apple.act(subscription, "resubscribe", offer="win_back")
    apple.wait_sent()
    (after,) = held(grpc_stub, user)
    assert (after.id, status_name(after)) == (before.id, "using_promotion")
    assert event_names(grpc_stub, user) == [
        "started",
        "renewal_disabled",
        "expired_voluntarily",
        "renewed_with_promotion",
    ]


def test_drift_after_lost_notifications_is_told_and_repaired(
    grpc_stub: EntitlementsServiceStub, apple: AppStore
) -> None:
    """Nothing is changed before it is to be; afterwards both agree."""
    user = uuid_user()
    subscription = bought(apple, user, product="essential_monthly")
    (ours,) = held(grpc_stub, user)
    assert not reconcile(grpc_stub, ours.id, repair=False).drifts
    apple.mode("lose")
    apple.act(subscription, "change", product=MONTHLY)
    apple.act(subscription, "cancel")
    apple.mode("normal")
    told = reconcile(grpc_stub, ours.id, repair=False)
    drifts = {
        each.theirs.vendor_product_id: (
            status_name(each.ours) if each.HasField("ours") else "",
            status_name(each.theirs),
        )
        for each in told.drifts
    }
    assert drifts == {
        "essential_monthly": ("active_with_renewal", "switched_product"),
        MONTHLY: ("", "active_without_renewal"),
    }
    assert not told.repaired
    assert statuses(grpc_stub, user) == {"essential_monthly": "active_with_renewal"}
    assert reconcile(grpc_stub, ours.id, repair=True).repaired
    repaired = {"essential_monthly": "switched_product", MONTHLY: "active_without_renewal"}
    assert statuses(grpc_stub, user) == repaired
    again = reconcile(grpc_stub, ours.id, repair=True)
    assert (list(again.drifts), list(again.missing_events)) == ([], [])
    told_by_apple = event_names(grpc_stub, user)
    assert not [each for each in events(grpc_stub, user, superseded=True) if each.superseded]
    assert told_by_apple == ["started", "switched_product", "renewed", "renewal_disabled"]
    apple.redeliver(*apple.told(subscription)[::-1])
    apple.wait_sent()
    assert statuses(grpc_stub, user) == repaired
    assert event_names(grpc_stub, user) == told_by_apple


def test_notification_that_comes_again_changes_nothing(
    grpc_stub: EntitlementsServiceStub, apple: AppStore, webhooks: WebhooksServiceStub
) -> None:
    """Delivered twice, later once more, or replayed by hand."""
    user = uuid_user()
    apple.mode("duplicate")
    subscription = bought(apple, user)
    apple.act(subscription, "cancel")
    apple.wait_sent()
    apple.mode("normal")
    before = held(grpc_stub, user), events(grpc_stub, user, superseded=True)
    assert event_names(grpc_stub, user) == ["started", "renewal_disabled"]
    apple.redeliver(*apple.told(subscription)[::-1])
    apple.wait_sent()
    kept = webhooks.ListNotifications(webhooks_pb2.ListNotificationsRequest(page_size=500))
    uuids = apple.told(subscription)
    for one in kept.notifications:
        if one.vendor_event_id in uuids:
            webhooks.ReplayNotification(
                webhooks_pb2.ReplayNotificationRequest(
                    request_id=new_request_id(), notification_id=one.id
                )
            )
    assert (held(grpc_stub, user), events(grpc_stub, user, superseded=True)) == before
    for each in uuids:
        assert apple.results(each) == ["SUCCESS"] * 3


def test_what_says_nothing_is_kept_and_acknowledged_and_what_is_unknown_is_told(
    grpc_stub: EntitlementsServiceStub,
    apple: AppStore,
    webhooks: WebhooksServiceStub,
    log: ServiceLog,
) -> None:
    """TEST and its like are no subscription's; what Apple adds tomorrow is parked."""
    user, begun = uuid_user(), len(log.lines)
    subscription = bought(apple, user)
    before = held(grpc_stub, user)
    test = str(apple.sandbox.control("app-store/notifications/test", {})["id"])
    summary = apple.notify("RENEWAL_EXTENSION", subtype="SUMMARY")
    asked = apple.notify("CONSUMPTION_REQUEST", subscription=subscription)
    unknown = apple.notify("ANNEXATION", subtype="BY_MARS")
    about = apple.notify("ANNEXATION", subscription=subscription)
    apple.wait_sent()
    states = notification_states(webhooks)
    assert [states[each] for each in (test, summary, unknown)] == [
        "unrelated",
        "unrelated",
        "parked",
    ]
    assert [states[each] for each in (asked, about)] == ["applied", "applied"]
    for each in (test, summary, asked, unknown, about):
        assert apple.results(each) == ["SUCCESS"]
    assert held(grpc_stub, user) == before
    told = [each.get("type") for each in log.lines[begun:] if "unknown kind" in each["event"]]
    assert told == ["ANNEXATION/BY_MARS", "ANNEXATION"]


def test_everything_that_is_kept_follows_from_its_facts(service: ServiceThread) -> None:
    """Of all tests of this module: links, repairs and what was parked for a while."""

    async def rebuild(app: Application) -> tuple[int, list[Difference]]:
        subscriptions = Subscriptions(
            clock=app._clock, readers={SubscriptionSource.APP_STORE: AppStoreReader()}
        )
        rebuilding = Rebuilding(store=app._store, clock=app._clock, subscriptions=subscriptions)
        found: list[Difference] = []
        rebuilt = Rebuilt()
        for lineage in await rebuilding.page(""):
            found += await rebuilding.rebuild(lineage, rebuilt, swap=False)
        return rebuilt.events, found

    count, differences = service.run(rebuild)
    assert count
    assert differences == []
