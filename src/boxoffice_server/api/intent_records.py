"""What is recorded of a payment intent before the vendor is asked, and how a retry finds it."""

from dataclasses import dataclass, replace
from datetime import timedelta

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.api import convert
from boxoffice_server.api.products import product_deleted, product_not_found
from boxoffice_server.api.requests import fingerprint
from boxoffice_server.api.writes import request_id_reused
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import DEFAULT_CURRENCY
from boxoffice_server.domain.order import Order, OrderStatus, created
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentMethodType,
    check_currency,
    derive_state,
)
from boxoffice_server.domain.product import check_data, price_in
from boxoffice_server.domain.stream import Token
from boxoffice_server.ports import Clock, Operation, OperationKey, Repository

# Who asks the vendor for something holds it this long. One who is slower may be overtaken, which
# does no harm: both send the same key to the vendor, and the first one's answer stands.
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An intent that was recorded, and whether this call is the one to ask the vendor for it.

    Nobody is, once the operation has its answer. `token` lies behind the order's first event, where
    this call made it.
    """

    order: Order
    payment: Payment
    customer: Customer
    operation: Operation
    mine: bool
    token: Token | None = None


class IntentRecords:
    """Records intents, each in one transaction with its order, payment and operation.

    `instance` names this process among all that share the store; one that `is_alone` knows that
    whatever another instance holds was left by a crash.
    """

    def __init__(self, *, clock: Clock, instance: str, is_alone: bool) -> None:
        self._clock = clock
        self._instance = instance
        self._is_alone = is_alone

    def record(
        self,
        repo: Repository,
        *,
        key: OperationKey,
        request: pb.CreatePaymentIntentRequest,
        method_type: PaymentMethodType,
    ) -> Recorded:
        """Record what is asked for, before anyone outside is asked; or find what was recorded."""
        started = Operation(
            key=key,
            fingerprint=fingerprint(request, "request_id"),
            resource_id=new_id(Prefix.PAYMENT, self._clock.now()),
            answer=None,
            failed=False,
            owner=self._instance,
            lease_time=self._clock.real_now() + LEASE,
            create_time=self._clock.now(),
        )
        if not repo.operations.insert(started):
            return self._take_up(repo, started)
        order, payment = self._new_order(repo, request, method_type, started)
        repo.orders.insert(order)
        repo.payments.insert(payment)
        token = repo.log.append(created(order))
        return Recorded(
            order=order,
            payment=payment,
            customer=self._customer(repo, payment.user_id),
            operation=started,
            mine=True,
            token=token,
        )

    def _new_order(
        self,
        repo: Repository,
        request: pb.CreatePaymentIntentRequest,
        method_type: PaymentMethodType,
        started: Operation,
    ) -> tuple[Order, Payment]:
        product = repo.products.get(request.product_id)
        if product is None:
            raise product_not_found(request.product_id)
        if product.delete_time is not None:
            raise product_deleted(request.product_id)
        price = price_in(product, request.currency_code or DEFAULT_CURRENCY)
        check_currency(method_type, price.currency)
        data = check_data(product, convert.from_data(request.data))
        now = self._clock.now()
        order = Order(
            id=new_id(Prefix.ORDER, now),
            user_id=request.user_id,
            target_user_id=request.target_user_id or request.user_id,
            created_by=started.key.caller,
            status=OrderStatus.CREATED,
            price=price,
            product=product,
            data=data,
            tags=tuple(request.tags),
            payment_id=started.resource_id,
            vendor_events=(),
            version=1,
            create_time=now,
            update_time=now,
        )
        payment = Payment(
            id=started.resource_id,
            user_id=order.user_id,
            order_id=order.id,
            amount=price,
            method_type=method_type,
            vendor_idempotency_key=f"boxoffice-{started.resource_id}-1",
            stripe_payment_intent_id="",
            state=derive_state(()),
            create_time=now,
            update_time=now,
        )
        return order, payment

    def _customer(self, repo: Repository, user_id: str) -> Customer:
        now = self._clock.now()
        return repo.payments.customer(
            Customer(
                id=new_id(Prefix.CUSTOMER, now),
                user_id=user_id,
                stripe_customer_id="",
                create_time=now,
            )
        )

    def _take_up(self, repo: Repository, started: Operation) -> Recorded:
        """Go on with what an earlier call with this request id began."""
        known = repo.operations.get(started.key, lock=True)
        if known is None:
            raise AssertionError("an operation that is there can be read")
        if known.fingerprint != started.fingerprint:
            raise request_id_reused(started.key)
        payment = repo.payments.get(known.resource_id)
        order = repo.orders.get(payment.order_id) if payment else None
        if payment is None or order is None:
            raise AssertionError(f"operation on {known.resource_id} has no payment or order")
        free = known.lease_time is None or known.lease_time <= self._clock.real_now()
        free = free or (self._is_alone and known.owner != self._instance)
        mine = known.answer is None and free
        if mine:
            known = replace(known, owner=self._instance, lease_time=started.lease_time)
            repo.operations.update(known)
        customer = self._customer(repo, payment.user_id)
        return Recorded(order=order, payment=payment, customer=customer, operation=known, mine=mine)


def let_go(repo: Repository, *, recorded: Recorded) -> None:
    """Let the next call with this request id take the work up at once."""
    operation = repo.operations.get(recorded.operation.key, lock=True)
    if operation is not None and operation.owner == recorded.operation.owner:
        repo.operations.update(replace(operation, owner="", lease_time=None))


def finish(repo: Repository, operation: Operation, answer: bytes, *, failed: bool) -> None:
    """Keep what the caller is told, for every later call with this request id."""
    repo.operations.update(
        replace(operation, answer=answer, failed=failed, owner="", lease_time=None)
    )
