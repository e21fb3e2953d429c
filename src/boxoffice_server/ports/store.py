"""The store, as seen by those who keep things in it and read them."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from boxoffice_server.domain.notification import (
    Notification,
    Source,
)
from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentFact,
)
from boxoffice_server.domain.payment_method import PaymentMethod
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.refund import (
    Dispute,
    Refund,
)
from boxoffice_server.domain.task import Task
from boxoffice_server.ports.filters import (
    DisputeFilter,
    MethodFilter,
    NotificationFilter,
    Operation,
    OperationKey,
    OrderFilter,
    PaymentFilter,
    RefundFilter,
    TaskFilter,
)
from boxoffice_server.ports.log import LogRepository
from boxoffice_server.ports.subscriptions import SubscriptionRepositories

T = TypeVar("T")


class KeyTakenError(Exception):
    """An operation could not be recorded: one with its key is there already."""


class OvertakenError(Exception):
    """An operation could not be ended: somebody else has ended it, or has taken it up."""


class ProductRepository(Protocol):
    """Products, the deleted ones included."""

    def insert(self, product: Product) -> None: ...
    def get(self, product_id: str, *, lock: bool = False) -> Product | None: ...
    def on_sale(self, product_id: str) -> Product | None:
        """Find a product for a transaction that writes: as it is when that is written."""
        ...

    def update(self, product: Product) -> None: ...
    def find(self, *, tag: str, before_id: str, limit: int) -> list[Product]:
        """List products that are not deleted, newest first, below `before_id` if not empty."""
        ...


class OrderRepository(Protocol):
    """Orders.

    Whoever changes an order locks it first, with `get(..., lock=True)`: the lock is held to the end
    of the transaction and keeps the order's events in commit order.
    """

    def insert(self, order: Order) -> None: ...
    def get(self, order_id: str, *, lock: bool = False) -> Order | None: ...
    def update(self, order: Order) -> None: ...
    def find(self, wanted: OrderFilter, *, before_id: str, limit: int) -> list[Order]:
        """List orders, newest first, those with a smaller id than `before_id` (all if empty)."""
        ...


class PaymentRepository(Protocol):
    """Payments, and the facts that move them.

    Whoever changes a payment locks it first; where it has an order, the order before it.
    """

    def insert(self, payment: Payment) -> None: ...
    def get(self, payment_id: str, *, lock: bool = False) -> Payment | None: ...
    def by_intent(self, stripe_payment_intent_id: str) -> Payment | None: ...
    def by_charge(self, stripe_charge_id: str) -> Payment | None: ...
    def update(self, payment: Payment) -> None: ...
    def find(self, wanted: PaymentFilter, *, before_id: str, limit: int) -> list[Payment]:
        """List payments, newest first, those with a smaller id than `before_id` (all if empty)."""
        ...

    def overdue(self, now: datetime, *, limit: int) -> list[Payment]:
        """List payments whose action deadline has passed while they wait for the customer."""
        ...

    def add_fact(self, payment_id: str, fact: PaymentFact) -> None:
        """Keep a fact about a payment; changes nothing if it was kept before.

        Whoever adds one that is new writes its payment too: one that was not written since has no
        other facts.
        """
        ...

    def facts(self, payment_id: str) -> list[PaymentFact]:
        """Answer all facts about a payment."""
        ...


class CustomerRepository(Protocol):
    """The vendor's customers, one for each of our users."""

    def keep(self, proposed: Customer) -> Customer:
        """Answer the customer of the proposed one's user; keep the proposed one if there is none.

        Safe under concurrent first calls: all get the same customer.
        """
        ...

    def get(self, user_id: str) -> Customer | None: ...
    def by_stripe_id(self, stripe_customer_id: str) -> Customer | None: ...
    def learn_stripe_id(self, user_id: str, stripe_customer_id: str) -> Customer:
        """Give a user's customer its vendor's id, unless it has one; answers the customer."""
        ...


class RefundRepository(Protocol):
    """Refunds. The lock of the payment guards them."""

    def insert(self, refund: Refund) -> None: ...
    def get(self, refund_id: str) -> Refund | None: ...
    def by_stripe_id(self, stripe_refund_id: str) -> Refund | None: ...
    def of_payment(self, payment_id: str) -> list[Refund]: ...
    def update(self, refund: Refund) -> None: ...
    def find(self, wanted: RefundFilter, *, before_id: str, limit: int) -> list[Refund]:
        """List refunds, newest first, those after `before_id` in that order (all if empty)."""
        ...


class DisputeRepository(Protocol):
    """Disputes. The lock of the payment guards them."""

    def insert(self, dispute: Dispute) -> None: ...
    def get(self, dispute_id: str) -> Dispute | None: ...
    def of_payment(self, payment_id: str) -> list[Dispute]: ...
    def update(self, dispute: Dispute) -> None: ...
    def find(self, wanted: DisputeFilter, *, before_id: str, limit: int) -> list[Dispute]:
        """List disputes, newest first, those after `before_id` in that order (all if empty)."""
        ...


class PaymentMethodRepository(Protocol):
    """Payment methods that users have saved, the detached ones included."""

    def insert(self, method: PaymentMethod) -> bool:
        """Keep a method. False, changing nothing, if it is there already."""
        ...

    def get(self, method_id: str, *, lock: bool = False) -> PaymentMethod | None: ...
    def update(self, method: PaymentMethod) -> None: ...
    def find(self, wanted: MethodFilter, *, before_id: str, limit: int) -> list[PaymentMethod]:
        """List methods, newest first, those after `before_id` in that order (all if empty)."""
        ...


class TaskRepository(Protocol):
    """Tasks, at most one per order."""

    def insert(self, task: Task) -> None: ...
    def get(self, task_id: str, *, lock: bool = False) -> Task | None: ...
    def by_order(self, order_id: str) -> Task | None: ...
    def update(self, task: Task) -> None: ...
    def claim(self, function_names: Sequence[str], *, now: datetime, limit: int) -> list[Task]:
        """Lock tasks that may be offered now, highest priority first, then oldest.

        Pending ones and offered ones whose `available_time` has come. Tasks that another
        transaction holds are passed over, not waited for.
        """
        ...

    def next_available(self, function_names: Sequence[str]) -> datetime | None:
        """Tell when the next of these functions' unfinished tasks may be offered; None: no task."""
        ...

    def find(self, wanted: TaskFilter, *, before_id: str, limit: int) -> list[Task]:
        """List tasks, newest first, those with a smaller id than `before_id` (all if empty)."""
        ...


class NotificationRepository(Protocol):
    """The inbox: each vendor event at most once."""

    def insert(self, notification: Notification) -> bool:
        """Keep a notification. False, changing nothing, if the vendor's event id is there already.

        Waits for a concurrent transaction that keeps the same one.
        """
        ...

    def get(self, notification_id: str, *, lock: bool = False) -> Notification | None: ...
    def named(self, notification_ids: Collection[str]) -> list[Notification]:
        """List those with these ids, in no order; one that is not there is left out."""
        ...

    def by_vendor_event(self, source: Source, vendor_event_id: str) -> Notification | None: ...
    def update(self, notification: Notification) -> None: ...
    def about(self, resource_id: str) -> list[Notification]:
        """List the notifications that tell of one of the vendor's objects."""
        ...

    def hold(self, *related_ids: str) -> None:
        """Lock the vendor's ids, which may be in no row yet, to the end of the transaction.

        Who keeps a notification as unrelated holds its id first and looks again: what another
        transaction was just learning is either found then, or released by it afterwards.
        """
        ...

    def release(self, *related_ids: str) -> None:
        """Have the unrelated notifications that speak of these applied again. Holds them first."""
        ...

    def find(self, wanted: NotificationFilter, *, before_id: str, limit: int) -> list[Notification]:
        """List notifications, newest first, those with a smaller id than `before_id`."""
        ...


class OperationRepository(Protocol):
    """What was asked for under which request id."""

    def insert(self, operation: Operation) -> bool:
        """Keep an operation. False, changing nothing, if its key is there already.

        Waits for a concurrent transaction that keeps the same key.
        """
        ...

    def record(self, operation: Operation) -> None:
        """Keep an operation; where its key is there already the transaction fails: KeyTakenError.

        Waits for a concurrent transaction that keeps the same key.
        """
        ...

    def get(self, key: OperationKey, *, lock: bool = False) -> Operation | None: ...
    def update(self, operation: Operation) -> None:
        """Write what has become of an operation that is there."""
        ...

    def end(self, operation: Operation, *, if_tries: int | None = None) -> None:
        """Write how an operation has ended.

        Where it has its answer already, or was taken up another number of times than `if_tries`,
        where that is given, the transaction fails: OvertakenError.
        """
        ...

    def unsettled_on(self, resource_id: str) -> list[Operation]:
        """List the operations on this whose outcome at the vendor is not known yet."""
        ...

    def claim(self, *, owner: str, now: datetime, alone: bool, limit: int) -> list[Operation]:
        """Lock unsettled operations that nobody holds, oldest first.

        One that is `alone` knows that whatever another owner holds was left by a crash. Operations
        that another transaction holds are passed over, not waited for.
        """
        ...


class Repository(SubscriptionRepositories, Protocol):
    """Everything the store keeps, as seen by one transaction. Never used outside of it."""

    @property
    def products(self) -> ProductRepository: ...
    @property
    def orders(self) -> OrderRepository: ...
    @property
    def payments(self) -> PaymentRepository: ...
    @property
    def customers(self) -> CustomerRepository: ...
    @property
    def refunds(self) -> RefundRepository: ...
    @property
    def disputes(self) -> DisputeRepository: ...
    @property
    def methods(self) -> PaymentMethodRepository: ...
    @property
    def tasks(self) -> TaskRepository: ...
    @property
    def notifications(self) -> NotificationRepository: ...
    @property
    def operations(self) -> OperationRepository: ...
    @property
    def log(self) -> LogRepository: ...

    def lock_sale(self, order_id: str, payment_id: str) -> tuple[Order | None, Payment | None]:
        """Lock an order, unless its id is empty, and then the payment that pays for it."""
        ...


class Store(Protocol):
    """Where everything is kept.

    A transaction body is a plain function of a Repository, with no I/O of its own: it may be run
    again after a deadlock or a serialization failure. A body that raises is rolled back. Every
    transaction runs to its end in a task of the store's, whatever becomes of the caller. A store
    that can't be reached raises STORE_UNAVAILABLE; a write may then have happened or not, and is
    found out by reading back, never by repeating it blindly.
    """

    async def write(self, body: Callable[[Repository], T]) -> T:
        """Run a transaction that changes things; returns once it is durable."""
        ...

    async def read(self, body: Callable[[Repository], T]) -> T:
        """Run a transaction that only reads."""
        ...

    async def read_once(self, body: Callable[[Repository], T]) -> T:
        """Run a body that reads one thing, which needs no transaction around it."""
        ...

    def on_advance(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the event loop whenever the log may have grown; returns how to stop it.

        A hint that may come late, twice or never; whoever listens polls as well.
        """
        ...

    async def open(self) -> None:
        """Connect, check that the schema is the one this release knows, start what runs along."""
        ...

    async def close(self) -> None:
        """Finish the running transactions and let go of everything."""
        ...
