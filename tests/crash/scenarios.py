"""What is asked of the service that asks Stripe for something: one scenario for each way to do so.

`test_matrix.py` fails if the service knows an operation that has no scenario here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from tests.crash.case import Case, Method
from tests.support.calls import new_request_id, new_user, statuses_until
from tests.support.sales import create_product, intent_request
from tests.support.service import wait_until

PART = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What is asked for in one case.

    A caller asks for it by a `method` and a `request`; where there is none, `trigger` has the
    service do it of its own accord. `times` tells how often it was done at Stripe. Where it was,
    the customer does `act`, and `check` waits for what must come of it all.
    """

    times: Callable[[], int]
    method: Method | None = None
    request: Message | None = None
    trigger: Callable[[], object] = lambda: None
    act: Callable[[], object] = lambda: None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A way to ask for something that Stripe is asked for.

    `operation` is its name in the service, empty where a customer does it at Stripe; `path` and
    `verb` are of the request to Stripe, and `notice` is the type of an event that comes of it.
    `aside` says that this request only prepares the operation's own; `again`, that to do it twice
    at Stripe does no harm; `never_expires`, that it is done however late.
    """

    name: str
    operation: str
    path: str
    notice: str
    make: Callable[[Case], Deal]
    verb: str = "POST"
    by_caller: bool = True
    aside: bool = False
    again: bool = False
    never_expires: bool = False

    def __str__(self) -> str:
        return self.name


# -- payment intents ------------------------------------------------------------------------------


def _intents_of(case: Case, user: str) -> list[str]:
    return [each["id"] for each in case.account.intents_of(user)]


def status_of(case: Case, intent: str) -> str:
    """Tell an intent's status at Stripe."""
    return str(case.account.call("GET", f"payment_intents/{intent}")["status"])


def is_paid(case: Case, order_id: str) -> None:
    """Check that an order goes straight to its end."""
    statuses = statuses_until(case.orders, order_id, orders_pb2.ORDER_STATUS_TASK_STARTED)
    assert statuses == ["created", "paid", "task_started"]


def order_of(case: Case, user: str) -> orders_pb2.Order:
    """Read the one order of a user."""
    (order,) = case.orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=user)).orders
    return order


def on_session(case: Case) -> Deal:
    """The customer pays once there is an intent."""
    request = intent_request(create_product(case.orders).id)

    return Deal(
        method=lambda case: case.payments.CreatePaymentIntent,
        request=request,
        times=lambda: len(_intents_of(case, request.user_id)),
        act=lambda: _pay(case, request.user_id),
        check=lambda: is_paid(case, order_of(case, request.user_id).id),
    )


def an_intent(
    case: Case,
    product_id: str,
    **fields: object,
) -> pb.CreatePaymentIntentResponse:
    """Create an intent."""
    request = intent_request(product_id, **fields)
    made = case.answered(lambda case: case.payments.CreatePaymentIntent, request)
    assert isinstance(made, pb.CreatePaymentIntentResponse)
    return made


def _pay(case: Case, user: str) -> None:
    (intent,) = _intents_of(case, user)
    case.account.press("pay", intent)


def held(case: Case) -> Deal:
    """The customer's money is held."""
    request = intent_request(
        create_product(case.orders).id, capture_method=pb.CAPTURE_METHOD_MANUAL
    )

    return Deal(
        method=lambda case: case.payments.CreatePaymentIntent,
        request=request,
        times=lambda: len(_intents_of(case, request.user_id)),
        act=lambda: _pay(case, request.user_id),
        check=lambda: wait_until(
            lambda: _payment(case, request.user_id).status == pb.PAYMENT_STATUS_REQUIRES_CAPTURE,
            "the money is not held",
        ),
    )


def _payment(case: Case, user: str) -> pb.Payment:
    (payment,) = case.payments.ListPayments(pb.ListPaymentsRequest(user_id=user)).payments
    return payment


def new_card(case: Case, *, card: str = "visa") -> str:
    """Make a payment method at Stripe that is nobody's yet."""
    form = {"type": "card", "card[token]": f"tok_{card}"}
    return str(case.account.call("POST", "payment_methods", **form)["id"])


def saved_card(case: Case, *, card: str = "visa") -> tuple[str, str]:
    """Save a card for a new user; answers both, the card by Stripe's id."""
    user, named = new_user(), new_card(case, card=card)
    request = pb.SavePaymentMethodRequest(
        request_id=new_request_id(), user_id=user, stripe_payment_method_id=named
    )
    case.answered(lambda case: case.payments.SavePaymentMethod, request)
    return user, named


def off_session(case: Case) -> Deal:
    """The customer's saved card is charged."""
    user, named = saved_card(case)
    request = intent_request(
        create_product(case.orders).id,
        user_id=user,
        stripe_payment_method_id=named,
        off_session=True,
    )
    return Deal(
        method=lambda case: case.payments.CreatePaymentIntent,
        request=request,
        times=lambda: len(_intents_of(case, user)),
        check=lambda: is_paid(case, order_of(case, user).id),
    )


def charge_user(case: Case) -> Deal:
    """The customer's saved card is charged, for no order."""
    user, named = saved_card(case)
    request = pb.ChargeUserRequest(
        request_id=new_request_id(),
        user_id=user,
        stripe_payment_method_id=named,
        amount=Money(amount=900, currency_code="eur"),
    )
    return Deal(
        method=lambda case: case.payments.ChargeUser,
        request=request,
        times=lambda: len(_intents_of(case, user)),
    )


def _held_payment(case: Case) -> pb.CreatePaymentIntentResponse:
    """Make a payment whose money is held."""
    product = create_product(case.orders).id
    made = an_intent(case, product, capture_method=pb.CAPTURE_METHOD_MANUAL)
    case.account.press("pay", made.payment.stripe_payment_intent_id)
    asked = pb.GetPaymentRequest(payment_id=made.payment.id)

    def is_held() -> bool:
        status = case.payments.GetPayment(asked).payment.status
        return bool(status == pb.PAYMENT_STATUS_REQUIRES_CAPTURE)

    wait_until(is_held, "the money is not held")
    return made


def _capture(case: Case, amount: int | None) -> Deal:
    made = _held_payment(case)
    payment = made.payment
    request = pb.CapturePaymentRequest(
        request_id=new_request_id(), payment_id=payment.id, amount=amount
    )
    wanted = amount or payment.amount.amount

    def times() -> int:
        intent = case.account.call("GET", f"payment_intents/{payment.stripe_payment_intent_id}")
        assert intent["amount_received"] in {0, wanted}
        return int(intent["status"] == "succeeded")

    return Deal(
        method=lambda case: case.payments.CapturePayment,
        request=request,
        times=times,
        check=lambda: is_paid(case, made.order.id),
    )


def capture(case: Case) -> Deal:
    """All that is held is taken."""
    return _capture(case, None)


def capture_part(case: Case) -> Deal:
    """A part of what is held is taken, and the rest let go."""
    return _capture(case, PART)


def _cancelled(case: Case, order_id: str) -> None:
    statuses = statuses_until(case.orders, order_id, orders_pb2.ORDER_STATUS_CANCELLED)
    assert statuses == ["created", "cancelled"]


def cancel_payment(case: Case) -> Deal:
    """A payment that was not made is given up."""
    made = an_intent(case, create_product(case.orders).id)
    intent = made.payment.stripe_payment_intent_id
    return Deal(
        method=lambda case: case.payments.CancelPayment,
        request=pb.CancelPaymentRequest(request_id=new_request_id(), payment_id=made.payment.id),
        times=lambda: int(status_of(case, intent) == "canceled"),
        check=lambda: _cancelled(case, made.order.id),
    )


def cancel_order(case: Case) -> Deal:
    """An order whose money is held is given up."""
    made = _held_payment(case)
    intent = made.payment.stripe_payment_intent_id
    return Deal(
        method=lambda case: case.orders.CancelOrder,
        request=orders_pb2.CancelOrderRequest(request_id=new_request_id(), order_id=made.order.id),
        times=lambda: int(status_of(case, intent) == "canceled"),
        check=lambda: _cancelled(case, made.order.id),
    )


def cancel_overdue(case: Case) -> Deal:
    """A payment whose customer did not authenticate it in time is given up by the service."""
    user, named = saved_card(case, card="authenticationRequired")
    request = intent_request(
        create_product(case.orders).id,
        user_id=user,
        stripe_payment_method_id=named,
        off_session=True,
    )
    made = case.answered(lambda case: case.payments.CreatePaymentIntent, request)
    assert made.payment.status == pb.PAYMENT_STATUS_REQUIRES_ACTION
    intent = made.payment.stripe_payment_intent_id
    return Deal(
        trigger=lambda: case.execute(
            f"UPDATE payments SET action_deadline = 1 WHERE id = '{made.payment.id}'"  # noqa: S608 -- an id of ours
        ),
        times=lambda: int(status_of(case, intent) == "canceled"),
        check=lambda: wait_until(
            lambda: order_of(case, user).status == orders_pb2.ORDER_STATUS_CANCELLED,
            "the order is not cancelled",
        ),
    )
