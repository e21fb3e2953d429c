"""Notifications that never came are fetched from Stripe's list of what it could not deliver."""

from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from tests.support.calls import new_user, statuses_until
from tests.support.desk import Desk, euros
from tests.support.service import Account, wait_until
from tests.support.sources import charges_for, make_source, ordered


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A janitor that looks and sweeps often."""
    return Timings(look_every=timedelta(milliseconds=50), sweep_every=timedelta(milliseconds=200))


def test_everything_that_was_not_delivered_is_taken_in(desk: Desk, account: Account) -> None:
    """A payment, a refund at the dashboard, a dispute, a saved card and a Source."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    user = new_user()
    charged = desk.charged(user, 2000)
    disputed = desk.charged(user, 1000)
    setup = desk.payments.CreateSetupIntent(
        pb.CreateSetupIntentRequest(request_id="setup", user_id=user)
    )
    order = ordered(desk)
    account.wait_delivered()
    account.webhooks("drop")
    sale = desk.intended({"user_id": user})
    account.press("pay", sale.payment.stripe_payment_intent_id)
    desk.press(f"payment_intents/{charged.stripe_payment_intent_id}", "refund", amount=700)
    desk.press(f"payment_intents/{disputed.stripe_payment_intent_id}", "dispute")
    desk.press(f"setup_intents/{setup.stripe_setup_intent_id}", "setup", card="amex")
    make_source(desk, order, "card")
    started = orders_pb2.ORDER_STATUS_TASK_STARTED
    assert statuses_until(desk.orders, sale.order.id, started)[-1] == "task_started"
    assert statuses_until(desk.orders, order.id, started)[-1] == "task_started"
    assert len(charges_for(desk, order)) == 1
    wait_until(lambda: desk.payment(disputed.id).disputed, "the dispute was not heard of")
    wait_until(lambda: desk.payment(charged.id).refunded_amount == euros(700), "nor the refund")
    wait_until(lambda: desk.methods(user)[0].brand == "amex", "nor the card")
    account.webhooks("normal")


def test_delivery_that_comes_after_the_sweep_is_a_duplicate(desk: Desk, account: Account) -> None:
    """It changes nothing: each step is told once."""
    account.webhooks("hold")
    sale = desk.intended()
    account.press("pay", sale.payment.stripe_payment_intent_id)
    started = orders_pb2.ORDER_STATUS_TASK_STARTED
    steps = ["created", "paid", "task_started"]
    assert statuses_until(desk.orders, sale.order.id, started) == steps
    before = desk.order(sale.order.id)
    account.release()
    account.webhooks("normal")
    account.wait_delivered()
    told = [each.vendor_event_id for each in desk.order(sale.order.id).vendor_events]
    assert len(told) == len(set(told))
    assert {each.vendor_event_id for each in before.vendor_events} <= set(told)
    assert statuses_until(desk.orders, sale.order.id, started) == steps
