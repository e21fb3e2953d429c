"""PaymentsService: payments that are made, captured and cancelled; with them the whole servicer."""

from functools import partial

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice_server.api import convert, convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.payment_methods import PaymentMethodMethods
from boxoffice_server.api.payment_reads import PaymentReadMethods
from boxoffice_server.api.reconcile import ReconcileMethods
from boxoffice_server.api.refunds import RefundMethods
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.sales import new_order, sale_faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain import order as orders
from boxoffice_server.domain import payment as payments
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import DEFAULT_CURRENCY, Money, price_violations
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Payment,
    PaymentMethodType,
    PaymentStatus,
    PendingReason,
    Reuse,
    derive_state,
)
from boxoffice_server.domain.payment_method import PaymentMethod
from boxoffice_server.domain.text import text_violations
from boxoffice_server.operations.charges import CREATE_CHARGE
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.engine import check_settled
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
from boxoffice_server.settlement import Locked, Settlement, lock, lock_order

MOST_DESCRIPTION = 500
_ENDED = {pb.PAYMENT_STATUS_COMPLETE, pb.PAYMENT_STATUS_CANCELLED}


# grpc.aio takes coroutines that write their stream themselves; the generated types don't say so.
class PaymentsServicer(  # type: ignore[misc]
    PaymentReadMethods,
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
            payments.check_currency(wanted.method_type, order.price.currency)
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
            repo.orders.insert(order)
            repo.log.append(orders.created(order))
            jobs.append(self._record_payment(repo, payment, method))
            return jobs[-1]

        def answer(repo: Repository, operation: Operation) -> pb.CreatePaymentIntentResponse:
            payment = a_payment(repo, operation.resource_id)
            order = repo.orders.get(payment.order_id)
            if order is None:
                raise AssertionError(f"order {payment.order_id} is gone")
            return pb.CreatePaymentIntentResponse(
                order=convert.to_order(order),
                payment=convert_payments.to_payment(payment),
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
        self, repo: Repository, payment: Payment, method: PaymentMethod | None
    ) -> IntentJob:
        repo.payments.insert(payment)
        repo.log.append(payments.created(payment))
        return IntentJob(
            payment=payment,
            customer=self._customers.keep(repo, payment.user_id),
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
            refusal = _not_charged(payment)
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

    async def CapturePayment(
        self, request: pb.CapturePaymentRequest, context: Context
    ) -> pb.CapturePaymentResponse:
        amount = None
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.payment_id, "payment_id")
        faults.refuse()
        if request.HasField("amount"):
            amount = convert_payments.from_amount(request.amount, "amount")
        key = self._writes.key(request.request_id, "CapturePayment", context)

        def record(repo: Repository, operation: Operation) -> Payment:
            payment = _locked(repo, request.payment_id).payment
            check_settled(repo, payment.id, but=operation.id)
            payments.check_capturable(payment, amount)
            return payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CapturePaymentResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            # Somebody else may have captured another part of it.
            if not payment.captured or payment.captured != (amount or payment.captured):
                return payments.wrong_status(
                    payment, Reason.PAYMENT_NOT_CAPTURABLE, "holds no money to capture"
                )
            return pb.CapturePaymentResponse(
                payment=convert_payments.to_payment(payment), resume_token=repo.log.here().encode()
            )

        return await self._writes.through(
            context,
            key,
            request,
            pb.CapturePaymentResponse,
            resource_id=request.payment_id,
            details={} if amount is None else {"amount": str(amount)},
            record=record,
            answer=answer,
        )

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, context: Context
    ) -> pb.CancelPaymentResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.payment_id, "payment_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "CancelPayment", context)

        def record(repo: Repository, operation: Operation) -> Payment:
            payment = _locked(repo, request.payment_id).payment
            check_settled(repo, payment.id, but=operation.id)
            payments.check_cancellable(payment)
            return payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CancelPaymentResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            if payment.state.status is not PaymentStatus.CANCELLED:
                return payments.wrong_status(
                    payment, Reason.PAYMENT_NOT_CANCELLABLE, "can't be cancelled"
                )
            return pb.CancelPaymentResponse(
                payment=convert_payments.to_payment(payment), resume_token=repo.log.here().encode()
            )

        return await self._writes.through(
            context,
            key,
            request,
            pb.CancelPaymentResponse,
            resource_id=request.payment_id,
            record=record,
            answer=answer,
        )

    async def CreateCharge(
        self, request: pb.CreateChargeRequest, context: Context
    ) -> pb.CreateChargeResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.order_id, "order_id")
        faults.stripe_id(request.stripe_source_id, "stripe_source_id")
        faults.refuse()
        key = self._writes.key(request.request_id, CREATE_CHARGE, context)
        order = await self._store.read(lambda repo: repo.orders.get(request.order_id))
        if order is None:
            raise convert.order_not_found(request.order_id)

        def record(repo: Repository, operation: Operation) -> Payment:
            locked = _locked(repo, operation.resource_id)
            check_settled(repo, locked.payment.id, but=operation.id)
            if locked.order is None:
                raise AssertionError("the payment of an order has an order")
            payment = locked.payment
            orders.check_chargeable(locked.order, payment.flow, payment.state)
            return payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CreateChargeResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            refusal = _not_charged(payment)
            return refusal or pb.CreateChargeResponse(
                order=convert.to_order(lock_order(repo, payment.order_id)),
                payment=convert_payments.to_payment(payment),
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.through(
            context,
            key,
            request,
            pb.CreateChargeResponse,
            resource_id=order.payment_id,
            details={"source": request.stripe_source_id},
            record=record,
            answer=answer,
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
        payments.check_reusable(method_type, reuse)
    if named:
        payments.check_reusable(method_type, Reuse.OFF_SESSION)
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


def _locked(repo: Repository, payment_id: str) -> Locked:
    """Lock a payment that a caller has named."""
    locked = lock(repo, payment_id)
    if locked is None:
        raise convert_payments.payment_not_found(payment_id)
    return locked


def _not_charged(payment: Payment) -> BoxofficeError | None:
    """Refuse a charge that took no money; None where it did, or is about to."""
    state, failure = payment.state, payment.state.last_failure
    if state.status is PaymentStatus.COMPLETE or state.pending_reason is PendingReason.PROCESSING:
        return None
    about = {"payment_id": payment.id}
    if failure is not None:
        words = {"vendor_code": failure.code, "vendor_decline_code": failure.decline_code}
        about |= {name: word for name, word in words.items() if word}
    if state.status is PaymentStatus.REQUIRES_ACTION:
        return BoxofficeError(
            Reason.AUTHENTICATION_REQUIRED,
            f"the bank asks for the customer, who can finish payment {payment.id} with the client "
            "secret that GetPayment answers",
            metadata=about,
        )
    told = failure.message if failure is not None and failure.message else state.status
    return BoxofficeError(
        Reason.CARD_DECLINED, f"payment {payment.id} was declined: {told}", metadata=about
    )
