"""Legacy charges: a Source that is charged for an order."""

from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import Order, check_chargeable
from boxoffice_server.domain.payment import Payment
from boxoffice_server.operations.customers import CLOCK_MARGIN
from boxoffice_server.operations.engine import OWN_CALLER, Operations
from boxoffice_server.operations.intents import a_payment, about
from boxoffice_server.operations.refusals import in_progress
from boxoffice_server.operations.work import Record
from boxoffice_server.ports import (
    ChargeAnswer,
    ChargeRequest,
    Operation,
    OperationKey,
    PaymentGateway,
    Repository,
    SourceAnswer,
)
from boxoffice_server.settlement import Settlement, lock_payment

CREATE_CHARGE = "CreateCharge"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeJob:
    """A payment to be charged, and its order. `waits` says that another attempt goes first."""

    payment: Payment
    order: Order
    waits: bool = False


class MakeCharge:
    """Charges a Source the payment's own amount. `details` names the Source as `source`.

    The customer's device may make several Sources for one order, and the vendor would charge each.
    So one attempt is made after the other, and none once the money is there or on its way.
    """

    def __init__(
        self, *, operations: Operations, settlement: Settlement, gateway: PaymentGateway
    ) -> None:
        self._operations = operations
        self._settlement = settlement
        self._gateway = gateway

    def load(self, repo: Repository, operation: Operation) -> ChargeJob:
        payment = a_payment(repo, operation.resource_id)
        order = repo.orders.get(payment.order_id)
        if order is None:
            raise AssertionError(f"order {payment.order_id} is gone")
        others = repo.operations.unsettled_on(payment.id)
        waits = any(_goes_before(each, operation) for each in others)
        return ChargeJob(payment=payment, order=order, waits=waits)

    async def ask(self, operation: Operation, loaded: ChargeJob) -> Record:
        if loaded.waits:
            raise in_progress(operation.key)
        payment = loaded.payment
        try:
            answer = await self._operations.once(
                operation,
                find=lambda: self._gateway.find_charge(
                    payment,
                    operation_id=operation.id,
                    since=operation.create_time - CLOCK_MARGIN,
                ),
                send=lambda key: self._charge(loaded, operation, key),
            )
        except BoxofficeError as error:
            raise about(error, payment_id=payment.id, order_id=payment.order_id) from error

        def record(repo: Repository, operation: Operation) -> Operation:
            settle_charge(self._settlement, repo, payment, answer)
            return operation

        return record

    async def _charge(self, job: ChargeJob, operation: Operation, key: str) -> ChargeAnswer:
        """Charge a Source that agrees with the order, and no other."""
        payment, source_id = job.payment, operation.details["source"]
        check_chargeable(job.order, payment.flow, payment.state)
        source = await self._gateway.read_source(source_id)
        if not agrees(source, payment):
            raise BoxofficeError(
                Reason.SOURCE_MISMATCH,
                f"source {source_id} is not made for order {payment.order_id}",
                metadata={"order_id": payment.order_id, "stripe_source_id": source_id},
            )
        return await self._gateway.create_charge(
            ChargeRequest(
                payment=payment,
                operation_id=operation.id,
                stripe_source_id=source_id,
                stripe_customer_id=source.stripe_customer_id,
                key=key,
            )
        )

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Leave the order as it is: nothing was charged, and another Source may be."""
        del repo, error
        return operation


def _goes_before(other: Operation, operation: Operation) -> bool:
    """Tell whether another open operation on the payment is to end first.

    What a caller asks for is refused while anything else is open, so it never has to wait.
    """
    ours = other.key.caller == OWN_CALLER == operation.key.caller
    first = other.id < operation.id if ours else operation.key.caller == OWN_CALLER
    return other.id != operation.id and first


def settle_charge(
    settlement: Settlement, repo: Repository, payment: Payment, answer: ChargeAnswer
) -> None:
    """Record what the vendor said about a legacy charge for a payment."""
    locked = lock_payment(repo, payment)
    settlement.settle(repo, locked, [answer.fact], stripe_charge_id=answer.stripe_charge_id)


def agrees(source: SourceAnswer, payment: Payment) -> bool:
    """Tell whether a Source names the order, its payer and its amount."""
    named = (source.order_id, source.user_id, source.amount)
    return named == (payment.order_id, payment.user_id, payment.amount)


def charge_operation(order: Order, source_id: str, *, id_: str, now: datetime) -> Operation:
    """Make the operation that charges a Source for an order, once."""
    return Operation(
        id=id_,
        key=OperationKey(caller=OWN_CALLER, operation=CREATE_CHARGE, request_id=source_id),
        fingerprint=b"",
        resource_id=order.payment_id,
        details={"source": source_id},
        answer=None,
        create_time=now,
    )
