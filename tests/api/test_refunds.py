"""Refunds: never more than was taken, told as they go, wherever they were made."""

from datetime import timedelta
from itertools import permutations

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_user, refused, refused_field, statuses_until
from tests.support.desk import Desk, euros, order_status_name, refund_request, status_name
from tests.support.sales import intent_request
from tests.support.service import Account, wait_until
from tests.support.work import working

REFUNDED, STARTED, PAID = (
    orders_pb2.ORDER_STATUS_REFUNDED,
    orders_pb2.ORDER_STATUS_TASK_STARTED,
    orders_pb2.ORDER_STATUS_PAID,
)
PENDING, SUCCEEDED, FAILED = (
    refunds_pb2.REFUND_STATUS_PENDING,
    refunds_pb2.REFUND_STATUS_SUCCEEDED,
    refunds_pb2.REFUND_STATUS_FAILED,
)
REPEATS = 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon, and a janitor that looks often."""
    return Timings(
        look_every=timedelta(milliseconds=50),
        patience=Patience(pauses=(timedelta(),) * REPEATS),
    )


def refunds_of(desk: Desk, payment_id: str) -> list[refunds_pb2.Refund]:
    """The refunds of a payment, newest first."""
    return list(desk.payments.ListRefunds(pb.ListRefundsRequest(payment_id=payment_id)).refunds)


def test_full_refund_makes_the_order_refunded(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """All that is left, where no amount is given; the refund, the payment and the order tell it."""
    made = desk.sold()
    reason = refunds_pb2.REFUND_REASON_REQUESTED_BY_CUSTOMER
    answer = desk.payments.RefundPayment(refund_request(made.payment.id, reason=reason))
    refund = answer.refund
    assert refund.id.startswith("rfd_")
    assert (refund.payment_id, refund.user_id) == (made.payment.id, made.order.user_id)
    assert (refund.amount, refund.status, refund.reason) == (euros(1250), SUCCEEDED, reason)
    assert answer.payment.refunded_amount == euros(1250)
    assert status_name(answer.payment) == "complete"
    assert statuses_until(orders, made.order.id, REFUNDED)[-1] == "refunded"
    there = account.call("GET", f"refunds/{refund.stripe_refund_id}")
    assert (there["amount"], there["reason"]) == (1250, "requested_by_customer")
    assert there["metadata"] == {
        "boxoffice_refund_id": refund.id,
        "boxoffice_payment_id": made.payment.id,
        "boxoffice_user_id": made.order.user_id,
    }
    account.wait_delivered()
    (known,) = refunds_of(desk, made.payment.id)
    assert (known.id, known.status) == (refund.id, SUCCEEDED)
    assert statuses_until(orders, made.order.id, REFUNDED).count("refunded") == 1


def test_partial_refunds_change_the_payment_until_all_is_back(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """Three of them: the order is refunded by the one that takes the rest."""
    made = desk.sold()
    for amount, back, status in (
        (500, 500, "task_started"),
        (250, 750, "task_started"),
        (None, 1250, "refunded"),
    ):
        asked = {} if amount is None else {"amount": amount}
        answer = desk.payments.RefundPayment(refund_request(made.payment.id, **asked))
        assert answer.refund.amount == euros(amount or 500)
        assert answer.payment.refunded_amount == euros(back)
        assert order_status_name(desk.order(made.order.id)) == status
    amounts = [each.amount.amount for each in refunds_of(desk, made.payment.id)]
    assert amounts == [500, 250, 500]


def test_never_more_than_was_taken(desk: Desk, account: Account) -> None:
    """What is left is told; nothing reaches Stripe."""
    made = desk.sold()
    desk.payments.RefundPayment(refund_request(made.payment.id, amount=850))
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(made.payment.id, amount=401))
    assert refusal.metadata == {"payment_id": made.payment.id, "refundable": "400"}
    desk.payments.RefundPayment(refund_request(made.payment.id, amount=400))
    for asked in ({}, {"amount": 1}):
        with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
            desk.payments.RefundPayment(refund_request(made.payment.id, **asked))
        assert refusal.metadata["refundable"] == "0"
    intent = made.payment.stripe_payment_intent_id
    there = account.everything("refunds", payment_intent=intent)
    assert sum(each["amount"] for each in there) == 1250
    assert len(refunds_of(desk, made.payment.id)) == 2


def test_part_that_was_captured_is_all_that_can_be_refunded(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """Of 12.50 that were held 8 were taken: 8 back is a full refund."""
    made = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    desk.press(f"payment_intents/{made.payment.stripe_payment_intent_id}", "pay")
    desk.until(made.payment.id, pb.PAYMENT_STATUS_REQUIRES_CAPTURE)
    with refused(Reason.PAYMENT_NOT_REFUNDABLE) as refusal:
        desk.payments.RefundPayment(refund_request(made.payment.id))
    assert refusal.metadata == {"payment_id": made.payment.id, "status": "requires_capture"}
    desk.payments.CapturePayment(
        pb.CapturePaymentRequest(request_id="c", payment_id=made.payment.id, amount=800)
    )
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(made.payment.id, amount=801))
    assert refusal.metadata["refundable"] == "800"
    answer = desk.payments.RefundPayment(refund_request(made.payment.id))
    assert answer.payment.refunded_amount == euros(800)
    assert statuses_until(orders, made.order.id, REFUNDED)[-1] == "refunded"


def test_refusals_before_anything_is_asked(desk: Desk) -> None:
    """Unknown, unpaid, no amount, no reason that there is."""
    with refused(Reason.PAYMENT_NOT_FOUND):
        desk.payments.RefundPayment(refund_request("pay_none"))
    unpaid = desk.intended().payment
    with refused(Reason.PAYMENT_NOT_REFUNDABLE):
        desk.payments.RefundPayment(refund_request(unpaid.id))
    for amount in (0, -1):
        with refused_field("amount"):
            desk.payments.RefundPayment(refund_request(unpaid.id, amount=amount))
    with refused_field("reason"):
        desk.payments.RefundPayment(refund_request(unpaid.id, reason=99))
    with refused_field("payment_id"):
        desk.payments.RefundPayment(refund_request(""))
    assert refunds_of(desk, unpaid.id) == []


def test_refund_is_replayed_and_not_repeated(desk: Desk) -> None:
    """The same request, the same refund; the answer is the first one although more came back."""
    made = desk.sold()
    request = refund_request(made.payment.id, amount=100)
    first = desk.payments.RefundPayment(request)
    desk.payments.RefundPayment(refund_request(made.payment.id, amount=200))
    assert desk.payments.RefundPayment(request) == first
    assert len(refunds_of(desk, made.payment.id)) == 2


def test_pending_refund_counts_and_succeeds_later(desk: Desk, orders: OrdersServiceStub) -> None:
    """While it is pending its money is spoken for, and the order stays as it is."""
    made = desk.sold("pendingRefund")
    answer = desk.payments.RefundPayment(refund_request(made.payment.id))
    assert answer.refund.status == PENDING
    assert not answer.payment.HasField("refunded_amount")
    assert order_status_name(desk.order(made.order.id)) == "task_started"
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(made.payment.id, amount=1))
    assert refusal.metadata["refundable"] == "0"
    desk.press(f"refunds/{answer.refund.stripe_refund_id}", "succeed")
    assert statuses_until(orders, made.order.id, REFUNDED)[-1] == "refunded"
    assert refunds_of(desk, made.payment.id)[0].status == SUCCEEDED


def test_refund_that_fails_later_restores_the_order(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """The bank sends the money back: it can be refunded again, and the reason is told."""
    made = desk.sold()
    refund = desk.payments.RefundPayment(refund_request(made.payment.id)).refund
    statuses_until(orders, made.order.id, REFUNDED)
    desk.press(f"refunds/{refund.stripe_refund_id}", "fail", reason="expired_or_canceled_card")
    wait_until(
        lambda: order_status_name(desk.order(made.order.id)) == "task_started", "still refunded"
    )
    account.wait_delivered()
    (failed,) = refunds_of(desk, made.payment.id)
    assert (failed.status, failed.failure_reason) == (FAILED, "expired_or_canceled_card")
    assert not desk.payment(made.payment.id).HasField("refunded_amount")
    again = desk.payments.RefundPayment(refund_request(made.payment.id)).refund
    assert (again.status, again.amount) == (SUCCEEDED, euros(1250))
    assert order_status_name(desk.order(made.order.id)) == "refunded"


def test_task_not_started_is_withdrawn_and_offered_again(
    desk: Desk, orders: OrdersServiceStub
) -> None:
    """By a full refund, and by its failure."""
    function = "refundable"
    made = desk.sold(task_function_name=function)
    refund = desk.payments.RefundPayment(refund_request(made.payment.id)).refund
    assert desk.task(made.order.id).state == orders_pb2.TASK_STATE_WITHDRAWN
    desk.press(f"refunds/{refund.stripe_refund_id}", "fail")
    assert statuses_until(orders, made.order.id, PAID) == ["created", "paid"]
    wait_until(lambda: desk.order(made.order.id).status == PAID, "the order is not paid again")
    with working(orders, function) as worker:
        assert worker.start().order.id == made.order.id


def test_task_that_was_started_stays_so(desk: Desk, orders: OrdersServiceStub) -> None:
    """A refund never undoes the work that was begun; a failed one restores what it was."""
    function = "begun"
    made = desk.sold(task_function_name=function)
    with working(orders, function) as worker:
        worker.start()
    refund = desk.payments.RefundPayment(refund_request(made.payment.id)).refund
    assert order_status_name(desk.order(made.order.id)) == "refunded"
    assert desk.task(made.order.id).state == orders_pb2.TASK_STATE_ACKNOWLEDGED
    desk.press(f"refunds/{refund.stripe_refund_id}", "fail")
    wait_until(lambda: desk.order(made.order.id).status == STARTED, "the order is not started")


def test_refund_at_the_dashboard_is_learned(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """It is listed, counts, and makes the order refunded like one of ours."""
    made = desk.sold()
    path = f"payment_intents/{made.payment.stripe_payment_intent_id}"
    part = desk.press(path, "refund", amount=450, reason="duplicate")
    desk.told(made.payment.id, lambda event: event.payment.HasField("refunded_amount"))
    (known,) = refunds_of(desk, made.payment.id)
    assert (known.stripe_refund_id, known.amount) == (part["id"], euros(450))
    assert (known.status, known.reason) == (SUCCEEDED, refunds_pb2.REFUND_REASON_DUPLICATE)
    with refused(Reason.REFUND_EXCEEDS_PAYMENT) as refusal:
        desk.payments.RefundPayment(refund_request(made.payment.id, amount=801))
    assert refusal.metadata["refundable"] == "800"
    desk.press(path, "refund", amount=800)
    assert statuses_until(orders, made.order.id, REFUNDED)[-1] == "refunded"
    account.wait_delivered()
    assert desk.payment(made.payment.id).refunded_amount == euros(1250)


def test_disputed_payment_is_not_refunded(desk: Desk, account: Account) -> None:
    """Stripe says no: the refund is kept as failed, and its money is free again."""
    made = desk.sold()
    desk.press(f"payment_intents/{made.payment.stripe_payment_intent_id}", "dispute")
    request = refund_request(made.payment.id)
    with refused(Reason.VENDOR_REFUSED) as refusal:
        desk.payments.RefundPayment(request)
    assert refusal.metadata["vendor_code"] == "charge_disputed"
    assert refusal.metadata["payment_id"] == made.payment.id
    (failed,) = refunds_of(desk, made.payment.id)
    assert (failed.id, failed.status) == (refusal.metadata["refund_id"], FAILED)
    assert failed.failure_reason == "charge_disputed"
    with refused(Reason.VENDOR_REFUSED) as again:
        desk.payments.RefundPayment(request)
    assert again == refusal
    account.wait_delivered()
    assert order_status_name(desk.order(made.order.id)) == "task_started"


def test_list_filters_and_pages(desk: Desk) -> None:
    """By payment, user and status; each refund once, newest first."""
    user = new_user()
    payment = desk.charged(user, 1000)
    ids = [
        desk.payments.RefundPayment(refund_request(payment.id, amount=amount)).refund.id
        for amount in (100, 200, 300)
    ]
    slow = desk.charged(user, 500, "pendingRefund")
    pending = desk.payments.RefundPayment(refund_request(slow.id)).refund.id

    def listed(**filters: object) -> list[str]:
        seen, token = [], ""
        while True:
            request = pb.ListRefundsRequest(page_size=2, page_token=token, **filters)  # type: ignore[arg-type]
            page = desk.payments.ListRefunds(request)
            seen += [each.id for each in page.refunds]
            token = page.next_page_token
            if not token:
                return seen

    assert listed(user_id=user) == [pending, *reversed(ids)]
    assert listed(payment_id=payment.id) == list(reversed(ids))
    assert listed(user_id=user, statuses=[PENDING]) == [pending]
    assert listed(user_id=user, statuses=[PENDING, SUCCEEDED]) == [pending, *reversed(ids)]
    assert listed(user_id=user, statuses=[FAILED]) == []
    assert listed(user_id=new_user()) == []
    token = desk.payments.ListRefunds(
        pb.ListRefundsRequest(user_id=user, page_size=1)
    ).next_page_token
    with refused(Reason.PAGE_TOKEN_INVALID):
        listed_with = pb.ListRefundsRequest(payment_id=payment.id, page_size=1, page_token=token)
        desk.payments.ListRefunds(listed_with)
    with refused_field("statuses[0]"):
        desk.payments.ListRefunds(pb.ListRefundsRequest(statuses=[99]))  # type: ignore[list-item]


def test_refund_before_anything_else_is_known_ends_the_same(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """Our own answer was lost, and Stripe's words come in every order: the order is refunded."""
    types = (
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "refund.created",
    )
    product = desk.sold().order.product
    account.wait_delivered()
    for arrival in permutations(types):
        account.webhooks("hold")
        request = intent_request(product.id)
        account.fault("reset_after", "/v1/payment_intents", times=REPEATS + 1)
        with refused(Reason.OUTCOME_UNKNOWN) as refusal:
            desk.payments.CreatePaymentIntent(request)
        (intent,) = account.intents_of(request.user_id)
        account.press("pay", intent["id"])
        desk.press(f"payment_intents/{intent['id']}", "refund")
        told = {
            each["type"]: each["id"]
            for each in account.everything("events")
            if _intent_of(each) == intent["id"]
        }
        account.release([told[type_] for type_ in arrival])
        account.webhooks("normal")
        payment_id = refusal.metadata["payment_id"]
        order_id = desk.payment(payment_id).order_id
        assert statuses_until(orders, order_id, REFUNDED)[-1] == "refunded", arrival
        account.release()
        account.wait_delivered()
        assert desk.payment(payment_id).refunded_amount == euros(1250)
        assert order_status_name(desk.order(order_id)) == "refunded"


def _intent_of(event: dict[str, dict[str, dict[str, object]]]) -> object:
    told = event["data"]["object"]
    return told["id"] if told["object"] == "payment_intent" else told.get("payment_intent")
