"""Everything the store keeps, as seen by one transaction."""

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


class SqlRepository:
    """Implements ports.Repository over the session of one transaction."""

    def __init__(self, session: Session, log: SqlLog, known: Known | None = None) -> None:
        self._session = session
        self._known = known
        self.products = SqlProducts(session, known.products if known else None)
        self.orders = SqlOrders(session)
        self.payments = SqlPayments(session)
        self.customers = SqlCustomers(session)
        self.refunds = SqlRefunds(session)
        self.disputes = SqlDisputes(session)
        self.methods = SqlPaymentMethods(session)
        self.tasks = SqlTasks(session)
        self.notifications = SqlNotifications(session)
        self.operations = SqlOperations(session)
        self.subscription_products = SqlSubscriptionProducts(session)
        self.subscription_facts = SqlSubscriptionFacts(session)
        self.lineages = SqlLineages(session)
        self.links = SqlLinks(session)
        self.account_tokens = SqlAccountTokens(session)
        self.subscription_events = SqlSubscriptionEvents(session)
        self.entitlements = SqlEntitlements(session)
        self.grants = SqlGrants(session)
        self.duties = SqlDuties(session)
        self.log = log

    def lock_sale(self, order_id: str, payment_id: str) -> tuple[Order | None, Payment | None]:
        if not self.orders.holds(order_id) and not self.payments.holds(payment_id):
            sale = None if self._known is None else self._known.sales.take(payment_id)
            if sale is not None and sale.order_id == order_id:
                return self._assume(sale)
            if order_id:
                rows = lock_rows(self._session, ((orders, order_id), (payments, payment_id)))
                if rows is not None:
                    return self.orders.locked(rows[0]), self.payments.locked(rows[1])
        order = self.orders.get(order_id, lock=True) if order_id else None
        return order, self.payments.get(payment_id, lock=True)

    def _assume(self, sale: KnownSale) -> tuple[Order | None, Payment]:
        """Lock a payment and its order, and take them to be as they were."""
        self._session.write(sale.lock())
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
