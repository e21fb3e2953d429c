"""WebhooksService: vendor notifications that came to a gateway of the caller's."""

from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1 import webhooks_pb2_grpc
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.text import text_violations
from boxoffice_server.intake import MAX_BODY_BYTES, Delivered, Intake
from boxoffice_server.ports import NotificationFilter, Repository, Store

MOST_TYPE = 200


class WebhooksServicer(webhooks_pb2_grpc.WebhooksServiceServicer):
    """Notifications over gRPC."""

    def __init__(self, *, store: Store, writes: Writes, intake: Intake) -> None:
        self._store = store
        self._writes = writes
        self._intake = intake

    async def DeliverNotification(
        self, request: pb.DeliverNotificationRequest, context: Context
    ) -> pb.DeliverNotificationResponse:
        del context
        if request.source not in pb.NotificationSource.values()[1:]:
            raise BoxofficeError(
                Reason.SOURCE_UNKNOWN,
                f"no vendor {request.source} delivers notifications here",
                metadata={"source": str(request.source)},
            )
        faults = Faults()
        if not 1 <= len(request.body) <= MAX_BODY_BYTES:
            faults.add("body", f"must have from 1 to {MAX_BODY_BYTES} bytes")
        faults.refuse()
        delivered = await self._intake.deliver(
            convert.from_notification_source(request.source, "source"),
            dict(request.headers),
            request.body,
        )
        return pb.DeliverNotificationResponse(
            notification=convert.to_notification(delivered.notification),
            duplicate=delivered.duplicate,
        )

    async def ListNotifications(
        self, request: pb.ListNotificationsRequest, context: Context
    ) -> pb.ListNotificationsResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.extend(text_violations(request.type, "type", least=0, most=MOST_TYPE))
        faults.refuse()
        source = state = None
        if request.source:
            source = convert.from_notification_source(request.source, "source")
        if request.state:
            state = convert.from_notification_state(request.state, "state")
        wanted = NotificationFilter(source=source, state=state, type=request.type)
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)
        loaded = await self._store.read(
            lambda repo: repo.notifications.find(wanted, before_id=page.before_id, limit=page.fetch)
        )
        notifications, next_page_token = page.cut(loaded)
        return pb.ListNotificationsResponse(
            notifications=[convert.to_notification(each) for each in notifications],
            next_page_token=next_page_token,
        )

    async def ReplayNotification(
        self, request: pb.ReplayNotificationRequest, context: Context
    ) -> pb.ReplayNotificationResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.notification_id, "notification_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "ReplayNotification", context)

        replayed: list[Delivered] = []

        def replay(repo: Repository) -> pb.ReplayNotificationResponse:
            known = repo.notifications.get(request.notification_id, lock=True)
            if known is None:
                raise BoxofficeError(
                    Reason.NOTIFICATION_NOT_FOUND,
                    f"there is no notification {request.notification_id}",
                    metadata={"notification_id": request.notification_id},
                )
            replayed[:] = [self._intake.reapply(repo, known)]
            return pb.ReplayNotificationResponse(
                notification=convert.to_notification(replayed[0].notification)
            )

        response = await self._writes.once(key, request, pb.ReplayNotificationResponse, replay)
        for delivered in replayed:
            self._intake.tell(delivered)
        return response
