"""CreatePaymentIntent with a saved method: tried at once while the customer is away, or not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from tests.support.calls import events_until, new_user, refused, refused_field, statuses_until
from tests.support.desk import Desk, order_status_name, status_name
from tests.support.sales import PRICES, create_product, intent_request
from tests.support.service import Account, Sandbox, running_sandbox, wait_until

CREATED, FAILED, STARTED, CANCELLED = (
    orders_pb2.ORDER_STATUS_CREATED,
    orders_pb2.ORDER_STATUS_FAILED,
    orders_pb2.ORDER_STATUS_TASK_STARTED,
    orders_pb2.ORDER_STATUS_CANCELLED,
)
STRICT, POOR = "authenticationRequired", "chargeCustomerFail"


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
    """A janitor that looks often."""
    return Timings(look_every=timedelta(milliseconds=50))


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub) -> orders_pb2.Product:
    """What is sold."""
    return create_product(orders)


def bought(
    desk: Desk, product: orders_pb2.Product, card: str = "visa", **fields: object
) -> pb.CreatePaymentIntentResponse:
    """Buy off session with a card that is saved for it."""
    user = new_user()
    asked = {"user_id": user, "payment_method_id": desk.save(user, card).id, "off_session": True}
    return desk.payments.CreatePaymentIntent(intent_request(product.id, **(asked | fields)))


def test_saved_method_pays_at_once(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """The answer has the order on its way, the complete payment, and no secret."""
    made = bought(desk, product, currency_code="usd")
    assert status_name(made.payment) == "complete"
    assert made.payment.captured_amount == PRICES[1]
    assert (order_status_name(made.order), made.client_secret) == ("task_started", "")
    assert statuses_until(orders, made.order.id, STARTED) == ["created", "paid", "task_started"]
    account.wait_delivered()
    told = [each.payment.status for each in desk.history(made.payment.id)]
    assert told[0] == pb.PAYMENT_STATUS_PENDING
    assert set(told[1:]) == {pb.PAYMENT_STATUS_COMPLETE}
    (intent,) = account.intents_of(made.order.user_id)
    assert intent["status"] == "succeeded"


def test_replay_of_a_payment_that_was_complete_is_the_same(
    desk: Desk, product: orders_pb2.Product, account: Account
) -> None:
    """Nothing is charged twice."""
    user = new_user()
    asked = {"user_id": user, "payment_method_id": desk.save(user).id, "off_session": True}
    request = intent_request(product.id, **asked)
    made = desk.payments.CreatePaymentIntent(request)
    assert desk.payments.CreatePaymentIntent(request) == made
    assert len(account.intents_of(user)) == 1


def test_decline_is_ok_and_fails_the_order(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product
) -> None:
    """The status and the last error say what became of it; the customer may try on session."""
    made = bought(desk, product, POOR)
    assert status_name(made.payment) == "requires_payment_method"
    assert made.payment.last_error.code == "card_declined"
    assert made.payment.last_error.decline_code == "generic_decline"
    assert made.payment.last_error.message == "Your card was declined."
    assert order_status_name(made.order) == "failed"
    assert not made.payment.HasField("action_deadline")
    assert made.client_secret.startswith(made.payment.stripe_payment_intent_id)
    desk.pay(made.payment)
    seen = statuses_until(orders, made.order.id, STARTED)
    assert seen == ["created", "failed", "paid", "task_started"]


def test_bank_that_asks_for_the_customer_leaves_the_order_created(
    desk: Desk, product: orders_pb2.Product, account: Account
) -> None:
    """OK, requires_action, 23 hours, and the secret with which the customer finishes it."""
    made = bought(desk, product, STRICT)
    payment = made.payment
    assert status_name(payment) == "requires_action"
    assert payment.last_error.code == "authentication_required"
    assert order_status_name(made.order) == "created"
    assert made.client_secret.startswith(payment.stripe_payment_intent_id)
    limit = payment.action_deadline.ToSeconds() - payment.create_time.ToSeconds()
    assert abs(limit - 23 * 3600) <= 2
    account.wait_delivered()
    known = desk.got(payment.id)
    assert status_name(known.payment) == "requires_action"
    assert abs(known.payment.action_deadline.ToSeconds() - payment.action_deadline.ToSeconds()) <= 2
    assert known.client_secret == made.client_secret
    assert desk.order(made.order.id).status == CREATED
    told = [
        each for each in desk.history(payment.id) if each.previous_status != each.payment.status
    ]
    assert [status_name(each.payment) for each in told] == ["pending", "requires_action"]
    assert told[1].payment.HasField("action_deadline")


def test_customer_finishes_it_on_session(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """The same intent, payment and order are paid."""
    made = bought(desk, product, STRICT)
    paid = desk.pay(made.payment, STRICT)
    assert paid.id == made.payment.id
    assert not paid.HasField("action_deadline")
    assert not paid.HasField("last_error")
    assert statuses_until(orders, made.order.id, STARTED) == ["created", "paid", "task_started"]
    assert len(account.intents_of(made.order.user_id)) == 1


def test_deadline_that_passes_cancels_intent_and_order_once(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product, sandbox: Sandbox
) -> None:
    """A customer who does not come within 23 hours is not waited for; who pays in time is kept."""
    late, paid = bought(desk, product, STRICT), bought(desk, product, STRICT)
    early = bought(desk, product, POOR)
    desk.pay(paid.payment, STRICT)
    sandbox.control("clock", {"advance_seconds": 22 * 3600})
    waiting = bought(desk, product, STRICT)
    assert status_name(desk.payment(late.payment.id)) == "requires_action"
    sandbox.control("clock", {"advance_seconds": 2 * 3600})
    events_until(orders, late.order.id, lambda event: event.order.status == CANCELLED)
    desk.until(late.payment.id, pb.PAYMENT_STATUS_CANCELLED)
    desk.account.wait_delivered()
    intent = desk.account.call("GET", f"payment_intents/{late.payment.stripe_payment_intent_id}")
    assert intent["status"] == "canceled"
    got = desk.got(late.payment.id)
    assert (status_name(got.payment), got.client_secret) == ("cancelled", "")
    assert not got.payment.HasField("action_deadline")
    ended = [
        each
        for each in desk.history(late.payment.id)
        if each.previous_status != pb.PAYMENT_STATUS_CANCELLED
        and each.payment.status == pb.PAYMENT_STATUS_CANCELLED
    ]
    assert len(ended) == 1
    assert statuses_until(orders, late.order.id, CANCELLED) == ["created", "cancelled"]
    assert order_status_name(desk.order(paid.order.id)) == "task_started"
    assert order_status_name(desk.order(early.order.id)) == "failed"
    assert order_status_name(desk.order(waiting.order.id)) == "created"


def test_customer_who_is_at_the_bank_when_the_time_is_over_is_not_charged(
    desk: Desk, product: orders_pb2.Product, sandbox: Sandbox
) -> None:
    """They had begun to authenticate: the intent is cancelled all the same."""
    made = bought(desk, product, STRICT)
    intent_id = made.payment.stripe_payment_intent_id
    desk.account.call(
        "POST",
        f"payment_intents/{intent_id}/confirm",
        payment_method=desk.card(STRICT),
        return_url="https://example.com",
    )
    desk.account.wait_delivered()
    assert status_name(desk.payment(made.payment.id)) == "requires_action"
    sandbox.control("clock", {"advance_seconds": 24 * 3600})
    wait_until(
        lambda: status_name(desk.payment(made.payment.id)) == "cancelled", "it was not cancelled"
    )
    assert order_status_name(desk.order(made.order.id)) == "cancelled"


def test_saved_method_on_session_waits_for_the_customer(
    desk: Desk, product: orders_pb2.Product
) -> None:
    """It is only proposed: the device confirms it, by either id."""
    for by in ("payment_method_id", "stripe_payment_method_id"):
        user = new_user()
        method = desk.save(user)
        named = method.id if by == "payment_method_id" else method.stripe_payment_method_id
        made = desk.payments.CreatePaymentIntent(
            intent_request(product.id, user_id=user, **{by: named})
        )
        assert status_name(made.payment) == "requires_confirmation"
        assert made.payment.payment_method_id == method.id
        assert order_status_name(made.order) == "created"
        pressed = desk.account.press("pay", made.payment.stripe_payment_intent_id)
        assert pressed["payment_method"] == method.stripe_payment_method_id
        desk.until(made.payment.id, pb.PAYMENT_STATUS_COMPLETE)


def test_held_off_session_is_authorised_at_once(desk: Desk, product: orders_pb2.Product) -> None:
    """Manual capture of a saved method: the money waits, and so does the order."""
    made = bought(desk, product, capture_method=pb.CAPTURE_METHOD_MANUAL)
    assert status_name(made.payment) == "requires_capture"
    assert order_status_name(made.order) == "created"


REDIRECTS = ("BANCONTACT", "GIROPAY", "IDEAL")


@pytest.mark.parametrize("name", REDIRECTS)
@pytest.mark.parametrize("ask", ["off_session", "saved", "on_session reuse", "off_session reuse"])
def test_redirect_method_is_neither_saved_nor_used_later(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product, name: str, ask: str
) -> None:
    """The refusal says why; nothing is recorded."""
    user = new_user()
    asked: dict[str, dict[str, object]] = {
        "off_session": {"payment_method_id": "pmt_1", "off_session": True},
        "saved": {"payment_method_id": "pmt_1"},
        "on_session reuse": {"setup_payment_method_reuse": pb.PAYMENT_METHOD_REUSE_ON_SESSION},
        "off_session reuse": {"setup_payment_method_reuse": pb.PAYMENT_METHOD_REUSE_OFF_SESSION},
    }
    type_ = pb.PaymentMethodType.Value(f"PAYMENT_METHOD_TYPE_{name}")
    request = intent_request(product.id, user_id=user, payment_method_type=type_, **asked[ask])
    with refused(Reason.PAYMENT_METHOD_NOT_REUSABLE) as refusal:
        desk.payments.CreatePaymentIntent(request)
    assert refusal.metadata == {"payment_method_type": name.lower()}
    assert "bank" in refusal.message
    assert not orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=user)).orders


def test_another_users_method_is_refused_before_anything_is_recorded(
    desk: Desk, orders: OrdersServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """By either id: no order, no payment, no customer, nothing at Stripe."""
    owner, thief = new_user(), new_user()
    method = desk.save(owner)
    for named in (
        {"payment_method_id": method.id},
        {"stripe_payment_method_id": method.stripe_payment_method_id},
    ):
        with refused(Reason.PAYMENT_METHOD_NOT_FOUND):
            desk.payments.CreatePaymentIntent(
                intent_request(product.id, user_id=thief, off_session=True, **named)
            )
    assert not orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=thief)).orders
    assert not desk.payments.ListPayments(pb.ListPaymentsRequest(user_id=thief)).payments
    with refused(Reason.CUSTOMER_NOT_FOUND):
        desk.payments.GetCustomer(pb.GetCustomerRequest(user_id=thief))
    assert account.intents_of(thief) == []


def test_off_session_needs_a_saved_method(desk: Desk, product: orders_pb2.Product) -> None:
    """The customer is not there to give one."""
    with refused_field("off_session"):
        desk.payments.CreatePaymentIntent(intent_request(product.id, off_session=True))
    with refused_field("description"):
        desk.payments.CreatePaymentIntent(intent_request(product.id, description="d" * 501))
    with refused_field("setup_payment_method_reuse"):
        desk.payments.CreatePaymentIntent(intent_request(product.id, setup_payment_method_reuse=99))
