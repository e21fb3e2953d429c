"""Subscription events and entitlements in SQL.

Their ids are hashes, so their lists are ordered by time.
"""

from collections.abc import Collection, Sequence
from functools import cache

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, or_, select

from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    Environment,
    SubscriptionEvent,
)
from boxoffice_server.ports import EntitlementFilter, Standing, SubscriptionEventFilter
from boxoffice_server.storage.entitlement_codecs import (
    from_entitlement,
    from_subscription_event,
    to_bands,
    to_entitlement,
    to_subscription_event,
)
from boxoffice_server.storage.rows import (
    Statement,
    insert_if_absent,
    latest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.subscription_tables import (
    entitlements,
    subscription_events,
    subscription_products,
)
from boxoffice_server.storage.times import to_microseconds


class SqlSubscriptionEvents:
    """Implements ports.SubscriptionEventRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert_if_absent(self, event: SubscriptionEvent) -> bool:
        values = from_subscription_event(event)
        return insert_if_absent(self._session, subscription_events, values, "id")

    def get(self, event_id: str) -> SubscriptionEvent | None:
        row = one_row(self._session, subscription_events, id=event_id)
        return None if row is None else to_subscription_event(row)

    def of_lineage(self, lineage_id: str) -> list[SubscriptionEvent]:
        event = subscription_events.c
        query = select(subscription_events).where(event.lineage_id == lineage_id)
        rows = self._session.connection.execute(
            query.order_by(event.event_time, event.id)
        ).mappings()
        return [to_subscription_event(row) for row in rows]

    def update(self, event: SubscriptionEvent) -> None:
        update_row(self._session, subscription_events, from_subscription_event(event), "id")

    def find(
        self, wanted: SubscriptionEventFilter, *, before_id: str, limit: int
    ) -> list[SubscriptionEvent]:
        rows = latest_first(
            self._session,
            select(subscription_events).where(*_events_wanted(wanted)),
            time=subscription_events.c.event_time,
            key=subscription_events.c.id,
            before=before_id,
            limit=limit,
        )
        return [to_subscription_event(row) for row in rows]


def _events_wanted(wanted: SubscriptionEventFilter) -> list[ColumnElement[bool]]:
    event = subscription_events.c
    same = {
        event.user_id: wanted.user_id,
        event.lineage_id: wanted.lineage_id,
        event.entitlement_id: wanted.entitlement_id,
        event.subscription_group: wanted.group,
        event.source: wanted.source,
    }
    found = [column == value for column, value in same.items() if value]
    found.append(event.environment == wanted.environment.value)
    if wanted.types:
        found.append(event.type.in_([type_.value for type_ in wanted.types]))
    if wanted.from_time is not None:
        found.append(event.event_time >= to_microseconds(wanted.from_time))
    if wanted.until_time is not None:
        found.append(event.event_time < to_microseconds(wanted.until_time))
    if not wanted.superseded:
        found.append(event.superseded.is_(False))
    return found


_PLAIN = tuple(column for column in entitlements.c if column.name != "bands")
_NAMES = tuple(column.name for column in _PLAIN)
_PRESENT = entitlements.c.removed.is_(False)
_TIER = subscription_products.c.subscription_tier.label("catalogue_tier")
_RANK = subscription_products.c.rank.label("catalogue_rank")


@cache
def _standing(dialect: str) -> Statement:
    """Find what a user has of a group, beside the group's products whether he has them or not."""
    group: BindParameter[str] = bindparam("group")
    his = and_(
        entitlements.c.source_product_id == subscription_products.c.id,
        entitlements.c.user_id == bindparam("user_id"),
        entitlements.c.subscription_group == group,
        entitlements.c.environment == bindparam("environment"),
        _PRESENT,
    )
    answers = (_TIER, _RANK, *_PLAIN)
    query = select(*answers).select_from(subscription_products.outerjoin(entitlements, his))
    query = query.where(subscription_products.c.subscription_group == group)
    return Statement(dialect, query, answers=answers)


class SqlEntitlements:
    """Implements ports.EntitlementRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def upsert(self, entitlement: Entitlement, bands: Sequence[Band]) -> None:
        values = from_entitlement(entitlement, bands)
        if not insert_if_absent(self._session, entitlements, values, "id"):
            update_row(self._session, entitlements, values, "id")

    def remove(self, entitlement_id: str, version: int) -> None:
        values = {"id": entitlement_id, "removed": True, "version": version}
        update_row(self._session, entitlements, values, "id")

    def get(self, entitlement_id: str) -> Entitlement | None:
        found = self._found(entitlements.c.id == entitlement_id)
        return found[0] if found else None

    def bands(self, entitlement_ids: Collection[str]) -> dict[str, tuple[Band, ...]]:
        query = select(entitlements.c.id, entitlements.c.bands)
        query = query.where(_PRESENT, entitlements.c.id.in_(sorted(entitlement_ids)))
        return {id_: to_bands(bands) for id_, bands in self._session.connection.execute(query)}

    def versions(self, lineage_id: str) -> dict[str, int]:
        query = select(entitlements.c.id, entitlements.c.version)
        query = query.where(entitlements.c.lineage_id == lineage_id)
        return {row.id: row.version for row in self._session.connection.execute(query)}

    def of_lineage(self, lineage_id: str) -> list[Entitlement]:
        return self._found(entitlements.c.lineage_id == lineage_id)

    def of_user(self, user_id: str) -> list[Entitlement]:
        return self._found(entitlements.c.user_id == user_id)

    def standing(self, user_id: str, group: str, environment: Environment) -> Standing:
        values = {"user_id": user_id, "group": group, "environment": environment.value}
        rows = _standing(self._session.dialect).rows(self._session, values)
        return Standing(
            tiers={row["catalogue_tier"]: row["catalogue_rank"] for row in rows},
            entitlements=[to_entitlement(row) for row in rows if row["id"] is not None],
        )

    def of_users(
        self, user_ids: Collection[str], groups: Collection[str], environment: Environment
    ) -> list[Entitlement]:
        return self._found(
            entitlements.c.user_id.in_(sorted(user_ids)),
            entitlements.c.subscription_group.in_(sorted(groups)),
            entitlements.c.environment == environment.value,
        )

    def find(self, wanted: EntitlementFilter, *, before_id: str, limit: int) -> list[Entitlement]:
        rows = latest_first(
            self._session,
            select(*_PLAIN).where(*_entitlements_wanted(wanted)),
            time=entitlements.c.create_time,
            key=entitlements.c.id,
            before=before_id,
            limit=limit,
        )
        return [to_entitlement(row) for row in rows]

    def _found(self, *wanted: ColumnElement[bool]) -> list[Entitlement]:
        query = select(*_PLAIN).where(_PRESENT, *wanted)
        query = query.order_by(entitlements.c.create_time.desc(), entitlements.c.id.desc())
        # There may be hundreds; a mapping of SQLAlchemy's takes longer to look into than a dict.
        return [
            to_entitlement(dict(zip(_NAMES, row, strict=True)))
            for row in self._session.connection.execute(query)
        ]


def _entitlements_wanted(wanted: EntitlementFilter) -> list[ColumnElement[bool]]:
    entitlement = entitlements.c
    found: list[ColumnElement[bool]] = [
        _PRESENT,
        entitlement.environment == wanted.environment.value,
    ]
    if wanted.user_id:
        found.append(entitlement.user_id == wanted.user_id)
    if wanted.lineage_id:
        found.append(entitlement.lineage_id == wanted.lineage_id)
    if wanted.groups:
        found.append(entitlement.subscription_group.in_(wanted.groups))
    if wanted.source is not None:
        found.append(entitlement.source == wanted.source.value)
    if wanted.statuses:
        stands: ColumnElement[bool] = entitlement.status.in_(
            [status.value for status in wanted.statuses]
        )
        if wanted.time is not None:
            stands = or_(stands, entitlement.until_time <= to_microseconds(wanted.time))
        found.append(stands)
    return found
