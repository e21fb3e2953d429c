"""What was left unknown is found out by reading Stripe, whether its caller comes back or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import new_request_id, new_user, refused
from tests.support.desk import (
    Desk,
    cancel_request,
    capture_request,
    charge_request,
    order_status_name,
    refund_request,
    status_name,
)
from tests.support.sales import create_product, intent_request
from tests.support.service import Account, Json, wait_until
from tests.support.sources import charge_source, charges_for, make_source, ordered

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that moves money: how it is made, where its fault strikes, and what it does once.

    `done` waits until the service knows by itself, `effects` lists what there is at Stripe.
    """

    # Generic for type checkers only.
    rpc: "grpc.UnaryUnaryMultiCallable[object, object]"
    request: object
    path: str
    payment_id: Callable[[], str]
    done: Callable[[], bool]
    effects: Callable[[], list[Json]]

    def make(self) -> object:
        """Make the call."""
        return self.rpc(self.request)


def only_payment(desk: Desk, user_id: str) -> str:
    """The id of the one payment of a user."""
    (payment,) = desk.payments.ListPayments(pb.ListPaymentsRequest(user_id=user_id)).payments
    return payment.id


def intent_call(desk: Desk) -> Call:
    """CreatePaymentIntent on session."""
    user = new_user()
    return Call(
        rpc=desk.payments.CreatePaymentIntent,  # type: ignore[arg-type]  # any message
        request=intent_request(create_product(desk.orders).id, user_id=user),
        path="/v1/payment_intents",
        payment_id=lambda: only_payment(desk, user),
        done=lambda: bool(desk.payment(only_payment(desk, user)).stripe_payment_intent_id),
        effects=lambda: desk.account.intents_of(user),
    )


def off_session_call(desk: Desk) -> Call:
    """CreatePaymentIntent off session."""
    user = new_user()
    asked = {"payment_method_id": desk.save(user).id, "off_session": True}
    return Call(
        rpc=desk.payments.CreatePaymentIntent,  # type: ignore[arg-type]  # any message
        request=intent_request(create_product(desk.orders).id, user_id=user, **asked),
        path="/v1/payment_intents",
        payment_id=lambda: only_payment(desk, user),
        done=lambda: _is(desk, user, "complete"),
        effects=lambda: desk.account.intents_of(user),
    )


def charge_call(desk: Desk) -> Call:
    """ChargeUser."""
    user = new_user()
    return Call(
        rpc=desk.payments.ChargeUser,  # type: ignore[arg-type]  # any message
        request=charge_request(user, payment_method_id=desk.save(user).id),
        path="/v1/payment_intents",
        payment_id=lambda: only_payment(desk, user),
        done=lambda: _is(desk, user, "complete"),
        effects=lambda: desk.account.intents_of(user),
    )


def _is(desk: Desk, user_id: str, status: str) -> bool:
    return status_name(desk.payment(only_payment(desk, user_id))) == status


def held(desk: Desk) -> pb.Payment:
    """Money that is held."""
    user = new_user()
    asked = {"payment_method_id": desk.save(user).id, "off_session": True, "user_id": user}
    made = desk.intended(asked | {"capture_method": pb.CAPTURE_METHOD_MANUAL})
    assert status_name(made.payment) == "requires_capture"
    return made.payment


def capture_call(desk: Desk) -> Call:
    """CapturePayment."""
    payment = held(desk)
    return Call(
        rpc=desk.payments.CapturePayment,  # type: ignore[arg-type]  # any message
        request=capture_request(payment.id, amount=1000),
        path="/v1/payment_intents/*/capture",
        payment_id=lambda: payment.id,
        done=lambda: status_name(desk.payment(payment.id)) == "complete",
        effects=lambda: [
            each for each in desk.account.intents_of(payment.user_id) if each["amount_received"]
        ],
    )


def cancel_call(desk: Desk) -> Call:
    """CancelPayment."""
    payment = held(desk)
    return Call(
        rpc=desk.payments.CancelPayment,  # type: ignore[arg-type]  # any message
        request=cancel_request(payment.id),
        path="/v1/payment_intents/*/cancel",
        payment_id=lambda: payment.id,
        done=lambda: status_name(desk.payment(payment.id)) == "cancelled",
        effects=lambda: [
            each
            for each in desk.account.intents_of(payment.user_id)
            if each["status"] == "canceled"
        ],
    )


def cancel_order_call(desk: Desk) -> Call:
    """CancelOrder."""
    payment = held(desk)
    return Call(
        rpc=desk.orders.CancelOrder,  # type: ignore[arg-type]  # any message
        request=orders_pb2.CancelOrderRequest(
            request_id=new_request_id(), order_id=payment.order_id
        ),
        path="/v1/payment_intents/*/cancel",
        payment_id=lambda: payment.id,
        done=lambda: order_status_name(desk.order(payment.order_id)) == "cancelled",
        effects=lambda: [
            each
            for each in desk.account.intents_of(payment.user_id)
            if each["status"] == "canceled"
        ],
    )


def refund_call(desk: Desk) -> Call:
    """RefundPayment."""
    payment = desk.charged(new_user())
    asked = pb.ListRefundsRequest(
        payment_id=payment.id, statuses=[refunds_pb2.REFUND_STATUS_SUCCEEDED]
    )
    intent = payment.stripe_payment_intent_id
    return Call(
        rpc=desk.payments.RefundPayment,  # type: ignore[arg-type]  # any message
        request=refund_request(payment.id, amount=1200),
        path="/v1/refunds",
        payment_id=lambda: payment.id,
        done=lambda: len(desk.payments.ListRefunds(asked).refunds) == 1,
        effects=lambda: desk.account.everything("refunds", payment_intent=intent),
    )


def legacy_call(desk: Desk) -> Call:
    """CreateCharge."""
    order = ordered(desk)
    source = make_source(desk, order, "card")
    return Call(
        rpc=desk.payments.CreateCharge,  # type: ignore[arg-type]  # any message
        request=charge_source(order.id, source["id"]),
        path="/v1/charges",
        payment_id=lambda: order.payment_id,
        done=lambda: status_name(desk.payment(order.payment_id)) == "complete",
        effects=lambda: charges_for(desk, order),
    )


CALLS: dict[str, Callable[[Desk], Call]] = {
    "CreatePaymentIntent": intent_call,
    "CreatePaymentIntent off session": off_session_call,
    "ChargeUser": charge_call,
    "CapturePayment": capture_call,
    "CancelPayment": cancel_call,
    "CancelOrder": cancel_order_call,
    "RefundPayment": refund_call,
    "CreateCharge": legacy_call,
}

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
def test_payment_is_pending_while_nothing_is_known(
    desk: Desk, orders: OrdersServiceStub, account: Account, name: str
) -> None:
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
    wait_until(lambda: _is(desk, user, "requires_payment_method"), "it was not settled")
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
