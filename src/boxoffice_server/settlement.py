"""How facts move an order: the one place where its payment, task, status and events change.

Runs inside a transaction, whoever learned the facts: a notification, an answer to our own call, or
a worker. What to change is decided by pure functions of the domain.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.order import Order, OrderStatus, change, derive_status
from boxoffice_server.domain.payment import Payment, PaymentFact, derive_state
from boxoffice_server.domain.stream import Token
from boxoffice_server.domain.task import Task, TaskState
from boxoffice_server.ports import Clock, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An order and its payment as the facts leave them.

    `token` lies behind the last event; None where nothing changed. `revived` says that money came
    for an order that had been cancelled, which a person should look at.
    """

    order: Order
    payment: Payment
    token: Token | None
    revived: bool


def settle(
    repo: Repository,
    order: Order,
    facts: Iterable[PaymentFact],
    *,
    clock: Clock,
    stripe_payment_intent_id: str = "",
) -> Settled:
    """Add facts to a locked order and bring everything about it up to date.

    A payment that does not know its intent yet learns it here.
    """
    for fact in facts:
        repo.orders.add_fact(order.id, fact)
    known = repo.orders.facts(order.id)
    payment = _settle_payment(repo, order, known, clock, stripe_payment_intent_id)
    has_task = bool(order.product.task_function_name)
    task = repo.tasks.by_order(order.id) if has_task else None
    acknowledged = task is not None and task.state is TaskState.ACKNOWLEDGED
    status = derive_status(known, task_started=acknowledged)
    if status is OrderStatus.PAID and task is None and has_task:
        repo.tasks.insert(_first_task(order, clock))

    changed, token = order, None
    for step in _steps(order, status):
        event = change(changed, now=clock.now(), status=step, facts=known)
        if event is not None:
            changed = event.order
            repo.orders.update(changed)
            token = repo.log.append(event)
    paid = {OrderStatus.PAID, OrderStatus.TASK_STARTED}
    revived = order.status is OrderStatus.CANCELLED and changed.status in paid
    return Settled(order=changed, payment=payment, token=token, revived=revived)


def _settle_payment(
    repo: Repository,
    order: Order,
    facts: list[PaymentFact],
    clock: Clock,
    stripe_payment_intent_id: str,
) -> Payment:
    payment = repo.payments.get(order.payment_id)
    if payment is None:
        raise AssertionError(f"order {order.id} has no payment")
    settled = replace(
        payment,
        state=derive_state(facts),
        stripe_payment_intent_id=payment.stripe_payment_intent_id or stripe_payment_intent_id,
    )
    if settled == payment:
        return payment
    settled = replace(settled, update_time=clock.now())
    repo.payments.update(settled)
    return settled


def _steps(order: Order, status: OrderStatus) -> list[OrderStatus]:
    """Tell through which statuses an order goes; an order without a task starts by itself."""
    if status is not OrderStatus.PAID or order.product.task_function_name:
        return [status]
    if order.status is OrderStatus.TASK_STARTED:
        return [OrderStatus.TASK_STARTED]
    return [OrderStatus.PAID, OrderStatus.TASK_STARTED]


def _first_task(order: Order, clock: Clock) -> Task:
    return Task(
        id=new_id(Prefix.TASK, clock.now()),
        order_id=order.id,
        function_name=order.product.task_function_name,
        priority=order.product.task_priority,
        state=TaskState.PENDING,
        attempts=0,
        worker_id="",
        lease_id="",
        lease_time=None,
        available_time=clock.real_now(),
        create_time=clock.now(),
    )
