"""Every call that moves money: how it is made, and how one sees that it was done once."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1 import refunds_pb2
from tests.support.calls import new_request_id, new_user
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
from tests.support.service import Json
from tests.support.sources import charge_source, charges_for, make_source, ordered


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
        done=lambda: is_now(desk, user, "complete"),
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
        done=lambda: is_now(desk, user, "complete"),
        effects=lambda: desk.account.intents_of(user),
    )


def is_now(desk: Desk, user_id: str, status: str) -> bool:
    """Tell whether the one payment of a user has a status."""
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
