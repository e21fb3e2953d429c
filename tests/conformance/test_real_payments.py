"""The stream contract over payments as they happen: sold, declined, paid, refunded, disputed."""

import asyncio
import secrets
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import grpc
import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Application
from boxoffice_server.domain.stream import LogRecord, RecordKind
from tests.conformance.checker import (
    ContractChecker,
    Event,
    StreamChecker,
    Written,
    check_told,
    watch_payments,
)
from tests.streaming.reading import append_hidden
from tests.support.calls import new_request_id
from tests.support.sales import create_intent, create_product
from tests.support.service import (
    Account,
    Sandbox,
    ServiceThread,
    running_sandbox,
    running_service,
    wait_until,
)
from tests.support.stores import position_of, whole_log

EARLIEST = streams_pb2.START_POSITION_EARLIEST
USERS = ("ada", "bob", "cem", "dot")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The vendor sandbox."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    """The service's account at Stripe."""
    return sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}")


@pytest.fixture
def service(database: str, account: Account) -> Iterator[ServiceThread]:
    """A running service, once on each of the two stores."""
    variables = {
        "BOXOFFICE_STRIPE_API_KEY": account.key,
        "BOXOFFICE_STRIPE_API_BASE": account.sandbox.stripe_api_base,
    }
    with running_service(database, timings=None, **variables) as service:
        account.point_webhooks(service)
        yield service
        account.stop_webhooks()


class Log:
    """What the service has written about payments, read from its store and not from a stream."""

    def __init__(self, records: list[LogRecord]) -> None:
        self.records = [each for each in records if each.kind is RecordKind.PAYMENT]
        self._written: dict[str, Written] = {}
        transactions = groupby(self.records, key=lambda record: record.group)
        for number, (_, members) in enumerate(transactions, 1):
            ids = [record.event_id for record in members]
            for index, event_id in enumerate(ids):
                self._written[event_id] = Written(number, index, len(ids))

    def written_of(self, event: Event) -> Written:
        """Tell which of them an event is."""
        return self._written[event.id]

    def after(self, position: int, **keys: str) -> list[Written]:
        """Tell what was written after a position with these keys."""
        return [
            self._written[each.event_id]
            for each in self.records
            if each.position > position
            and all(getattr(each, key) == value for key, value in keys.items())
        ]


async def read_log(application: Application) -> Log:
    """Read what a service has written up to now, once all of it has its place in the log."""
    store = application._store
    await position_of(store, await append_hidden(store, 1))
    return Log(await whole_log(store))


def trade(address: str, account: Account) -> None:
    """Do with payments what can be done with them."""
    with grpc.insecure_channel(address) as channel:
        payments: Any = PaymentsServiceStub(channel)
        product = create_product(OrdersServiceStub(channel))
        for user_id in USERS:
            cancelled = create_intent(payments, product.id, user_id=user_id).payment
            payments.CancelPayment(
                pb.CancelPaymentRequest(request_id=new_request_id(), payment_id=cancelled.id)
            )
            payment = create_intent(payments, product.id, user_id=user_id).payment
            account.press("decline", payment.stripe_payment_intent_id)
            account.press("pay", payment.stripe_payment_intent_id)
            wait_complete(payments, payment.id)
            payments.RefundPayment(
                pb.RefundPaymentRequest(
                    request_id=new_request_id(), payment_id=payment.id, amount=100
                )
            )
            account.press("dispute", payment.stripe_payment_intent_id)
    account.wait_delivered()


def wait_complete(payments: Any, payment_id: str) -> None:  # noqa: ANN401 -- the stub
    """Wait until the service has been told that a payment was made."""
    request = pb.GetPaymentRequest(payment_id=payment_id)
    wait_until(
        lambda: payments.GetPayment(request).payment.status == pb.PAYMENT_STATUS_COMPLETE,
        "the payment is not complete",
    )


async def test_real_payments_are_told_as_the_contract_says(
    service: ServiceThread, account: Account
) -> None:
    """Live and afterwards, by filters and from each token: what the store has, and no more."""
    async with grpc.aio.insecure_channel(service.grpc_address) as channel:
        # Opened before anything happens, and read when it is known what should come.
        live = watch_payments(channel, {"start_position": EARLIEST})
        await asyncio.to_thread(trade, service.grpc_address, account)
        log = service.run(read_log)
        types = {pb.PAYMENT_EVENT_TYPE_REFUND_CHANGED, pb.PAYMENT_EVENT_TYPE_DISPUTE_CHANGED}
        checker = ContractChecker(channel=channel, rpc=watch_payments, written_of=log.written_of)
        followed = StreamChecker(call=live, interval=5, written_of=log.written_of)
        whole = checker.from_beginning()
        for stream in (followed, whole):
            await stream.read_events(len(log.records))
            check_told(stream.events, log.after(0), log.written_of)
            stream.call.cancel()
        assert types <= {each.type for each in whole.events if isinstance(each, pb.PaymentEvent)}
        for frame in followed.frames:
            await _tells(checker, log, frame.through, resume_token=frame.resume_token)
        for user_id in USERS:
            await _tells(checker, log, 0, start_position=EARLIEST, user_id=user_id)
        payment_id = log.records[-1].subject_id
        stream = checker.open(start_position=EARLIEST, payment_id=payment_id)
        await stream.catch_up()
        check_told(stream.events, log.after(0, subject_id=payment_id), log.written_of)
        stream.call.cancel()


async def _tells(
    checker: ContractChecker,
    log: Log,
    position: int,
    **request: Any,  # noqa: ANN401 -- the fields of the request
) -> None:
    """Check that a stream tells what was written after a position and matches its filter."""
    stream = checker.open(**request)
    await stream.catch_up()
    keys = {key: request[key] for key in request.keys() & {"user_id"}}
    check_told(stream.events, log.after(position, **keys), log.written_of)
    stream.call.cancel()
