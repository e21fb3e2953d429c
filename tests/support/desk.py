"""A cash desk for tests: cards that are saved, money that moves, and the events that tell of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boxoffice.common.v1 import streams_pb2
from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payment_methods_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support.calls import WATCH_SECONDS, new_request_id
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, Json

COMPLETE = pb.PAYMENT_STATUS_COMPLETE


def euros(cents: int) -> Money:
    """An amount in the default currency."""
    return Money(amount=cents, currency_code="eur")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where payments are made, through the service and at the sandbox."""

    orders: OrdersServiceStub
    payments: PaymentsServiceStub
    account: Account

    # -- what customers do ------------------------------------------------------------------------

    def card(self, name: str = "visa") -> str:
        """Make a payment method of a test card, as a customer's device does; answers its id."""
        form = {"type": "card", "card[token]": f"tok_{name}"}
        made: str = self.account.call("POST", "payment_methods", **form)["id"]
        return made

    def press(self, what: str, button: str, **given: object) -> Json:
        """Press a button of an object at the sandbox: `payment_intents/pi_1`, `pay`."""
        pressed: Json = self.account.sandbox.control(f"{what}/{button}", given)["object"]
        return pressed

    def pay(self, payment: pb.Payment, card: str = "visa") -> pb.Payment:
        """Pay as the customer with a test card, and wait until it is known."""
        self.press(f"payment_intents/{payment.stripe_payment_intent_id}", "pay", card=card)
        return self.until(payment.id, COMPLETE)

    # -- what services ask for --------------------------------------------------------------------

    def save(
        self, user_id: str, name: str = "visa", **fields: object
    ) -> payment_methods_pb2.PaymentMethod:
        """Save a test card for a user."""
        request = pb.SavePaymentMethodRequest(
            request_id=new_request_id(),
            user_id=user_id,
            stripe_payment_method_id=self.card(name),
            **fields,  # type: ignore[arg-type]  # a field's value each
        )
        return self.payments.SavePaymentMethod(request).payment_method

    def methods(self, user_id: str, **filters: Any) -> list[payment_methods_pb2.PaymentMethod]:  # noqa: ANN401 -- a message's fields are of any type
        """List a user's payment methods."""
        request = pb.ListPaymentMethodsRequest(user_id=user_id, **filters)
        return list(self.payments.ListPaymentMethods(request).payment_methods)

    def charged(self, user_id: str, cents: int = 3000, card: str = "visa") -> pb.Payment:
        """Charge a user's card, which is saved for it."""
        method = self.save(user_id, card)
        request = charge_request(user_id, amount=euros(cents), payment_method_id=method.id)
        return self.payments.ChargeUser(request).payment

    def sold(self, card: str = "visa", **fields: Any) -> pb.CreatePaymentIntentResponse:  # noqa: ANN401
        """Sell something, and take the money; `fields` are more of the product's."""
        made = self.intended(**fields)
        self.pay(made.payment, card)
        return made

    def intended(
        self,
        asked: dict[str, object] | None = None,
        **fields: Any,  # noqa: ANN401
    ) -> pb.CreatePaymentIntentResponse:
        """Make an order and its intent; `fields` are more of the product's."""
        product = create_product(self.orders, **fields)
        return create_intent(self.payments, product.id, **(asked or {}))

    def payment(self, payment_id: str) -> pb.Payment:
        """A payment as it is now."""
        return self.got(payment_id).payment

    def got(self, payment_id: str) -> pb.GetPaymentResponse:
        """A payment as it is now, and its client secret."""
        return self.payments.GetPayment(pb.GetPaymentRequest(payment_id=payment_id))

    def order(self, order_id: str) -> orders_pb2.Order:
        """An order as it is now."""
        return self.orders.GetOrder(orders_pb2.GetOrderRequest(order_id=order_id)).order

    def task(self, order_id: str) -> orders_pb2.Task:
        """The task of an order as it is now."""
        (task,) = self.orders.ListTasks(orders_pb2.ListTasksRequest(order_id=order_id)).tasks
        return task

    # -- what streams tell ------------------------------------------------------------------------

    def until(self, payment_id: str, status: pb.PaymentStatus.ValueType) -> pb.Payment:
        """Wait until a payment has a status, the one of its beginning apart."""

        def has_it(event: pb.PaymentEvent) -> bool:
            payment = event.payment
            begins = payment.pending_reason == pb.PENDING_REASON_OUTCOME_UNKNOWN
            return payment.status == status and not begins

        return self.told(payment_id, has_it)[-1].payment

    def told(
        self, payment_id: str, done: Callable[[pb.PaymentEvent], bool]
    ) -> list[pb.PaymentEvent]:
        """Watch a payment from its beginning until the event that was waited for."""
        return events_of(self.payments, done, payment_id=payment_id, start_position=EARLIEST)

    def history(self, payment_id: str) -> list[pb.PaymentEvent]:
        """All events of a payment so far."""
        request = pb.WatchPaymentsRequest(payment_id=payment_id, start_position=EARLIEST)
        watch = self.payments.WatchPayments(request, timeout=WATCH_SECONDS)
        seen: list[pb.PaymentEvent] = []
        try:
            for frame in watch:
                seen += frame.events
                if frame.HasField("caught_up"):
                    return seen
        finally:
            watch.cancel()
        raise AssertionError("the stream ended before it had caught up")


EARLIEST = streams_pb2.START_POSITION_EARLIEST


def events_of(
    payments: PaymentsServiceStub,
    done: Callable[[pb.PaymentEvent], bool],
    **request: Any,  # noqa: ANN401 -- a message's fields are of any type
) -> list[pb.PaymentEvent]:
    """Watch payments until the event that was waited for; answers all that came."""
    watch = payments.WatchPayments(pb.WatchPaymentsRequest(**request), timeout=WATCH_SECONDS)
    seen: list[pb.PaymentEvent] = []
    try:
        for frame in watch:
            for event in frame.events:
                seen.append(event)
                if done(event):
                    return seen
    finally:
        watch.cancel()
    raise AssertionError(f"the stream ended before the event came, after {seen}")


def charge_request(user_id: str, **fields: Any) -> pb.ChargeUserRequest:  # noqa: ANN401
    """Ask for 30 euros of a user's saved payment method, under a new request id."""
    asked: dict[str, Any] = {
        "request_id": new_request_id(),
        "user_id": user_id,
        "amount": euros(3000),
    }
    return pb.ChargeUserRequest(**(asked | fields))


def refund_request(payment_id: str, **fields: Any) -> pb.RefundPaymentRequest:  # noqa: ANN401
    """Ask for money back, under a new request id."""
    asked = {"request_id": new_request_id(), "payment_id": payment_id}
    return pb.RefundPaymentRequest(**(asked | fields))


def capture_request(payment_id: str, **fields: Any) -> pb.CapturePaymentRequest:  # noqa: ANN401
    """Ask for held money, under a new request id."""
    asked = {"request_id": new_request_id(), "payment_id": payment_id}
    return pb.CapturePaymentRequest(**(asked | fields))


def cancel_request(payment_id: str) -> pb.CancelPaymentRequest:
    """Ask for a payment to be given up, under a new request id."""
    return pb.CancelPaymentRequest(request_id=new_request_id(), payment_id=payment_id)


def status_name(payment: pb.Payment) -> str:
    """Name a payment's status as people do."""
    return pb.PaymentStatus.Name(payment.status).removeprefix("PAYMENT_STATUS_").lower()


def order_status_name(order: orders_pb2.Order) -> str:
    """Name an order's status as people do."""
    return orders_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_").lower()
