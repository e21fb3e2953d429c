"""request_id at every write that asks Stripe or changes what is known of a payment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payment_methods_pb2, refunds_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import caught_up, new_request_id, new_user, refused, refused_field
from tests.support.desk import EARLIEST, Desk, euros
from tests.support.money import held
from tests.support.sales import create_product
from tests.support.service import Account
from tests.support.sources import make_source, ordered

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

DUPLICATE = refunds_pb2.REFUND_REASON_DUPLICATE
ON_SESSION = pb.PAYMENT_METHOD_REUSE_ON_SESSION


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write RPC, a request that it takes, and another body that it would take too."""

    # Generic for type checkers only.
    call: "grpc.UnaryUnaryMultiCallable[Any, Any]"
    request: Any
    other: Any

    def under(self, request_id: str, *, other: bool = False) -> Any:  # noqa: ANN401 -- any message
        """Call it under a request id."""
        request = type(self.request)()
        request.CopyFrom(self.other if other else self.request)
        request.request_id = request_id
        return self.call(request)


def charges(desk: Desk) -> Write:
    """ChargeUser."""
    user = new_user()
    method = desk.save(user).id
    one, other = (
        pb.ChargeUserRequest(user_id=user, amount=euros(cents), payment_method_id=method)
        for cents in (500, 501)
    )
    return Write(call=desk.payments.ChargeUser, request=one, other=other)


def captures(desk: Desk) -> Write:
    """CapturePayment."""
    payment = held(desk)
    one = pb.CapturePaymentRequest(payment_id=payment.id)
    other = pb.CapturePaymentRequest(payment_id=payment.id, amount=1000)
    return Write(call=desk.payments.CapturePayment, request=one, other=other)


def cancels(desk: Desk) -> Write:
    """CancelPayment."""
    one, other = (pb.CancelPaymentRequest(payment_id=held(desk).id) for _ in range(2))
    return Write(call=desk.payments.CancelPayment, request=one, other=other)


def refunds(desk: Desk) -> Write:
    """RefundPayment."""
    payment = desk.charged(new_user())
    one = pb.RefundPaymentRequest(payment_id=payment.id, amount=100)
    other = pb.RefundPaymentRequest(payment_id=payment.id, amount=100, reason=DUPLICATE)
    return Write(call=desk.payments.RefundPayment, request=one, other=other)


def sets_up(desk: Desk) -> Write:
    """CreateSetupIntent."""
    user = new_user()
    one = pb.CreateSetupIntentRequest(user_id=user)
    other = pb.CreateSetupIntentRequest(user_id=user, setup_payment_method_reuse=ON_SESSION)
    return Write(call=desk.payments.CreateSetupIntent, request=one, other=other)


def saves(desk: Desk) -> Write:
    """SavePaymentMethod."""
    user, card = new_user(), desk.card()
    one = pb.SavePaymentMethodRequest(user_id=user, stripe_payment_method_id=card)
    other = pb.SavePaymentMethodRequest(user_id=user, stripe_payment_method_id=card, tags=["t"])
    return Write(call=desk.payments.SavePaymentMethod, request=one, other=other)


def tags(desk: Desk) -> Write:
    """UpdatePaymentMethod."""
    method, mask = desk.save(new_user()), FieldMask(paths=["tags"])
    one, other = (
        pb.UpdatePaymentMethodRequest(
            payment_method=payment_methods_pb2.PaymentMethod(id=method.id, tags=[tag]),
            update_mask=mask,
        )
        for tag in ("a", "b")
    )
    return Write(call=desk.payments.UpdatePaymentMethod, request=one, other=other)


def detaches(desk: Desk) -> Write:
    """DetachPaymentMethod."""
    user = new_user()
    one, other = (
        pb.DetachPaymentMethodRequest(user_id=user, payment_method_id=desk.save(user).id)
        for _ in range(2)
    )
    return Write(call=desk.payments.DetachPaymentMethod, request=one, other=other)


def charges_a_source(desk: Desk) -> Write:
    """CreateCharge."""
    one, other = (
        pb.CreateChargeRequest(
            order_id=order.id, stripe_source_id=make_source(desk, order, "card")["id"]
        )
        for order in (ordered(desk), ordered(desk))
    )
    return Write(call=desk.payments.CreateCharge, request=one, other=other)


def orders(desk: Desk) -> Write:
    """CreateOrder."""
    product, user = create_product(desk.orders).id, new_user()
    one = orders_pb2.CreateOrderRequest(user_id=user, product_id=product)
    other = orders_pb2.CreateOrderRequest(user_id=user, product_id=product, tags=["t"])
    return Write(call=desk.orders.CreateOrder, request=one, other=other)


def cancels_an_order(desk: Desk) -> Write:
    """CancelOrder."""
    one, other = (orders_pb2.CancelOrderRequest(order_id=held(desk).order_id) for _ in range(2))
    return Write(call=desk.orders.CancelOrder, request=one, other=other)


def sets_a_status(desk: Desk) -> Write:
    """SetOrderStatus."""
    order = desk.intended().order.id
    one, other = (
        orders_pb2.SetOrderStatusRequest(
            order_id=order, status=orders_pb2.ORDER_STATUS_FAILED, reason=reason, actor="ann"
        )
        for reason in ("one", "two")
    )
    return Write(call=desk.orders.SetOrderStatus, request=one, other=other)


WRITES: dict[str, Callable[[Desk], Write]] = {
    each.__name__: each
    for each in (
        charges,
        captures,
        cancels,
        refunds,
        sets_up,
        saves,
        tags,
        detaches,
        charges_a_source,
        orders,
        cancels_an_order,
        sets_a_status,
    )
}


@pytest.fixture(autouse=True)
def silent(account: Account) -> Iterator[None]:
    """Only the calls themselves change anything."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    account.wait_delivered()
    account.webhooks("drop")
    yield
    account.webhooks("normal")


@pytest.fixture(params=WRITES)
def write(request: pytest.FixtureRequest, desk: Desk, silent: None) -> Write:
    """One write RPC after the other."""
    return WRITES[request.param](desk)


def mark(desk: Desk) -> int:
    """Write something, and tell its position in the log once it is numbered."""
    user = new_user()
    product = create_product(desk.orders).id
    request = orders_pb2.CreateOrderRequest(
        request_id=new_request_id(), user_id=user, product_id=product
    )
    made = desk.orders.CreateOrder(request).order
    seen: list[int] = []
    while not seen:
        events = caught_up(desk.orders, order_id=made.id, start_position=EARLIEST)
        seen = [event.position for event in events]
    return seen[0]


# A mark is a product, an order and its payment.
MARK = 3


def in_bytes(message: Any) -> bytes:  # noqa: ANN401 -- any message
    """Serialise a message so that equal ones have equal bytes."""
    raw: bytes = message.SerializeToString(deterministic=True)
    return raw


def test_same_request_gets_the_same_answer(desk: Desk, write: Write) -> None:
    """Byte for byte, as often as it is sent, and nothing happens a second time."""
    request_id = new_request_id()
    first = write.under(request_id)
    before = mark(desk)
    for _ in range(3):
        assert in_bytes(write.under(request_id)) == in_bytes(first)
    assert mark(desk) == before + MARK


def test_another_body_under_the_same_id_is_refused(desk: Desk, write: Write) -> None:
    """It changes nothing, and the first answer stands."""
    request_id = new_request_id()
    first = write.under(request_id)
    before = mark(desk)
    with refused(Reason.REQUEST_ID_REUSED) as refusal:
        write.under(request_id, other=True)
    assert refusal.metadata == {"request_id": request_id}
    assert mark(desk) == before + MARK
    assert in_bytes(write.under(request_id)) == in_bytes(first)


def test_request_id_has_from_1_to_36_characters(write: Write) -> None:
    """At the border it is taken, beyond it is refused."""
    for bad in ("", "x" * 37, "a\0b"):
        with refused_field("request_id"):
            write.under(bad)
    write.under("\N{PARTY POPPER}" + new_request_id()[1:])
