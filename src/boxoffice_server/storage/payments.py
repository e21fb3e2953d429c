"""Payments, and the facts that move them, in SQL."""

from dataclasses import replace
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, bindparam, select

from boxoffice_server.domain.payment import CUSTOMERS_TURN, Customer, Payment, PaymentFact
from boxoffice_server.ports import PaymentFilter
from boxoffice_server.storage.codecs import from_fact, to_fact
from boxoffice_server.storage.payment_codecs import (
    from_customer,
    from_payment,
    to_customer,
    to_payment,
)
from boxoffice_server.storage.rows import (
    Row,
    Statement,
    insert_if_absent,
    insert_row,
    keep_row,
    newest_first,
    one_row,
    update_row,
)
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import OVERDUE, customers, payment_facts, payments
from boxoffice_server.storage.times import to_microseconds


@cache
def _facts(dialect: str) -> Statement:
    query = select(payment_facts).where(payment_facts.c.payment_id == bindparam("payment_id"))
    query = query.order_by(payment_facts.c.event_time, payment_facts.c.fact_id)
    return Statement(dialect, query, answers=tuple(payment_facts.c), of=payment_facts.name)


class SqlPayments:
    """Implements ports.PaymentRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # Those that nobody else can change before this transaction ends.
        self._held: dict[str, Payment] = {}
        # Those among them that have no facts: inserted here, or known to be as they were then.
        self._bare: set[str] = set()
        self._made: list[str] = []

    def insert(self, payment: Payment) -> None:
        insert_row(self._session, payments, from_payment(payment))
        self.hold(payment)
        self._made.append(payment.id)

    def hold(self, payment: Payment) -> None:
        """Take one to be as it is here, locked and without facts."""
        self._held[payment.id] = payment
        self._bare.add(payment.id)

    def made(self) -> list[Payment]:
        """Answer the payments that this transaction has inserted, and no facts of theirs."""
        return [self._held[each] for each in self._made if each in self._bare]

    def get(self, payment_id: str, *, lock: bool = False) -> Payment | None:
        if payment_id in self._held:
            return self._held[payment_id]
        row = one_row(self._session, payments, lock=lock, id=payment_id)
        if row is None:
            return None
        return self.locked(row) if lock else to_payment(row)

    def holds(self, payment_id: str) -> bool:
        """Tell whether nobody else can change it before this transaction ends."""
        return payment_id in self._held

    def locked(self, row: Row) -> Payment:
        """Take in a row that was locked."""
        payment = self._held[row["id"]] = to_payment(row)
        return payment

    def by_intent(self, stripe_payment_intent_id: str) -> Payment | None:
        row = one_row(self._session, payments, stripe_payment_intent_id=stripe_payment_intent_id)
        return None if row is None else to_payment(row)

    def by_charge(self, stripe_charge_id: str) -> Payment | None:
        row = one_row(self._session, payments, stripe_charge_id=stripe_charge_id)
        return None if row is None else to_payment(row)

    def update(self, payment: Payment) -> None:
        update_row(self._session, payments, from_payment(payment), "id")
        self._held[payment.id] = payment

    def find(self, wanted: PaymentFilter, *, before_id: str, limit: int) -> list[Payment]:
        rows = newest_first(
            self._session,
            select(payments),
            key=payments.c.id,
            before=before_id,
            limit=limit,
            wanted=_conditions(wanted),
        )
        return [to_payment(row) for row in rows]

    def overdue(self, now: datetime, *, limit: int) -> list[Payment]:
        waiting = payments.c.status.in_(sorted(CUSTOMERS_TURN))
        due = payments.c.action_deadline <= to_microseconds(now)
        query = select(payments).where(OVERDUE, waiting, due)
        query = query.order_by(payments.c.action_deadline).limit(limit)
        return [to_payment(row) for row in self._session.connection.execute(query).mappings()]

    def add_fact(self, payment_id: str, fact: PaymentFact) -> None:
        self._bare.discard(payment_id)
        values = {"payment_id": payment_id, **from_fact(fact)}
        keep_row(self._session, payment_facts, values, "payment_id", "fact_id")

    def facts(self, payment_id: str) -> list[PaymentFact]:
        if payment_id in self._bare:
            return []
        statement = _facts(self._session.dialect)
        return [to_fact(row) for row in statement.rows(self._session, {"payment_id": payment_id})]


class SqlCustomers:
    """Implements ports.CustomerRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def keep(self, proposed: Customer) -> Customer:
        known = self.get(proposed.user_id)
        if known is None:
            insert_if_absent(self._session, customers, from_customer(proposed), "user_id")
            # Another transaction may have been faster.
            known = self.get(proposed.user_id)
        if known is None:
            raise LookupError("the user's customer is gone")
        return known

    def get(self, user_id: str) -> Customer | None:
        row = one_row(self._session, customers, user_id=user_id)
        return None if row is None else to_customer(row)

    def by_stripe_id(self, stripe_customer_id: str) -> Customer | None:
        row = one_row(self._session, customers, stripe_customer_id=stripe_customer_id)
        return None if row is None else to_customer(row)

    def learn_stripe_id(self, user_id: str, stripe_customer_id: str) -> Customer:
        row = one_row(self._session, customers, lock=True, user_id=user_id)
        if row is None:
            raise LookupError("the user's customer is gone")
        known = to_customer(row)
        if known.stripe_customer_id:
            return known
        learned = replace(known, stripe_customer_id=stripe_customer_id)
        update_row(self._session, customers, from_customer(learned), "id")
        return learned


def _conditions(wanted: PaymentFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.user_id:
        found.append(payments.c.user_id == wanted.user_id)
    if wanted.order_id:
        found.append(payments.c.order_id == wanted.order_id)
    if wanted.statuses:
        found.append(payments.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.from_time is not None:
        found.append(payments.c.create_time >= to_microseconds(wanted.from_time))
    if wanted.until_time is not None:
        found.append(payments.c.create_time < to_microseconds(wanted.until_time))
    return found
