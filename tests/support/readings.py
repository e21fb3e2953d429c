"""What a service tells of a user's subscriptions, in short words."""

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.entitled import event_frames

MOST = 500


def held(stub: EntitlementsServiceStub, user_id: str) -> list[subscriptions_pb2.Entitlement]:
    """All entitlements of a user, newest first."""
    request = pb.ListEntitlementsRequest(user_id=user_id, page_size=MOST)
    return list(stub.ListEntitlements(request).entitlements)


def statuses(stub: EntitlementsServiceStub, user_id: str) -> dict[str, str]:
    """How each of a user's products stands, by the vendor's name of it."""
    return {each.vendor_product_id: status_name(each) for each in held(stub, user_id)}


def status_name(entitlement: subscriptions_pb2.Entitlement) -> str:
    """Name a status as people do."""
    name = subscriptions_pb2.EntitlementStatus.Name(entitlement.status)
    return name.removeprefix("ENTITLEMENT_STATUS_").lower()


def events(
    stub: EntitlementsServiceStub, user_id: str, *, superseded: bool = False
) -> list[subscriptions_pb2.SubscriptionEvent]:
    """The canonical events of a user, newest first; with `superseded`, the others too."""
    request = pb.ListSubscriptionEventsRequest(
        user_id=user_id, include_superseded=superseded, page_size=MOST
    )
    return list(stub.ListSubscriptionEvents(request).events)


def event_names(stub: EntitlementsServiceStub, user_id: str) -> list[str]:
    """The types of a user's canonical events, in the order in which they were published."""
    canonical = {each.id for each in events(stub, user_id)}
    return [
        each.published_type.removeprefix("payments.subscriptions.")
        for each in published(stub, user_id)
        if each.id in canonical
    ]


def published(
    stub: EntitlementsServiceStub, user_id: str
) -> list[subscriptions_pb2.SubscriptionEvent]:
    """All events of a user's that were published, in that order.

    What is kept may have no place in the log yet, so all of it is waited for.
    """
    missing = {each.id for each in events(stub, user_id, superseded=True)}
    seen: list[subscriptions_pb2.SubscriptionEvent] = []
    earliest = streams_pb2.START_POSITION_EARLIEST
    caught_up = False
    for frame in event_frames(stub, user_id=user_id, start_position=earliest):
        seen += frame.events
        missing -= {each.id for each in frame.events}
        caught_up = caught_up or frame.HasField("caught_up")
        if caught_up and not missing:
            break
    return seen


def notification_states(stub: WebhooksServiceStub) -> dict[str, str]:
    """What became of every notification of the App Store's, by its UUID."""
    request = webhooks_pb2.ListNotificationsRequest(
        source=webhooks_pb2.NOTIFICATION_SOURCE_APP_STORE, page_size=MOST
    )
    return {
        each.vendor_event_id: webhooks_pb2.NotificationState.Name(each.state)
        .removeprefix("NOTIFICATION_STATE_")
        .lower()
        for each in stub.ListNotifications(request).notifications
    }
