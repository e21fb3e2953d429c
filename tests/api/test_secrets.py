"""Secrets are in answers only: not in the store, the log, a stream or an error."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.payment import Payment
from boxoffice_server.operations import intents
from boxoffice_server.ports import IntentAnswer, Repository
from boxoffice_server.settlement import Settlement
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import Refusal, refused, statuses_until
from tests.support.fields import call, places
from tests.support.logs import ServiceLog, recorded_log
from tests.support.sales import create_product, intent_request
from tests.support.service import WEBHOOK_SECRET, Account
from tests.support.traces import kept_bytes, stream_bytes

# A client secret where none belongs.
MISPLACED = "pi_0_secret_misplaced"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """The gateway repeats once and at once; nobody but callers finds out what became of it."""
    return Timings(patience=Patience(pauses=(timedelta(),)), look_every=timedelta(hours=1))


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[ServiceLog]:
    """Everything the service logs, from its start on."""
    with recorded_log() as log:
        yield log


def fail(
    _settlement: Settlement, _repo: Repository, _payment: Payment, answer: IntentAnswer
) -> None:
    """Break down with an answer of Stripe's among the variables."""
    raise RuntimeError(f"could not record {answer.stripe_payment_intent_id}")


@pytest.fixture(scope="module")
def refusals() -> list[Refusal]:
    """Every error of the story."""
    return []


@pytest.fixture(scope="module")
def made(
    refusals: list[Refusal],
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    account: Account,
) -> pb.CreatePaymentIntentResponse:
    """A story with a lost answer, replays, a decline, a payment and a fault of our own."""
    product = create_product(orders)
    request = intent_request(product.id)
    account.fault("truncate", times=2)
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        grpc_stub.CreatePaymentIntent(request)
    refusals.append(refusal)
    made = grpc_stub.CreatePaymentIntent(request)
    assert grpc_stub.CreatePaymentIntent(request).client_secret == made.client_secret
    grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=made.payment.id))
    for button, status in (
        ("decline", orders_pb2.ORDER_STATUS_FAILED),
        ("pay", orders_pb2.ORDER_STATUS_TASK_STARTED),
    ):
        account.press(button, made.payment.stripe_payment_intent_id)
        statuses_until(orders, made.order.id, status)
        account.wait_delivered()
    with refused(Reason.INTERNAL) as refusal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(intents, "settle_intent", fail)
        grpc_stub.CreatePaymentIntent(intent_request(product.id))
    refusals.append(refusal)
    return made


def test_no_secret_is_logged(
    made: pb.CreatePaymentIntentResponse,
    account: Account,
    log: ServiceLog,
) -> None:
    """Neither by us nor by the libraries, not even with the story of a fault."""
    assert made.payment.stripe_payment_intent_id in log.text
    assert "could not record" in log.text
    for secret in (made.client_secret, account.key, WEBHOOK_SECRET, "_secret_"):
        assert secret not in log.text


def test_no_secret_is_in_an_error(
    made: pb.CreatePaymentIntentResponse, refusals: list[Refusal], account: Account
) -> None:
    """Not even where an answer of Stripe's, or what was done with it, is what went wrong."""
    assert made.payment.id in str(refusals[0])
    for secret in (made.client_secret, account.key, WEBHOOK_SECRET, "_secret_"):
        assert secret not in str(refusals)


def test_no_secret_is_streamed(
    made: pb.CreatePaymentIntentResponse, account: Account, orders: OrdersServiceStub
) -> None:
    """A stream from the beginning tells the whole story without one."""
    streamed = stream_bytes(orders)
    assert made.order.id.encode() in streamed
    for secret in (made.client_secret, account.key, WEBHOOK_SECRET):
        assert secret.encode() not in streamed


def test_no_secret_is_stored(
    made: pb.CreatePaymentIntentResponse, account: Account, database_url: str
) -> None:
    """Neither with stored answers nor with kept notifications, which come with one."""
    kept = kept_bytes(database_url)
    assert made.order.id.encode() in kept
    for secret in (made.client_secret, account.key, WEBHOOK_SECRET):
        assert secret.encode() not in kept
    assert set(re.findall(rb"_secret_\w+", kept)) == {b"_secret_redacted"}


def test_secret_that_a_caller_puts_in_the_wrong_place_leaves_no_trace(
    grpc_channel: grpc.Channel, orders: OrdersServiceStub, database_url: str, log: ServiceLog
) -> None:
    """Any text of any request: what is refused for it is neither kept nor logged."""
    for place in places():
        with contextlib.suppress(grpc.RpcError):
            call(grpc_channel, place.method, place.request(MISPLACED, 0))
    assert "NOT_FOUND" in log.text
    assert MISPLACED not in log.text
    assert MISPLACED.encode() not in kept_bytes(database_url) + stream_bytes(orders)
