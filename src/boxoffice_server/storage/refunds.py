"""Refunds, disputes and payment methods in SQL.

Their ids may be hashes, so their lists are ordered by when they were made.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, Table, select

from boxoffice_server.domain.payment_method import PaymentMethod
from boxoffice_server.domain.refund import Dispute, Refund
from boxoffice_server.ports import DisputeFilter, MethodFilter, RefundFilter
from boxoffice_server.storage.payment_codecs import (
    from_dispute,
    from_method,
    from_refund,
    to_dispute,
    to_method,
    to_refund,
)
from boxoffice_server.storage.rows import (
    insert_if_absent,
    insert_row,
    latest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import disputes, payment_methods, refunds
from boxoffice_server.storage.times import to_microseconds


class SqlRefunds:
    """Implements ports.RefundRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, refund: Refund) -> None:
        insert_row(self._session, refunds, from_refund(refund))

    def get(self, refund_id: str) -> Refund | None:
        row = one_row(self._session, refunds, id=refund_id)
        return None if row is None else to_refund(row)

    def by_stripe_id(self, stripe_refund_id: str) -> Refund | None:
        row = one_row(self._session, refunds, stripe_refund_id=stripe_refund_id)
        return None if row is None else to_refund(row)

    def of_payment(self, payment_id: str) -> list[Refund]:
        return [to_refund(row) for row in _of_payment(self._session, refunds, payment_id)]

    def update(self, refund: Refund) -> None:
        update_row(self._session, refunds, from_refund(refund), "id")

    def find(self, wanted: RefundFilter, *, before_id: str, limit: int) -> list[Refund]:
        conditions = _conditions(refunds, wanted)
        return [
            to_refund(row)
            for row in _latest_first(self._session, refunds, conditions, before_id, limit)
        ]


class SqlDisputes:
    """Implements ports.DisputeRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, dispute: Dispute) -> None:
        insert_row(self._session, disputes, from_dispute(dispute))

    def get(self, dispute_id: str) -> Dispute | None:
        row = one_row(self._session, disputes, id=dispute_id)
        return None if row is None else to_dispute(row)

    def of_payment(self, payment_id: str) -> list[Dispute]:
        return [to_dispute(row) for row in _of_payment(self._session, disputes, payment_id)]

    def update(self, dispute: Dispute) -> None:
        update_row(self._session, disputes, from_dispute(dispute), "id")

    def find(self, wanted: DisputeFilter, *, before_id: str, limit: int) -> list[Dispute]:
        conditions = _conditions(disputes, wanted)
        return [
            to_dispute(row)
            for row in _latest_first(self._session, disputes, conditions, before_id, limit)
        ]


class SqlPaymentMethods:
    """Implements ports.PaymentMethodRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, method: PaymentMethod) -> bool:
        return insert_if_absent(self._session, payment_methods, from_method(method))

    def get(self, method_id: str, *, lock: bool = False) -> PaymentMethod | None:
        row = one_row(self._session, payment_methods, lock=lock, id=method_id)
        return None if row is None else to_method(row)

    def update(self, method: PaymentMethod) -> None:
        update_row(self._session, payment_methods, from_method(method), "id")

    def find(self, wanted: MethodFilter, *, before_id: str, limit: int) -> list[PaymentMethod]:
        conditions = [payment_methods.c.user_id == wanted.user_id]
        if not wanted.detached:
            conditions.append(payment_methods.c.detach_time.is_(None))
        found: list[PaymentMethod] = []
        while len(found) < limit:
            rows = _latest_first(self._session, payment_methods, conditions, before_id, limit)
            methods = [to_method(row) for row in rows]
            # A user has a handful of methods, so their tags are looked at here.
            found += [each for each in methods if not wanted.tag or wanted.tag in each.tags]
            if len(methods) < limit:
                break
            before_id = methods[-1].id
        return found[:limit]


def _of_payment(session: Session, table: Table, payment_id: str) -> Sequence[RowMapping]:
    query = select(table).where(table.c.payment_id == payment_id)
    query = query.order_by(table.c.create_time, table.c.id)
    return session.connection.execute(query).mappings().all()


def _conditions(table: Table, wanted: RefundFilter | DisputeFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.payment_id:
        found.append(table.c.payment_id == wanted.payment_id)
    if wanted.user_id:
        found.append(table.c.user_id == wanted.user_id)
    if wanted.statuses:
        found.append(table.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.from_time is not None:
        found.append(table.c.create_time >= to_microseconds(wanted.from_time))
    return found


def _latest_first(
    session: Session,
    table: Table,
    conditions: Sequence[ColumnElement[bool]],
    before_id: str,
    limit: int,
) -> Sequence[RowMapping]:
    return latest_first(
        session,
        select(table).where(*conditions),
        time=table.c.create_time,
        key=table.c.id,
        before=before_id,
        limit=limit,
    )
