"""Refunds: money of a payment that is given back."""

from dataclasses import dataclass, replace

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.payment import Payment
from boxoffice_server.domain.refund import Refund, RefundStatus
from boxoffice_server.operations.engine import Operations
from boxoffice_server.operations.intents import a_payment, about
from boxoffice_server.operations.work import Record
from boxoffice_server.ports import Clock, Operation, PaymentGateway, Repository
from boxoffice_server.settlement import Settlement, lock_payment


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundJob:
    """A refund to be made, and the payment whose money it is."""

    refund: Refund
    payment: Payment


class MakeRefund:
    """Has the vendor give money back."""

    def __init__(
        self,
        *,
        operations: Operations,
        settlement: Settlement,
        gateway: PaymentGateway,
        clock: Clock,
    ) -> None:
        self._operations = operations
        self._settlement = settlement
        self._gateway = gateway
        self._clock = clock

    def load(self, repo: Repository, operation: Operation) -> RefundJob:
        refund = a_refund(repo, operation.resource_id)
        return RefundJob(refund=refund, payment=a_payment(repo, refund.payment_id))

    async def ask(self, operation: Operation, loaded: RefundJob) -> Record:
        refund, payment = loaded.refund, loaded.payment
        try:
            news = await self._operations.once(
                operation,
                find=lambda: self._gateway.find_refund(refund, payment),
                send=lambda key: self._gateway.create_refund(refund, payment, key=key),
            )
        except BoxofficeError as error:
            raise about(error, payment_id=payment.id, refund_id=refund.id) from error

        def record(repo: Repository, operation: Operation) -> Operation:
            self._settlement.hear_refund(repo, lock_payment(repo, payment), news)
            return operation

        return record

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Record that the money stays; what the vendor says of it later would still count."""
        payment = a_payment(repo, a_refund(repo, operation.resource_id).payment_id)
        locked = lock_payment(repo, payment)
        refund = a_refund(repo, operation.resource_id)
        if refund.heard_time is None:
            failed = replace(
                refund,
                status=RefundStatus.FAILED,
                failure_reason=error.metadata.get("vendor_code", "") or error.reason.lower(),
                update_time=self._clock.now(),
            )
            repo.refunds.update(failed)
            self._settlement.refund_changed(repo, locked, failed)
        return operation


def a_refund(repo: Repository, refund_id: str) -> Refund:
    """Read a refund that must be there."""
    refund = repo.refunds.get(refund_id)
    if refund is None:
        raise AssertionError(f"refund {refund_id} is gone")
    return refund
