"""Everything the store keeps, as seen by one transaction."""

from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import Payment
from boxoffice_server.storage.duties import SqlDuties
from boxoffice_server.storage.entitlements import SqlEntitlements, SqlSubscriptionEvents
from boxoffice_server.storage.known import Known, KnownSale
from boxoffice_server.storage.log import SqlLog
from boxoffice_server.storage.orders import SqlOrders
from boxoffice_server.storage.payments import SqlCustomers, SqlPayments
from boxoffice_server.storage.products import SqlProducts
from boxoffice_server.storage.refunds import SqlDisputes, SqlPaymentMethods, SqlRefunds
from boxoffice_server.storage.requests import SqlNotifications, SqlOperations
from boxoffice_server.storage.rows import lock_rows
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.subscriptions import (
    SqlAccountTokens,
    SqlGrants,
    SqlLineages,
    SqlLinks,
    SqlSubscriptionFacts,
    SqlSubscriptionProducts,
)
from boxoffice_server.storage.tables import orders, payments
from boxoffice_server.storage.tasks import SqlTasks

PartT = TypeVar("PartT")


class _Part(Generic[PartT]):
    """One kind of things, made when a transaction first asks for it: few ask for more than five."""

    def __init__(self, make: Callable[[Session], PartT]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, repository: "SqlRepository", owner: type) -> PartT:
        # Python finds it there from now on.
        part = repository.__dict__[self._name] = self._make(repository.session)
        return part


class SqlRepository:
    """Implements ports.Repository over the session of one transaction."""

    orders = _Part(SqlOrders)
    payments = _Part(SqlPayments)
    customers = _Part(SqlCustomers)
    refunds = _Part(SqlRefunds)
    disputes = _Part(SqlDisputes)
    methods = _Part(SqlPaymentMethods)
    tasks = _Part(SqlTasks)
    notifications = _Part(SqlNotifications)
    operations = _Part(SqlOperations)
    subscription_products = _Part(SqlSubscriptionProducts)
    subscription_facts = _Part(SqlSubscriptionFacts)
    lineages = _Part(SqlLineages)
    links = _Part(SqlLinks)
    account_tokens = _Part(SqlAccountTokens)
    subscription_events = _Part(SqlSubscriptionEvents)
    entitlements = _Part(SqlEntitlements)
    grants = _Part(SqlGrants)
    duties = _Part(SqlDuties)

    def __init__(self, session: Session, log: SqlLog, known: Known | None = None) -> None:
        self.session = session
        self.log = log
        self._known = known

    @cached_property
    def products(self) -> SqlProducts:
        """Products, for which what is known of some is enough."""
        return SqlProducts(self.session, self._known.products if self._known else None)

    def lock_sale(self, order_id: str, payment_id: str) -> tuple[Order | None, Payment | None]:
        if not self.orders.holds(order_id) and not self.payments.holds(payment_id):
            sale = None if self._known is None else self._known.sales.take(payment_id)
            if sale is not None and sale.order_id == order_id:
                return self._assume(sale)
            if order_id:
                rows = lock_rows(self.session, ((orders, order_id), (payments, payment_id)))
                if rows is not None:
                    return self.orders.locked(rows[0]), self.payments.locked(rows[1])
        order = self.orders.get(order_id, lock=True) if order_id else None
        return order, self.payments.get(payment_id, lock=True)

    def _assume(self, sale: KnownSale) -> tuple[Order | None, Payment]:
        """Lock a payment and its order, and take them to be as they were."""
        self.session.write(sale.lock())
        if sale.order is not None:
            self.orders.hold(sale.order)
        self.payments.hold(sale.payment)
        return sale.order, sale.payment

    def keep_sales(self, writer: int) -> None:
        """Keep what this transaction has made, for the next one about it.

        To be called once it has committed: `writer` is its id.
        """
        if self._known is None:
            return
        for payment in self.payments.made():
            order = self.orders.made(payment.order_id) if payment.order_id else None
            if order is not None or not payment.order_id:
                sale = KnownSale(payment=payment, order=order, writer=writer)
                self._known.sales.keep(payment.id, sale)
