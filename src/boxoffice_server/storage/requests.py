"""What was asked of the service and told to it: operations and notifications, in SQL."""

from sqlalchemy import ColumnElement, Connection, select

from boxoffice_server.domain.notification import Notification, Source
from boxoffice_server.ports import NotificationFilter, Operation, OperationKey
from boxoffice_server.storage.codecs import (
    from_notification,
    from_operation,
    to_notification,
    to_operation,
)
from boxoffice_server.storage.rows import insert_if_absent, newest_first, one_row, update_row
from boxoffice_server.storage.tables import notifications, operations


class SqlNotifications:
    """Implements ports.NotificationRepository."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, notification: Notification) -> bool:
        values = from_notification(notification)
        return insert_if_absent(
            self._connection, notifications, values, "source", "vendor_event_id"
        )

    def get(self, notification_id: str, *, lock: bool = False) -> Notification | None:
        row = one_row(self._connection, notifications, lock=lock, id=notification_id)
        return None if row is None else to_notification(row)

    def by_vendor_event(self, source: Source, vendor_event_id: str) -> Notification | None:
        row = one_row(
            self._connection,
            notifications,
            source=source.value,
            vendor_event_id=vendor_event_id,
        )
        return None if row is None else to_notification(row)

    def update(self, notification: Notification) -> None:
        update_row(self._connection, notifications, from_notification(notification), "id")

    def find(self, wanted: NotificationFilter, *, before_id: str, limit: int) -> list[Notification]:
        conditions: list[ColumnElement[bool]] = []
        if wanted.source is not None:
            conditions.append(notifications.c.source == wanted.source.value)
        if wanted.state is not None:
            conditions.append(notifications.c.state == wanted.state.value)
        if wanted.type:
            conditions.append(notifications.c.type == wanted.type)
        rows = newest_first(
            self._connection,
            select(notifications),
            key=notifications.c.id,
            before=before_id,
            limit=limit,
            wanted=conditions,
        )
        return [to_notification(row) for row in rows]


class SqlOperations:
    """Implements ports.OperationRepository."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, operation: Operation) -> bool:
        values = from_operation(operation)
        return insert_if_absent(
            self._connection, operations, values, "caller", "operation", "request_id"
        )

    def get(self, key: OperationKey, *, lock: bool = False) -> Operation | None:
        row = one_row(
            self._connection,
            operations,
            lock=lock,
            caller=key.caller,
            operation=key.operation,
            request_id=key.request_id,
        )
        return None if row is None else to_operation(row)

    def update(self, operation: Operation) -> None:
        changed = from_operation(operation)
        kept = ("caller", "operation", "request_id", "answer", "failed", "owner", "lease_time")
        values = {name: changed[name] for name in kept}
        update_row(self._connection, operations, values, "caller", "operation", "request_id")
