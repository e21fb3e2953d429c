"""PaymentsService: payments that are captured, cancelled, and charged from a Source."""

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.api import convert, convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain import order as orders
from boxoffice_server.domain import payment_rules as rules
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import Payment, PaymentStatus, PendingReason
from boxoffice_server.operations.charges import CREATE_CHARGE, ChargeJob
from boxoffice_server.operations.intents import a_payment
from boxoffice_server.operations.refusals import check_settled
from boxoffice_server.ports import Operation, Repository, Store
from boxoffice_server.settlement import Locked, lock, lock_order


class PaymentChangeMethods:
    """What becomes of payments that are there."""

    def __init__(self, *, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

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
            rules.check_capturable(payment, amount)
            return payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CapturePaymentResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            # Somebody else may have captured another part of it.
            if not payment.captured or payment.captured != (amount or payment.captured):
                return rules.wrong_status(
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
            rules.check_cancellable(payment)
            return payment

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CancelPaymentResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            if payment.state.status is not PaymentStatus.CANCELLED:
                return rules.wrong_status(
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

        def record(repo: Repository, operation: Operation) -> ChargeJob:
            locked = _locked(repo, operation.resource_id)
            payment = locked.payment
            check_settled(repo, payment.id, but=operation.id)
            if locked.order is None:
                raise AssertionError("the payment of an order has an order")
            orders.check_chargeable(locked.order, payment.flow, payment.state)
            return ChargeJob(payment=payment, order=locked.order)

        def answer(
            repo: Repository, operation: Operation
        ) -> pb.CreateChargeResponse | BoxofficeError:
            payment = a_payment(repo, operation.resource_id)
            refusal = not_charged(payment)
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


def _locked(repo: Repository, payment_id: str) -> Locked:
    """Lock a payment that a caller has named."""
    locked = lock(repo, payment_id)
    if locked is None:
        raise convert_payments.payment_not_found(payment_id)
    return locked


def not_charged(payment: Payment) -> BoxofficeError | None:
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
