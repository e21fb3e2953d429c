"""What was left unknown is found out by reading Stripe, whether its caller comes back or not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_request_id, new_user, refused
from tests.support.desk import Desk, charge_request, status_name
from tests.support.money import CALLS, is_now, only_payment
from tests.support.service import Account, wait_until

REPEATS = 1
LOST = REPEATS + 1


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


@pytest.fixture(autouse=True)
def silent(account: Account) -> Iterator[None]:
    """No notification tells what became of a call: only reading does."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    account.wait_delivered()
    account.webhooks("drop")
    yield
    account.webhooks("normal")


FAULTS: dict[str, dict[str, object]] = {
    "answer lost": {"kind": "reset_after", "times": LOST},
    "question lost": {"kind": "reset_before", "times": LOST},
    "a failure that the key repeats for ever, after the work": {
        "kind": "status",
        "status": 500,
        "processed": True,
        "stored": True,
    },
    "a failure that the key repeats for ever, before the work": {
        "kind": "status",
        "status": 500,
        "stored": True,
    },
}


# What differs between the stores is how work that was left is claimed, whatever the fault.
CASES = [("sqlite", fault) for fault in FAULTS] + [("postgresql", "answer lost")]


@pytest.mark.parametrize(("store", "fault"), CASES, indirect=["store"], scope="module")
@pytest.mark.parametrize("name", CALLS)
def test_unknown_outcome_is_settled_although_the_caller_never_comes_back(
    desk: Desk, account: Account, name: str, fault: str
) -> None:
    """Once at Stripe, known here; and the caller who comes back all the same gets the truth."""
    call = CALLS[name](desk)
    account.fault(path=call.path, **FAULTS[fault])  # type: ignore[arg-type]  # its values
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        call.make()
    assert refusal.metadata["payment_id"] == call.payment_id()
    assert refusal.retry_after is not None
    wait_until(call.done, "it was not settled")
    assert len(call.effects()) == 1
    first = call.make()
    assert call.make() == first
    assert len(call.effects()) == 1


@pytest.mark.parametrize("name", ["CreatePaymentIntent off session", "ChargeUser"])
def test_payment_is_pending_while_nothing_is_known(desk: Desk, account: Account, name: str) -> None:
    """Neither declined nor failed: outcome_unknown, in reads and streams, until it is known."""
    call = CALLS[name](desk)
    account.fault("reset_after", call.path, times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        call.make()
    payment_id = call.payment_id()
    complete = pb.PAYMENT_STATUS_COMPLETE
    told = desk.told(payment_id, lambda event: event.payment.status == complete)
    assert [status_name(each.payment) for each in told] == ["pending", "complete"]
    assert told[0].payment.pending_reason == pb.PENDING_REASON_OUTCOME_UNKNOWN
    assert told[1].payment.pending_reason == pb.PENDING_REASON_UNSPECIFIED


def test_decline_that_was_not_heard_is_found_out(desk: Desk, account: Account) -> None:
    """The charge failed at Stripe, and so it did here; the caller is told CARD_DECLINED."""
    user = new_user()
    request = charge_request(user, payment_method_id=desk.save(user, "chargeCustomerFail").id)
    account.fault("reset_after", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.ChargeUser(request)
    wait_until(lambda: is_now(desk, user, "requires_payment_method"), "it was not settled")
    with refused(Reason.CARD_DECLINED) as refusal:
        desk.payments.ChargeUser(request)
    assert refusal.metadata["payment_id"] == only_payment(desk, user)
    assert len(account.intents_of(user)) == 1


def test_setup_intent_and_saved_method_that_were_left(desk: Desk, account: Account) -> None:
    """Writes that move no money are finished as well."""
    user = new_user()
    setup = pb.CreateSetupIntentRequest(request_id=new_request_id(), user_id=user)
    account.fault("reset_after", "/v1/setup_intents", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.CreateSetupIntent(setup)
    assert desk.payments.CreateSetupIntent(setup).client_secret
    save = pb.SavePaymentMethodRequest(
        request_id=new_request_id(), user_id=user, stripe_payment_method_id=desk.card()
    )
    account.fault("reset_after", "/v1/payment_methods", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.SavePaymentMethod(save)
    wait_until(lambda: len(desk.methods(user)) == 1, "it was not saved")
    (method,) = desk.methods(user)
    assert desk.payments.SavePaymentMethod(save).payment_method == method
    detach = pb.DetachPaymentMethodRequest(
        request_id=new_request_id(), user_id=user, payment_method_id=method.id
    )
    account.fault("reset_after", "/v1/payment_methods/*/detach", times=LOST)
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.DetachPaymentMethod(detach)
    wait_until(lambda: desk.methods(user) == [], "it was not detached")
    assert desk.payments.DetachPaymentMethod(detach).payment_method.HasField("detach_time")
