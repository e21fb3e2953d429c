"""Orders paid by Stripe Sources: charged once, for the order's own amount, or not at all."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_request_id, new_user, refused, refused_field, statuses_until
from tests.support.desk import Desk, euros, order_status_name, refund_request, status_name
from tests.support.service import Account, Json, wait_until
from tests.support.sources import authorise, charge_source, charges_for, make_source, ordered
from tests.support.work import working

STARTED, PAID, FAILED = (
    orders_pb2.ORDER_STATUS_TASK_STARTED,
    orders_pb2.ORDER_STATUS_PAID,
    orders_pb2.ORDER_STATUS_FAILED,
)
ALL_STEPS = ["created", "charge_created", "paid", "task_started"]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A janitor that looks often."""
    return Timings(look_every=timedelta(milliseconds=50))


@pytest.fixture(autouse=True)
def legacy(account: Account) -> None:
    """The account may still use Sources."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})


def test_order_waits_without_stripe(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """CreateOrder asks Stripe for nothing; its payment waits for a way to pay."""
    order = ordered(desk)
    assert order_status_name(order) == "created"
    payment = desk.payment(order.payment_id)
    assert status_name(payment) == "requires_payment_method"
    assert (payment.amount, payment.order_id, payment.description) == (
        order.price,
        order.id,
        order.product.name,
    )
    assert (payment.stripe_payment_intent_id, payment.stripe_charge_id) == ("", "")
    assert desk.got(order.payment_id).client_secret == ""
    assert not account.intents_of(order.user_id)


@pytest.mark.parametrize("type_", ["bancontact", "ideal", "giropay", "card"])
def test_source_that_becomes_chargeable_pays_its_order(
    desk: Desk, orders: OrdersServiceStub, type_: str
) -> None:
    """From the client's Source to the worker's task, with nobody calling the service."""
    function = f"legacy-{type_}"
    order = ordered(desk, task_function_name=function)
    source = make_source(desk, order, type_)
    if type_ != "card":
        authorise(desk, source)
    assert statuses_until(orders, order.id, PAID) == ALL_STEPS[:3]
    with working(orders, function) as worker:
        assert worker.start().order.id == order.id
    assert statuses_until(orders, order.id, STARTED) == ALL_STEPS
    (charge,) = charges_for(desk, order)
    assert (charge["amount"], charge["currency"]) == (1250, "eur")
    assert charge["metadata"]["boxoffice_payment_id"] == order.payment_id
    desk.account.wait_delivered()
    payment = desk.payment(order.payment_id)
    assert payment.stripe_charge_id == charge["id"]
    assert payment.captured_amount == euros(1250)


def test_bank_that_takes_its_time_leaves_the_order_charge_created(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """A pending charge, which then succeeds; until then nothing else is charged."""
    order = ordered(desk)
    source = make_source(desk, order)
    desk.press(f"sources/{source['id']}", "process")
    charged = orders_pb2.ORDER_STATUS_CHARGE_CREATED
    assert statuses_until(orders, order.id, charged) == ALL_STEPS[:2]
    payment = desk.payment(order.payment_id)
    assert payment.pending_reason == pb.PENDING_REASON_PROCESSING
    with refused(Reason.ORDER_NOT_CHARGEABLE):
        desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    with refused(Reason.ORDER_NOT_CANCELLABLE):
        asked = orders_pb2.CancelOrderRequest(request_id=new_request_id(), order_id=order.id)
        orders.CancelOrder(asked)
    (charge,) = charges_for(desk, order)
    desk.press(f"charges/{charge['id']}", "succeed")
    assert statuses_until(orders, order.id, STARTED) == ALL_STEPS


def test_pending_charge_that_fails_lets_another_source_pay(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """The order is failed, and then paid by the customer's next try."""
    order = ordered(desk)
    source = make_source(desk, order)
    desk.press(f"sources/{source['id']}", "process")
    wait_until(lambda: len(charges_for(desk, order)) == 1, "nothing was charged")
    desk.until(order.payment_id, pb.PAYMENT_STATUS_PENDING)
    desk.press(f"charges/{charges_for(desk, order)[0]['id']}", "fail")
    statuses_until(orders, order.id, FAILED)
    authorise(desk, make_source(desk, order, "ideal"))
    assert statuses_until(orders, order.id, STARTED)[-3:] == ALL_STEPS[1:]
    assert [each["status"] for each in charges_for(desk, order)] == ["succeeded", "failed"]


def test_refused_source_fails_the_order(desk: Desk, orders: OrdersServiceStub) -> None:
    """The customer said no at the bank; they may try again."""
    order = ordered(desk)
    desk.press(f"sources/{make_source(desk, order)['id']}", "refuse")
    assert statuses_until(orders, order.id, FAILED) == ["created", "failed"]
    assert charges_for(desk, order) == []
    authorise(desk, make_source(desk, order))
    statuses_until(orders, order.id, STARTED)


LIES: dict[str, Callable[[orders_pb2.Order], Json]] = {
    "less": lambda _: {"amount": 1249},
    "more": lambda _: {"amount": 1251},
    "another user": lambda _: {"metadata[boxoffice_user_id]": new_user()},
    "no user": lambda _: {"metadata[boxoffice_user_id]": ""},
    "unknown order": lambda _: {"metadata[boxoffice_order_id]": "ord_none"},
    "no order": lambda _: {"metadata[boxoffice_order_id]": ""},
}


@pytest.mark.parametrize("lie", LIES)
def test_forged_source_is_not_charged(desk: Desk, account: Account, lie: str) -> None:
    """Neither when it becomes chargeable nor when the service is told to charge it."""
    order = ordered(desk)
    source = make_source(desk, order, **LIES[lie](order))
    authorise(desk, source)
    account.wait_delivered()
    with refused(Reason.SOURCE_MISMATCH) as refusal:
        desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    assert refusal.metadata["order_id"] == order.id
    assert refusal.metadata["stripe_source_id"] == source["id"]
    assert charges_for(desk, order) == []
    assert desk.order(order.id).status == orders_pb2.ORDER_STATUS_CREATED
    # Nothing is spoilt for an honest one.
    authorise(desk, make_source(desk, order))
    statuses_until(desk.orders, order.id, STARTED)


def test_source_for_another_order_of_the_same_user_pays_that_one(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """CreateCharge for the wrong order is a mismatch."""
    one, two = ordered(desk), ordered(desk)
    source = make_source(desk, one)
    with refused(Reason.SOURCE_MISMATCH):
        desk.payments.CreateCharge(charge_source(two.id, source["id"]))
    authorise(desk, source)
    statuses_until(orders, one.id, STARTED)
    assert charges_for(desk, two) == []


def test_sources_of_the_old_way_are_refused_for_an_order_with_an_intent(
    desk: Desk, account: Account
) -> None:
    """An order of CreatePaymentIntent is not charged a second time by a Source."""
    made = desk.intended()
    source = make_source(desk, made.order)
    authorise(desk, source)
    account.wait_delivered()
    with refused(Reason.ORDER_NOT_CHARGEABLE) as refusal:
        desk.payments.CreateCharge(charge_source(made.order.id, source["id"]))
    assert refusal.metadata == {"order_id": made.order.id, "status": "created"}
    assert charges_for(desk, made.order) == []


# -- CreateCharge ---------------------------------------------------------------------------------


@pytest.fixture
def deaf(account: Account) -> Iterator[None]:
    """Nothing is heard of what becomes chargeable, so that CreateCharge alone charges."""
    account.webhooks("drop")
    yield
    account.webhooks("normal")


@pytest.mark.usefixtures("deaf")
def test_charge_on_request(desk: Desk, orders: OrdersServiceStub, account: Account) -> None:
    """The answer has order and payment; the same request again has the same."""
    order = ordered(desk)
    source = make_source(desk, order)
    authorise(desk, source)
    request = charge_source(order.id, source["id"])
    answer = desk.payments.CreateCharge(request)
    assert status_name(answer.payment) == "complete"
    assert answer.payment.captured_amount == euros(1250)
    assert order_status_name(answer.order) == "task_started"
    assert desk.payments.CreateCharge(request) == answer
    assert len(charges_for(desk, order)) == 1
    assert statuses_until(orders, order.id, STARTED) == ALL_STEPS
    with refused(Reason.ORDER_NOT_CHARGEABLE) as refusal:
        desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    assert refusal.metadata == {"order_id": order.id, "status": "task_started"}
    refund = desk.payments.RefundPayment(refund_request(order.payment_id))
    assert refund.payment.refunded_amount == euros(1250)
    assert order_status_name(desk.order(order.id)) == "refunded"


@pytest.mark.usefixtures("deaf")
def test_declined_card_is_told_and_another_source_may_pay(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """CARD_DECLINED with the bank's words; the order is failed until the second Source."""
    order = ordered(desk)
    poor = make_source(desk, order, "card", token="tok_chargeDeclinedInsufficientFunds")
    request = charge_source(order.id, poor["id"])
    with refused(Reason.CARD_DECLINED) as refusal:
        desk.payments.CreateCharge(request)
    assert refusal.metadata["payment_id"] == order.payment_id
    assert refusal.metadata["vendor_decline_code"] == "insufficient_funds"
    assert order_status_name(desk.order(order.id)) == "failed"
    with refused(Reason.CARD_DECLINED) as again:
        desk.payments.CreateCharge(request)
    assert again == refusal
    good = make_source(desk, order, "card")
    answer = desk.payments.CreateCharge(charge_source(order.id, good["id"]))
    assert status_name(answer.payment) == "complete"
    assert [each["status"] for each in charges_for(desk, order)] == ["succeeded", "failed"]
    assert statuses_until(orders, order.id, STARTED) == ["created", "failed", *ALL_STEPS[1:]]


@pytest.mark.usefixtures("deaf")
def test_source_that_is_not_chargeable_is_refused_by_stripe(desk: Desk, account: Account) -> None:
    """The customer has not been at the bank yet: in Stripe's words, and the order stays."""
    order = ordered(desk)
    source = make_source(desk, order)
    with refused(Reason.VENDOR_REFUSED):
        desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    with refused(Reason.VENDOR_REFUSED):
        desk.payments.CreateCharge(charge_source(order.id, "src_none"))
    assert order_status_name(desk.order(order.id)) == "created"


@pytest.mark.usefixtures("deaf")
def test_account_for_which_sources_are_closed_is_told_so(desk: Desk, account: Account) -> None:
    """With the switch off Stripe refuses, and its reason reaches the caller."""
    order = ordered(desk)
    source = make_source(desk, order)
    authorise(desk, source)
    account.sandbox.control(f"accounts/{account.key}", {"legacy": False})
    with refused(Reason.VENDOR_REFUSED) as refusal:
        desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    assert refusal.message.startswith("Stripe refused: ")
    assert "transitioning" in refusal.message or "API" in refusal.message
    assert order_status_name(desk.order(order.id)) == "created"


def test_unknown_order_and_bad_fields(desk: Desk) -> None:
    """What nothing has is not found; what nothing can have is a fault."""
    with refused(Reason.ORDER_NOT_FOUND) as refusal:
        desk.payments.CreateCharge(charge_source("ord_none", "src_1"))
    assert refusal.metadata == {"order_id": "ord_none"}
    with refused_field("order_id"):
        desk.payments.CreateCharge(charge_source("", "src_1"))
    with refused_field("stripe_source_id"):
        desk.payments.CreateCharge(charge_source("ord_1", ""))
