"""What was asked of the service and told to it: operations and notifications, in SQL."""

import zlib
from collections.abc import Collection
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update

from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.ports import NotificationFilter, Operation, OperationKey, OvertakenError
from boxoffice_server.storage.codecs import (
    from_notification,
    from_operation,
    to_notification,
    to_operation,
)
from boxoffice_server.storage.rows import (
    Statement,
    insert_if_absent,
    insert_row,
    newest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import ONE, Session, Write, unheeded
from boxoffice_server.storage.tables import UNSETTLED, notifications, operations
from boxoffice_server.storage.times import to_microseconds


@cache
def _release_locked(count: int) -> str:
    """Write what locks so many names and then releases what is kept under them.

    A statement that took the locks itself would see notifications as they were before it had them.
    The arrays are made there: of one as a parameter asyncpg first asks each connection for its
    type, which takes 10 ms.
    """
    locks = ", ".join(f"${number}::integer" for number in range(1, count + 1))
    names = ", ".join(f"${number}::text" for number in range(count + 1, 2 * count + 1))
    return f"SELECT release_notifications(ARRAY[{locks}], ARRAY[{names}])"


def _locks(names: Collection[str]) -> list[int]:
    """Number the locks on names, in one order for all, so that none waits in a circle."""
    return sorted(zlib.crc32(name.encode()) - (1 << 31) for name in names)


def _hold(names: Collection[str]) -> str:
    # The first number keeps these apart from all other advisory locks.
    return f"SELECT {', '.join(f'pg_advisory_xact_lock(1, {each})' for each in _locks(names))}"


@cache
def _release(count: int) -> Statement:
    query = update(notifications).where(
        notifications.c.related_id.in_([bindparam(f"related_{each}") for each in range(count)]),
        notifications.c.state == bindparam("unrelated", NotificationState.UNRELATED.value),
    )
    return Statement(
        "sqlite", query.values(state=bindparam("waiting", NotificationState.WAITING.value))
    )


class SqlNotifications:
    """Implements ports.NotificationRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, notification: Notification) -> bool:
        values = from_notification(notification)
        return insert_if_absent(self._session, notifications, values, "source", "vendor_event_id")

    def get(self, notification_id: str, *, lock: bool = False) -> Notification | None:
        row = one_row(self._session, notifications, lock=lock, id=notification_id)
        return None if row is None else to_notification(row)

    def named(self, notification_ids: Collection[str]) -> list[Notification]:
        query = select(notifications).where(notifications.c.id.in_(sorted(notification_ids)))
        return [to_notification(row) for row in self._session.connection.execute(query).mappings()]

    def by_vendor_event(self, source: Source, vendor_event_id: str) -> Notification | None:
        row = one_row(
            self._session,
            notifications,
            source=source.value,
            vendor_event_id=vendor_event_id,
        )
        return None if row is None else to_notification(row)

    def update(self, notification: Notification) -> None:
        update_row(self._session, notifications, from_notification(notification), "id")

    def about(self, resource_id: str) -> list[Notification]:
        query = select(notifications).where(notifications.c.resource_id == resource_id)
        query = query.order_by(notifications.c.id)
        return [to_notification(row) for row in self._session.connection.execute(query).mappings()]

    def hold(self, *related_ids: str) -> None:
        # SQLite has a single writer, so there every transaction that writes holds all locks.
        if self._session.dialect == "postgresql":
            self._session.lock(_hold(related_ids))

    def release(self, *related_ids: str) -> None:
        row = (notifications.name,)
        if self._session.dialect == "postgresql":
            sql = _release_locked(len(related_ids))
            arguments = (*_locks(related_ids), *related_ids)
            self._session.write(Write(sql=sql, arguments=arguments, row=row, tell=unheeded))
            return
        values = {f"related_{number}": each for number, each in enumerate(related_ids)}
        _release(len(related_ids)).write(self._session, values, row=row)

    def find(self, wanted: NotificationFilter, *, before_id: str, limit: int) -> list[Notification]:
        conditions: list[ColumnElement[bool]] = []
        if wanted.source is not None:
            conditions.append(notifications.c.source == wanted.source.value)
        if wanted.state is not None:
            conditions.append(notifications.c.state == wanted.state.value)
        if wanted.type:
            conditions.append(notifications.c.type == wanted.type)
        rows = newest_first(
            self._session,
            select(notifications),
            key=notifications.c.id,
            before=before_id,
            limit=limit,
            wanted=conditions,
        )
        return [to_notification(row) for row in rows]


class SqlOperations:
    """Implements ports.OperationRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, operation: Operation) -> bool:
        values = from_operation(operation)
        return insert_if_absent(self._session, operations, values, *_KEY)

    def record(self, operation: Operation) -> None:
        insert_row(self._session, operations, from_operation(operation), *_KEY)

    def get(self, key: OperationKey, *, lock: bool = False) -> Operation | None:
        row = one_row(
            self._session,
            operations,
            lock=lock,
            caller=key.caller,
            operation=key.operation,
            request_id=key.request_id,
        )
        return None if row is None else to_operation(row)

    def update(self, operation: Operation) -> None:
        changed = from_operation(operation)
        values = {name: changed[name] for name in _CHANGING}
        update_row(self._session, operations, values, *_KEY)

    def end(self, operation: Operation, *, if_tries: int | None = None) -> None:
        changed = from_operation(operation)
        values = {name: changed[name] for name in _ENDING}
        values |= {f"{name}_": changed[name] for name in _KEY}
        if if_tries is not None:
            values["if_tries"] = if_tries
        statement = _end(self._session.dialect, counts_tries=if_tries is not None)
        row = (operations.name, *(changed[name] for name in _KEY))
        statement.write(self._session, values, row=row, tell=_check_ended, must=ONE)

    def unsettled_on(self, resource_id: str) -> list[Operation]:
        query = select(operations).where(UNSETTLED, operations.c.resource_id == resource_id)
        return [to_operation(row) for row in self._session.connection.execute(query).mappings()]

    def claim(self, *, owner: str, now: datetime, alone: bool, limit: int) -> list[Operation]:
        lease = operations.c.lease_time
        free = or_(lease.is_(None), lease <= to_microseconds(now))
        if alone:
            others = and_(operations.c.owner != owner, operations.c.owner != "")
            free = or_(free, others)
        query = select(operations).where(UNSETTLED, free)
        query = query.order_by(operations.c.create_time).limit(limit)
        query = query.with_for_update(skip_locked=True, key_share=True)
        return [to_operation(row) for row in self._session.connection.execute(query).mappings()]


def _check_ended(count: int) -> None:
    if count != 1:
        raise OvertakenError


_KEY = ("caller", "operation", "request_id")
# What an operation has learned when it ends, and what else may change of it before.
_ENDING = ("resource_id", "details", "answer", "failed", "settled", "owner", "lease_time")
_CHANGING = (*_KEY, *_ENDING, "tries", "attempt", "key_spent")


@cache
def _end(dialect: str, *, counts_tries: bool) -> Statement:
    query = update(operations).where(
        *(operations.c[name] == bindparam(f"{name}_") for name in _KEY),
        operations.c.answer.is_(None),
    )
    if counts_tries:
        query = query.where(operations.c.tries == bindparam("if_tries"))
    return Statement(dialect, query.values({name: bindparam(name) for name in _ENDING}))
