"""More than a day after a call was left: Stripe has forgotten its key, so nothing is sent again."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_user, refused
from tests.support.desk import (
    Desk,
    capture_request,
    charge_request,
    order_status_name,
    refund_request,
    status_name,
)
from tests.support.sales import create_product, intent_request
from tests.support.service import Account, Sandbox, running_sandbox, wait_until

REPEATS = 1
LOST = REPEATS + 1
A_DAY_LATER = {"advance_seconds": 25 * 3600}


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
    """A gateway that gives up soon; a janitor that comes when the test has looked."""
    return Timings(
        look_every=timedelta(milliseconds=50),
        patience=Patience(pauses=(timedelta(),) * REPEATS),
    )


@pytest.fixture(autouse=True)
def silent(account: Account) -> Iterator[None]:
    """No notification tells what became of a call."""
    account.webhooks("drop")
    yield
    account.webhooks("normal")


def out_of_reach(account: Account, path: str) -> None:
    """Lose every question and every answer of a kind, reads too, until the faults are cleared."""
    body = {"account": account.key, "kind": "reset_before", "path": path, "times": 1000}
    account.sandbox.control("faults", body)


def test_charge_that_never_got_there_is_given_up(desk: Desk, account: Account) -> None:
    """The payment is cancelled, the caller told REQUEST_EXPIRED, and Stripe asked for nothing."""
    user = new_user()
    request = charge_request(user, payment_method_id=desk.save(user).id)
    out_of_reach(account, "/v1/payment_intents")
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.ChargeUser(request)
    account.sandbox.control("clock", A_DAY_LATER)
    account.sandbox.clear_faults()
    payment_id = refusal.metadata["payment_id"]
    wait_until(lambda: status_name(desk.payment(payment_id)) == "cancelled", "it was not given up")
    with refused(Reason.REQUEST_EXPIRED) as expired:
        desk.payments.ChargeUser(request)
    assert expired.metadata["request_id"] == request.request_id
    assert account.intents_of(user) == []


def test_order_that_never_got_there_is_failed(desk: Desk, account: Account) -> None:
    """CreatePaymentIntent alike: nobody has its secret, so nobody can pay."""
    request = intent_request(create_product(desk.orders).id)
    out_of_reach(account, "/v1/payment_intents")
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CreatePaymentIntent(request)
    account.sandbox.control("clock", A_DAY_LATER)
    account.sandbox.clear_faults()
    with refused(Reason.REQUEST_EXPIRED):
        desk.payments.CreatePaymentIntent(request)
    payment = desk.payment(refusal.metadata["payment_id"])
    assert status_name(payment) == "cancelled"
    assert order_status_name(desk.order(payment.order_id)) == "failed"
    assert account.intents_of(request.user_id) == []


def test_charge_that_got_there_is_found_and_kept(desk: Desk, account: Account) -> None:
    """A day later it is read, not sent: one charge, and the caller told that it is complete."""
    user = new_user()
    request = charge_request(user, payment_method_id=desk.save(user).id)
    account.fault("reset_after", times=1)
    out_of_reach(account, "/v1/payment_intents")
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.ChargeUser(request)
    account.sandbox.control("clock", A_DAY_LATER)
    account.sandbox.clear_faults()
    payment_id = refusal.metadata["payment_id"]
    wait_until(lambda: status_name(desk.payment(payment_id)) == "complete", "it was not found")
    assert status_name(desk.payments.ChargeUser(request).payment) == "complete"
    assert len(account.intents_of(user)) == 1


@pytest.mark.parametrize("arrived", [True, False])
def test_refund_a_day_later(desk: Desk, account: Account, arrived: bool) -> None:  # noqa: FBT001
    """Found, it is kept; not found, it has failed and its money may be refunded anew."""
    payment = desk.charged(new_user())
    request = refund_request(payment.id, amount=1000)
    if arrived:
        account.fault("reset_after", "/v1/refunds", times=1)
    out_of_reach(account, "/v1/refunds")
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.RefundPayment(request)
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(payment.id, amount=2001))
    assert refusal.metadata["refundable"] == "2000"
    account.sandbox.control("clock", A_DAY_LATER)
    account.sandbox.clear_faults()
    listed = pb.ListRefundsRequest(payment_id=payment.id)
    pending = refunds_pb2.REFUND_STATUS_PENDING
    wait_until(
        lambda: desk.payments.ListRefunds(listed).refunds[0].status != pending, "still pending"
    )
    (refund,) = desk.payments.ListRefunds(listed).refunds
    if arrived:
        assert refund.status == refunds_pb2.REFUND_STATUS_SUCCEEDED
        assert desk.payments.RefundPayment(request).refund == refund
    else:
        assert (refund.status, refund.failure_reason) == (
            refunds_pb2.REFUND_STATUS_FAILED,
            "request_expired",
        )
        with refused(Reason.REQUEST_EXPIRED):
            desk.payments.RefundPayment(request)
        desk.payments.RefundPayment(refund_request(payment.id))
    there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
    assert sum(each["amount"] for each in there) == (1000 if arrived else 3000)


def test_capture_a_day_later_leaves_the_hold_to_a_new_request(desk: Desk, account: Account) -> None:
    """The question was lost: REQUEST_EXPIRED, the money is still held, and may be captured."""
    user = new_user()
    asked = {"payment_method_id": desk.save(user).id, "off_session": True, "user_id": user}
    made = desk.intended(asked | {"capture_method": pb.CAPTURE_METHOD_MANUAL})
    request = capture_request(made.payment.id)
    out_of_reach(account, "/v1/payment_intents")
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.CapturePayment(request)
    account.sandbox.control("clock", A_DAY_LATER)
    account.sandbox.clear_faults()
    with refused(Reason.REQUEST_EXPIRED):
        desk.payments.CapturePayment(request)
    assert status_name(desk.payment(made.payment.id)) == "requires_capture"
    captured = desk.payments.CapturePayment(capture_request(made.payment.id)).payment
    assert status_name(captured) == "complete"
    assert desk.order(made.order.id).status == orders_pb2.ORDER_STATUS_TASK_STARTED
