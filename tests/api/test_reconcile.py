"""ReconcilePayments: what our books and Stripe's disagree about, its cause, and its repair."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import reconciliation_pb2, refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_user, refused, refused_field, statuses_until
from tests.support.desk import Desk, euros, order_status_name, refund_request, status_name
from tests.support.sales import create_product, intent_request
from tests.support.service import Account
from tests.support.sources import make_source, ordered

REPEATS = 1
Found = reconciliation_pb2.PaymentDifference


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A gateway that gives up soon; a janitor that never comes while a test runs."""
    return Timings(
        look_every=timedelta(minutes=5),
        sweep_every=timedelta(minutes=5),
        patience=Patience(pauses=(timedelta(),) * REPEATS),
    )


def compare(
    desk: Desk, *, repair: bool = False, since: timedelta = timedelta(hours=1)
) -> tuple[list[Found], reconciliation_pb2.ReconciliationSummary]:
    """Compare the books of the last hour; checks how progress is told."""
    request = pb.ReconcilePaymentsRequest(repair=repair)
    request.since.FromDatetime(datetime.now(UTC) - since)
    told = list(desk.payments.ReconcilePayments(request, timeout=30))
    progress = [each.progress for each in told]
    assert progress == sorted(progress)
    assert (progress[-1], 0 <= progress[0] <= 1) == (1.0, True)
    compared = [each.compared for each in told]
    assert compared == sorted(compared)
    assert all(not each.HasField("summary") for each in told[:-1])
    summary, found = told[-1].summary, [one for each in told for one in each.differences]
    assert (summary.compared, summary.differences) == (compared[-1], len(found))
    assert summary.repaired == sum(each.repaired for each in found)
    return found, summary


def words(found: Found) -> tuple[str, str]:
    """Name a difference's kind and cause as people do."""
    kind = reconciliation_pb2.DifferenceKind.Name(found.kind)
    cause = reconciliation_pb2.DifferenceCause.Name(found.cause)
    return (
        kind.removeprefix("DIFFERENCE_KIND_").lower(),
        cause.removeprefix("DIFFERENCE_CAUSE_").lower(),
    )


def test_books_that_agree_have_no_difference(desk: Desk, account: Account) -> None:
    """Whatever has become of the payments; the sums are the same."""
    user = new_user()
    desk.sold()
    payment = desk.charged(user, 2000)
    desk.payments.RefundPayment(refund_request(payment.id, amount=500))
    desk.intended()
    declined = desk.intended()
    account.press("decline", declined.payment.stripe_payment_intent_id)
    held = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    desk.press(f"payment_intents/{held.payment.stripe_payment_intent_id}", "pay")
    desk.press(f"payment_intents/{payment.stripe_payment_intent_id}", "dispute", inquiry=True)
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    order = ordered(desk)
    make_source(desk, order, "card")
    # It is charged once the webhook that tells of it is taken.
    statuses_until(desk.orders, order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)
    desk.told(payment.id, lambda event: event.HasField("dispute"))
    account.wait_delivered()
    found, summary = compare(desk)
    assert found == []
    assert summary.foreign == 0
    (sums,) = summary.sums
    assert sums.our_captured == sums.stripe_captured
    assert sums.our_refunded == sums.stripe_refunded == euros(500)


def test_missed_notifications_are_found_and_repaired(desk: Desk, account: Account) -> None:
    """A payment, a refund and a dispute that nobody told us of; the second run finds nothing."""
    compare(desk, repair=True)
    refunded, disputed = desk.charged(new_user(), 800), desk.charged(new_user(), 900)
    account.wait_delivered()
    account.webhooks("drop")
    sale = desk.intended(task_function_name="fulfil")
    account.press("pay", sale.payment.stripe_payment_intent_id)
    refund = desk.press(
        f"payment_intents/{refunded.stripe_payment_intent_id}", "refund", amount=300
    )
    dispute = desk.press(f"payment_intents/{disputed.stripe_payment_intent_id}", "dispute")
    found, summary = compare(desk)
    missed = {each.stripe_id: words(each) for each in found}
    assert missed == {
        sale.payment.stripe_payment_intent_id: ("status", "notification_missed"),
        refund["id"]: ("unknown_here", "notification_missed"),
        dispute["id"]: ("unknown_here", "notification_missed"),
    }
    assert {each.payment_id for each in found} == {sale.payment.id, refunded.id, disputed.id}
    assert not any(each.repaired for each in found)
    assert order_status_name(desk.order(sale.order.id)) == "created"
    (sums,) = summary.sums
    assert sums.stripe_captured.amount - sums.our_captured.amount == 1250
    assert sums.stripe_refunded.amount - sums.our_refunded.amount == 300

    mended, summary = compare(desk, repair=True)
    (sums,) = summary.sums
    assert sums.our_captured == sums.stripe_captured
    assert sums.our_refunded == sums.stripe_refunded
    assert all(each.repaired for each in mended)
    assert order_status_name(desk.order(sale.order.id)) == "paid"
    assert status_name(desk.payment(sale.payment.id)) == "complete"
    assert desk.payment(refunded.id).refunded_amount == euros(300)
    assert desk.payment(disputed.id).disputed
    (kept,) = desk.payments.ListRefunds(pb.ListRefundsRequest(payment_id=refunded.id)).refunds
    assert (kept.stripe_refund_id, kept.status) == (
        refund["id"],
        refunds_pb2.REFUND_STATUS_SUCCEEDED,
    )

    again, summary = compare(desk)
    assert (again, summary.differences) == ([], 0)
    account.webhooks("normal")


def test_difference_of_every_kind_of_step_is_repaired(desk: Desk, account: Account) -> None:
    """A hold, a partial capture, a cancellation, a failed refund, a lost dispute."""
    holds = [desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL}) for _ in range(3)]
    refunded, disputed = desk.charged(new_user(), 800), desk.charged(new_user(), 900)
    made = desk.payments.RefundPayment(refund_request(refunded.id)).refund
    path = f"payment_intents/{disputed.stripe_payment_intent_id}"
    dispute = desk.press(path, "dispute")["id"]
    desk.told(disputed.id, lambda event: event.HasField("dispute"))
    account.wait_delivered()
    account.webhooks("drop")
    intents = [each.payment.stripe_payment_intent_id for each in holds]
    for intent in intents:
        account.press("pay", intent)
    account.call("POST", f"payment_intents/{intents[1]}/capture", amount_to_capture=700)
    account.call("POST", f"payment_intents/{intents[2]}/cancel")
    desk.press(f"refunds/{made.stripe_refund_id}", "fail")
    desk.press(f"disputes/{dispute}", "lose")
    found, _ = compare(desk, repair=True)
    # What was told by a notification that was missed is mended before the comparison begins.
    assert all(each.repaired for each in found)
    told = [status_name(desk.payment(each.payment.id)) for each in holds]
    assert told == ["requires_capture", "complete", "cancelled"]
    assert desk.payment(holds[1].payment.id).captured_amount == euros(700)
    assert not desk.payment(refunded.id).HasField("refunded_amount")
    assert desk.payment(disputed.id).disputed
    (lost,) = desk.payments.ListDisputes(pb.ListDisputesRequest(payment_id=disputed.id)).disputes
    assert lost.status == refunds_pb2.DISPUTE_STATUS_LOST
    again, summary = compare(desk)
    assert again == []
    (sums,) = summary.sums
    assert sums.our_captured == sums.stripe_captured
    assert sums.our_refunded == sums.stripe_refunded
    account.webhooks("normal")


def test_what_became_of_our_own_call_is_told_as_unknown(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """Stripe has the intent, and our payment does not know; the repair tells it."""
    account.webhooks("drop")
    request = intent_request(create_product(orders).id)
    account.fault("reset_after", times=REPEATS + 1)
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CreatePaymentIntent(request)
    payment_id = refusal.metadata["payment_id"]
    found, _ = compare(desk)
    (mine,) = [each for each in found if each.payment_id == payment_id]
    assert words(mine) == ("status", "outcome_unknown")
    found, _ = compare(desk, repair=True)
    assert status_name(desk.payment(payment_id)) == "requires_payment_method"
    made = desk.payments.CreatePaymentIntent(request)
    assert made.payment.id == payment_id
    assert len(account.intents_of(request.user_id)) == 1
    account.webhooks("normal")
    assert compare(desk)[0] == []


def test_payment_that_stripe_has_never_heard_of(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """Our question was lost: the payment is missing there, and no repair makes it."""
    request = intent_request(create_product(orders).id)
    account.fault("reset_before", times=REPEATS + 1)
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CreatePaymentIntent(request)
    for repair in (False, True):
        found, _ = compare(desk, repair=repair)
        (mine,) = [each for each in found if each.payment_id == refusal.metadata["payment_id"]]
        assert words(mine) == ("missing_at_stripe", "outcome_unknown")
        assert (mine.stripe_id, mine.repaired) == ("", False)
    assert not account.intents_of(request.user_id)
    desk.payments.CreatePaymentIntent(request)
    assert compare(desk)[0] == []


def test_what_others_have_made_is_counted_and_left_alone(desk: Desk, account: Account) -> None:
    """Intents, refunds and disputes of another system on the same account; and a forgery."""
    _, before = compare(desk)
    form = {"amount": 500, "currency": "eur", "payment_method_types[]": "card"}
    paid = account.call("POST", "payment_intents", **form)
    account.press("pay", paid["id"])
    desk.press(f"payment_intents/{paid['id']}", "refund", amount=100)
    desk.press(f"payment_intents/{paid['id']}", "dispute", inquiry=True)
    account.call("POST", "payment_intents", **form)
    found, summary = compare(desk, repair=True)
    assert found == []
    assert summary.foreign - before.foreign == 4
    assert summary.sums == before.sums
    named = {"metadata[boxoffice_payment_id]": "pay_none"}
    stray = account.call("POST", "payment_intents", **form, **named)
    found, _ = compare(desk, repair=True)
    (mine,) = found
    assert words(mine) == ("missing_here", "unexplained")
    assert (mine.payment_id, mine.stripe_id) == ("pay_none", stray["id"])


def test_reading_that_fails_is_told_and_started_again(desk: Desk, account: Account) -> None:
    """UNAVAILABLE, and nothing is changed by it."""
    account.fault("status", "/v1/refunds", method="GET", status=503, times=REPEATS + 1)
    with refused(Reason.VENDOR_UNAVAILABLE):
        compare(desk)
    account.wait_struck()
    compare(desk)


def test_since_is_needed(desk: Desk) -> None:
    """From when on are the books compared?"""
    with refused_field("since"):
        list(desk.payments.ReconcilePayments(pb.ReconcilePaymentsRequest()))
    future = pb.ReconcilePaymentsRequest(since=Timestamp(seconds=4_000_000_000))
    (told,) = [each for each in desk.payments.ReconcilePayments(future) if each.HasField("summary")]
    assert (told.progress, told.summary.compared) == (1.0, 0)
