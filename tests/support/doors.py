"""The two ways in for what the App Store posts."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.readings import notification_states


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The two ways in for notifications."""

    url: str
    webhooks: WebhooksServiceStub

    def post(self, body: bytes) -> tuple[int, str]:
        """Post as Apple does; answers the status, and the reason of a refusal."""
        request = urllib.request.Request(  # noqa: S310 -- always http to loopback
            f"{self.url}/webhooks/app-store", data=body
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
                return answer.status, ""
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["reason"]

    def deliver(self, body: bytes) -> pb.DeliverNotificationResponse:
        """Deliver as a gateway of a caller's does."""
        return self.webhooks.DeliverNotification(
            pb.DeliverNotificationRequest(source=pb.NOTIFICATION_SOURCE_APP_STORE, body=body)
        )

    def kept(self) -> dict[str, str]:
        """What is kept of the App Store's, by its UUID."""
        return notification_states(self.webhooks)
