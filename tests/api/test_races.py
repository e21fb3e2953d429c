"""Many at once: equal calls are one, unequal ones never more than there is, on both stores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import Refusal, ended, new_request_id, new_user, statuses_until
from tests.support.desk import (
    Desk,
    cancel_request,
    capture_request,
    charge_request,
    euros,
    order_status_name,
    refund_request,
    status_name,
)
from tests.support.money import CALLS, held
from tests.support.service import Account

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

MANY = 32


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(autouse=True)
def legacy(account: Account) -> Iterator[None]:
    """The account may still use Sources; nothing that a test held back is left."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    yield
    account.webhooks("normal")
    account.release()


def outcome(call: Any) -> str:  # noqa: ANN401 -- grpc's futures have no type of their own
    """Wait for a call; answers its reason, empty where it is OK."""
    try:
        call.result()
    except grpc.RpcError as error:
        refusal = Refusal()
        refusal.read(ended(error))
        return refusal.reason
    return ""


@pytest.mark.parametrize("name", CALLS)
def test_equal_calls_at_once_are_one(desk: Desk, account: Account, name: str) -> None:
    """One effect at Stripe, and one answer for all of them."""
    account.webhooks("hold")
    call = CALLS[name](desk)
    calls = [call.rpc.future(call.request) for _ in range(MANY)]
    answers = [each.result() for each in calls]
    assert all(answer == answers[0] for answer in answers)
    assert len(call.effects()) == 1
    assert call.done()


def test_refunds_at_once_never_exceed_the_payment(desk: Desk, account: Account) -> None:
    """32 times 60 of 100: one is made, every other is told what is left."""
    payment = desk.charged(new_user(), 10_000)
    calls = [
        desk.payments.RefundPayment.future(refund_request(payment.id, amount=6_000))
        for _ in range(MANY)
    ]
    outcomes = [outcome(each) for each in calls]
    assert sorted(outcomes) == ["", *[Reason.REFUND_EXCEEDS_PAYMENT] * (MANY - 1)]
    account.wait_delivered()
    there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
    assert [each["amount"] for each in there] == [6_000]
    assert desk.payment(payment.id).refunded_amount == euros(6_000)


def test_refunds_at_once_use_up_the_payment_to_the_cent(desk: Desk, account: Account) -> None:
    """32 times 7 of 100: fourteen fit."""
    payment = desk.charged(new_user(), 100)
    calls = [
        desk.payments.RefundPayment.future(refund_request(payment.id, amount=7))
        for _ in range(MANY)
    ]
    outcomes = [outcome(each) for each in calls]
    assert outcomes.count("") == 14
    assert outcomes.count(Reason.REFUND_EXCEEDS_PAYMENT) == MANY - 14
    account.wait_delivered()
    assert desk.payment(payment.id).refunded_amount == euros(98)


def test_captures_and_cancellations_at_once_are_one_of_them(desk: Desk, account: Account) -> None:
    """One is done, every other is told to wait or that it is too late."""
    payment = held(desk)
    calls: list[Any] = []
    for number in range(MANY):
        if number % 2:
            calls.append(desk.payments.CancelPayment.future(cancel_request(payment.id)))
        else:
            calls.append(
                desk.payments.CapturePayment.future(capture_request(payment.id, amount=number + 1))
            )
    outcomes = [outcome(each) for each in calls]
    late = {Reason.IN_PROGRESS, Reason.PAYMENT_NOT_CAPTURABLE, Reason.PAYMENT_NOT_CANCELLABLE}
    assert outcomes.count("") == 1, outcomes
    assert set(outcomes) - {""} <= late
    account.wait_delivered()
    (intent,) = account.intents_of(payment.user_id)
    known = desk.payment(payment.id)
    winner = outcomes.index("")
    if winner % 2:
        assert (intent["status"], status_name(known)) == ("canceled", "cancelled")
        assert not known.HasField("captured_amount")
    else:
        assert intent["amount_received"] == known.captured_amount.amount == winner + 1


def test_cancellation_against_the_customer_who_pays(desk: Desk, account: Account) -> None:
    """Either the order is cancelled and nothing was taken, or it is paid and refused."""
    for _ in range(6):
        made = desk.intended()
        intent_id = made.payment.stripe_payment_intent_id
        with ThreadPoolExecutor(1) as threads:
            paying = threads.submit(_pay, desk, intent_id)
            request = orders_pb2.CancelOrderRequest(
                request_id=new_request_id(), order_id=made.order.id
            )
            cancelled = outcome(desk.orders.CancelOrder.future(request))
            paid = paying.result()
        account.wait_delivered()
        status = order_status_name(desk.order(made.order.id))
        if paid:
            assert (cancelled, status) == (Reason.ORDER_NOT_CANCELLABLE, "task_started")
        else:
            assert (cancelled, status) == ("", "cancelled")


def _pay(desk: Desk, intent_id: str) -> bool:
    """Pay as the customer; tells whether the intent could still be paid."""
    try:
        return bool(desk.account.press("pay", intent_id)["status"] == "succeeded")
    except OSError:
        return False


def test_refund_against_dispute(desk: Desk, account: Account) -> None:
    """Whichever is first at Stripe: our books say what Stripe's do."""
    for _ in range(4):
        payment = desk.charged(new_user(), 1_000)
        path = f"payment_intents/{payment.stripe_payment_intent_id}"
        refunding = desk.payments.RefundPayment.future(refund_request(payment.id, amount=600))
        desk.press(path, "dispute", amount=400)
        refunded = outcome(refunding)
        assert refunded in {"", Reason.VENDOR_REFUSED}
        desk.told(payment.id, lambda event: event.payment.disputed)
        account.wait_delivered()
        known = desk.payment(payment.id)
        assert known.disputed
        there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
        assert sum(each["amount"] for each in there) == known.refunded_amount.amount
        listed = desk.payments.ListRefunds(pb.ListRefundsRequest(payment_id=payment.id)).refunds
        done = refunds_pb2.REFUND_STATUS_FAILED if refunded else refunds_pb2.REFUND_STATUS_SUCCEEDED
        assert [each.status for each in listed] == [done]


@pytest.mark.parametrize("mode", ["normal", "duplicate", "reverse"])
def test_notification_that_is_faster_than_the_answer(
    desk: Desk, account: Account, mode: str
) -> None:
    """Stripe's words come while our own call still waits: one transition, one order, one charge."""
    user = new_user()
    method = desk.save(user)
    account.wait_delivered()
    account.webhooks(mode)
    account.fault("late", seconds=0.5)
    asked = {"user_id": user, "payment_method_id": method.id, "off_session": True}
    made = desk.intended(asked)
    assert (status_name(made.payment), order_status_name(made.order)) == (
        "complete",
        "task_started",
    )
    account.wait_delivered()
    steps = statuses_until(desk.orders, made.order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)
    assert steps == ["created", "paid", "task_started"]
    moves = [
        status_name(event.payment)
        for event in desk.history(made.payment.id)
        if event.type in (pb.PAYMENT_EVENT_TYPE_CREATED, pb.PAYMENT_EVENT_TYPE_STATUS_CHANGED)
    ]
    assert moves[0] == "pending"
    assert moves.count("complete") == 1
    assert moves[-1] == "complete"
    assert len(account.intents_of(user)) == 1


def test_refund_that_is_told_before_its_answer(desk: Desk, account: Account) -> None:
    """It is one refund, ours, whichever word is first."""
    payment = desk.charged(new_user())
    account.wait_delivered()
    account.fault("late", "/v1/refunds", seconds=0.5)
    answer = desk.payments.RefundPayment(refund_request(payment.id, amount=1_000))
    account.wait_delivered()
    (refund,) = desk.payments.ListRefunds(pb.ListRefundsRequest(payment_id=payment.id)).refunds
    assert refund == answer.refund
    assert desk.payment(payment.id).refunded_amount == euros(1_000)


def test_charges_at_once_of_one_card_are_all_made(desk: Desk, account: Account) -> None:
    """Different requests are different charges, though they say the same."""
    user = new_user()
    method = desk.save(user)
    calls = [
        desk.payments.ChargeUser.future(charge_request(user, payment_method_id=method.id))
        for _ in range(MANY)
    ]
    ids = {call.result().payment.id for call in calls}
    assert len(ids) == MANY
    assert [each["status"] for each in account.intents_of(user)] == ["succeeded"] * MANY
