"""PaymentsService: money that is given back."""

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.api import convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment_rules import check_refundable
from boxoffice_server.domain.refund import Refund, RefundReason, RefundStatus
from boxoffice_server.operations.intents import a_payment
from boxoffice_server.operations.refunds import RefundJob, a_refund
from boxoffice_server.ports import Clock, Operation, Repository, Store
from boxoffice_server.settlement import Settlement, lock


class RefundMethods:
    """Refunds over gRPC."""

    def __init__(
        self, *, store: Store, clock: Clock, writes: Writes, settlement: Settlement
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._settlement = settlement

    async def RefundPayment(
        self, request: pb.RefundPaymentRequest, context: Context
    ) -> pb.RefundPaymentResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.payment_id, "payment_id")
        faults.refuse()
        amount = None
        if request.HasField("amount"):
            amount = convert_payments.from_amount(request.amount, "amount")
        reason = convert_payments.from_refund_reason(request.reason, "reason")
        key = self._writes.key(request.request_id, "RefundPayment", context)

        def record(repo: Repository, operation: Operation) -> RefundJob:
            return self._record_refund(repo, operation, request.payment_id, amount, reason)

        def answer(repo: Repository, operation: Operation) -> pb.RefundPaymentResponse:
            refund = a_refund(repo, operation.resource_id)
            return pb.RefundPaymentResponse(
                refund=convert_payments.to_refund(refund),
                payment=convert_payments.to_payment(a_payment(repo, refund.payment_id)),
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.through(
            context,
            key,
            request,
            pb.RefundPaymentResponse,
            resource_id=new_id(Prefix.REFUND, self._clock.now()),
            record=record,
            answer=answer,
        )

    def _record_refund(
        self,
        repo: Repository,
        operation: Operation,
        payment_id: str,
        amount: int | None,
        reason: RefundReason | None,
    ) -> RefundJob:
        """Record a refund, which counts from now on; the payment's lock keeps others away."""
        locked = lock(repo, payment_id)
        if locked is None:
            raise convert_payments.payment_not_found(payment_id)
        payment = locked.payment
        wanted = check_refundable(payment, repo.refunds.of_payment(payment.id), amount)
        refund = Refund(
            id=operation.resource_id,
            payment_id=payment.id,
            user_id=payment.user_id,
            amount=Money(amount=wanted, currency=payment.amount.currency),
            status=RefundStatus.PENDING,
            reason=reason,
            failure_reason="",
            stripe_refund_id="",
            heard_time=None,
            create_time=operation.create_time,
            update_time=operation.create_time,
        )
        repo.refunds.insert(refund)
        settled = self._settlement.refund_changed(repo, locked, refund)
        return RefundJob(refund=refund, payment=settled.payment)
