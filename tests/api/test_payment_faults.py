"""Stripe fails, or seems to: nothing is done twice, and nothing unknown is called a failure."""

import gc
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import Refusal, refused
from tests.support.logs import recorded_log
from tests.support.sales import create_intent, create_product, intent_request
from tests.support.service import Account

REPEATS = 2
ATTEMPTS = REPEATS + 1
CREATED = orders_pb2.ORDER_STATUS_CREATED


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub) -> orders_pb2.Product:
    """What is sold."""
    return create_product(orders)


@pytest.fixture(scope="module")
def timings() -> Timings:
    """The gateway repeats at once, and gives up after a second; nobody but callers finds out."""
    patience = Patience(call=timedelta(seconds=1), pauses=(timedelta(),) * REPEATS)
    return Timings(patience=patience, look_every=timedelta(hours=1))


@pytest.fixture(autouse=True)
def no_faults_left(account: Account) -> Iterator[None]:
    """Every fault that a test armed has struck when it ends."""
    yield
    account.wait_struck()


def order_of(orders: OrdersServiceStub, user_id: str) -> orders_pb2.Order:
    """The one order of a user."""
    (order,) = orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=user_id)).orders
    return order


def assert_once(
    made: pb.CreatePaymentIntentResponse, account: Account, orders: OrdersServiceStub
) -> None:
    """There is one order and one intent, and they belong to each other."""
    user = made.order.user_id
    (intent,) = account.intents_of(user)
    assert made.payment.stripe_payment_intent_id == intent["id"]
    assert made.client_secret == intent["client_secret"]
    order = order_of(orders, user)
    assert (order.id, order.payment_id) == (made.order.id, made.payment.id)
    assert made.payment.status == pb.PAYMENT_STATUS_REQUIRES_PAYMENT_METHOD


UNKNOWNS: dict[str, dict[str, object]] = {
    "answer lost": {"kind": "reset_after"},
    "question lost": {"kind": "reset_before"},
    "answer cut off": {"kind": "truncate"},
    "500 before the work": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "409": {"kind": "status", "status": 409},
}


@pytest.mark.parametrize("fault", UNKNOWNS.values(), ids=UNKNOWNS.keys())
def test_unknown_outcome_is_told_as_such_and_found_out(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    fault: dict[str, object],
) -> None:
    """The payment is pending until the same request is sent again; there is one intent then."""
    request = intent_request(product.id)
    account.fault(**{"times": ATTEMPTS} | fault)  # type: ignore[arg-type]  # as below
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        grpc_stub.CreatePaymentIntent(request)
    assert refusal.retry_after == timedelta(seconds=1)
    order = order_of(orders, request.user_id)
    assert order.status == CREATED
    assert refusal.metadata["payment_id"] == order.payment_id
    made = grpc_stub.CreatePaymentIntent(request)
    assert_once(made, account, orders)


OVERCOME: dict[str, dict[str, object]] = {
    **UNKNOWNS,
    "500 after the work": {"kind": "status", "status": 500, "processed": True},
}


@pytest.mark.parametrize("fault", OVERCOME.values(), ids=OVERCOME.keys())
def test_one_fault_is_overcome_within_the_call(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    fault: dict[str, object],
) -> None:
    """The gateway repeats under the same key, and the caller notices nothing."""
    account.fault(**fault)  # type: ignore[arg-type]  # a fault's value each
    assert_once(create_intent(grpc_stub, product.id), account, orders)


def test_pending_payment_says_why_before_anything_is_known(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """After a question that was lost the payment is pending for outcome_unknown, without secret."""
    request = intent_request(product.id)
    account.fault("reset_before", times=ATTEMPTS)
    with refused(Reason.OUTCOME_UNKNOWN):
        grpc_stub.CreatePaymentIntent(request)
    payment_id = order_of(orders, request.user_id).payment_id
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=payment_id))
    assert got.payment.status == pb.PAYMENT_STATUS_PENDING
    assert got.payment.pending_reason == pb.PENDING_REASON_OUTCOME_UNKNOWN
    assert (got.payment.stripe_payment_intent_id, got.client_secret) == ("", "")
    assert not got.payment.HasField("last_error")


def test_late_answer_is_an_unknown_outcome(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Stripe worked and answered too late: the same request finds the intent."""
    request = intent_request(product.id)
    account.fault("late", seconds=1.5)
    with refused(Reason.OUTCOME_UNKNOWN):
        grpc_stub.CreatePaymentIntent(request)
    assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)


def test_failure_that_stripe_keeps_is_found_out_by_what_stripe_tells(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Under one key Stripe repeats a stored 500 for ever; a notification names the intent."""
    request = intent_request(product.id)
    account.fault("status", status=500, processed=True, stored=True)
    with refused(Reason.OUTCOME_UNKNOWN):
        grpc_stub.CreatePaymentIntent(request)
    account.wait_delivered()
    assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)


def test_too_many_requests_leave_nothing_at_stripe(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """The caller is told that nothing happened and when to come back; then it goes through."""
    request = intent_request(product.id)
    account.fault("status", status=429)
    with refused(Reason.VENDOR_UNAVAILABLE) as refusal:
        grpc_stub.CreatePaymentIntent(request)
    assert refusal.retry_after is not None
    assert refusal.metadata["payment_id"] == order_of(orders, request.user_id).payment_id
    assert not account.intents_of(request.user_id)
    assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)


def test_customer_that_could_not_be_made_is_made_later(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """A fault at the customer, before there is an intent, is told and overcome alike."""
    request = intent_request(product.id)
    account.fault("reset_after", path="/v1/customers", times=ATTEMPTS)
    with refused(Reason.OUTCOME_UNKNOWN):
        grpc_stub.CreatePaymentIntent(request)
    assert not account.intents_of(request.user_id)
    made = grpc_stub.CreatePaymentIntent(request)
    assert_once(made, account, orders)
    customers = [
        customer
        for customer in account.everything("customers")
        if customer["metadata"].get("boxoffice_user_id") == request.user_id
    ]
    assert len(customers) == 1


def test_replay_needs_stripe_only_for_the_secret(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """While Stripe is away a replay is UNAVAILABLE, and nothing is forgotten."""
    request = intent_request(product.id)
    made = grpc_stub.CreatePaymentIntent(request)
    account.fault("status", status=503, method="GET", times=2 * ATTEMPTS)
    with refused(Reason.VENDOR_UNAVAILABLE):
        grpc_stub.CreatePaymentIntent(request)
    with refused(Reason.VENDOR_UNAVAILABLE):
        grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=made.payment.id))
    assert grpc_stub.CreatePaymentIntent(request) == made


def refused_by_stripe(grpc_stub: PaymentsServiceStub, request: object) -> Refusal:
    """Make a call that Stripe refuses for good."""
    assert isinstance(request, pb.CreatePaymentIntentRequest)
    with refused(Reason.VENDOR_REFUSED) as refusal:
        grpc_stub.CreatePaymentIntent(request)
    return refusal


def test_refusal_of_stripe_fails_the_order_for_good(
    grpc_stub: PaymentsServiceStub, orders: OrdersServiceStub, account: Account
) -> None:
    """Below Stripe's minimum: order failed, payment cancelled, answer stored, Stripe left alone."""
    cheap = create_product(orders, prices=[Money(amount=1, currency_code="eur")])
    request = intent_request(cheap.id)
    first = refused_by_stripe(grpc_stub, request)
    order = order_of(orders, request.user_id)
    assert order.status == orders_pb2.ORDER_STATUS_FAILED
    assert first.metadata["payment_id"] == order.payment_id
    assert first.metadata["vendor_code"] == "amount_too_small"
    assert first.message.startswith("Stripe refused: ")
    assert first.retry_after is None
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=order.payment_id))
    assert got.payment.status == pb.PAYMENT_STATUS_CANCELLED
    assert got.payment.last_error.code == "amount_too_small"
    assert got.payment.last_error.message == first.message
    account.fault("status", status=500)
    assert refused_by_stripe(grpc_stub, request) == first
    armed = account.sandbox.control("faults")["faults"]
    assert [each["account"] for each in armed] == [account.key]
    # Meets the fault, so that it is not left armed.
    create_intent(grpc_stub, create_product(orders).id)


def test_caller_who_leaves_stops_nothing(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """A call that is cancelled while Stripe is asked completes all the same, once."""
    request = intent_request(product.id)
    account.fault("latency", seconds=0.3)
    call = grpc_stub.CreatePaymentIntent.future(request)
    account.wait_struck()
    assert call.cancel()
    assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)


def test_refusal_is_kept_for_a_caller_who_left(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    account: Account,
    product: orders_pb2.Product,
) -> None:
    """It is the answer, so nothing has failed; the same request gets it when it is sent again."""
    cheap = create_product(orders, prices=[Money(amount=1, currency_code="eur")])
    request = intent_request(cheap.id)
    account.fault("latency", seconds=0.2)
    call = grpc_stub.CreatePaymentIntent.future(request)
    account.wait_struck()
    assert call.cancel()
    first = refused_by_stripe(grpc_stub, request)
    account.fault("status", status=500)
    assert refused_by_stripe(grpc_stub, request) == first
    # Meets the fault, so that it is not left armed.
    create_intent(grpc_stub, product.id)


def test_unknown_outcome_is_logged_for_a_caller_who_left(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody hears it, so the log does; the same request finds out when it is sent again."""
    request = intent_request(product.id)
    account.fault("late", seconds=1.5)
    with recorded_log() as log:
        call = grpc_stub.CreatePaymentIntent.future(request)
        account.wait_struck()
        assert call.cancel()
        assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)
    assert "a call failed after its caller had left" in [line["event"] for line in log.lines]
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_deadline_of_a_caller_stops_nothing(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """The same holds for a call whose deadline passes."""
    request = intent_request(product.id)
    account.fault("latency", seconds=0.4)
    with pytest.raises(grpc.RpcError) as error:
        grpc_stub.CreatePaymentIntent(request, timeout=0.2)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert_once(grpc_stub.CreatePaymentIntent(request), account, orders)


def test_second_call_under_one_id_waits_for_the_first(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """While the first asks Stripe the second waits; both get the same answer."""
    request = intent_request(product.id)
    account.fault("latency", seconds=0.3)
    first = grpc_stub.CreatePaymentIntent.future(request)
    account.wait_struck()
    second = grpc_stub.CreatePaymentIntent(request)
    assert first.result() == second
    assert_once(second, account, orders)


def test_second_call_with_little_time_is_told_to_wait(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Before its deadline passes it is IN_PROGRESS, and when to ask again."""
    request = intent_request(product.id)
    account.fault("latency", seconds=0.4)
    first = grpc_stub.CreatePaymentIntent.future(request)
    account.wait_struck()
    with refused(Reason.IN_PROGRESS) as refusal:
        grpc_stub.CreatePaymentIntent(request, timeout=0.55)
    assert refusal.metadata == {"request_id": request.request_id}
    assert refusal.retry_after == timedelta(seconds=1)
    assert_once(first.result(), account, orders)


def test_other_body_is_refused_while_the_first_call_runs(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Its request id belongs to the first from the moment that one was recorded."""
    request = intent_request(product.id)
    account.fault("latency", seconds=0.2)
    first = grpc_stub.CreatePaymentIntent.future(request)
    account.wait_struck()
    other = intent_request(product.id, request_id=request.request_id, user_id=request.user_id)
    other.tags.append("other")
    with refused(Reason.REQUEST_ID_REUSED):
        grpc_stub.CreatePaymentIntent(other)
    assert_once(first.result(), account, orders)
