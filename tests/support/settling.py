"""A sale in a store of its own, and everything that settlement can be told about it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.order import ManualStatus, Order, OrderStatus, created
from boxoffice_server.domain.payment import (
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
)
from boxoffice_server.domain.refund import DisputeNews, RefundNews
from boxoffice_server.domain.stream import LogRecord, RecordKind
from boxoffice_server.domain.task import LeasePolicy, Task, acknowledge, offer
from boxoffice_server.ports import Repository, Store
from boxoffice_server.settlement import Locked, Settled, Settlement, lock
from tests.storage.samples import a_payment, a_product, an_order, at
from tests.support.stores import clock_moved, position_of, whole_log


def a_fact(
    signal: PaymentSignal, *, after: int = 1, amount: int | None = None, id_: str = ""
) -> PaymentFact:
    """A fact that a notification told, so many seconds after the beginning."""
    return PaymentFact(
        id=id_ or f"evt_{signal}_{after}",
        origin=FactOrigin.NOTIFICATION,
        type=f"payment_intent.{signal}",
        resource_type="payment_intent",
        resource_id="pi_1",
        event_time=at(after).replace(microsecond=0),
        signal=signal,
        amount=amount,
    )


CAPTURED = a_fact(PaymentSignal.CAPTURED, after=9)


def by_hand(status: OrderStatus, *, after: int) -> ManualStatus:
    """What a person decides, so many seconds after the beginning."""
    return ManualStatus(status=status, reason="because", actor="kim", create_time=at(after))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A payment, and its order unless it is ad hoc, of which nothing is known yet."""

    store: Store
    settlement: Settlement
    payment: Payment

    async def run(self, body: Callable[[Repository, Locked], Settled]) -> Settled:
        """Lock the payment and do something about it, in one transaction."""

        def locking(repo: Repository) -> Settled:
            locked = lock(repo, self.payment.id)
            assert locked is not None
            return body(repo, locked)

        return await self.store.write(locking)

    async def settle(self, *facts: PaymentFact, intent: str = "", charge: str = "") -> Settled:
        """Settle it with facts, as whoever learned them does."""
        return await self.run(
            lambda repo, locked: self.settlement.settle(
                repo,
                locked,
                facts,
                stripe_payment_intent_id=intent,
                stripe_charge_id=charge,
            )
        )

    async def refund(self, *news: RefundNews) -> Settled:
        """Take in what the vendor says about its refunds, in one transaction."""

        def hear(repo: Repository, locked: Locked) -> Settled:
            for each in news[:-1]:
                settled = self.settlement.hear_refund(repo, locked, each)
                locked = Locked(order=settled.order, payment=settled.payment)
            return self.settlement.hear_refund(repo, locked, news[-1])

        return await self.run(hear)

    async def dispute(self, news: DisputeNews) -> Settled:
        """Take in what the vendor says about a dispute."""
        return await self.run(lambda repo, locked: self.settlement.hear_dispute(repo, locked, news))

    async def set_status(self, status: OrderStatus, *, after: int) -> Settled:
        """Set its order's status by hand."""
        manual = by_hand(status, after=after)
        return await self.run(lambda repo, locked: self.settlement.set_status(repo, locked, manual))

    async def start_task(self) -> Settled:
        """Offer its task to a worker, who starts it."""

        def start(repo: Repository, locked: Locked) -> Settled:
            task = repo.tasks.by_order(self.payment.order_id)
            assert task is not None
            offered = offer(task, worker_id="w", lease_id="l", now=at(0), policy=LeasePolicy())
            repo.tasks.update(acknowledge(offered, lease_id="l", now=at(0)))
            return self.settlement.settle(repo, locked)

        return await self.run(start)

    async def task(self) -> Task | None:
        """Its order's task as it is kept."""
        return await self.store.read(lambda repo: repo.tasks.by_order(self.payment.order_id))

    async def order(self) -> Order:
        """Its order as it is kept."""
        order = await self.store.read(lambda repo: repo.orders.get(self.payment.order_id))
        assert order is not None
        return order

    async def told(self) -> list[LogRecord]:
        """All that the log has told of it so far: of the order and of the payment, as they came."""
        # What was committed before it is numbered before it.
        last = await self.store.write(lambda repo: clock_moved(repo, 0, at(0)))
        await position_of(self.store, last)
        subjects = {self.payment.id, self.payment.order_id} - {""}
        return [each for each in await whole_log(self.store) if each.subject_id in subjects]

    async def statuses(self) -> list[str]:
        """The statuses that the log has told of its order."""
        return [each.status for each in await self.told() if each.kind is RecordKind.ORDER]


async def sell(
    store: Store,
    *,
    number: int = 1,
    function: str = "",
    flow: PaymentFlow = PaymentFlow.INTENT,
    ad_hoc: bool = False,
    off_session: bool = False,
    limit: timedelta = timedelta(hours=23),
) -> Sale:
    """Keep a new sale, told from the others in the store by its number."""
    product = replace(a_product(), task_function_name=function)
    order = replace(an_order(number, product=product), vendor_events=())
    payment = replace(
        a_payment(number),
        flow=flow,
        order_id="" if ad_hoc else order.id,
        off_session=off_session,
    )

    def keep(repo: Repository) -> None:
        if not ad_hoc:
            repo.orders.insert(order)
            repo.log.append(created(order))
        repo.payments.insert(payment)

    await store.write(keep)
    settlement = Settlement(clock=BusinessClock(), authentication_limit=limit)
    return Sale(store=store, settlement=settlement, payment=payment)
