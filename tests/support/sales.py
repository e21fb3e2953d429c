"""Products and payment intents for tests: valid as they come, changed where a test says so."""

from typing import Any

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as payments_pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support.calls import new_request_id, new_user

PRICES = (Money(amount=1250, currency_code="eur"), Money(amount=1400, currency_code="usd"))


def a_product(**fields: Any) -> pb.Product:  # noqa: ANN401 -- a message's fields are of any type
    """Describe a product that may be created."""
    return pb.Product(**({"name": "Wellness exam", "prices": PRICES} | fields))


def create_product(orders: OrdersServiceStub, **fields: Any) -> pb.Product:  # noqa: ANN401
    """Create a product."""
    request = pb.CreateProductRequest(request_id=new_request_id(), product=a_product(**fields))
    return orders.CreateProduct(request).product


def intent_request(
    product_id: str,
    **fields: Any,  # noqa: ANN401
) -> payments_pb.CreatePaymentIntentRequest:
    """Ask for an intent: of a new user, under a new request id, in the default currency."""
    asked = {"request_id": new_request_id(), "user_id": new_user(), "product_id": product_id}
    return payments_pb.CreatePaymentIntentRequest(**(asked | fields))


def create_intent(
    payments: PaymentsServiceStub,
    product_id: str,
    **fields: Any,  # noqa: ANN401
) -> payments_pb.CreatePaymentIntentResponse:
    """Create an intent."""
    return payments.CreatePaymentIntent(intent_request(product_id, **fields))
