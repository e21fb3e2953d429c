"""Things to keep in a store, each told from the next by its number."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.order import Order, OrderEvent, OrderStatus, change, created
from boxoffice_server.domain.payment import (
    Customer,
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentFailure,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
)
from boxoffice_server.domain.payment_method import MethodDetails, PaymentMethod
from boxoffice_server.domain.product import Product, PropertyType, SchemaProperty
from boxoffice_server.domain.refund import Dispute, DisputeStatus, Refund, RefundStatus
from boxoffice_server.domain.task import Task, TaskState
from boxoffice_server.ports import Operation, OperationKey, Repository, Store

START = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(number: int) -> datetime:
    """A time, this many seconds after the start."""
    return START + number * SECOND


def a_product(number: int = 1, *, tags: tuple[str, ...] = ("new", "a")) -> Product:
    """A product that uses every field."""
    return Product(
        id=f"prd_{number:06}",
        name=f"Ticket {number} — Zürich",
        prices=(Money(amount=1250, currency="eur"), Money(amount=1400, currency="usd")),
        schema=(
            SchemaProperty(name="seat", type=PropertyType.STRING, required=True),
            SchemaProperty(name="row", type=PropertyType.NUMBER, required=False),
            SchemaProperty(name="aisle", type=PropertyType.BOOLEAN, required=False),
        ),
        task_function_name="print",
        task_priority=-3,
        tags=tags,
        created_by="shop",
        version=1,
        create_time=at(number),
        update_time=at(number),
    )


def an_order(
    number: int = 1,
    *,
    user_id: str = "user-1",
    target_user_id: str = "user-2",
    status: OrderStatus = OrderStatus.CREATED,
    product: Product | None = None,
    tags: tuple[str, ...] = ("vip",),
) -> Order:
    """An order that uses every field."""
    return Order(
        id=f"ord_{number:06}",
        user_id=user_id,
        target_user_id=target_user_id,
        created_by="shop",
        status=status,
        price=Money(amount=1250, currency="eur"),
        product=product or a_product(),
        data={"seat": "12 ü\u2028", "row": 4.0, "aisle": True},
        tags=tags,
        payment_id=f"pay_{number:06}",
        vendor_events=(a_fact(1), a_fact(2, failure=True)),
        version=1,
        create_time=at(number),
        update_time=at(number),
    )


def a_fact(number: int = 1, *, failure: bool = False) -> PaymentFact:
    """A fact; with a failure if asked for."""
    said = PaymentFailure(code="card_declined", decline_code="lost_card", message="Declined.")
    return PaymentFact(
        id=f"evt_stripe_{number}",
        origin=FactOrigin.NOTIFICATION,
        type="payment_intent.processing",
        resource_type="payment_intent",
        resource_id="pi_1",
        event_time=at(number),
        signal=PaymentSignal.ATTEMPT_FAILED if failure else PaymentSignal.PROCESSING,
        failure=said if failure else None,
    )


def a_payment(number: int = 1, *, intent: str = "") -> Payment:
    """A payment whose outcome is not known."""
    return Payment(
        id=f"pay_{number:06}",
        user_id="user-1",
        order_id=f"ord_{number:06}",
        created_by="shop",
        description=f"Ticket {number}",
        amount=Money(amount=1250, currency="eur"),
        stripe_payment_intent_id=intent,
        state=PaymentState(
            status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN
        ),
        create_time=at(number),
        update_time=at(number),
    )


def a_customer(number: int = 1, *, user_id: str = "user-1") -> Customer:
    """A customer that Stripe doesn't know yet."""
    return Customer(
        id=f"cst_{number:06}", user_id=user_id, stripe_customer_id="", create_time=at(number)
    )


def a_refund(number: int = 1, *, payment: int = 1, made: int | None = None) -> Refund:
    """A refund that Stripe has not answered for; `made` is the second in which it was asked for."""
    time = at(number if made is None else made)
    return Refund(
        id=f"rfd_{number:06}",
        payment_id=f"pay_{payment:06}",
        user_id="user-1",
        amount=Money(amount=400, currency="eur"),
        status=RefundStatus.PENDING,
        reason=None,
        failure_reason="",
        stripe_refund_id="",
        heard_time=None,
        create_time=time,
        update_time=time,
    )


def a_dispute(number: int = 1, *, payment: int = 1, made: int | None = None) -> Dispute:
    """A dispute that wants an answer."""
    time = at(number if made is None else made)
    return Dispute(
        id=f"dsp_{number:06}",
        payment_id=f"pay_{payment:06}",
        user_id="user-1",
        amount=Money(amount=1250, currency="eur"),
        status=DisputeStatus.NEEDS_RESPONSE,
        reason="product_not_received",
        evidence_due_time=at(900),
        stripe_dispute_id=f"dp_{number}",
        heard_time=time,
        create_time=time,
        update_time=time,
    )


def a_method(
    number: int = 1,
    *,
    user_id: str = "user-1",
    tags: tuple[str, ...] = ("default",),
    made: int | None = None,
) -> PaymentMethod:
    """A saved card."""
    time = at(number if made is None else made)
    return PaymentMethod(
        id=f"pmt_{number:06}",
        user_id=user_id,
        stripe_payment_method_id=f"pm_{number}",
        details=MethodDetails(type="card", brand="visa", exp_month=12, exp_year=2031, last4="4242"),
        tags=tags,
        heard_time=time,
        detach_time=None,
        version=1,
        create_time=time,
        update_time=time,
    )


def a_task(
    number: int = 1,
    *,
    function_name: str = "print",
    priority: int = 0,
    state: TaskState = TaskState.PENDING,
    available: int = 0,
) -> Task:
    """A task that may be offered at the start."""
    return Task(
        id=f"tsk_{number:06}",
        order_id=f"ord_{number:06}",
        function_name=function_name,
        priority=priority,
        state=state,
        attempts=0,
        worker_id="",
        lease_id="",
        lease_time=None,
        available_time=at(available),
        create_time=at(number),
    )


def a_notification(
    number: int = 1,
    *,
    vendor_event: int | None = None,
    state: NotificationState = NotificationState.APPLIED,
    type_: str = "charge.succeeded",
    resource_id: str = "ch_1",
    related_id: str = "",
) -> Notification:
    """A notification with a body that is not text."""
    event = number if vendor_event is None else vendor_event
    return Notification(
        id=f"ntf_{number:06}",
        source=Source.STRIPE,
        vendor_event_id=f"evt_{event}",
        type=type_,
        resource_id=resource_id,
        event_time=at(number),
        receive_time=at(number + 1),
        state=state,
        order_id="",
        payment_id="",
        related_id=related_id,
        body=b"\x00\xff{}",
    )


def an_operation(request_id: str = "r-1", *, caller: str = "shop", owner: str = "me") -> Operation:
    """An operation that runs."""
    return Operation(
        id=f"opn_{caller}_{request_id}",
        key=OperationKey(caller=caller, operation="CreateProduct", request_id=request_id),
        fingerprint=b"\x00\x01",
        resource_id="prd_000001",
        answer=None,
        owner=owner,
        lease_time=at(30),
        create_time=at(0),
    )


def events_of(order: Order, count: int) -> list[OrderEvent]:
    """The first events of an order's life: it is made, then its tags change again and again."""
    found = [created(order)]
    while len(found) < count:
        last = found[-1].order
        event = change(last, now=last.update_time + SECOND, tags=(f"v{last.version + 1}",))
        assert event is not None
        found.append(event)
    return found


Thing = (
    Product
    | Order
    | Task
    | Payment
    | Refund
    | Dispute
    | PaymentMethod
    | Notification
    | Operation
    | Customer
)


async def keep(store: Store, *things: Thing) -> None:
    """Keeps things in a store, all in one transaction."""

    def body(repo: Repository) -> None:
        inserts: dict[type[Thing], Callable[[Any], object]] = {
            Product: repo.products.insert,
            Order: repo.orders.insert,
            Task: repo.tasks.insert,
            Payment: repo.payments.insert,
            Refund: repo.refunds.insert,
            Dispute: repo.disputes.insert,
            PaymentMethod: repo.methods.insert,
            Customer: repo.customers.keep,
            Notification: repo.notifications.insert,
            Operation: repo.operations.insert,
        }
        for thing in things:
            assert inserts[type(thing)](thing) is not False

    await store.write(body)
