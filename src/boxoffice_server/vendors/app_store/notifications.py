"""The App Store's notifications: who signed them, for whom, and what they say.

https://developer.apple.com/documentation/appstoreservernotifications
"""

from collections.abc import Mapping
from datetime import datetime

import structlog

from boxoffice_server.domain.notification import (
    Nothing,
    Notification,
    Quarantine,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.vendors.app_store.facts import Signed, full_type, notification_fact
from boxoffice_server.vendors.app_store.recipients import (
    Opened,
    open_notification,
    signed_payload,
)
from boxoffice_server.vendors.app_store.table import TYPES, is_documented
from boxoffice_server.vendors.app_store.verification import AppStoreVerification, malformed
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError


class AppStoreNotificationSource:
    """Verifies and reads the App Store's notifications.

    A notification that was verified once is read again without its signatures: they are part of
    what is kept.
    """

    def __init__(self, verification: AppStoreVerification) -> None:
        self._verification = verification
        self._log = structlog.get_logger(part="app-store")

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> VerifiedNotification:
        del headers
        return self._read(await self._verification.notification(body, now=now), body)

    async def verify_history(self, body: bytes, *, now: datetime) -> VerifiedNotification:
        """Verify a notification of Apple's history: its chain is judged by the day it was signed.

        Raises as `verify` does.
        """
        opened = await self._verification.notification(body, now=now, live=False)
        return self._read(opened, body)

    def tidings(self, notification: VerifiedNotification | Notification) -> Tidings | None:
        try:
            opened = open_notification(signed_payload(notification.body))
            why = self._verification.recipients.stranger(opened)
            if why:
                return Quarantine(why=why)
            return self._fact(opened, notification)
        except MalformedObjectError as error:
            raise malformed(str(error)) from error

    def clock_offset(self, notification: VerifiedNotification) -> int | None:
        del notification
        return None

    def _read(self, opened: Opened, body: bytes) -> VerifiedNotification:
        try:
            return _kept(opened, body)
        except MalformedObjectError as error:
            raise malformed(str(error)) from error

    def _fact(
        self, opened: Opened, notification: VerifiedNotification | Notification
    ) -> Tidings | None:
        payload = opened.payload
        type_, subtype = payload.identifier("notificationType"), payload.text("subtype")
        if not is_documented(type_, subtype):
            self._log.error("a notification of an unknown kind", type=full_type(type_, subtype))
        fact = notification_fact(
            payload,
            Signed(
                transaction=opened.transaction,
                renewal=opened.renewal,
                status=payload.child("data").count("status"),
            ),
            # Whoever keeps the notification says under which id, and when.
            notification_id="",
            record_time=notification.event_time,
        )
        if fact is None and type_ in TYPES:
            return Nothing()
        return fact


def _kept(opened: Opened, body: bytes) -> VerifiedNotification:
    """Read what is kept of a notification."""
    payload = opened.payload
    inside = JsonObject(opened.transaction or opened.renewal or {})
    return VerifiedNotification(
        source=Source.APP_STORE,
        vendor_event_id=payload.identifier("notificationUUID"),
        type=full_type(payload.identifier("notificationType"), payload.text("subtype")),
        resource_id=inside.text("originalTransactionId"),
        event_time=payload.milliseconds("signedDate"),
        body=body,
    )
