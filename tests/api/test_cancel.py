"""CancelPayment and CancelOrder: what can be given up is, at Stripe first; what is paid is not."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_request_id, new_user, refused, refused_field, statuses_until
from tests.support.desk import (
    Desk,
    cancel_request,
    charge_request,
    order_status_name,
    refund_request,
    status_name,
)
from tests.support.logs import recorded_log
from tests.support.notices import deliver, event_of, intent_of
from tests.support.service import Account

CANCELLED, STARTED = orders_pb2.ORDER_STATUS_CANCELLED, orders_pb2.ORDER_STATUS_TASK_STARTED
REPEATS = 1
Sale = pb.CreatePaymentIntentResponse


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


def cancel_order(order_id: str, request_id: str = "") -> orders_pb2.CancelOrderRequest:
    """Ask for an order to be given up, under a new request id."""
    return orders_pb2.CancelOrderRequest(
        request_id=request_id or new_request_id(), order_id=order_id
    )


def waiting(desk: Desk) -> Sale:
    """The customer has done nothing yet."""
    return desk.intended()


def declined(desk: Desk) -> Sale:
    """The customer's card was declined."""
    made = desk.intended()
    desk.account.press("decline", made.payment.stripe_payment_intent_id)
    desk.told(made.payment.id, lambda event: event.payment.HasField("last_error"))
    return made


def authenticating(desk: Desk) -> Sale:
    """The customer is at the bank."""
    made = desk.intended()
    path = f"payment_intents/{made.payment.stripe_payment_intent_id}/confirm"
    card, back = desk.card("threeDSecureRequired"), "https://example.com"
    desk.account.call("POST", path, payment_method=card, return_url=back)
    desk.until(made.payment.id, pb.PAYMENT_STATUS_REQUIRES_ACTION)
    return made


def confirming(desk: Desk) -> Sale:
    """A saved method waits to be confirmed."""
    user = new_user()
    return desk.intended({"user_id": user, "payment_method_id": desk.save(user).id})


def held(desk: Desk) -> Sale:
    """The money is held."""
    made = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    desk.account.press("pay", made.payment.stripe_payment_intent_id)
    desk.until(made.payment.id, pb.PAYMENT_STATUS_REQUIRES_CAPTURE)
    return made


OPEN: dict[str, Callable[[Desk], Sale]] = {
    "waiting": waiting,
    "declined": declined,
    "authenticating": authenticating,
    "confirming": confirming,
    "held": held,
}


@pytest.fixture(params=["payment", "order"])
def cancel(request: pytest.FixtureRequest, desk: Desk) -> Callable[[Sale], object]:
    """Cancel by either RPC."""
    if request.param == "payment":
        return lambda made: desk.payments.CancelPayment(cancel_request(made.payment.id))
    return lambda made: desk.orders.CancelOrder(cancel_order(made.order.id))


@pytest.mark.parametrize("name", OPEN)
def test_open_payment_is_cancelled_with_its_order(
    desk: Desk, account: Account, name: str, cancel: Callable[[Sale], object]
) -> None:
    """At Stripe and here, by either RPC; the client secret ends with it."""
    made = OPEN[name](desk)
    answer = cancel(made)
    if isinstance(answer, pb.CancelPaymentResponse):
        assert status_name(answer.payment) == "cancelled"
    else:
        assert isinstance(answer, orders_pb2.CancelOrderResponse)
        assert order_status_name(answer.order) == "cancelled"
    (intent,) = account.intents_of(made.order.user_id)
    assert intent["status"] == "canceled"
    account.wait_delivered()
    got = desk.got(made.payment.id)
    assert (status_name(got.payment), got.client_secret) == ("cancelled", "")
    assert desk.order(made.order.id).status == CANCELLED
    names = statuses_until(desk.orders, made.order.id, CANCELLED)
    assert names[-1] == "cancelled"
    assert names.count("cancelled") == 1


def paid(desk: Desk) -> Sale:
    """The money is there."""
    return desk.sold()


def processing(desk: Desk) -> Sale:
    """The bank takes its time."""
    made = desk.intended({"payment_method_type": pb.PAYMENT_METHOD_TYPE_IDEAL})
    path = f"payment_intents/{made.payment.stripe_payment_intent_id}"
    form = {"payment_method_data[type]": "ideal", "return_url": "https://example.com"}
    desk.account.call("POST", f"{path}/confirm", **form)
    desk.press(path, "process")
    desk.until(made.payment.id, pb.PAYMENT_STATUS_PENDING)
    return made


def refunded(desk: Desk) -> Sale:
    """The money went back."""
    made = desk.sold()
    desk.payments.RefundPayment(refund_request(made.payment.id))
    return made


ENDED: dict[str, tuple[Callable[[Desk], Sale], str, str]] = {
    "paid": (paid, "complete", "task_started"),
    "processing": (processing, "pending", "created"),
    "refunded": (refunded, "complete", "refunded"),
}


@pytest.mark.parametrize("name", ENDED)
def test_payment_that_is_complete_or_on_its_way_can_only_be_refunded(desk: Desk, name: str) -> None:
    """Neither it nor its order is cancelled, and Stripe is not asked."""
    make, payment_status, order_status = ENDED[name]
    made = make(desk)
    with refused(Reason.PAYMENT_NOT_CANCELLABLE) as refusal:
        desk.payments.CancelPayment(cancel_request(made.payment.id))
    assert refusal.metadata == {"payment_id": made.payment.id, "status": payment_status}
    with refused(Reason.ORDER_NOT_CANCELLABLE) as refusal:
        desk.orders.CancelOrder(cancel_order(made.order.id))
    assert refusal.metadata == {"order_id": made.order.id, "status": order_status}
    assert order_status_name(desk.order(made.order.id)) == order_status


def test_cancelling_once_more(desk: Desk) -> None:
    """A cancelled payment is not cancellable; a cancelled order is answered as it is."""
    made = waiting(desk)
    request = cancel_order(made.order.id)
    first = desk.orders.CancelOrder(request)
    assert desk.orders.CancelOrder(request) == first
    desk.account.wait_delivered()
    again = desk.orders.CancelOrder(cancel_order(made.order.id))
    assert again.order == desk.order(made.order.id)
    with refused(Reason.PAYMENT_NOT_CANCELLABLE) as refusal:
        desk.payments.CancelPayment(cancel_request(made.payment.id))
    assert refusal.metadata["status"] == "cancelled"


def test_order_that_waits_for_a_source_is_cancelled_without_stripe(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """There is nothing at Stripe to cancel."""
    product = desk.sold().order.product
    made = orders.CreateOrder(
        orders_pb2.CreateOrderRequest(
            request_id=new_request_id(), user_id=new_user(), product_id=product.id
        )
    ).order
    assert status_name(desk.payment(made.payment_id)) == "requires_payment_method"
    assert order_status_name(orders.CancelOrder(cancel_order(made.id)).order) == "cancelled"
    assert status_name(desk.payment(made.payment_id)) == "cancelled"


def test_declined_charge_without_an_order_is_cancelled(desk: Desk, account: Account) -> None:
    """What ChargeUser left behind is given up."""
    user = new_user()
    method = desk.save(user, "chargeCustomerFail")
    with refused(Reason.CARD_DECLINED) as refusal:
        desk.payments.ChargeUser(charge_request(user, payment_method_id=method.id))
    payment_id = refusal.metadata["payment_id"]
    cancelled = desk.payments.CancelPayment(cancel_request(payment_id)).payment
    assert status_name(cancelled) == "cancelled"
    (intent,) = account.intents_of(user)
    assert intent["status"] == "canceled"


def test_unknown_and_empty_ids(desk: Desk) -> None:
    """What nothing has is not found; what nothing can have is a fault."""
    with refused(Reason.PAYMENT_NOT_FOUND):
        desk.payments.CancelPayment(cancel_request("pay_none"))
    with refused(Reason.ORDER_NOT_FOUND):
        desk.orders.CancelOrder(cancel_order("ord_none"))
    with refused_field("payment_id"):
        desk.payments.CancelPayment(cancel_request(""))
    with refused_field("order_id"):
        desk.orders.CancelOrder(cancel_order(""))


def test_customer_who_pays_first_has_paid(desk: Desk, account: Account) -> None:
    """Stripe has the money, and we have not heard of it: refused, and learned by it."""
    account.webhooks("hold")
    made = waiting(desk)
    account.press("pay", made.payment.stripe_payment_intent_id)
    with refused(Reason.PAYMENT_NOT_CANCELLABLE) as refusal:
        desk.payments.CancelPayment(cancel_request(made.payment.id))
    assert refusal.metadata == {"payment_id": made.payment.id, "status": "complete"}
    assert order_status_name(desk.order(made.order.id)) == "task_started"
    account.release()
    account.webhooks("normal")
    assert statuses_until(desk.orders, made.order.id, STARTED) == [
        "created",
        "paid",
        "task_started",
    ]


def test_unknown_cancellation_is_found_out(desk: Desk, account: Account) -> None:
    """OUTCOME_UNKNOWN, the order stays; the same request learns that it is cancelled."""
    account.webhooks("drop")
    made = waiting(desk)
    request = cancel_order(made.order.id)
    account.fault("reset_after", "/v1/payment_intents/*/cancel", times=REPEATS + 1)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.orders.CancelOrder(request)
    assert order_status_name(desk.order(made.order.id)) == "created"
    assert order_status_name(desk.orders.CancelOrder(request).order) == "cancelled"
    account.webhooks("normal")


def test_vendor_that_is_away_cancels_nothing(desk: Desk, account: Account) -> None:
    """VENDOR_UNAVAILABLE says so; the same request goes through later."""
    made = waiting(desk)
    request = cancel_request(made.payment.id)
    account.fault("status", "/v1/payment_intents/*/cancel", status=429)
    with refused(Reason.VENDOR_UNAVAILABLE):
        desk.payments.CancelPayment(request)
    assert status_name(desk.payment(made.payment.id)) == "requires_payment_method"
    assert status_name(desk.payments.CancelPayment(request).payment) == "cancelled"


def test_money_for_a_cancelled_order_makes_it_paid_and_raises_an_alert(
    desk: Desk, webhooks: WebhooksServiceStub, account: Account
) -> None:
    """It arrived all the same: the customer gets what was bought, and a person looks at it."""
    account.webhooks("drop")
    made = desk.intended(task_function_name="function")
    desk.orders.CancelOrder(cancel_order(made.order.id))
    succeeded = intent_of(made.payment, "succeeded", amount_received=1250, latest_charge="ch_late")
    with recorded_log() as log:
        deliver(webhooks, event_of("payment_intent.succeeded", succeeded))
    account.webhooks("normal")
    assert order_status_name(desk.order(made.order.id)) == "paid"
    assert status_name(desk.payment(made.payment.id)) == "complete"
    assert desk.task(made.order.id).state == orders_pb2.TASK_STATE_PENDING
    alerts = [line for line in log.lines if line["event"].startswith("money arrived")]
    assert [(alert["level"], alert["order_id"]) for alert in alerts] == [("error", made.order.id)]
