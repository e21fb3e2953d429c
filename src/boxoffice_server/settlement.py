"""How facts move a payment and its order: the one place where their state and events change.

Runs inside a transaction, whoever learned the facts: a notification, an answer to our own call, a
worker or a person. What to change is decided by pure functions of the domain.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from boxoffice_server.domain import order as orders
from boxoffice_server.domain import payment as payments
from boxoffice_server.domain import refund as refunds
from boxoffice_server.domain.ids import Prefix, hashed_id, new_id
from boxoffice_server.domain.order import PAID_STATUSES, ManualStatus, Order, OrderStatus
from boxoffice_server.domain.payment import (
    Payment,
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
)
from boxoffice_server.domain.refund import Dispute, DisputeNews, Refund, RefundNews
from boxoffice_server.domain.task import Task, TaskState
from boxoffice_server.ports import Clock, Repository

T = TypeVar("T")

AUTHENTICATION_LIMIT = timedelta(hours=23)

# These name the charge that holds or takes the money; a failed attempt's charge never does.
_CHARGED = {
    PaymentSignal.AUTHORISED,
    PaymentSignal.CAPTURED,
    PaymentSignal.LEGACY_CHARGE_PENDING,
}

_UNPAID = {OrderStatus.CREATED, OrderStatus.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A payment and the order it pays for, if any, both locked to the end of the transaction."""

    order: Order | None
    payment: Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A payment and its order as the facts leave them.

    `revived` says that money came for an order that had been cancelled, which a person should look
    at.
    """

    order: Order | None
    payment: Payment
    revived: bool = False


def lock(repo: Repository, payment_id: str) -> Locked | None:
    """Lock a payment, its order first; None if there is no such payment."""
    payment = repo.payments.get(payment_id)
    return None if payment is None else lock_payment(repo, payment)


def lock_payment(repo: Repository, payment: Payment) -> Locked:
    """Lock a payment that was read before, its order first, and read it again."""
    order_id, payment_id = payment.order_id, payment.id
    order, locked = repo.lock_sale(order_id, payment_id)
    return Locked(
        order=_there(order, "order", order_id) if order_id else None,
        payment=_there(locked, "payment", payment_id),
    )


def lock_order(repo: Repository, order_id: str) -> Order:
    """Lock an order that must be there."""
    return _there(repo.orders.get(order_id, lock=True), "order", order_id)


def _there(found: T | None, kind: str, name: str) -> T:
    if found is None:
        raise AssertionError(f"{kind} {name} is gone")
    return found


class Settlement:
    """Brings payments and orders up to date with what is known.

    `authentication_limit` is how long a customer has to authenticate a payment that was tried off
    session.
    """

    def __init__(
        self, *, clock: Clock, authentication_limit: timedelta = AUTHENTICATION_LIMIT
    ) -> None:
        self._clock = clock
        self._limit = authentication_limit

    def settle(
        self,
        repo: Repository,
        locked: Locked,
        facts: Iterable[PaymentFact] = (),
        *,
        stripe_payment_intent_id: str = "",
        stripe_charge_id: str = "",
    ) -> Settled:
        """Add facts to a locked payment and bring everything about it up to date.

        A payment that does not know its intent or charge yet learns it here.
        """
        payment = locked.payment
        added = [payments.meant_for(payment, fact) for fact in facts]
        known = repo.payments.facts(payment.id)
        # Nobody else adds any while the payment is locked.
        told = {fact.id for fact in known}
        count = len(told)
        for fact in added:
            if fact.id not in told:
                repo.payments.add_fact(payment.id, fact)
                known.append(fact)
                told.add(fact.id)
        intent_id = payment.stripe_payment_intent_id or stripe_payment_intent_id
        charge_id = payment.stripe_charge_id
        if stripe_charge_id and _names_charge(payment, added):
            charge_id = stripe_charge_id
        changed = self._derived(payment, known, intent_id=intent_id, charge_id=charge_id)
        _release(repo, payment, changed)
        return self._move(repo, locked, changed, known, grown=len(told) > count)

    def hear_refund(self, repo: Repository, locked: Locked, news: RefundNews) -> Settled:
        """Take in what the vendor says about a refund of a locked payment."""
        payment, now = locked.payment, self._clock.now()
        known = repo.refunds.by_stripe_id(news.stripe_refund_id)
        if known is None and news.refund_id:
            known = _unheard(repo, payment, news.refund_id)
        if known is None:
            made = refunds.refund_elsewhere(
                news, payment_id=payment.id, user_id=payment.user_id, now=now
            )
            repo.refunds.insert(made)
            return self.refund_changed(repo, locked, made)
        heard = refunds.hear_refund(known, news, now)
        if heard == known:
            return Settled(order=locked.order, payment=payment)
        repo.refunds.update(heard)
        shown = replace(heard, succeed_time=known.succeed_time) != known
        return self.refund_changed(repo, locked, heard if shown else None)

    def refund_changed(self, repo: Repository, locked: Locked, refund: Refund | None) -> Settled:
        """Bring a locked payment up to date with a refund that was made or changed.

        None: what changed of it is nothing that anyone is told.
        """
        payment = locked.payment
        made = repo.refunds.of_payment(payment.id)
        changed = replace(
            payment,
            refunded=refunds.refunded_amount(made),
            refund_time=refunds.full_refund_time(made, payment.captured),
        )
        known = repo.payments.facts(payment.id)
        return self._move(repo, locked, changed, known, refund=refund)

    def hear_dispute(self, repo: Repository, locked: Locked, news: DisputeNews) -> Settled:
        """Take in what the vendor says about a dispute: it changes the payment only."""
        payment, now = locked.payment, self._clock.now()
        known = repo.disputes.get(hashed_id(Prefix.DISPUTE, news.stripe_dispute_id))
        if known is None:
            heard = refunds.new_dispute(
                news, payment_id=payment.id, user_id=payment.user_id, now=now
            )
            repo.disputes.insert(heard)
        else:
            heard = refunds.hear_dispute(known, news, now)
            if heard == known:
                return Settled(order=locked.order, payment=payment)
            repo.disputes.update(heard)
        stands = any(each.stands for each in repo.disputes.of_payment(payment.id))
        changed = replace(payment, disputed=stands)
        return self._move(repo, locked, changed, repo.payments.facts(payment.id), dispute=heard)

    def set_status(self, repo: Repository, locked: Locked, manual: ManualStatus) -> Settled:
        """Set the status of a locked order by hand."""
        payment = locked.payment
        known = repo.payments.facts(payment.id)
        over = orders.derive_status(known, task_started=False, refund_time=payment.refund_time)
        return self._move(repo, locked, payment, known, manual=replace(manual, over=over))

    def _derived(
        self, payment: Payment, known: list[PaymentFact], *, intent_id: str, charge_id: str
    ) -> Payment:
        """Derive what follows from a payment's facts, beside what the vendor calls it."""
        state = payments.derive_state(known)
        asked = payment.amount.amount
        captured = payments.captured_amount(known, asked)
        deadline = None
        if state.status in payments.CUSTOMERS_TURN:
            began = payments.authentication_time(known)
            deadline = None if began is None else began + self._limit
        return replace(
            payment,
            state=state,
            captured=captured,
            authorised=payments.authorised_amount(known, asked),
            action_deadline=deadline,
            stripe_payment_intent_id=intent_id,
            stripe_charge_id=charge_id,
        )

    def _move(
        self,
        repo: Repository,
        locked: Locked,
        changed: Payment,
        known: list[PaymentFact],
        *,
        grown: bool = False,
        refund: Refund | None = None,
        dispute: Dispute | None = None,
        manual: ManualStatus | None = None,
    ) -> Settled:
        """Write a changed payment and what follows for its order, each change with its event.

        One whose facts have `grown` is written in any case.
        """
        payment, now = locked.payment, self._clock.now()
        if changed.captured != payment.captured and changed.refunded:
            # A refund may be heard of before the capture it gives back.
            made = repo.refunds.of_payment(payment.id)
            full = refunds.full_refund_time(made, changed.captured)
            changed = replace(changed, refund_time=full)
        event = payments.change(payment, changed, now=now, refund=refund, dispute=dispute)
        if event is not None:
            payment = event.payment
        if event is not None or grown:
            repo.payments.update(payment)
        order = locked.order
        if order is None:
            if event is not None:
                repo.log.append(event)
            return Settled(order=None, payment=payment)
        moved = self._move_order(repo, order, payment, known, manual)
        if event is not None:
            repo.log.append(event)
        revived = order.status is OrderStatus.CANCELLED and moved.status in PAID_STATUSES
        # By hand it is meant.
        return Settled(order=moved, payment=payment, revived=revived and manual is None)

    def _move_order(
        self,
        repo: Repository,
        order: Order,
        payment: Payment,
        known: list[PaymentFact],
        manual: ManualStatus | None,
    ) -> Order:
        decided = order.manual if manual is None else (*order.manual, manual)
        has_task = bool(order.product.task_function_name)
        task = repo.tasks.by_order(order.id) if has_task else None
        status = orders.derive_status(
            known,
            task_started=task is not None and task.state is TaskState.ACKNOWLEDGED,
            manual=decided,
            refund_time=payment.refund_time,
        )
        if has_task:
            self._move_task(repo, order, task, status)
        for step in _steps(order, status, payment.flow):
            event = orders.change(
                order, now=self._clock.now(), status=step, facts=known, manual=decided
            )
            if event is not None:
                order = event.order
                repo.orders.update(order)
                repo.log.append(event)
        return order

    def _move_task(
        self, repo: Repository, order: Order, task: Task | None, status: OrderStatus
    ) -> None:
        """Make the task of a paid order, and withdraw that of one which is not paid any more."""
        if status is OrderStatus.PAID:
            if task is None:
                repo.tasks.insert(_first_task(order, self._clock))
            elif task.state is TaskState.WITHDRAWN:
                available = self._clock.real_now()
                again = replace(task, state=TaskState.PENDING, available_time=available)
                repo.tasks.update(again)
        elif task is not None and task.state in {TaskState.PENDING, TaskState.OFFERED}:
            repo.tasks.update(replace(task, state=TaskState.WITHDRAWN))


def _unheard(repo: Repository, payment: Payment, refund_id: str) -> Refund | None:
    """Find a refund of ours that waits for the vendor's answer; one that has it is another."""
    ours = repo.refunds.get(refund_id)
    if ours is None or ours.payment_id != payment.id or ours.stripe_refund_id:
        return None
    return ours


def _names_charge(payment: Payment, added: list[PaymentFact]) -> bool:
    """Tell whether new facts name the charge that counts.

    A late word about one that only held or awaited the money is none once money was taken.
    """
    signals = {fact.signal for fact in added}
    return PaymentSignal.CAPTURED in signals or (bool(signals & _CHARGED) and not payment.captured)


def _release(repo: Repository, known: Payment, learned: Payment) -> None:
    """Have what was heard of money before it was known whose it is applied again.

    Only a charge has refunds and disputes, and each of them names its intent where there is one.
    """
    if learned.stripe_charge_id != known.stripe_charge_id:
        learned_ids = (learned.stripe_payment_intent_id, learned.stripe_charge_id)
        repo.notifications.release(*filter(None, learned_ids))


def _steps(order: Order, status: OrderStatus, flow: PaymentFlow) -> list[OrderStatus]:
    """Tell through which statuses an order goes.

    An order without a task starts by itself, and a legacy one is charged before it is paid.
    """
    if status is not OrderStatus.PAID:
        return [status]
    steps: list[OrderStatus] = [status]
    if not order.product.task_function_name:
        if order.status is OrderStatus.TASK_STARTED:
            return [OrderStatus.TASK_STARTED]
        steps.append(OrderStatus.TASK_STARTED)
    if flow is PaymentFlow.LEGACY_CHARGE and order.status in _UNPAID:
        steps.insert(0, OrderStatus.CHARGE_CREATED)
    return steps


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
