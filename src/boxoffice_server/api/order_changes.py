"""OrdersService: orders that are made, given up and set by hand."""

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.products import check_etag
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.sales import new_order, sale_faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain import order as orders
from boxoffice_server.domain import payment as payments
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.ids import Prefix, hashed_id, new_id
from boxoffice_server.domain.order import ManualStatus, Order, OrderStatus
from boxoffice_server.domain.payment import (
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
    derive_state,
)
from boxoffice_server.domain.text import MAX_USER_ID, text_violations
from boxoffice_server.operations.intents import a_payment
from boxoffice_server.operations.refusals import check_settled
from boxoffice_server.ports import Clock, Operation, Repository, Store
from boxoffice_server.settlement import Locked, Settlement, lock

MOST_REASON = 500


class OrderChangeMethods:
    """What callers and people decide about orders."""

    def __init__(
        self, *, store: Store, clock: Clock, writes: Writes, settlement: Settlement
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._settlement = settlement

    async def CreateOrder(
        self, request: pb.CreateOrderRequest, context: Context
    ) -> pb.CreateOrderResponse:
        sale_faults(request).refuse()
        key = self._writes.key(request.request_id, "CreateOrder", context)

        def create(repo: Repository) -> pb.CreateOrderResponse:
            now = self._clock.now()
            order = new_order(
                repo,
                request,
                created_by=key.caller,
                payment_id=new_id(Prefix.PAYMENT, now),
                now=now,
            )
            payment, fact = _legacy_payment(order)
            repo.orders.insert(order)
            repo.payments.insert(payment)
            repo.payments.add_fact(payment.id, fact)
            repo.log.append(orders.created(order))
            repo.log.append(payments.created(payment))
            return pb.CreateOrderResponse(
                order=convert.to_order(order), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.CreateOrderResponse, create)

    async def CancelOrder(
        self, request: pb.CancelOrderRequest, context: Context
    ) -> pb.CancelOrderResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.order_id, "order_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "CancelOrder", context)
        named = await self._store.read(lambda repo: repo.orders.get(request.order_id))
        if named is None:
            raise convert.order_not_found(request.order_id)

        def record(repo: Repository, operation: Operation) -> Payment:
            order, locked = _lock_named(repo, named)
            check_settled(repo, locked.payment.id, but=operation.id)
            orders.check_order_cancellable(order, locked.payment.state)
            return locked.payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CancelOrderResponse | BoxofficeError:
            order = repo.orders.get(a_payment(repo, operation.resource_id).order_id)
            if order is None:
                raise AssertionError(f"order {named.id} is gone")
            if order.status is not OrderStatus.CANCELLED:
                return orders.wrong_status(
                    order, Reason.ORDER_NOT_CANCELLABLE, "can't be cancelled"
                )
            return pb.CancelOrderResponse(
                order=convert.to_order(order), resume_token=repo.log.here().encode()
            )

        return await self._writes.through(
            context,
            key,
            request,
            pb.CancelOrderResponse,
            resource_id=named.payment_id,
            record=record,
            answer=answer,
        )

    async def SetOrderStatus(
        self, request: pb.SetOrderStatusRequest, context: Context
    ) -> pb.SetOrderStatusResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.order_id, "order_id")
        faults.extend(text_violations(request.reason, "reason", most=MOST_REASON))
        faults.extend(text_violations(request.actor, "actor", most=MAX_USER_ID))
        faults.refuse()
        status = convert.from_order_status(request.status, "status")
        if status is OrderStatus.CHARGE_CREATED:
            raise invalid_field("status", "must not be charge_created, which only a charge gives")
        key = self._writes.key(request.request_id, "SetOrderStatus", context)

        def set_status(repo: Repository) -> pb.SetOrderStatusResponse:
            named = repo.orders.get(request.order_id)
            if named is None:
                raise convert.order_not_found(request.order_id)
            order, locked = _lock_named(repo, named)
            check_etag(request.etag, order.version)
            manual = ManualStatus(
                status=status,
                reason=request.reason,
                actor=request.actor,
                create_time=self._clock.now(),
            )
            settled = self._settlement.set_status(repo, locked, manual)
            if settled.order is None:
                raise AssertionError("the payment of an order has an order")
            return pb.SetOrderStatusResponse(
                order=convert.to_order(settled.order), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.SetOrderStatusResponse, set_status)


def _lock_named(repo: Repository, named: Order) -> tuple[Order, Locked]:
    """Lock an order that was found, and its payment."""
    locked = lock(repo, named.payment_id)
    if locked is None or locked.order is None:
        raise AssertionError(f"order {named.id} has no payment")
    return locked.order, locked


def _legacy_payment(order: Order) -> tuple[Payment, PaymentFact]:
    """Make the payment of an order that waits for a Source, and the fact that it does."""
    waits = PaymentFact(
        id=hashed_id(Prefix.EVENT, order.payment_id, "waits"),
        origin=FactOrigin.ANSWER,
        type="waits_for_source",
        resource_type="payment",
        resource_id=order.payment_id,
        event_time=order.create_time.replace(microsecond=0),
        signal=PaymentSignal.REQUIRES_PAYMENT_METHOD,
    )
    payment = Payment(
        id=order.payment_id,
        user_id=order.user_id,
        order_id=order.id,
        created_by=order.created_by,
        description=order.product.name,
        amount=order.price,
        flow=PaymentFlow.LEGACY_CHARGE,
        state=derive_state([waits]),
        create_time=order.create_time,
        update_time=order.create_time,
    )
    return payment, waits
