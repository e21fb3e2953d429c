"""What went wrong with money in other systems, each as a test that it does not go wrong here."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_request_id, new_user, refused, statuses_until
from tests.support.desk import (
    Desk,
    capture_request,
    charge_request,
    euros,
    order_status_name,
    refund_request,
    status_name,
)
from tests.support.money import held
from tests.support.sales import create_product, intent_request
from tests.support.service import Account, wait_until

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

REPEATS = 1
LOST = REPEATS + 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon, and a janitor that never comes while a test runs."""
    return Timings(
        look_every=timedelta(minutes=5), patience=Patience(pauses=(timedelta(),) * REPEATS)
    )


@pytest.fixture(autouse=True)
def normal(account: Account) -> Iterator[None]:
    """Nothing that a test dropped or held concerns the next one."""
    yield
    account.sandbox.clear_faults()
    account.webhooks("normal")
    account.release()


def test_hyperswitch_parallel_refunds_of_60_on_100(desk: Desk, account: Account) -> None:
    """Two refunds of 60 both succeeded on a payment of 100.

    Each read the refunds made so far, found room, and inserted its own, with no lock in between:
    120 went back. The first is recorded under the payment's lock here, and counts at once.
    """
    payment = desk.charged(new_user(), 10_000)
    calls = [
        desk.payments.RefundPayment.future(refund_request(payment.id, amount=6_000))
        for _ in range(2)
    ]
    assert sorted(call.exception() is None for call in calls) == [False, True]
    account.wait_delivered()
    there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
    assert sum(each["amount"] for each in there) == 6_000
    assert desk.payment(payment.id).refunded_amount == euros(6_000)


def test_medusa_confirmation_against_webhook(desk: Desk, account: Account) -> None:
    """The storefront's completion and Stripe's webhook completed one cart at the same time.

    Of the two one failed, and now and then took the order with it, though the customer had paid.
    Here both only add facts to the order, under its lock.
    """
    for _ in range(4):
        user = new_user()
        asked = {"user_id": user, "payment_method_id": desk.save(user).id, "off_session": True}
        request = intent_request(create_product(desk.orders).id, **asked)
        account.fault("late", seconds=0.2)
        calls = [desk.payments.CreatePaymentIntent.future(request) for _ in range(3)]
        made = [call.result() for call in calls]
        account.wait_delivered()
        assert {each.order.id for each in made} == {made[0].order.id}
        order = desk.order(made[0].order.id)
        assert order_status_name(order) == "task_started"
        steps = statuses_until(desk.orders, order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)
        assert steps == ["created", "paid", "task_started"]
        assert len(account.intents_of(user)) == 1
        intent_id = made[0].payment.stripe_payment_intent_id
        assert account.everything("refunds", payment_intent=intent_id) == []


def test_medusa_refund_retried_under_a_new_key(desk: Desk, account: Account) -> None:
    """A refund whose answer was lost was deleted, and the retry sent another idempotency key.

    Stripe could not know it for the same, and the customer was refunded twice. Here the refund
    stays, pending, and so does its key; and its money is spoken for under any request id.
    """
    account.webhooks("drop")
    payment = desk.charged(new_user(), 10_000)
    request = refund_request(payment.id, amount=6_000)
    account.fault("reset_after", "/v1/refunds", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.RefundPayment(request)
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(payment.id, amount=6_000))
    assert refusal.metadata["refundable"] == "4000"
    answer = desk.payments.RefundPayment(request)
    assert answer.payment.refunded_amount == euros(6_000)
    there = account.everything("refunds", payment_intent=payment.stripe_payment_intent_id)
    assert [each["amount"] for each in there] == [6_000]


def test_kill_bill_second_capture_while_the_first_is_unknown(desk: Desk, account: Account) -> None:
    """A second capture under the same key was sent while the first one's outcome was unknown.

    Both succeeded. Here the second one reads what became of the first, and sends nothing while
    that can't be read; one under another key is told to wait.
    """
    account.webhooks("drop")
    payment = held(desk)
    request = capture_request(payment.id, amount=500)
    account.fault("reset_after", "/v1/payment_intents/*/capture", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.CapturePayment(request)
    account.fault("status", method="GET", status=503, times=LOST)
    with refused(Reason.VENDOR_UNAVAILABLE):
        desk.payments.CapturePayment(request)
    with refused(Reason.IN_PROGRESS):
        desk.payments.CapturePayment(capture_request(payment.id, amount=500))
    assert desk.payments.CapturePayment(request).payment.captured_amount == euros(500)
    captures = [
        each["type"]
        for each in account.everything("events", type="charge.captured")
        if each["data"]["object"]["payment_intent"] == payment.stripe_payment_intent_id
    ]
    assert len(captures) == 1


def test_firefox_accounts_same_action_again_within_a_day(desk: Desk, account: Account) -> None:
    """The idempotency key was made of who buys what with which card.

    Who cancelled and bought again within 24 hours got Stripe's stored answer of the first time, and
    no subscription. Here the key is the request's: whoever asks again under a new one acts again.
    """
    user = new_user()
    method = desk.save(user)
    charges = [
        desk.payments.ChargeUser(charge_request(user, payment_method_id=method.id)).payment
        for _ in range(2)
    ]
    assert len({each.stripe_payment_intent_id for each in charges}) == 2
    for _ in range(2):
        desk.payments.RefundPayment(refund_request(charges[0].id, amount=100))
    account.wait_delivered()
    assert desk.payment(charges[0].id).refunded_amount == euros(200)
    product = create_product(desk.orders)
    for _ in range(2):
        made = desk.payments.CreatePaymentIntent(intent_request(product.id, user_id=user))
        desk.payments.CancelPayment(
            pb.CancelPaymentRequest(request_id=new_request_id(), payment_id=made.payment.id)
        )
    bought = desk.payments.CreatePaymentIntent(intent_request(product.id, user_id=user))
    assert status_name(desk.pay(bought.payment)) == "complete"
    setups = {
        desk.payments.CreateSetupIntent(
            pb.CreateSetupIntentRequest(request_id=new_request_id(), user_id=user)
        ).stripe_setup_intent_id
        for _ in range(2)
    }
    assert len(setups) == 2


def test_saleor_second_intent_while_the_webhook_pays_the_first(
    desk: Desk, account: Account
) -> None:
    """The webhook of a payment and the call that completes the checkout ran at the same time.

    The call made a second PaymentIntent for an order that was paid already, for it looked at
    nothing first. Here an order has one payment and a payment one intent, whoever retries.
    """
    account.webhooks("hold")
    request = intent_request(create_product(desk.orders).id)
    account.fault("reset_after", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.CreatePaymentIntent(request)
    (intent,) = account.intents_of(request.user_id)
    account.press("pay", intent["id"])
    calls = [desk.payments.CreatePaymentIntent.future(request) for _ in range(4)]
    account.webhooks("normal")
    account.release()
    made = [call.result() for call in calls]
    account.wait_delivered()
    assert {each.payment.stripe_payment_intent_id for each in made} == {intent["id"]}
    assert [each["status"] for each in account.intents_of(request.user_id)] == ["succeeded"]
    assert order_status_name(desk.order(made[0].order.id)) == "task_started"


def test_stripe_demo_authentication_required_is_no_decline(desk: Desk) -> None:
    """Off session a card of which the bank wants to see its holder was shown as declined.

    The customer was sent away though they only had to authenticate. Here it has a reason, a status
    and an order of its own, and the same payment is finished by the customer.
    """
    user = new_user()
    method = desk.save(user, "authenticationRequired")
    with refused(Reason.AUTHENTICATION_REQUIRED) as refusal:
        desk.payments.ChargeUser(charge_request(user, payment_method_id=method.id))
    got = desk.got(refusal.metadata["payment_id"])
    assert status_name(got.payment) == "requires_action"
    assert got.client_secret
    sale = intent_request(
        create_product(desk.orders).id,
        user_id=user,
        payment_method_id=method.id,
        off_session=True,
    )
    made = desk.payments.CreatePaymentIntent(sale)
    assert (status_name(made.payment), order_status_name(made.order)) == (
        "requires_action",
        "created",
    )
    for payment in (got.payment, made.payment):
        assert status_name(desk.pay(payment, "authenticationRequired")) == "complete"


def test_odoo_declined_card_then_another_one(desk: Desk, account: Account) -> None:
    """The key was made of the sale, so a second card after a decline met the first one's answer.

    Here the second card pays the same intent, and a new charge is a new request.
    """
    user = new_user()
    poor, good = desk.save(user, "chargeCustomerFail"), desk.save(user)
    with refused(Reason.CARD_DECLINED):
        desk.payments.ChargeUser(charge_request(user, payment_method_id=poor.id))
    paid = desk.payments.ChargeUser(charge_request(user, payment_method_id=good.id)).payment
    assert status_name(paid) == "complete"
    made = desk.intended({"user_id": user})
    account.press("decline", made.payment.stripe_payment_intent_id)
    assert status_name(desk.pay(made.payment)) == "complete"


def test_polar_refund_before_the_order_is_linked(desk: Desk, account: Account) -> None:
    """A refund was taken in before the payment was linked to its order, and then belonged to none.

    Here it waits for its payment, and the order is refunded whichever is heard first.
    """
    account.webhooks("hold")
    request = intent_request(create_product(desk.orders).id)
    account.fault("reset_after", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CreatePaymentIntent(request)
    (intent,) = account.intents_of(request.user_id)
    account.press("pay", intent["id"])
    desk.press(f"payment_intents/{intent['id']}", "refund")
    account.webhooks("normal")
    account.release("reverse")
    account.wait_delivered()
    order_id = desk.payment(refusal.metadata["payment_id"]).order_id
    assert status_name(desk.payment(refusal.metadata["payment_id"])) == "complete"
    made = desk.payments.CreatePaymentIntent(request)
    assert made.order.id == order_id
    wait_until(lambda: order_status_name(desk.order(order_id)) == "refunded", "not refunded")
