"""Payment intents: made, captured, cancelled."""

from dataclasses import dataclass

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.payment import (
    Customer,
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentFailure,
    PaymentFlow,
    PaymentSignal,
)
from boxoffice_server.operations.customers import CLOCK_MARGIN, Customers
from boxoffice_server.operations.engine import OWN_CALLER, Operations
from boxoffice_server.operations.work import Record
from boxoffice_server.ports import (
    Clock,
    IntentAnswer,
    IntentRequest,
    Operation,
    PaymentGateway,
    Repository,
)
from boxoffice_server.settlement import Settled, Settlement, lock_payment


@dataclass(slots=True, kw_only=True)
class IntentJob:
    """An intent to be made. `stripe_payment_method_id` is empty where the customer gives one.

    `client_secret` is there once the vendor has answered, for whoever asked, and is never kept;
    `settled` once that is recorded.
    """

    payment: Payment
    customer: Customer
    stripe_payment_method_id: str = ""
    client_secret: str = ""
    settled: Settled | None = None


class MakeIntent:
    """Has the vendor make a payment's intent, and confirm it if the customer is away."""

    def __init__(
        self,
        *,
        operations: Operations,
        settlement: Settlement,
        gateway: PaymentGateway,
        customers: Customers,
    ) -> None:
        self._operations = operations
        self._settlement = settlement
        self._gateway = gateway
        self._customers = customers

    def load(self, repo: Repository, operation: Operation) -> IntentJob:
        payment = a_payment(repo, operation.resource_id)
        method = repo.methods.get(payment.payment_method_id) if payment.payment_method_id else None
        return IntentJob(
            payment=payment,
            customer=self._customers.keep(repo, payment.user_id),
            stripe_payment_method_id=method.stripe_payment_method_id if method else "",
        )

    async def ask(self, operation: Operation, loaded: IntentJob) -> Record:
        try:
            answer = await self._intent(operation, loaded)
        except BoxofficeError as error:
            raise about(error, payment_id=loaded.payment.id) from error
        loaded.client_secret = answer.client_secret

        def record(repo: Repository, operation: Operation) -> Operation:
            loaded.settled = settle_intent(self._settlement, repo, loaded.payment, answer)
            return operation

        return record

    async def _intent(self, operation: Operation, job: IntentJob) -> IntentAnswer:
        """Have the intent made; or read it, where a notification has told of it already."""
        payment = job.payment
        if payment.stripe_payment_intent_id:
            return await self._gateway.read_intent(payment.stripe_payment_intent_id)
        customer_id = await self._customers.stripe_id(job.customer, operation)
        since = operation.create_time - CLOCK_MARGIN
        return await self._operations.once(
            operation,
            find=lambda: self._gateway.find_intent(payment, customer_id, since=since),
            send=lambda key: self._gateway.create_intent(
                IntentRequest(
                    payment=payment,
                    stripe_customer_id=customer_id,
                    stripe_payment_method_id=job.stripe_payment_method_id,
                    key=key,
                )
            ),
        )

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Record that there will be no intent."""
        locked = lock_payment(repo, a_payment(repo, operation.resource_id))
        payment = locked.payment
        refusal = PaymentFact(
            id=hashed_id(Prefix.EVENT, payment.id, "refused"),
            origin=FactOrigin.ANSWER,
            type="refused",
            resource_type="payment",
            resource_id=payment.id,
            event_time=payment.create_time,
            signal=PaymentSignal.REFUSED,
            failure=PaymentFailure(
                code=error.metadata.get("vendor_code", ""), decline_code="", message=error.message
            ),
        )
        self._settlement.settle(repo, locked, [refusal])
        return operation


class CaptureIntent:
    """Has the vendor capture what an intent holds. `details` may name an `amount`."""

    def __init__(
        self, *, operations: Operations, settlement: Settlement, gateway: PaymentGateway
    ) -> None:
        self._operations = operations
        self._settlement = settlement
        self._gateway = gateway

    def load(self, repo: Repository, operation: Operation) -> Payment:
        return a_payment(repo, operation.resource_id)

    async def ask(self, operation: Operation, loaded: Payment) -> Record:
        # Nothing that may change meanwhile: under one key Stripe takes one request only.
        asked = operation.details.get("amount")
        amount = None if asked is None else int(asked)
        try:
            answer = await self._operations.once(
                operation,
                find=lambda: _ended(self._gateway, loaded),
                send=lambda key: self._gateway.capture_intent(loaded, amount=amount, key=key),
            )
        except BoxofficeError as error:
            answer = await _after_refusal(self._gateway, loaded, error)

        def record(repo: Repository, operation: Operation) -> Operation:
            settle_intent(self._settlement, repo, loaded, answer)
            return operation

        return record

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Leave the payment as it is: the vendor says what became of it."""
        del repo, error
        return operation


class CancelIntent:
    """Has the vendor cancel a payment's intent; what has none is cancelled here."""

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

    def load(self, repo: Repository, operation: Operation) -> Payment:
        return a_payment(repo, operation.resource_id)

    async def ask(self, operation: Operation, loaded: Payment) -> Record:
        if loaded.flow is PaymentFlow.LEGACY_CHARGE or not loaded.stripe_payment_intent_id:
            return self._record_here
        try:
            answer = await self._operations.once(
                operation,
                find=lambda: _ended(self._gateway, loaded),
                send=lambda key: self._gateway.cancel_intent(loaded, key=key),
                # Whoever called may have thought better of it since; the service has not.
                never_expires=operation.key.caller == OWN_CALLER,
            )
        except BoxofficeError as error:
            answer = await _after_refusal(self._gateway, loaded, error)

        def record(repo: Repository, operation: Operation) -> Operation:
            settle_intent(self._settlement, repo, loaded, answer)
            return operation

        return record

    def _record_here(self, repo: Repository, operation: Operation) -> Operation:
        locked = lock_payment(repo, a_payment(repo, operation.resource_id))
        cancelled = PaymentFact(
            id=hashed_id(Prefix.EVENT, locked.payment.id, "cancelled"),
            origin=FactOrigin.ANSWER,
            type="cancelled",
            resource_type="payment",
            resource_id=locked.payment.id,
            event_time=self._clock.now().replace(microsecond=0),
            signal=PaymentSignal.CANCELLED,
        )
        self._settlement.settle(repo, locked, [cancelled])
        return operation

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Leave the payment as it is: the vendor says what became of it."""
        del repo, error
        return operation


async def _ended(gateway: PaymentGateway, payment: Payment) -> IntentAnswer | None:
    """Read an intent; None while it has not ended, so that something is left to be done."""
    answer = await gateway.read_intent(payment.stripe_payment_intent_id)
    ended = answer.fact.signal in {PaymentSignal.CAPTURED, PaymentSignal.CANCELLED}
    return answer if ended else None


async def _after_refusal(
    gateway: PaymentGateway, payment: Payment, error: BoxofficeError
) -> IntentAnswer:
    """Read how an intent has ended that the vendor would not capture or cancel.

    It may have ended before anyone told us. Raises the refusal where it has not.
    """
    answer = None
    if error.reason is Reason.VENDOR_REFUSED:
        answer = await _ended(gateway, payment)
    if answer is None:
        raise about(error, payment_id=payment.id) from error
    return answer


def settle_intent(
    settlement: Settlement, repo: Repository, payment: Payment, answer: IntentAnswer
) -> Settled:
    """Record what the vendor said about the intent of a payment."""
    return settlement.settle(
        repo,
        lock_payment(repo, payment),
        [answer.fact],
        stripe_payment_intent_id=answer.stripe_payment_intent_id,
        stripe_charge_id=answer.stripe_charge_id,
    )


def a_payment(repo: Repository, payment_id: str) -> Payment:
    """Read a payment that must be there."""
    payment = repo.payments.get(payment_id)
    if payment is None:
        raise AssertionError(f"payment {payment_id} is gone")
    return payment


def about(error: BoxofficeError, **metadata: str) -> BoxofficeError:
    """Say what an error of the vendor's is about."""
    return type(error)(
        error.reason,
        error.message,
        metadata={**error.metadata, **metadata},
        violations=error.violations,
        retry_after=error.retry_after,
    )
