"""DeliverNotification: what each notification does to the order that it belongs to."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.vendors.stripe.sayings import EVENT_TYPES
from tests.support.notices import (
    DECLINE,
    Json,
    charge_of,
    deliver,
    deliver_body,
    event_of,
    intent_of,
    now,
    signed,
    source_of,
)
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

APPLIED, UNRELATED, PARKED = (
    pb.NOTIFICATION_STATE_APPLIED,
    pb.NOTIFICATION_STATE_UNRELATED,
    pb.NOTIFICATION_STATE_PARKED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """Orders and their payments, of which Stripe says nothing by itself."""

    orders: OrdersServiceStub
    payments: PaymentsServiceStub
    product: orders_pb2.Product

    def payment(self, **fields: object) -> payments_pb2.Payment:
        """The payment of a new order."""
        return create_intent(self.payments, self.product.id, **fields).payment

    def order_of(self, payment: payments_pb2.Payment) -> orders_pb2.Order:
        """The order as it is now."""
        request = orders_pb2.GetOrderRequest(order_id=payment.order_id)
        return self.orders.GetOrder(request).order

    def standing(self, payment: payments_pb2.Payment) -> tuple[str, str]:
        """Name the status of the order and that of the payment."""
        request = payments_pb2.GetPaymentRequest(payment_id=payment.id)
        known = self.payments.GetPayment(request).payment
        order = orders_pb2.OrderStatus.Name(self.order_of(payment).status)
        status = payments_pb2.PaymentStatus.Name(known.status)
        return (
            order.removeprefix("ORDER_STATUS_").lower(),
            status.removeprefix("PAYMENT_STATUS_").lower(),
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """Which store the service works on."""
    return str(request.param)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[WebhooksServiceStub]:
    """The stub that pytest-grpc makes."""
    return WebhooksServiceStub


@pytest.fixture(scope="module")
def sale(orders: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> Sale:
    """Sells a product; the sandbox's own webhooks are dropped, so that the tests' are alone."""
    account.webhooks("drop")
    return Sale(orders=orders, payments=payments, product=create_product(orders))


Told = Callable[[payments_pb2.Payment], Json]

CASES: dict[str, tuple[Told, tuple[str, str]]] = {
    "payment_intent.created": (
        lambda payment: intent_of(payment, "requires_payment_method"),
        ("created", "requires_payment_method"),
    ),
    "payment_intent.requires_action": (
        lambda payment: intent_of(payment, "requires_action"),
        ("created", "requires_action"),
    ),
    "payment_intent.processing": (
        lambda payment: intent_of(payment, "processing"),
        ("created", "pending"),
    ),
    "payment_intent.amount_capturable_updated": (
        lambda payment: intent_of(payment, "requires_capture", amount_capturable=1250),
        ("created", "requires_capture"),
    ),
    "payment_intent.payment_failed": (
        lambda payment: intent_of(payment, "requires_payment_method", last_payment_error=DECLINE),
        ("failed", "requires_payment_method"),
    ),
    "payment_intent.canceled": (
        lambda payment: intent_of(payment, "canceled"),
        ("cancelled", "cancelled"),
    ),
    "payment_intent.succeeded": (
        lambda payment: intent_of(payment, "succeeded"),
        ("task_started", "complete"),
    ),
    "charge.captured": (charge_of, ("task_started", "complete")),
    # A hold that has run out is told by its intent, what was given back by its refunds.
    "charge.expired": (
        lambda payment: charge_of(payment, captured=False),
        ("created", "requires_payment_method"),
    ),
    "charge.refunded": (
        lambda payment: charge_of(payment, refunded=True),
        ("created", "requires_payment_method"),
    ),
    "charge.pending": (
        lambda payment: charge_of(payment, status="pending"),
        ("created", "pending"),
    ),
    "charge.failed": (
        lambda payment: charge_of(payment, status="failed", failure_code="card_declined"),
        ("failed", "requires_payment_method"),
    ),
    "charge.succeeded": (charge_of, ("task_started", "complete")),
    "source.chargeable": (source_of, ("created", "requires_payment_method")),
    "source.failed": (
        lambda payment: source_of(payment, status="failed"),
        ("failed", "requires_payment_method"),
    ),
    "source.canceled": (
        lambda payment: source_of(payment, status="canceled"),
        ("failed", "requires_payment_method"),
    ),
}
# That an intent was made says nothing about the order that the order does not say itself.
NOT_SHOWN = {"payment_intent.created"}


def test_cases_are_all_types_there_are() -> None:
    """No type that is understood goes without a test."""
    assert set(CASES) == set(EVENT_TYPES)


@pytest.mark.parametrize("type_", CASES)
def test_notification_moves_the_order(
    grpc_stub: WebhooksServiceStub, sale: Sale, type_: str
) -> None:
    """Order and payment stand where the notification says, and the order shows it."""
    tell, expected = CASES[type_]
    payment = sale.payment()
    event = event_of(type_, tell(payment), created=now() + 5)
    answer = deliver(grpc_stub, event)
    kept = answer.notification
    assert not answer.duplicate
    assert kept.id.startswith("ntf_")
    assert (kept.source, kept.state) == (pb.NOTIFICATION_SOURCE_STRIPE, APPLIED)
    assert (kept.vendor_event_id, kept.type) == (event["id"], type_)
    assert kept.resource_id == event["data"]["object"]["id"]
    assert kept.order_id == payment.order_id
    assert kept.event_time.ToSeconds() == event["created"]
    assert sale.standing(payment) == expected
    shown = [
        (each.type, each.vendor_event_id, each.resource_id, each.resource_type)
        for each in sale.order_of(payment).vendor_events
    ]
    told = (type_, event["id"], kept.resource_id, type_.partition(".")[0])
    assert shown == ([] if type_ in NOT_SHOWN else [told])


def test_charge_that_is_not_captured_pays_nothing_yet(
    grpc_stub: WebhooksServiceStub, sale: Sale
) -> None:
    """Under manual capture a charge succeeds when the money is only held."""
    payment = sale.payment()
    deliver(grpc_stub, event_of("charge.succeeded", charge_of(payment, captured=False)))
    assert sale.standing(payment) == ("created", "requires_capture")


def test_failure_says_why(grpc_stub: WebhooksServiceStub, sale: Sale) -> None:
    """The payment holds the issuer's words."""
    payment = sale.payment()
    intent = intent_of(payment, "requires_payment_method", last_payment_error=DECLINE)
    deliver(grpc_stub, event_of("payment_intent.payment_failed", intent, created=now() + 5))
    request = payments_pb2.GetPaymentRequest(payment_id=payment.id)
    error = sale.payments.GetPayment(request).payment.last_error
    assert error.code == "card_declined"
    assert error.decline_code == "insufficient_funds"
    assert error.message == "Your card has insufficient funds."


def test_duplicate_changes_nothing(grpc_stub: WebhooksServiceStub, sale: Sale) -> None:
    """The same event again, or another body under its id: acknowledged, and that is all."""
    payment = sale.payment()
    event = event_of("payment_intent.succeeded", intent_of(payment, "succeeded"))
    first = deliver(grpc_stub, event)
    order = sale.order_of(payment)
    again = deliver(grpc_stub, event)
    assert (again.duplicate, again.notification) == (True, first.notification)
    other = event | {"type": "payment_intent.canceled"}
    assert deliver(grpc_stub, other) == again
    assert sale.order_of(payment) == order


def test_concurrent_duplicates_are_kept_once(grpc_stub: WebhooksServiceStub, sale: Sale) -> None:
    """Sixteen deliveries at once: one is the first, and the order starts once."""
    payment = sale.payment()
    event = event_of("payment_intent.succeeded", intent_of(payment, "succeeded"))
    body = json.dumps(event).encode()
    request = pb.DeliverNotificationRequest(
        source=pb.NOTIFICATION_SOURCE_STRIPE, headers=signed(body), body=body
    )
    calls = [grpc_stub.DeliverNotification.future(request) for _ in range(16)]
    answers = [call.result() for call in calls]
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 15
    assert len({answer.notification.id for answer in answers}) == 1
    # Made, paid, started.
    assert sale.order_of(payment).etag == "3"


@pytest.mark.parametrize(
    "type_", ["customer.created", "payment_intent.partially_funded", "nonsense"]
)
def test_unknown_type_is_parked(grpc_stub: WebhooksServiceStub, sale: Sale, type_: str) -> None:
    """It is kept and acknowledged, and touches nothing."""
    payment = sale.payment()
    order = sale.order_of(payment)
    answer = deliver(grpc_stub, event_of(type_, intent_of(payment, "succeeded")))
    assert answer.notification.state == PARKED
    assert answer.notification.order_id == ""
    assert sale.order_of(payment) == order


def test_known_type_that_can_not_be_read_is_parked(
    grpc_stub: WebhooksServiceStub, sale: Sale
) -> None:
    """Signed but malformed: refusing it would only make Stripe send it again."""
    payment = sale.payment()
    order = sale.order_of(payment)
    malformed: list[Json] = [
        charge_of(payment),
        intent_of(payment, "succeeded", amount="much"),
        intent_of(payment, "succeeded", currency="EURO"),
        intent_of(payment, "succeeded", metadata="none"),
        intent_of(payment, "succeeded", id=None),
    ]
    for told in malformed:
        event = event_of("payment_intent.succeeded", {**told, "id": told["id"] or 7})
        if told["id"] is None:
            event["data"]["object"].pop("id")
        answer = deliver(grpc_stub, event)
        assert answer.notification.state == PARKED, told
    assert sale.order_of(payment) == order


def test_object_of_another_is_kept_as_unrelated(grpc_stub: WebhooksServiceStub, sale: Sale) -> None:
    """Whoever uses the same Stripe account: their intents are none of ours."""
    payment = sale.payment()
    order = sale.order_of(payment)
    stranger = intent_of(payment, "succeeded", id="pi_of_another")
    for told in (
        stranger | {"metadata": {}},
        stranger | {"metadata": {"boxoffice_payment_id": "pay_none"}},
        # Our payment has an intent already, and it is not this one.
        stranger,
    ):
        answer = deliver(grpc_stub, event_of("payment_intent.succeeded", told))
        assert answer.notification.state == UNRELATED
        assert answer.notification.order_id == ""
    assert sale.order_of(payment) == order


@pytest.mark.parametrize("fields", [{"amount": 1249}, {"currency": "usd"}, {"amount": None}])
def test_intent_of_another_amount_is_not_ours(
    grpc_stub: WebhooksServiceStub, sale: Sale, fields: Json
) -> None:
    """An order is paid by its price, and by nothing else."""
    payment = sale.payment()
    event = event_of("payment_intent.succeeded", intent_of(payment, "succeeded", **fields))
    assert deliver(grpc_stub, event).notification.state == UNRELATED
    assert sale.standing(payment) == ("created", "requires_payment_method")


def test_money_for_a_cancelled_order_makes_it_paid(
    grpc_stub: WebhooksServiceStub, sale: Sale
) -> None:
    """What was taken is never forgotten."""
    payment = sale.payment()
    deliver(grpc_stub, event_of("payment_intent.canceled", intent_of(payment, "canceled")))
    assert sale.standing(payment) == ("cancelled", "cancelled")
    deliver(grpc_stub, event_of("payment_intent.succeeded", intent_of(payment, "succeeded")))
    assert sale.standing(payment) == ("task_started", "complete")


def test_event_is_taken_as_it_is_whatever_else_it_holds(
    grpc_stub: WebhooksServiceStub, sale: Sale
) -> None:
    """Unknown fields and an unknown API version, in any script, change nothing."""
    payment = sale.payment()
    told = intent_of(payment, "succeeded", novelty={"ü": ["\N{PARTY POPPER}", None, 1.5]})
    event = event_of("payment_intent.succeeded", told, api_version="2099-01-01", novelty=1)
    body = json.dumps(event, ensure_ascii=False, indent=3).encode()
    answer = deliver_body(grpc_stub, body, signed(body))
    assert answer.notification.state == APPLIED


@pytest.mark.parametrize("name", ["stripe-signature", "STRIPE-SIGNATURE", "Stripe-Signature"])
def test_header_is_read_in_any_case(grpc_stub: WebhooksServiceStub, name: str) -> None:
    """A gateway may have changed the case of header names, and added others."""
    body = json.dumps(event_of("any.type", {"object": "thing"})).encode()
    headers = {name: signed(body)["Stripe-Signature"], "host": "example.com"}
    assert not deliver_body(grpc_stub, body, headers).duplicate
