"""WatchPayments: each change of a payment, its refunds and its disputes, once and in order."""

from itertools import pairwise

import pytest

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_user, refused, refused_field
from tests.support.desk import (
    EARLIEST,
    Desk,
    capture_request,
    charge_request,
    euros,
    events_of,
    refund_request,
    status_name,
)
from tests.support.service import Account

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

CREATED, MOVED, UPDATED, REFUND, DISPUTE = (
    pb.PAYMENT_EVENT_TYPE_CREATED,
    pb.PAYMENT_EVENT_TYPE_STATUS_CHANGED,
    pb.PAYMENT_EVENT_TYPE_UPDATED,
    pb.PAYMENT_EVENT_TYPE_REFUND_CHANGED,
    pb.PAYMENT_EVENT_TYPE_DISPUTE_CHANGED,
)

# How long Stripe keeps an answer back, so that its notifications come first.
OUTRUN_SECONDS = 5


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def check_versions(events: list[pb.PaymentEvent]) -> None:
    """Each event is one version further, goes on from the one before, and changes something."""
    assert [event.payment.etag for event in events] == [
        str(version) for version in range(1, len(events) + 1)
    ]
    assert len({event.id for event in events}) == len(events)
    assert events[0].type == CREATED
    assert events[0].previous_status == pb.PAYMENT_STATUS_UNSPECIFIED
    for before, after in pairwise(events):
        assert after.previous_status == before.payment.status
        assert after.position > before.position
        moved = after.payment.status != before.payment.status
        assert (after.type == MOVED) is moved
        was, now = pb.Payment(), pb.Payment()
        was.CopyFrom(before.payment)
        now.CopyFrom(after.payment)
        for each in (was, now):
            each.ClearField("etag")
            each.ClearField("update_time")
        told = after.HasField("refund") or after.HasField("dispute")
        assert told or was != now, "an event that tells nothing"


def moves(events: list[pb.PaymentEvent]) -> list[str]:
    """List the statuses that a payment went through."""
    return [status_name(event.payment) for event in events if event.type in (CREATED, MOVED)]


def test_life_of_a_payment_is_told_step_by_step(desk: Desk, account: Account) -> None:
    """Created, paid, a part refunded, disputed, won: one event for each, and each version one."""
    made = desk.sold()
    payment_id = made.payment.id
    desk.payments.RefundPayment(refund_request(payment_id, amount=250))
    path = f"payment_intents/{made.payment.stripe_payment_intent_id}"
    dispute = desk.press(path, "dispute")["id"]
    desk.told(payment_id, lambda event: event.HasField("dispute"))
    desk.press(f"disputes/{dispute}", "win")
    desk.told(payment_id, lambda event: event.HasField("dispute") and not event.payment.disputed)
    account.wait_delivered()
    events = desk.history(payment_id)
    check_versions(events)
    assert moves(events) == ["pending", "requires_payment_method", "complete"]
    refunds = [event for event in events if event.type == REFUND]
    # It counts from the moment it is asked for, and is told again when Stripe has answered.
    assert [each.refund.status for each in refunds] == [1, 3]
    assert [each.payment.refunded_amount.amount for each in refunds] == [0, 250]
    disputes = [event for event in events if event.type == DISPUTE]
    assert [each.payment.disputed for each in disputes] == [True, False]
    assert events[-1].payment == desk.payment(payment_id)
    assert all(event.payment.id == payment_id for event in events)


@pytest.mark.parametrize("card", ["visa", "chargeCustomerFail", "authenticationRequired"])
def test_charge_is_told_as_it_ends(desk: Desk, account: Account, card: str) -> None:
    """Whatever becomes of it, twice as many notifications add no second transition."""
    account.webhooks("duplicate")
    user = new_user()
    method = desk.save(user, card)
    call = desk.payments.ChargeUser.future(charge_request(user, payment_method_id=method.id))
    call.exception()
    (payment,) = desk.payments.ListPayments(pb.ListPaymentsRequest(user_id=user)).payments
    account.wait_delivered()
    account.webhooks("normal")
    events = desk.history(payment.id)
    check_versions(events)
    ends = {
        "visa": "complete",
        "chargeCustomerFail": "requires_payment_method",
        "authenticationRequired": "requires_action",
    }
    assert moves(events) == ["pending", ends[card]]


def test_notifications_that_outrun_the_answer_tell_a_charge_the_same(
    desk: Desk, account: Account
) -> None:
    """That an intent was made asks nobody to confirm it: the call that made it does."""
    user = new_user()
    method = desk.save(user)
    account.wait_delivered()
    account.fault("late", seconds=OUTRUN_SECONDS)
    call = desk.payments.ChargeUser.future(charge_request(user, payment_method_id=method.id))
    told = events_of(
        desk.payments,
        lambda event: status_name(event.payment) == "complete",
        user_id=user,
        start_position=EARLIEST,
    )
    assert not call.done()
    assert moves(told) == ["pending", "complete"]
    paid = call.result().payment
    account.wait_delivered()
    events = desk.history(paid.id)
    check_versions(events)
    assert moves(events) == ["pending", "complete"]


def test_held_money_is_told(desk: Desk) -> None:
    """Authorised, then captured in part."""
    made = desk.intended({"capture_method": pb.CAPTURE_METHOD_MANUAL})
    desk.press(f"payment_intents/{made.payment.stripe_payment_intent_id}", "pay")
    desk.until(made.payment.id, pb.PAYMENT_STATUS_REQUIRES_CAPTURE)
    desk.payments.CapturePayment(capture_request(made.payment.id, amount=1000))
    desk.account.wait_delivered()
    events = desk.history(made.payment.id)
    check_versions(events)
    assert moves(events) == ["pending", "requires_payment_method", "requires_capture", "complete"]
    assert events[-1].payment.captured_amount == euros(1000)


def test_filters_leave_out_everything_else(desk: Desk) -> None:
    """By user, by payment, and by the status after the change."""
    user, other = new_user(), new_user()
    first, _, last = desk.charged(user, 100), desk.charged(other, 200), desk.charged(user, 300)
    seen = events_of(
        desk.payments,
        lambda event: event.payment.id == last.id and event.payment.status == last.status,
        user_id=user,
        start_position=EARLIEST,
    )
    assert {event.payment.id for event in seen} == {first.id, last.id}
    complete = events_of(
        desk.payments,
        lambda event: event.payment.id == last.id,
        user_id=user,
        statuses=[pb.PAYMENT_STATUS_COMPLETE],
        start_position=EARLIEST,
    )
    assert {event.payment.status for event in complete} == {pb.PAYMENT_STATUS_COMPLETE}
    assert {event.payment.id for event in desk.history(first.id)} == {first.id}


def test_token_of_a_write_is_just_before_what_follows(desk: Desk) -> None:
    """A watch from the answer's token tells the refund and nothing of before."""
    user = new_user()
    method = desk.save(user)
    charged = desk.payments.ChargeUser(charge_request(user, payment_method_id=method.id))
    answer = desk.payments.RefundPayment(refund_request(charged.payment.id, amount=100))
    seen = events_of(
        desk.payments,
        lambda event: event.refund.status == answer.refund.status,
        payment_id=charged.payment.id,
        resume_token=charged.resume_token,
    )
    assert {event.refund.id for event in seen if event.type == REFUND} == {answer.refund.id}
    assert CREATED not in {event.type for event in seen}
    listed = desk.payments.ListPayments(pb.ListPaymentsRequest(user_id=user))
    desk.payments.RefundPayment(refund_request(charged.payment.id, amount=200))
    after = events_of(
        desk.payments,
        lambda event: event.refund.amount.amount == 200,
        user_id=user,
        resume_token=listed.resume_token,
    )
    assert {event.refund.amount.amount for event in after if event.type == REFUND} == {200}


def test_streams_tell_no_secret(desk: Desk) -> None:
    """The client secret is in answers only."""
    made = desk.intended()
    secret = made.client_secret.encode()
    for event in desk.history(made.payment.id):
        assert secret not in event.SerializeToString()


def test_bad_filters_are_refused(desk: Desk) -> None:
    """Before the stream begins."""
    for field, asked in (
        ("user_id", {"user_id": "u" * 65}),
        ("payment_id", {"payment_id": "p" * 65}),
        ("statuses[0]", {"statuses": [99]}),
    ):
        with refused_field(field):
            events_of(desk.payments, lambda _: True, **asked)
    with refused(Reason.RESUME_TOKEN_INVALID):
        events_of(desk.payments, lambda _: True, resume_token="mangled")
