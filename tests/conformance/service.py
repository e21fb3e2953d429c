"""The service as a subject of the conformance suite: the whole of it, on a real store."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from boxoffice_server.app import Application
from boxoffice_server.domain import order, payment
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.order import OrderEvent, OrderStatus
from boxoffice_server.domain.payment import (
    Payment,
    PaymentEvent,
    PaymentState,
    PaymentStatus,
)
from boxoffice_server.domain.product import DataValue
from boxoffice_server.domain.stream import LogBounds, Token, TokenKind
from boxoffice_server.domain.subscription import (
    EntitlementChange,
    Environment,
    SubscriptionEvent,
)
from boxoffice_server.ports import LogEvent, Repository, Store
from tests.conformance.checker import (
    Rpc,
    Written,
    watch_entitlements,
    watch_orders,
    watch_payments,
    watch_subscription_events,
)
from tests.storage.samples import an_order
from tests.streaming.reading import numbered
from tests.support.service import service_settings
from tests.support.stores import appended
from tests.support.subscriptions import a_key, a_subscription_event, an_entitlement

# What a Watch RPC tells of, and what stands beside it in the log, for nobody who watches by it.
Told = tuple[LogEvent, LogEvent]


class ServiceSubject:
    """Writes sales straight to the store of a running service, which is watched from outside.

    Each is a thing that is watched and another that is not, made in one transaction.
    """

    def __init__(self, application: Application, address: str, rpc: Rpc = watch_orders) -> None:
        self.address = address
        self.written: list[Written] = []
        self.rpc = rpc
        self._application = application
        self.drained = False

    @property
    def store(self) -> Store:
        """The service's own store."""
        return self._application._store

    async def write(self, size: int = 1, *, user_id: str = "user-1", bytes_each: int = 0) -> str:
        transaction = self.written[-1].transaction + 1 if self.written else 1
        written = [Written(transaction, index, size) for index in range(size)]
        now = datetime.now(UTC)
        sales = [self._sale(each, now, user_id=user_id, size=bytes_each) for each in written]

        def body(repo: Repository) -> Token:
            return appended(repo, *(event for sale in sales for event in sale))

        token = await self.store.write(body)
        self.written += written
        return token.encode()

    def _sale(self, written: Written, now: datetime, *, user_id: str, size: int) -> Told:
        """Make the events of a sale, the watched one first and with as many bytes."""
        hidden = payment_event if self.rpc is watch_orders else order_event
        return (
            _WATCHED[self.rpc](written, now, user_id=user_id, size=size),
            hidden(written, now, user_id=user_id),
        )

    async def compact(self) -> None:
        # What was written last may not be numbered yet.
        await numbered(self.store, 2 * len(self.written))
        ahead = datetime.now(UTC) + timedelta(days=1)
        await self.store.write(lambda repo: repo.log.compact(before=ahead))

    async def drain(self) -> None:
        self.drained = True
        await self._application.stop()

    async def foreign_token(self) -> str:
        return Token(log_id=uuid.uuid4(), kind=TokenKind.POSITION, number=0).encode()

    async def token_ahead(self) -> str:
        bounds = await self._bounds()
        return replace(bounds.head_token(), number=bounds.head + 1000).encode()

    async def _bounds(self) -> LogBounds:
        return await self.store.read(lambda repo: repo.log.bounds())


def order_event(written: Written, now: datetime, *, user_id: str, size: int = 0) -> OrderEvent:
    """The event that made the order which stands for what was written."""
    sample = an_order(1, user_id=user_id, status=OrderStatus.CREATED)
    data: dict[str, DataValue] = {"seat": "x" * size}
    return order.created(
        replace(
            sample,
            id=written.order_id(),
            payment_id=written.payment_id(),
            data=data,
            vendor_events=(),
            create_time=now,
            update_time=now,
        )
    )


def payment_event(written: Written, now: datetime, *, user_id: str, size: int = 0) -> PaymentEvent:
    """The event that made the payment which stands for what was written."""
    return payment.created(
        Payment(
            id=written.payment_id(),
            user_id=user_id,
            order_id=written.order_id(),
            created_by="shop",
            description="x" * size,
            amount=Money(amount=1250, currency="eur"),
            state=PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD),
            create_time=now,
            update_time=now,
        )
    )


def subscription_event(
    written: Written, now: datetime, *, user_id: str, size: int = 0
) -> SubscriptionEvent:
    """The event of a subscription that stands for what was written."""
    sample = a_subscription_event(key=a_key(environment=Environment.SANDBOX), user_id=user_id)
    return replace(
        sample,
        id=written.subscription_event_id(),
        promotion_reference="x" * size,
        event_time=now,
        create_time=now,
    )


def entitlement_change(
    written: Written, now: datetime, *, user_id: str, size: int = 0
) -> EntitlementChange:
    """The first version of the entitlement that stands for what was written."""
    sample = an_entitlement(key=a_key(environment=Environment.SANDBOX), user_id=user_id)
    entitlement = replace(sample, id=written.entitlement_id(), vendor_product_id="x" * size)
    return EntitlementChange(entitlement=entitlement, create_time=now)


_WATCHED: dict[Rpc, Callable[..., LogEvent]] = {
    watch_orders: order_event,
    watch_payments: payment_event,
    watch_subscription_events: subscription_event,
    watch_entitlements: entitlement_change,
}


@asynccontextmanager
async def serving_service(
    database_url: str, rpc: Rpc = watch_orders, **variables: str
) -> AsyncIterator[ServiceSubject]:
    """Run a service on a database with all tables, to be watched by one of its RPCs."""
    application = Application(service_settings(database_url, **variables))
    doors = await application.start()
    subject = ServiceSubject(application, str(doors.grpc), rpc)
    try:
        yield subject
    finally:
        if not subject.drained:
            await application.stop()
