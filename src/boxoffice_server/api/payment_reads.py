"""PaymentsService: the methods that read payments, and the stream of their changes."""

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice_server.api import convert, convert_payments
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.watch import watch
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import ENDED, Payment
from boxoffice_server.domain.stream import LogFilter, RecordKind
from boxoffice_server.ports import (
    DisputeFilter,
    FrameSource,
    PaymentFilter,
    PaymentGateway,
    RefundFilter,
    Repository,
    Store,
)


class PaymentReadMethods:
    """What can be asked about payments."""

    def __init__(self, *, store: Store, gateway: PaymentGateway, feed: FrameSource) -> None:
        self._store = store
        self._gateway = gateway
        self._feed = feed

    async def GetPayment(
        self, request: pb.GetPaymentRequest, context: Context
    ) -> pb.GetPaymentResponse:
        del context
        faults = Faults()
        faults.id(request.payment_id, "payment_id")
        faults.refuse()
        payment = await self._store.read(lambda repo: repo.payments.get(request.payment_id))
        if payment is None:
            raise convert_payments.payment_not_found(request.payment_id)
        return pb.GetPaymentResponse(
            payment=convert_payments.to_payment(payment),
            client_secret=await self._client_secret(payment),
        )

    async def _client_secret(self, payment: Payment) -> str:
        """Read the client secret from the vendor while the customer can still use it."""
        if payment.state.status in ENDED or not payment.stripe_payment_intent_id:
            return ""
        answer = await self._gateway.read_intent(payment.stripe_payment_intent_id)
        return answer.client_secret

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Context
    ) -> pb.ListPaymentsResponse:
        del context
        wanted = _read_filter(request)
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def load(repo: Repository) -> tuple[str, list[Payment]]:
            token = repo.log.bounds().head_token().encode()
            return token, repo.payments.find(wanted, before_id=page.before_id, limit=page.fetch)

        token, loaded = await self._store.read(load)
        payments, next_page_token = page.cut(loaded)
        return pb.ListPaymentsResponse(
            payments=[convert_payments.to_payment(each) for each in payments],
            next_page_token=next_page_token,
            resume_token=token,
        )

    async def ListRefunds(
        self, request: pb.ListRefundsRequest, context: Context
    ) -> pb.ListRefundsResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.optional_id(request.payment_id, "payment_id")
        faults.user_id(request.user_id, "user_id", required=False)
        faults.refuse()
        wanted = RefundFilter(
            payment_id=request.payment_id,
            user_id=request.user_id,
            statuses=convert_payments.from_refund_statuses(request.statuses, "statuses"),
        )
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)
        loaded = await self._store.read(
            lambda repo: repo.refunds.find(wanted, before_id=page.before_id, limit=page.fetch)
        )
        refunds, next_page_token = page.cut(loaded)
        return pb.ListRefundsResponse(
            refunds=[convert_payments.to_refund(each) for each in refunds],
            next_page_token=next_page_token,
        )

    async def ListDisputes(
        self, request: pb.ListDisputesRequest, context: Context
    ) -> pb.ListDisputesResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.optional_id(request.payment_id, "payment_id")
        faults.user_id(request.user_id, "user_id", required=False)
        faults.refuse()
        wanted = DisputeFilter(
            payment_id=request.payment_id,
            user_id=request.user_id,
            statuses=convert_payments.from_dispute_statuses(request.statuses, "statuses"),
        )
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)
        loaded = await self._store.read(
            lambda repo: repo.disputes.find(wanted, before_id=page.before_id, limit=page.fetch)
        )
        disputes, next_page_token = page.cut(loaded)
        return pb.ListDisputesResponse(
            disputes=[convert_payments.to_dispute(each) for each in disputes],
            next_page_token=next_page_token,
        )

    async def GetCustomer(
        self, request: pb.GetCustomerRequest, context: Context
    ) -> pb.GetCustomerResponse:
        del context
        faults = Faults()
        faults.user_id(request.user_id, "user_id")
        faults.refuse()
        customer = await self._store.read(lambda repo: repo.customers.get(request.user_id))
        if customer is None:
            raise BoxofficeError(
                Reason.CUSTOMER_NOT_FOUND,
                f"user {request.user_id} has never paid or saved anything here",
                metadata={"user_id": request.user_id},
            )
        return pb.GetCustomerResponse(customer=convert_payments.to_customer(customer))

    async def WatchPayments(self, request: pb.WatchPaymentsRequest, context: Context) -> None:
        faults = Faults()
        faults.user_id(request.user_id, "user_id", required=False)
        faults.optional_id(request.payment_id, "payment_id")
        faults.refuse()
        statuses = convert_payments.from_payment_statuses(request.statuses, "statuses")
        wanted = LogFilter(
            kind=RecordKind.PAYMENT,
            subject_id=request.payment_id,
            user_id=request.user_id,
            statuses=frozenset(statuses),
        )
        await watch(context, self._feed, wanted, request, pb.WatchPaymentsResponse)


def _read_filter(request: pb.ListPaymentsRequest) -> PaymentFilter:
    faults = Faults()
    faults.page_size(request.page_size)
    faults.user_id(request.user_id, "user_id", required=False)
    faults.optional_id(request.order_id, "order_id")
    faults.refuse()
    from_time = until_time = None
    if request.HasField("from_time"):
        from_time = convert.from_timestamp(request.from_time, "from_time")
    if request.HasField("until_time"):
        until_time = convert.from_timestamp(request.until_time, "until_time")
    return PaymentFilter(
        user_id=request.user_id,
        order_id=request.order_id,
        statuses=convert_payments.from_payment_statuses(request.statuses, "statuses"),
        from_time=from_time,
        until_time=until_time,
    )
