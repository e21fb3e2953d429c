"""PaymentsService: money that is asked for through the payment gateway."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog
from google.rpc import status_pb2

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import payments_pb2_grpc
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.errors import from_status, to_status
from boxoffice_server.api.intent_records import IntentRecords, Recorded, finish, let_go
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.money import is_currency_code
from boxoffice_server.domain.payment import (
    Customer,
    FactOrigin,
    Payment,
    PaymentFact,
    PaymentFailure,
    PaymentMethodType,
    PaymentSignal,
    PaymentStatus,
)
from boxoffice_server.domain.text import tag_violations
from boxoffice_server.own_tasks import OwnTasks
from boxoffice_server.ports import (
    Clock,
    IntentAnswer,
    IntentRequest,
    Operation,
    OperationKey,
    PaymentGateway,
    Repository,
    Store,
)
from boxoffice_server.settlement import Settled, settle

# How often a call looks whether the other one with its request id has ended.
FIRST_LOOK_SECONDS = 0.05
MOST_LOOK_SECONDS = 1.0
# How long before its deadline a call gives up waiting for the other one.
MARGIN_SECONDS = 0.5


class PaymentsServicer(payments_pb2_grpc.PaymentsServiceServicer):
    """Payments over gRPC.

    What was asked of the vendor runs in tasks of the servicer's own, which no caller can cancel;
    `close` waits for them.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        writes: Writes,
        gateway: PaymentGateway,
        records: IntentRecords,
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._gateway = gateway
        self._records = records
        self._log = structlog.get_logger(part="payments")
        self._own = OwnTasks(self._tell_unheard)

    async def close(self) -> None:
        """Wait for everything that was asked of the vendor."""
        await self._own.finish()

    async def CreatePaymentIntent(
        self, request: pb.CreatePaymentIntentRequest, context: Context
    ) -> pb.CreatePaymentIntentResponse:
        method_type = _check(request)
        key = self._writes.key(request.request_id, "CreatePaymentIntent", context)
        record = partial(self._records.record, key=key, request=request, method_type=method_type)
        recorded = await self._when_mine(record, key, context)
        if recorded.operation.answer is not None:
            return await self._replay(recorded.operation)
        return await self._own.run(self._ask(recorded))

    async def _when_mine(
        self, record: partial[Recorded], key: OperationKey, context: Context
    ) -> Recorded:
        """Record, and wait while another call with this request id is at work."""
        pause = FIRST_LOOK_SECONDS
        loop = asyncio.get_running_loop()
        # Calls without a deadline get one of 30 s from the interceptor.
        give_up = loop.time() + min(context.time_remaining() or 30.0, 30.0) - MARGIN_SECONDS
        while True:
            recorded = await self._store.write(record)
            if recorded.mine or recorded.operation.answer is not None:
                return recorded
            if loop.time() + pause > give_up:
                raise BoxofficeError(
                    Reason.IN_PROGRESS,
                    f"a call with request id {key.request_id} is still running",
                    metadata={"request_id": key.request_id},
                    retry_after=timedelta(seconds=1),
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, MOST_LOOK_SECONDS)

    def _tell_unheard(self, error: BaseException) -> None:
        self._log.warning("a call failed after its caller had left", exc_info=error)

    async def _ask(self, recorded: Recorded) -> pb.CreatePaymentIntentResponse:
        """Ask the vendor for what was recorded, and record what it said."""
        payment = recorded.payment
        try:
            answer = await self._intent(recorded)
        except BoxofficeError as error:
            refusal = _about(error, payment)
            if error.reason is Reason.VENDOR_REFUSED:
                await self._store.write(partial(self._refused, recorded=recorded, error=refusal))
            else:
                await self._store.write(partial(let_go, recorded=recorded))
            raise refusal from error
        response = await self._store.write(
            partial(self._answered, recorded=recorded, answer=answer)
        )
        response.client_secret = answer.client_secret
        return response

    async def _intent(self, recorded: Recorded) -> IntentAnswer:
        """Have the vendor make the intent; or read it, where a notification has told of it.

        The vendor forgets keys after a day and repeats a failure that it kept under one, so what is
        known to be there is never asked for again.
        """
        payment = recorded.payment
        if payment.stripe_payment_intent_id:
            return await self._gateway.read_intent(payment.stripe_payment_intent_id)
        customer_id = await self._stripe_customer(recorded.customer)
        return await self._gateway.create_intent(
            IntentRequest(payment=payment, stripe_customer_id=customer_id)
        )

    async def _stripe_customer(self, customer: Customer) -> str:
        """Answer the vendor's id of who pays; made at the user's first payment."""
        if customer.stripe_customer_id:
            return customer.stripe_customer_id
        made = await self._gateway.create_customer(customer)
        await self._store.write(
            lambda repo: repo.payments.set_stripe_customer(customer.user_id, made)
        )
        return made

    def _answered(
        self, repo: Repository, *, recorded: Recorded, answer: IntentAnswer
    ) -> pb.CreatePaymentIntentResponse:
        settled = self._settle(
            repo, recorded, answer.fact, stripe_payment_intent_id=answer.stripe_payment_intent_id
        )
        operation = repo.operations.get(recorded.operation.key, lock=True)
        if operation is None:
            raise AssertionError("an operation that is there can be read")
        if operation.answer is not None and not operation.failed:
            # Another instance took the work up and was faster; its answer is the answer.
            return pb.CreatePaymentIntentResponse.FromString(operation.answer)
        token = settled.token or recorded.token or repo.log.bounds().head_token()
        response = pb.CreatePaymentIntentResponse(
            order=convert.to_order(settled.order),
            payment=convert.to_payment(settled.payment),
            resume_token=token.encode(),
        )
        finish(repo, recorded.operation, response.SerializeToString(), failed=False)
        return response

    def _refused(self, repo: Repository, *, recorded: Recorded, error: BoxofficeError) -> None:
        refusal = PaymentFact(
            id=hashed_id(Prefix.EVENT, recorded.payment.id, "refused"),
            origin=FactOrigin.ANSWER,
            type="refused",
            resource_type="payment",
            resource_id=recorded.payment.id,
            event_time=recorded.payment.create_time,
            signal=PaymentSignal.REFUSED,
            failure=PaymentFailure(
                code=error.metadata.get("vendor_code", ""), decline_code="", message=error.message
            ),
        )
        self._settle(repo, recorded, refusal)
        finish(repo, recorded.operation, to_status(error).SerializeToString(), failed=True)

    def _settle(
        self,
        repo: Repository,
        recorded: Recorded,
        fact: PaymentFact,
        *,
        stripe_payment_intent_id: str = "",
    ) -> Settled:
        order = repo.orders.get(recorded.order.id, lock=True)
        if order is None:
            raise AssertionError(f"order {recorded.order.id} is gone")
        return settle(
            repo,
            order,
            [fact],
            clock=self._clock,
            stripe_payment_intent_id=stripe_payment_intent_id,
        )

    async def _replay(self, operation: Operation) -> pb.CreatePaymentIntentResponse:
        """Answer what was answered before. The client secret is read again, never stored."""
        if operation.answer is None:
            raise AssertionError("only an answered operation is replayed")
        if operation.failed:
            raise from_status(status_pb2.Status.FromString(operation.answer))
        response = pb.CreatePaymentIntentResponse.FromString(operation.answer)
        payment = await self._store.read(lambda repo: repo.payments.get(response.payment.id))
        response.client_secret = await self._client_secret(payment) if payment else ""
        return response

    async def GetPayment(
        self, request: pb.GetPaymentRequest, context: Context
    ) -> pb.GetPaymentResponse:
        del context
        faults = Faults()
        faults.id(request.payment_id, "payment_id")
        faults.refuse()
        payment = await self._store.read(lambda repo: repo.payments.get(request.payment_id))
        if payment is None:
            raise BoxofficeError(
                Reason.PAYMENT_NOT_FOUND,
                f"there is no payment {request.payment_id}",
                metadata={"payment_id": request.payment_id},
            )
        return pb.GetPaymentResponse(
            payment=convert.to_payment(payment),
            client_secret=await self._client_secret(payment),
        )

    async def _client_secret(self, payment: Payment) -> str:
        """Read the client secret from the vendor while the customer can still use it."""
        ended = payment.state.status in {PaymentStatus.COMPLETE, PaymentStatus.CANCELLED}
        if ended or not payment.stripe_payment_intent_id:
            return ""
        answer = await self._gateway.read_intent(payment.stripe_payment_intent_id)
        return answer.client_secret


def _check(request: pb.CreatePaymentIntentRequest) -> PaymentMethodType:
    """Refuse what no state of the store could make right."""
    faults = Faults()
    faults.request_id(request.request_id)
    faults.user_id(request.user_id, "user_id")
    faults.user_id(request.target_user_id, "target_user_id", required=False)
    faults.id(request.product_id, "product_id")
    if request.currency_code and not is_currency_code(request.currency_code):
        faults.add("currency_code", "must be an ISO 4217 code in lower case, such as eur")
    faults.extend(tag_violations(request.tags, "tags"))
    faults.refuse()
    return convert.from_payment_method_type(request.payment_method_type, "payment_method_type")


def _about(error: BoxofficeError, payment: Payment) -> BoxofficeError:
    """Say which payment an error of the vendor's is about."""
    return BoxofficeError(
        error.reason,
        error.message,
        metadata={**error.metadata, "payment_id": payment.id},
        violations=error.violations,
        retry_after=error.retry_after,
    )
