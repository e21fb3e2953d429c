"""Everything the store keeps, as seen by one transaction."""

from sqlalchemy import Connection

from boxoffice_server.storage.duties import SqlDuties
from boxoffice_server.storage.entitlements import SqlEntitlements, SqlSubscriptionEvents
from boxoffice_server.storage.log import SqlLog
from boxoffice_server.storage.orders import SqlOrders
from boxoffice_server.storage.payments import SqlCustomers, SqlPayments
from boxoffice_server.storage.products import SqlProducts
from boxoffice_server.storage.refunds import SqlDisputes, SqlPaymentMethods, SqlRefunds
from boxoffice_server.storage.requests import SqlNotifications, SqlOperations
from boxoffice_server.storage.subscriptions import (
    SqlAccountTokens,
    SqlGrants,
    SqlLineages,
    SqlLinks,
    SqlSubscriptionFacts,
    SqlSubscriptionProducts,
)
from boxoffice_server.storage.tasks import SqlTasks


class SqlRepository:
    """Implements ports.Repository over one connection, which is in a transaction."""

    def __init__(self, connection: Connection, log: SqlLog) -> None:
        self.products = SqlProducts(connection)
        self.orders = SqlOrders(connection)
        self.payments = SqlPayments(connection)
        self.customers = SqlCustomers(connection)
        self.refunds = SqlRefunds(connection)
        self.disputes = SqlDisputes(connection)
        self.methods = SqlPaymentMethods(connection)
        self.tasks = SqlTasks(connection)
        self.notifications = SqlNotifications(connection)
        self.operations = SqlOperations(connection)
        self.subscription_products = SqlSubscriptionProducts(connection)
        self.subscription_facts = SqlSubscriptionFacts(connection)
        self.lineages = SqlLineages(connection)
        self.links = SqlLinks(connection)
        self.account_tokens = SqlAccountTokens(connection)
        self.subscription_events = SqlSubscriptionEvents(connection)
        self.entitlements = SqlEntitlements(connection)
        self.grants = SqlGrants(connection)
        self.duties = SqlDuties(connection)
        self.log = log
