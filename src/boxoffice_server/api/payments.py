"""PaymentsService: payments that are made, and with them the whole servicer."""

from functools import partial

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice_server.api import convert, convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.payment_changes import PaymentChangeMethods, not_charged
from boxoffice_server.api.payment_methods import PaymentMethodMethods
from boxoffice_server.api.payment_reads import PaymentReadMethods
from boxoffice_server.api.reconcile import ReconcileMethods
from boxoffice_server.api.refunds import RefundMethods
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.sales import new_order, sale_faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain import order as orders
from boxoffice_server.domain import payment as payments
from boxoffice_server.domain import payment_rules as rules
from boxoffice_server.domain.errors import BoxofficeError, invalid_field
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import DEFAULT_CURRENCY, Money, price_violations
from boxoffice_server.domain.order import Order
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Payment,
    PaymentMethodType,
    Reuse,
    derive_state,
)
from boxoffice_server.domain.payment_method import PaymentMethod
from boxoffice_server.domain.text import text_violations
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.intents import IntentJob, a_payment
from boxoffice_server.ports import (
    Clock,
    FrameSource,
    MethodGateway,
    Operation,
    PaymentGateway,
    Repository,
    Store,
)
from boxoffice_server.reconciliation import Reconciliation
from boxoffice_server.settlement import Settled, Settlement

MOST_DESCRIPTION = 500
_ENDED = {pb.PAYMENT_STATUS_COMPLETE, pb.PAYMENT_STATUS_CANCELLED}


# grpc.aio takes coroutines that write their stream themselves; the generated types don't say so.
class PaymentsServicer(  # type: ignore[misc]
    PaymentReadMethods,
    PaymentChangeMethods,
    RefundMethods,
    PaymentMethodMethods,
    ReconcileMethods,
    payments_pb2_grpc.PaymentsServiceServicer,
):
    """Payments over gRPC."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        writes: Writes,
        gateway: PaymentGateway,
        methods: MethodGateway,
        customers: Customers,
        feed: FrameSource,
        settlement: Settlement,
        reconciliation: Reconciliation,
    ) -> None:
        PaymentReadMethods.__init__(self, store=store, gateway=gateway, feed=feed)
        RefundMethods.__init__(self, store=store, clock=clock, writes=writes, settlement=settlement)
        PaymentMethodMethods.__init__(
            self, store=store, clock=clock, writes=writes, gateway=methods, customers=customers
        )

        ReconcileMethods.__init__(self, reconciliation=reconciliation)

    async def CreatePaymentIntent(
        self, request: pb.CreatePaymentIntentRequest, context: Context
    ) -> pb.CreatePaymentIntentResponse:
        wanted = _read_intent(request)
        key = self._writes.key(request.request_id, "CreatePaymentIntent", context)
        jobs: list[IntentJob] = []

        def record(repo: Repository, operation: Operation) -> IntentJob:
            order = new_order(
                repo,
                request,
                created_by=key.caller,
                payment_id=operation.resource_id,
                now=operation.create_time,
            )
            rules.check_currency(wanted.method_type, order.price.currency)
            method = self.usable_method(repo, request, request.user_id)
            payment = Payment(
                id=order.payment_id,
                user_id=order.user_id,
                order_id=order.id,
                created_by=key.caller,
                description=request.description or order.product.name,
                amount=order.price,
                method_type=wanted.method_type,
                capture_method=wanted.capture_method,
                reuse=wanted.reuse,
                off_session=request.off_session,
                payment_method_id=method.id if method else "",
                state=derive_state(()),
                create_time=order.create_time,
                update_time=order.create_time,
            )
            jobs.append(self._record_payment(repo, payment, method, order=order))
            return jobs[-1]

        def answer(repo: Repository, operation: Operation) -> pb.CreatePaymentIntentResponse:
            settled = jobs[-1].settled if jobs else None
            if settled is None:
                # It was settled by another call, or by the janitor.
                payment = a_payment(repo, operation.resource_id)
                settled = Settled(order=repo.orders.get(payment.order_id), payment=payment)
            if settled.order is None:
                raise AssertionError("the payment of an order has an order")
            return pb.CreatePaymentIntentResponse(
                order=convert.to_order(settled.order),
                payment=convert_payments.to_payment(settled.payment),
                resume_token=repo.log.here().encode(),
            )

        response = await self.with_method(
            request,
            partial(
                self._writes.through,
                context,
                key,
                request,
                pb.CreatePaymentIntentResponse,
                resource_id=new_id(Prefix.PAYMENT, self._clock.now()),
                record=record,
                answer=answer,
            ),
        )
        fresh = bool(jobs) and jobs[-1].payment.id == response.payment.id
        secret = jobs[-1].client_secret if fresh else ""
        if not secret:
            payment_id = response.payment.id
            payment = await self._store.read(lambda repo: a_payment(repo, payment_id))
            secret = await self._client_secret(payment)
        elif response.payment.status in _ENDED:
            secret = ""
        response.client_secret = secret
        return response

    def _record_payment(
        self,
        repo: Repository,
        payment: Payment,
        method: PaymentMethod | None,
        *,
        order: Order | None = None,
    ) -> IntentJob:
        # Read first: what follows is written together.
        customer = self._customers.keep(repo, payment.user_id)
        if order is not None:
            repo.orders.insert(order)
            repo.log.append(orders.created(order))
        repo.payments.insert(payment)
        repo.log.append(payments.created(payment))
        return IntentJob(
            payment=payment,
            customer=customer,
            stripe_payment_method_id=method.stripe_payment_method_id if method else "",
        )

    async def ChargeUser(
        self, request: pb.ChargeUserRequest, context: Context
    ) -> pb.ChargeUserResponse:
        amount = _read_charge(request)
        key = self._writes.key(request.request_id, "ChargeUser", context)

        def record(repo: Repository, operation: Operation) -> IntentJob:
            method = self.usable_method(repo, request, request.user_id)
            if method is None:
                raise AssertionError("a charge without a payment method is refused before")
            payment = Payment(
                id=operation.resource_id,
                user_id=request.user_id,
                order_id="",
                created_by=key.caller,
                description=request.description,
                amount=amount,
                off_session=True,
                payment_method_id=method.id,
                state=derive_state(()),
                create_time=operation.create_time,
                update_time=operation.create_time,
            )
            return self._record_payment(repo, payment, method)

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.ChargeUserResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            refusal = not_charged(payment)
            return refusal or pb.ChargeUserResponse(
                payment=convert_payments.to_payment(payment), resume_token=repo.log.here().encode()
            )

        return await self.with_method(
            request,
            partial(
                self._writes.through,
                context,
                key,
                request,
                pb.ChargeUserResponse,
                resource_id=new_id(Prefix.PAYMENT, self._clock.now()),
                record=record,
                answer=answer,
            ),
        )


class _Intent:
    """What a CreatePaymentIntent request says beside the sale."""

    def __init__(
        self, method_type: PaymentMethodType, capture_method: CaptureMethod, reuse: Reuse | None
    ) -> None:
        self.method_type = method_type
        self.capture_method = capture_method
        self.reuse = reuse


def _read_intent(request: pb.CreatePaymentIntentRequest) -> _Intent:
    """Read the request, or refuse what no state of the store could make right."""
    faults = sale_faults(request)
    _check_method(request, faults)
    faults.extend(
        text_violations(request.description, "description", least=0, most=MOST_DESCRIPTION)
    )
    named = request.WhichOneof("payment_method") is not None
    if request.off_session and not named:
        faults.add("off_session", "needs a saved payment method: the customer is not there")
    faults.refuse()
    method_type = convert_payments.from_payment_method_type(
        request.payment_method_type, "payment_method_type"
    )
    capture = convert_payments.from_capture_method(request.capture_method, "capture_method")
    reuse = convert_payments.from_reuse(
        request.setup_payment_method_reuse, "setup_payment_method_reuse"
    )
    if reuse is not None:
        rules.check_reusable(method_type, reuse)
    if named:
        rules.check_reusable(method_type, Reuse.OFF_SESSION)
    if capture is CaptureMethod.MANUAL and method_type is not PaymentMethodType.CARD:
        raise invalid_field("capture_method", f"must be automatic: {method_type} can't hold money")
    return _Intent(method_type, capture, reuse)


def _read_charge(request: pb.ChargeUserRequest) -> Money:
    faults = Faults()
    faults.request_id(request.request_id)
    faults.user_id(request.user_id, "user_id")
    faults.extend(
        text_violations(request.description, "description", least=0, most=MOST_DESCRIPTION)
    )
    amount = Money(
        amount=request.amount.amount, currency=request.amount.currency_code or DEFAULT_CURRENCY
    )
    faults.extend(price_violations(amount, "amount"))
    if request.WhichOneof("payment_method") is None:
        faults.add("payment_method", "one of payment_method_id, stripe_payment_method_id is needed")
    _check_method(request, faults)
    faults.refuse()
    return amount


def _check_method(
    request: pb.CreatePaymentIntentRequest | pb.ChargeUserRequest, faults: Faults
) -> None:
    match request.WhichOneof("payment_method"):
        case "payment_method_id":
            faults.id(request.payment_method_id, "payment_method_id")
        case "stripe_payment_method_id":
            faults.stripe_id(request.stripe_payment_method_id, "stripe_payment_method_id")
        case None:
            pass
