"""The customer pays: at once, at the second attempt, after authentication, or not at all."""

from itertools import pairwise

import pytest

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support.calls import events_until, new_user, statuses_until
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, wait_until

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

CREATED, FAILED, PAID, STARTED, CANCELLED = (
    orders_pb2.ORDER_STATUS_CREATED,
    orders_pb2.ORDER_STATUS_FAILED,
    orders_pb2.ORDER_STATUS_PAID,
    orders_pb2.ORDER_STATUS_TASK_STARTED,
    orders_pb2.ORDER_STATUS_CANCELLED,
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub) -> orders_pb2.Product:
    """What is sold."""
    return create_product(orders)


def payment_of(payments: PaymentsServiceStub, payment_id: str) -> pb.Payment:
    """The payment as it is now."""
    return payments.GetPayment(pb.GetPaymentRequest(payment_id=payment_id)).payment


@pytest.mark.parametrize("method", [pb.PAYMENT_METHOD_TYPE_CARD, pb.PAYMENT_METHOD_TYPE_BANCONTACT])
def test_declined_order_can_still_be_paid(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    method: pb.PaymentMethodType.ValueType,
) -> None:
    """Failed after the decline, which says why; paid when the customer tries again."""
    made = create_intent(grpc_stub, product.id, payment_method_type=method)
    intent = made.payment.stripe_payment_intent_id
    account.press("decline", intent)
    assert statuses_until(orders, made.order.id, FAILED) == ["created", "failed"]
    declined = payment_of(grpc_stub, made.payment.id)
    assert declined.status == pb.PAYMENT_STATUS_REQUIRES_PAYMENT_METHOD
    assert declined.last_error.code
    assert declined.last_error.message
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=made.payment.id))
    assert got.client_secret == made.client_secret
    account.wait_delivered()
    account.press("pay", intent)
    seen = statuses_until(orders, made.order.id, STARTED)
    # A second attempt that waits for the customer takes the failure back for that while.
    assert seen in (
        ["created", "failed", "paid", "task_started"],
        ["created", "failed", "created", "paid", "task_started"],
    )
    paid = payment_of(grpc_stub, made.payment.id)
    assert paid.status == pb.PAYMENT_STATUS_COMPLETE
    assert not paid.HasField("last_error")


def test_decline_says_what_the_issuer_said(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """The card's own decline code reaches the caller."""
    made = create_intent(grpc_stub, product.id)
    account.press("decline", made.payment.stripe_payment_intent_id)
    statuses_until(orders, made.order.id, FAILED)
    account.wait_delivered()
    error = payment_of(grpc_stub, made.payment.id).last_error
    assert (error.code, error.decline_code) == ("card_declined", "generic_decline")


@pytest.mark.parametrize("authenticates", [True, False])
def test_customer_authenticates_or_refuses(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    authenticates: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """A card under 3-D Secure leaves the order created until the customer has answered."""
    made = create_intent(grpc_stub, product.id)
    intent = made.payment.stripe_payment_intent_id
    account.call(
        "POST",
        f"payment_intents/{intent}/confirm",
        payment_method="pm_card_threeDSecure2Required",
        return_url="http://127.0.0.1/",
    )
    account.wait_delivered()
    asked = payment_of(grpc_stub, made.payment.id)
    assert asked.status == pb.PAYMENT_STATUS_REQUIRES_ACTION
    order = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=made.order.id)).order
    assert order.status == CREATED
    told = [event.type for event in order.vendor_events]
    assert told == ["payment_intent.requires_action"]
    account.press("authenticate" if authenticates else "refuse", intent)
    last = STARTED if authenticates else FAILED
    expected = ["created", "paid", "task_started"] if authenticates else ["created", "failed"]
    assert statuses_until(orders, made.order.id, last) == expected


def test_intent_that_is_cancelled_at_stripe_cancels_the_order(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Whoever cancelled it: order and payment follow, and there is no secret any more."""
    made = create_intent(grpc_stub, product.id)
    account.call("POST", f"payment_intents/{made.payment.stripe_payment_intent_id}/cancel")
    assert statuses_until(orders, made.order.id, CANCELLED) == ["created", "cancelled"]
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=made.payment.id))
    assert got.payment.status == pb.PAYMENT_STATUS_CANCELLED
    assert got.client_secret == ""


def test_slow_method_is_pending_until_it_succeeds(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """While the bank works on it the payment is pending for processing, the order created."""
    made = create_intent(
        grpc_stub, product.id, payment_method_type=pb.PAYMENT_METHOD_TYPE_BANCONTACT
    )
    intent = made.payment.stripe_payment_intent_id
    form = {
        "payment_method_data[type]": "bancontact",
        "payment_method_data[billing_details][name]": "Jenny Rosen",
        "return_url": "http://127.0.0.1/",
    }
    account.call("POST", f"payment_intents/{intent}/confirm", **form)
    account.press("process", intent)

    def is_processing() -> bool:
        payment = payment_of(grpc_stub, made.payment.id)
        return (payment.status, payment.pending_reason) == (
            pb.PAYMENT_STATUS_PENDING,
            pb.PENDING_REASON_PROCESSING,
        )

    wait_until(is_processing, "the payment never was processing")
    order = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=made.order.id)).order
    assert order.status == CREATED
    account.press("authenticate", intent)
    assert statuses_until(orders, made.order.id, STARTED)[-2:] == ["paid", "task_started"]


def test_event_before_our_own_answer_finds_the_order(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Stripe's notification overtakes its answer: the order learns its intent, and both agree."""
    user = new_user()
    account.fault("late", seconds=0.4)
    account.webhooks("normal")
    call = grpc_stub.CreatePaymentIntent.future(
        pb.CreatePaymentIntentRequest(request_id=user, user_id=user, product_id=product.id)
    )
    wait_until(lambda: bool(account.intents_of(user)), "no intent was made")
    (intent,) = account.intents_of(user)
    account.press("pay", intent["id"])
    order_id = intent["metadata"]["boxoffice_order_id"]
    assert statuses_until(orders, order_id, STARTED) == ["created", "paid", "task_started"]
    assert not call.done()
    made = call.result()
    assert made.order.id == order_id
    assert made.payment.stripe_payment_intent_id == intent["id"]
    assert made.payment.status == pb.PAYMENT_STATUS_COMPLETE
    assert made.order.status == STARTED


def test_paid_order_with_a_function_waits_for_a_worker(
    grpc_stub: PaymentsServiceStub, orders: OrdersServiceStub, account: Account
) -> None:
    """It stays paid, and its task is there to be offered."""
    product = create_product(orders, task_function_name="nobody-asks", task_priority=3)
    made = create_intent(grpc_stub, product.id)
    account.press("pay", made.payment.stripe_payment_intent_id)
    assert statuses_until(orders, made.order.id, PAID) == ["created", "paid"]
    (task,) = orders.ListTasks(orders_pb2.ListTasksRequest(order_id=made.order.id)).tasks
    assert task.state == orders_pb2.TASK_STATE_PENDING
    assert (task.function_name, task.priority, task.attempts) == ("nobody-asks", 3, 0)


def test_paid_and_started_come_in_one_frame(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """One transaction pays and starts an order without a task, so one frame tells of both."""
    made = create_intent(grpc_stub, product.id)
    watch = orders.WatchOrders(
        orders_pb2.WatchOrdersRequest(order_id=made.order.id, resume_token=made.resume_token),
        timeout=15,
    )
    account.press("pay", made.payment.stripe_payment_intent_id)
    frames = ([event.order.status for event in frame.events] for frame in watch)
    assert [PAID, STARTED] in (frame[:2] for frame in frames)
    watch.cancel()


def test_each_change_is_told_once_to_a_watcher_of_the_user(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
) -> None:
    """Ids, versions and positions rise without repeats; every event holds the order as it was."""
    made = create_intent(grpc_stub, product.id)
    account.press("pay", made.payment.stripe_payment_intent_id)
    account.wait_delivered()
    now = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=made.order.id)).order
    events = events_until(orders, made.order.id, lambda event: event.order.etag == now.etag)
    assert events[-1].order == now
    assert events[0].type == orders_pb2.ORDER_EVENT_TYPE_CREATED
    assert events[0].previous_status == orders_pb2.ORDER_STATUS_UNSPECIFIED
    assert len({event.id for event in events}) == len(events)
    assert [int(event.order.etag) for event in events] == list(range(1, len(events) + 1))
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    for before, event in pairwise(events):
        assert event.previous_status == before.order.status
        moved = event.order.status != before.order.status
        changed = orders_pb2.ORDER_EVENT_TYPE_STATUS_CHANGED
        assert (event.type == changed) is moved
    whole = orders.WatchOrders(
        orders_pb2.WatchOrdersRequest(
            user_id=made.order.user_id, start_position=streams_pb2.START_POSITION_EARLIEST
        ),
        timeout=15,
    )
    seen: list[orders_pb2.OrderEvent] = []
    for frame in whole:
        seen += frame.events
        if frame.HasField("caught_up"):
            break
    whole.cancel()
    assert seen == events
