"""What the service needs of the world: its store, its vendors and its clock.

Each Protocol is implemented by one adapter and chosen in `app.py`. The adapters don't repeat what
is said here.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import (
    Notification,
    NotificationState,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.order import Order, OrderEvent, OrderStatus
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentEvent,
    PaymentFact,
    PaymentMethodType,
    PaymentStatus,
    Reuse,
)
from boxoffice_server.domain.payment_method import MethodNews, PaymentMethod
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.refund import (
    Dispute,
    DisputeNews,
    DisputeStatus,
    Refund,
    RefundNews,
    RefundStatus,
)
from boxoffice_server.domain.stream import Frame, LogBounds, LogFilter, LogRecord, Start, Token
from boxoffice_server.domain.task import Task, TaskState

T = TypeVar("T")


class Clock(Protocol):
    """The two clocks of the service. Both answer aware UTC times."""

    def now(self) -> datetime:
        """Business time: real time plus the store's offset. For facts, signatures and records."""
        ...

    def real_now(self) -> datetime:
        """Real time. For leases and back-off, which no sandbox may stretch."""
        ...


# -- the store ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders to list. An empty field asks for nothing."""

    order_ids: tuple[str, ...] = ()
    user_id: str = ""
    target_user_id: str = ""
    statuses: tuple[OrderStatus, ...] = ()
    product_id: str = ""
    tag: str = ""
    from_time: datetime | None = None
    until_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments to list. An empty field asks for nothing."""

    user_id: str = ""
    order_id: str = ""
    statuses: tuple[PaymentStatus, ...] = ()
    from_time: datetime | None = None
    until_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilter:
    """Which refunds to list. An empty field asks for nothing."""

    payment_id: str = ""
    user_id: str = ""
    statuses: tuple[RefundStatus, ...] = ()
    from_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes to list. An empty field asks for nothing."""

    payment_id: str = ""
    user_id: str = ""
    statuses: tuple[DisputeStatus, ...] = ()
    from_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFilter:
    """Which payment methods of a user to list. An empty tag asks for nothing."""

    user_id: str
    tag: str = ""
    detached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list. An empty field asks for nothing."""

    function_name: str = ""
    states: tuple[TaskState, ...] = ()
    order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications to list. An empty field asks for nothing."""

    source: Source | None = None
    state: NotificationState | None = None
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationKey:
    """Names one write of one caller: the scope of a request id."""

    caller: str
    operation: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One write that was asked for.

    `fingerprint` tells its request from another with the same key. `resource_id` names what it is
    about, and `details` is what else it takes to do it, so that anyone can take it up again.
    `answer` is what the caller was told, serialised, and None while it runs; `failed` says that the
    answer is an error. `settled` says that what became of it at the vendor is known and recorded.

    While it runs, `owner` holds it until `lease_time`; where nobody does, that is when the janitor
    may take it up, which a caller need not wait for. Both are in real time. `tries` counts how
    often it was taken up, `attempt` the vendor's keys it has used: a new one only where the last is
    `key_spent`, which is to say that the vendor will answer the same failure to it for ever.
    """

    id: str = ""
    key: OperationKey
    fingerprint: bytes
    resource_id: str
    details: Mapping[str, str] = field(default_factory=dict)
    answer: bytes | None
    failed: bool = False
    settled: bool = False
    owner: str = ""
    lease_time: datetime | None = None
    tries: int = 0
    attempt: int = 1
    key_spent: bool = False
    create_time: datetime

    @property
    def vendor_key(self) -> str:
        """Tell the idempotency key of its next request to the vendor: kept before it is used."""
        return f"boxoffice-{self.id}-{self.attempt}"


class ProductRepository(Protocol):
    """Products, the deleted ones included."""

    def insert(self, product: Product) -> None: ...
    def get(self, product_id: str, *, lock: bool = False) -> Product | None: ...
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

    def add_fact(self, payment_id: str, fact: PaymentFact) -> bool:
        """Keep a fact about a payment. False, changing nothing, if it was kept before."""
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
    def by_vendor_event(self, source: Source, vendor_event_id: str) -> Notification | None: ...
    def update(self, notification: Notification) -> None: ...
    def about(self, resource_id: str) -> list[Notification]:
        """List the notifications that tell of one of the vendor's objects."""
        ...

    def release(self, related_id: str) -> bool:
        """Have the unrelated notifications that speak of this applied again; tell if any do."""
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

    def get(self, key: OperationKey, *, lock: bool = False) -> Operation | None: ...
    def update(self, operation: Operation) -> None:
        """Write what has become of an operation that is there."""
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


LogEvent = OrderEvent | PaymentEvent | Product
"""What the log tells."""


class LogRepository(Protocol):
    """The one event log.

    Appends become visible to readers once they are numbered: within the transaction on SQLite,
    after the commit on PostgreSQL. Positions are dense and rise in the order of visibility.
    """

    def append(self, event: LogEvent) -> Token:
        """Append an event to the transaction's group; answers a token that lies just behind it.

        All events of one transaction are numbered next to each other, in the order appended. An
        event whose id the log holds already is not appended again. Whoever appends several events
        locks what they are about first, so that the events of each subject keep commit order.
        """
        ...

    def here(self) -> Token:
        """Answer the token that lies behind all this transaction has appended; else the head's."""
        ...

    def append_clock(self, offset_seconds: int, now: datetime) -> Token:
        """Set the offset of business time, and append that it was.

        The record's kind is CLOCK, and its payload the offset in decimal digits.
        """
        ...

    def clock_offset(self) -> int:
        """Answer the offset of business time, in seconds."""
        ...

    def bounds(self) -> LogBounds:
        """Answer what the log holds now."""
        ...

    def read(
        self, *, after: int, limit: int, wanted: LogFilter | None = None
    ) -> tuple[list[LogRecord], int]:
        """Read on from a position: at most `limit` records, and how far they are complete.

        Complete up to the last record's position where the limit was reached, else up to the head
        as it was before the rows were read: nothing that matches and lies below is missing.
        Raises POSITION_COMPACTED and POSITION_AHEAD.
        """
        ...

    def resolve(self, append_id: int) -> int | None:
        """Answer the position an append was given; None while it has none.

        Raises POSITION_COMPACTED where the append was dropped since, and POSITION_AHEAD where the
        log never held it (a database restored from a backup).
        """
        ...

    def position_before(self, time: datetime) -> int:
        """Answer the position just before the first record that was made at or after this time.

        Raises POSITION_COMPACTED where such a record may have been dropped.
        """
        ...

    def compact(self, *, before: datetime) -> int:
        """Drop the records made before this time, and answer the new earliest position.

        The head record always stays, so that numbering never starts again.
        """
        ...


class Repository(Protocol):
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


class FrameSource(Protocol):
    """The log as streams of frames; DESIGN.md says in "The stream contract" what they promise."""

    def stream(
        self, wanted: LogFilter, start: Start, *, position_field: int, progress_interval: timedelta
    ) -> AsyncGenerator[Frame]:
        """Stream what is wanted, from a place in the log on, until it is drained.

        `position_field` is the number of the wire event's position field. Errors: LOG_CHANGED,
        POSITION_COMPACTED, POSITION_AHEAD; STORE_UNAVAILABLE, after which a resume goes on.
        """
        ...


# -- vendors --------------------------------------------------------------------------------------


class KeySpentError(BoxofficeError):
    """OUTCOME_UNKNOWN, and the vendor will answer the same failure to this key for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRequest:
    """What a payment intent is to be made for.

    With a saved method an intent that is `off_session` is confirmed at once.
    """

    payment: Payment
    stripe_customer_id: str
    stripe_payment_method_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentAnswer:
    """What the vendor said about an intent. The client secret is never stored or logged."""

    stripe_payment_intent_id: str
    client_secret: str
    stripe_charge_id: str
    fact: PaymentFact


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """What a Source is to be charged for: the payment's own amount."""

    payment: Payment
    stripe_source_id: str
    stripe_customer_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeAnswer:
    """What the vendor said about a legacy charge."""

    stripe_charge_id: str
    fact: PaymentFact


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """A Source as the vendor has it; its metadata is a customer's device's word."""

    stripe_source_id: str
    stripe_customer_id: str
    status: str
    amount: Money | None
    order_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRequest:
    """What a setup intent is to be made for."""

    user_id: str
    stripe_customer_id: str
    method_type: PaymentMethodType
    reuse: Reuse
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupAnswer:
    """A setup intent. The client secret is never stored or logged."""

    stripe_setup_intent_id: str
    client_secret: str


class PaymentGateway(Protocol):
    """Stripe, as far as money is moved. No transaction is open during any call.

    Errors of all methods: VENDOR_REFUSED when the vendor says no for good; VENDOR_UNAVAILABLE when
    nothing happened there; OUTCOME_UNKNOWN when something may have, as KeySpentError where asking
    again under the same key is pointless. A call with the same key may be repeated after any of the
    last three and never does its work twice. What a decline leaves behind is an answer, no error.
    """

    async def create_customer(self, customer: Customer) -> str:
        """Make the vendor's customer and answer its id. Keyed by our customer's id."""
        ...

    async def create_intent(self, request: IntentRequest) -> IntentAnswer:
        """Make the payment's intent, and confirm it where the request says so."""
        ...

    async def read_intent(self, stripe_payment_intent_id: str) -> IntentAnswer:
        """Read an intent as it is now."""
        ...

    async def find_intent(
        self, payment: Payment, stripe_customer_id: str, *, since: datetime
    ) -> IntentAnswer | None:
        """Find the intent that was made for a payment, by reading all of its customer's."""
        ...

    async def capture_intent(self, payment: Payment, *, amount: int, key: str) -> IntentAnswer:
        """Capture this much of what the payment's intent holds, and release the rest."""
        ...

    async def cancel_intent(self, payment: Payment, *, key: str) -> IntentAnswer:
        """Cancel the payment's intent."""
        ...

    async def create_refund(self, refund: Refund, payment: Payment, *, key: str) -> RefundNews:
        """Give money of the payment's intent or charge back."""
        ...

    async def find_refund(self, refund: Refund, payment: Payment) -> RefundNews | None:
        """Find the refund that was made for ours, by reading all of its payment's."""
        ...

    async def read_source(self, stripe_source_id: str) -> SourceAnswer:
        """Read a Source as it is now."""
        ...

    async def create_charge(self, request: ChargeRequest) -> ChargeAnswer:
        """Charge a Source."""
        ...

    async def find_charge(self, payment: Payment, *, since: datetime) -> ChargeAnswer | None:
        """Find the newest legacy charge that was made for a payment."""
        ...


class MethodGateway(Protocol):
    """Stripe, as far as payment methods are saved. Errors as for PaymentGateway."""

    async def create_setup_intent(self, request: SetupRequest) -> SetupAnswer:
        """Make a setup intent."""
        ...

    async def read_setup_intent(self, stripe_setup_intent_id: str) -> SetupAnswer:
        """Read a setup intent as it is now."""
        ...

    async def read_method(self, stripe_payment_method_id: str) -> MethodNews:
        """Read a method as it is now."""
        ...

    async def attach_method(
        self, stripe_payment_method_id: str, stripe_customer_id: str, *, key: str
    ) -> MethodNews:
        """Attach a method to a customer."""
        ...

    async def detach_method(
        self, stripe_payment_method_id: str, *, key: str, now: datetime
    ) -> MethodNews:
        """Detach a method from its customer, for good. The answer's time is `now`, in seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """A payment as the vendor's books have it.

    `payment_id` is ours, from its metadata, and empty for one that was not made here. `captured`
    and `refunded` are in the minor unit of `amount`'s currency; `status` is in our words.
    """

    stripe_id: str
    payment_id: str
    amount: Money
    captured: int
    refunded: int
    status: PaymentStatus
    create_time: datetime
    answer: IntentAnswer | ChargeAnswer


class VendorBooks(Protocol):
    """The vendor's books, read page by page, newest first. Errors: VENDOR_UNAVAILABLE."""

    def payments(self, since: datetime) -> AsyncIterator[list[BookEntry]]:
        """Read the intents, and the charges without one, that were made at or after this time."""
        ...

    def refunds(self, since: datetime) -> AsyncIterator[list[RefundNews]]:
        """Read the refunds that were made at or after this time."""
        ...

    def disputes(self, since: datetime) -> AsyncIterator[list[DisputeNews]]:
        """Read the disputes that were made at or after this time."""
        ...

    def missed(self, since: datetime) -> AsyncIterator[list[VerifiedNotification]]:
        """Read the notifications since then that were not delivered; the vendor keeps 30 days."""
        ...


class NotificationSource(Protocol):
    """A vendor that sends notifications."""

    def verify(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> VerifiedNotification:
        """Check who sent it and when, over the raw bytes. Header names come in any case.

        Raises SIGNATURE_INVALID, TIMESTAMP_OUT_OF_TOLERANCE, NOTIFICATION_MALFORMED or
        LIVEMODE_MISMATCH.
        """
        ...

    def tidings(self, notification: VerifiedNotification | Notification) -> Tidings | None:
        """Read what it says; None if this release does not understand its type, or it says nothing.

        Raises NOTIFICATION_MALFORMED for a known type whose object is not what it must be.
        """
        ...

    def clock_offset(self, notification: VerifiedNotification) -> int | None:
        """Read the offset of business time, in seconds, from a sandbox's notice that it moved.

        None for every other notification, and always where the key is not a sandbox's.
        """
        ...
