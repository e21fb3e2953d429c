"""Money that is held first and taken later: all of it, a part, or none."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import refused, refused_field, statuses_until
from tests.support.desk import (
    Desk,
    cancel_request,
    capture_request,
    euros,
    order_status_name,
    status_name,
)
from tests.support.sales import intent_request
from tests.support.service import Account, Sandbox, running_sandbox

STARTED, CANCELLED = orders_pb2.ORDER_STATUS_TASK_STARTED, orders_pb2.ORDER_STATUS_CANCELLED
HELD = pb.PAYMENT_STATUS_REQUIRES_CAPTURE
REPEATS = 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of the module's own, for its clock is everyone's."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon, and a janitor that never comes while a test runs."""
    return Timings(
        look_every=timedelta(minutes=5), patience=Patience(pauses=(timedelta(),) * REPEATS)
    )


@pytest.fixture
def held(desk: Desk) -> pb.CreatePaymentIntentResponse:
    """An order whose money is held."""
    return hold(desk)


def hold(desk: Desk) -> pb.CreatePaymentIntentResponse:
    """Sell something for money that is held."""
    made = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    assert made.payment.capture_method == pb.CAPTURE_METHOD_MANUAL
    desk.press(f"payment_intents/{made.payment.stripe_payment_intent_id}", "pay")
    desk.until(made.payment.id, HELD)
    return made


def test_order_waits_until_all_is_captured(
    desk: Desk, orders: OrdersServiceStub, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """Held money is no payment: the order is paid by the capture."""
    account.wait_delivered()
    known = desk.payment(held.payment.id)
    assert status_name(known) == "requires_capture"
    assert not known.HasField("captured_amount")
    assert known.stripe_charge_id
    assert order_status_name(desk.order(held.order.id)) == "created"
    captured = desk.payments.CapturePayment(capture_request(held.payment.id)).payment
    assert status_name(captured) == "complete"
    assert captured.captured_amount == captured.amount == euros(1250)
    assert captured.stripe_charge_id == known.stripe_charge_id
    assert statuses_until(orders, held.order.id, STARTED) == ["created", "paid", "task_started"]
    account.wait_delivered()
    assert desk.payment(held.payment.id).captured_amount == euros(1250)


def test_part_is_captured_and_the_rest_released(
    desk: Desk, orders: OrdersServiceStub, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """The order is paid; there is nothing left to capture."""
    captured = desk.payments.CapturePayment(capture_request(held.payment.id, amount=1000)).payment
    assert captured.captured_amount == euros(1000)
    assert captured.amount == euros(1250)
    assert statuses_until(orders, held.order.id, STARTED)[-1] == "task_started"
    account.wait_delivered()
    known = desk.payment(held.payment.id)
    assert (status_name(known), known.captured_amount) == ("complete", euros(1000))
    assert not known.HasField("refunded_amount")
    (intent,) = account.intents_of(held.order.user_id)
    assert (intent["amount_received"], intent["amount_capturable"]) == (1000, 0)
    with refused(Reason.PAYMENT_NOT_CAPTURABLE) as refusal:
        desk.payments.CapturePayment(capture_request(held.payment.id, amount=250))
    assert refusal.metadata == {"payment_id": held.payment.id, "status": "complete"}


def test_more_than_is_held_is_refused(desk: Desk, held: pb.CreatePaymentIntentResponse) -> None:
    """And changes nothing."""
    with refused(Reason.AMOUNT_EXCEEDS_AUTHORISATION) as refusal:
        desk.payments.CapturePayment(capture_request(held.payment.id, amount=1251))
    assert refusal.metadata == {"payment_id": held.payment.id, "authorised": "1250"}
    assert status_name(desk.payment(held.payment.id)) == "requires_capture"
    desk.payments.CapturePayment(capture_request(held.payment.id, amount=1250))


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_can_not_be_captured(
    desk: Desk, held: pb.CreatePaymentIntentResponse, amount: int
) -> None:
    """An amount that is sent is something; a hold is given up by CancelPayment."""
    with refused_field("amount"):
        desk.payments.CapturePayment(capture_request(held.payment.id, amount=amount))


def test_capture_is_replayed_and_not_repeated(
    desk: Desk, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """The same request gets the same answer; another one is told that nothing is held."""
    request = capture_request(held.payment.id, amount=500)
    first = desk.payments.CapturePayment(request)
    assert desk.payments.CapturePayment(request) == first
    with refused(Reason.PAYMENT_NOT_CAPTURABLE):
        desk.payments.CapturePayment(capture_request(held.payment.id))
    other = capture_request(held.payment.id, amount=501, request_id=request.request_id)
    with refused(Reason.REQUEST_ID_REUSED):
        desk.payments.CapturePayment(other)
    (intent,) = account.intents_of(held.order.user_id)
    assert intent["amount_received"] == 500


@pytest.mark.parametrize("second", ["capture", "cancel", "cancel the order"])
def test_nothing_else_is_tried_while_a_capture_is_unknown(
    desk: Desk,
    orders: OrdersServiceStub,
    held: pb.CreatePaymentIntentResponse,
    account: Account,
    second: str,
) -> None:
    """Another request is IN_PROGRESS; the same one finds out, and the money is taken once."""
    account.webhooks("drop")
    request = capture_request(held.payment.id, amount=1000)
    account.fault("reset_after", "/v1/payment_intents/*/capture", times=REPEATS + 1)
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CapturePayment(request)
    assert refusal.metadata["payment_id"] == held.payment.id
    with refused(Reason.IN_PROGRESS):
        match second:
            case "capture":
                desk.payments.CapturePayment(capture_request(held.payment.id))
            case "cancel":
                desk.payments.CancelPayment(cancel_request(held.payment.id))
            case _:
                asked = orders_pb2.CancelOrderRequest(request_id="x", order_id=held.order.id)
                orders.CancelOrder(asked)
    account.webhooks("normal")
    answer = desk.payments.CapturePayment(request)
    assert answer.payment.captured_amount == euros(1000)
    (intent,) = account.intents_of(held.order.user_id)
    assert intent["amount_received"] == 1000


def test_hold_is_given_up_by_cancelling(
    desk: Desk, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """Payment and order are cancelled, nothing was taken, and it can't be captured any more."""
    cancelled = desk.payments.CancelPayment(cancel_request(held.payment.id)).payment
    assert status_name(cancelled) == "cancelled"
    assert order_status_name(desk.order(held.order.id)) == "cancelled"
    account.wait_delivered()
    known = desk.payment(held.payment.id)
    assert status_name(known) == "cancelled"
    assert not known.HasField("captured_amount")
    assert not known.HasField("refunded_amount")
    with refused(Reason.PAYMENT_NOT_CAPTURABLE):
        desk.payments.CapturePayment(capture_request(held.payment.id))


def test_hold_that_runs_out_cancels_the_order(
    desk: Desk, held: pb.CreatePaymentIntentResponse, orders: OrdersServiceStub, sandbox: Sandbox
) -> None:
    """After seven days Stripe lets go of the money, and says so; no refund is told of."""
    sandbox.control("clock", {"advance_seconds": 8 * 86400})
    assert statuses_until(orders, held.order.id, CANCELLED) == ["created", "cancelled"]
    desk.account.wait_delivered()
    asked = pb.ListRefundsRequest(payment_id=held.payment.id)
    assert not desk.payments.ListRefunds(asked).refunds
    assert not desk.payment(held.payment.id).HasField("refunded_amount")
    with refused(Reason.PAYMENT_NOT_CAPTURABLE) as refusal:
        desk.payments.CapturePayment(capture_request(held.payment.id))
    assert refusal.metadata["status"] == "cancelled"


def test_payment_that_holds_nothing_is_not_captured(desk: Desk) -> None:
    """Not before the customer has paid, and not where the money was taken at once."""
    waiting = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    for payment in (waiting.payment, desk.sold().payment):
        with refused(Reason.PAYMENT_NOT_CAPTURABLE):
            desk.payments.CapturePayment(capture_request(payment.id))
    with refused(Reason.PAYMENT_NOT_FOUND) as refusal:
        desk.payments.CapturePayment(capture_request("pay_none"))
    assert refusal.metadata == {"payment_id": "pay_none"}
    with refused_field("payment_id"):
        desk.payments.CapturePayment(capture_request(""))


@pytest.mark.parametrize("name", ["BANCONTACT", "GIROPAY", "IDEAL"])
def test_redirect_method_can_not_be_held(desk: Desk, name: str) -> None:
    """It pays at once."""
    asked = intent_request(
        "prd_1",
        capture_method=pb.CAPTURE_METHOD_MANUAL,
        payment_method_type=pb.PaymentMethodType.Value(f"PAYMENT_METHOD_TYPE_{name}"),
    )
    with refused_field("capture_method"):
        desk.payments.CreatePaymentIntent(asked)
    with refused_field("capture_method"):
        desk.payments.CreatePaymentIntent(intent_request("prd_1", capture_method=99))


def test_capture_at_stripes_dashboard_is_learned(
    desk: Desk, orders: OrdersServiceStub, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """Whoever captured, the order is paid by as much as was taken."""
    intent_id = held.payment.stripe_payment_intent_id
    account.call("POST", f"payment_intents/{intent_id}/capture", amount_to_capture=700)
    assert statuses_until(orders, held.order.id, STARTED)[-1] == "task_started"
    account.wait_delivered()
    assert desk.payment(held.payment.id).captured_amount == euros(700)


def test_capture_that_somebody_else_was_faster_with(
    desk: Desk, held: pb.CreatePaymentIntentResponse, account: Account
) -> None:
    """Another amount was taken, and we had not heard of it: refused, and learned by it."""
    account.webhooks("drop")
    intent_id = held.payment.stripe_payment_intent_id
    account.call("POST", f"payment_intents/{intent_id}/capture", amount_to_capture=700)
    with refused(Reason.PAYMENT_NOT_CAPTURABLE) as refusal:
        desk.payments.CapturePayment(capture_request(held.payment.id, amount=1000))
    assert refusal.metadata == {"payment_id": held.payment.id, "status": "complete"}
    assert desk.payment(held.payment.id).captured_amount == euros(700)
    account.webhooks("normal")
