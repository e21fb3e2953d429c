"""Disputes: they change the payment only, are listed with their deadline, and told by streams."""

import pytest

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_user, refused, refused_field
from tests.support.desk import Desk, euros, order_status_name, refund_request, status_name
from tests.support.service import Account

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


def status(name: str) -> refunds_pb2.DisputeStatus.ValueType:
    """The status of a name."""
    return refunds_pb2.DisputeStatus.Value(f"DISPUTE_STATUS_{name.upper()}")


def disputes_of(desk: Desk, payment_id: str) -> list[refunds_pb2.Dispute]:
    """The disputes of a payment, newest first."""
    request = pb.ListDisputesRequest(payment_id=payment_id)
    return list(desk.payments.ListDisputes(request).disputes)


def disputed(desk: Desk, payment: pb.Payment, **given: object) -> str:
    """Have the customer's bank dispute a payment, wait until it is known; answers Stripe's id."""
    path = f"payment_intents/{payment.stripe_payment_intent_id}"
    made: str = desk.press(path, "dispute", **given)["id"]
    wait_for(
        desk, payment.id, "warning_needs_response" if given.get("inquiry") else "needs_response"
    )
    return made


def wait_for(desk: Desk, payment_id: str, name: str) -> pb.PaymentEvent:
    """Wait until a dispute of a payment is told to have a status."""
    return desk.told(payment_id, lambda event: event.dispute.status == status(name))[-1]


LIVES: dict[str, tuple[bool, list[tuple[str, str]], bool]] = {
    "won": (False, [("review", "under_review"), ("win", "won")], False),
    "lost": (False, [("review", "under_review"), ("lose", "lost")], True),
    "lost unanswered": (False, [("lose", "lost")], True),
    "inquiry that comes to nothing": (
        True,
        [("review", "warning_under_review"), ("close", "warning_closed")],
        False,
    ),
    "inquiry that becomes a dispute": (
        True,
        [("escalate", "needs_response"), ("win", "won")],
        False,
    ),
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
def test_life_of_a_dispute(
    desk: Desk, account: Account, life: tuple[bool, list[tuple[str, str]], bool]
) -> None:
    """Each step is told once; the payment is disputed while it is open and after it was lost."""
    inquiry, steps, stands = life
    made = desk.sold()
    dispute_id = disputed(desk, made.payment, inquiry=inquiry)
    assert desk.payment(made.payment.id).disputed
    for button, name in steps:
        desk.press(f"disputes/{dispute_id}", button)
        wait_for(desk, made.payment.id, name)
    account.wait_delivered()
    known = desk.payment(made.payment.id)
    assert (known.disputed, status_name(known)) == (stands, "complete")
    assert known.captured_amount == euros(1250)
    assert not known.HasField("refunded_amount")
    assert order_status_name(desk.order(made.order.id)) == "task_started"
    (dispute,) = disputes_of(desk, made.payment.id)
    assert dispute.status == status(steps[-1][1])
    told = [each for each in desk.history(made.payment.id) if each.HasField("dispute")]
    first = "warning_needs_response" if inquiry else "needs_response"
    assert [each.dispute.status for each in told] == [
        status(name) for name in (first, *(name for _, name in steps))
    ]
    assert {each.type for each in told} == {pb.PAYMENT_EVENT_TYPE_DISPUTE_CHANGED}
    assert {each.dispute.id for each in told} == {dispute.id}


def test_dispute_tells_what_a_person_needs(desk: Desk, account: Account) -> None:
    """How much, why, and until when evidence is taken."""
    made = desk.sold()
    dispute_id = disputed(desk, made.payment, amount=1000, reason="product_not_received")
    (dispute,) = disputes_of(desk, made.payment.id)
    there = account.call("GET", f"disputes/{dispute_id}")
    assert dispute.id.startswith("dsp_")
    assert (dispute.payment_id, dispute.user_id) == (made.payment.id, made.order.user_id)
    assert (dispute.amount, dispute.reason) == (euros(1000), "product_not_received")
    assert dispute.stripe_dispute_id == dispute_id
    assert dispute.create_time.ToSeconds() == there["created"]
    assert dispute.evidence_due_time.ToSeconds() == there["evidence_details"]["due_by"]


def test_second_dispute_after_a_won_one(desk: Desk) -> None:
    """The payment is disputed again, and lists both, newest first."""
    payment = desk.charged(new_user())
    first = disputed(desk, payment)
    desk.press(f"disputes/{first}", "win")
    wait_for(desk, payment.id, "won")
    path = f"payment_intents/{payment.stripe_payment_intent_id}"
    second = desk.press(path, "dispute")["id"]
    desk.told(payment.id, lambda event: event.dispute.stripe_dispute_id == second)
    assert desk.payment(payment.id).disputed
    listed = [each.stripe_dispute_id for each in disputes_of(desk, payment.id)]
    assert sorted(listed) == sorted([first, second])


def test_inquiry_leaves_the_payment_refundable(desk: Desk) -> None:
    """No money was taken back yet."""
    made = desk.sold()
    disputed(desk, made.payment, inquiry=True)
    answer = desk.payments.RefundPayment(refund_request(made.payment.id, amount=250))
    assert answer.payment.refunded_amount == euros(250)
    assert answer.payment.disputed


def test_list_filters_and_pages(desk: Desk) -> None:
    """By payment, user and status; each dispute once."""
    user = new_user()
    payments = [desk.charged(user, cents) for cents in (700, 800, 900)]
    ids = [disputed(desk, payment) for payment in payments]
    desk.press(f"disputes/{ids[1]}", "lose")
    wait_for(desk, payments[1].id, "lost")

    def listed(**filters: object) -> set[str]:
        seen, token = [], ""
        while True:
            request = pb.ListDisputesRequest(page_size=2, page_token=token, **filters)  # type: ignore[arg-type]
            page = desk.payments.ListDisputes(request)
            seen += [each.stripe_dispute_id for each in page.disputes]
            token = page.next_page_token
            if not token:
                assert len(seen) == len(set(seen))
                return set(seen)

    assert listed(user_id=user) == set(ids)
    assert listed(payment_id=payments[0].id) == {ids[0]}
    assert listed(user_id=user, statuses=[status("lost")]) == {ids[1]}
    assert listed(user_id=user, statuses=[status("needs_response")]) == {ids[0], ids[2]}
    assert listed(user_id=new_user()) == set()
    token = desk.payments.ListDisputes(
        pb.ListDisputesRequest(user_id=user, page_size=1)
    ).next_page_token
    with refused(Reason.PAGE_TOKEN_INVALID):
        listed_with = pb.ListDisputesRequest(page_size=1, page_token=token)
        desk.payments.ListDisputes(listed_with)
    with refused_field("statuses[0]"):
        desk.payments.ListDisputes(pb.ListDisputesRequest(statuses=[99]))  # type: ignore[list-item]
    with refused_field("page_size"):
        desk.payments.ListDisputes(pb.ListDisputesRequest(page_size=-1))


@pytest.mark.parametrize("order", ["fifo", "reverse"])
def test_words_of_one_second_end_the_same_in_either_order(
    desk: Desk, account: Account, order: str
) -> None:
    """Opened, reviewed and won, told first to last or last to first."""
    payment = desk.charged(new_user())
    account.wait_delivered()
    account.webhooks("hold")
    path = f"payment_intents/{payment.stripe_payment_intent_id}"
    dispute_id = desk.press(path, "dispute")["id"]
    desk.press(f"disputes/{dispute_id}", "review")
    desk.press(f"disputes/{dispute_id}", "win")
    account.release(order)
    account.webhooks("normal")
    wait_for(desk, payment.id, "won")
    account.wait_delivered()
    (dispute,) = disputes_of(desk, payment.id)
    assert dispute.status == status("won")
    assert not desk.payment(payment.id).disputed
