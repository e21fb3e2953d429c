"""Payments and customers in SQL."""

from sqlalchemy import Connection

from boxoffice_server.domain.payment import Customer, Payment
from boxoffice_server.storage.codecs import from_customer, from_payment, to_customer, to_payment
from boxoffice_server.storage.rows import insert_if_absent, insert_row, one_row, update_row
from boxoffice_server.storage.tables import customers, payments


class SqlPayments:
    """Implements ports.PaymentRepository."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, payment: Payment) -> None:
        insert_row(self._connection, payments, from_payment(payment))

    def get(self, payment_id: str) -> Payment | None:
        row = one_row(self._connection, payments, id=payment_id)
        return None if row is None else to_payment(row)

    def by_intent(self, stripe_payment_intent_id: str) -> Payment | None:
        row = one_row(self._connection, payments, stripe_payment_intent_id=stripe_payment_intent_id)
        return None if row is None else to_payment(row)

    def update(self, payment: Payment) -> None:
        update_row(self._connection, payments, from_payment(payment), "id")

    def customer(self, proposed: Customer) -> Customer:
        row = one_row(self._connection, customers, user_id=proposed.user_id)
        if row is None:
            insert_if_absent(self._connection, customers, from_customer(proposed), "user_id")
            # Another transaction may have been faster.
            row = one_row(self._connection, customers, user_id=proposed.user_id)
        if row is None:
            raise LookupError("the user's customer is gone")
        return to_customer(row)

    def set_stripe_customer(self, user_id: str, stripe_customer_id: str) -> None:
        values = {"user_id": user_id, "stripe_customer_id": stripe_customer_id}
        update_row(self._connection, customers, values, "user_id")
