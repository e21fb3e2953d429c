"""Services with something to sell, and the bare server that answers as they do."""

from dataclasses import dataclass, replace

import grpc
from google.protobuf.message import Message

from bench.canned_stripe import DELAY_SECONDS
from bench.child import Child
from bench.lab import Lab
from boxoffice.common.v1 import money_pb2
from boxoffice.orders.v1 import orders_pb2, orders_pb2_grpc
from boxoffice.payments.v1 import payments_pb2, payments_pb2_grpc

PAY = "/boxoffice.payments.v1.PaymentsService/CreatePaymentIntent"
CHARGE = "/boxoffice.payments.v1.PaymentsService/ChargeUser"
GET_ORDER = "/boxoffice.orders.v1.OrdersService/GetOrder"
GET_PRODUCT = "/boxoffice.orders.v1.OrdersService/GetProduct"
CALL_SECONDS = 30.0
# The request id of the one payment that every shop has made.
SAMPLE_REQUEST = "0" * 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A method, the bytes of a request, and those of its answer."""

    method: str
    request: bytes
    answer: bytes

    @property
    def name(self) -> str:
        """The method's own name."""
        return self.method.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A server that sells a product, and calls that it was seen to answer."""

    address: str
    product_id: str
    pay: Call
    reads: tuple[Call, ...]


def open_shop(service: Child, database: str, stripe: str) -> Shop:
    """Start a service on an empty database, and sell something."""
    address = service.ask("start", database=database, stripe=stripe)["address"]
    with grpc.insecure_channel(address) as channel:
        orders = orders_pb2_grpc.OrdersServiceStub(channel)
        payments = payments_pb2_grpc.PaymentsServiceStub(channel)
        product = orders.CreateProduct(_new_product(), timeout=CALL_SECONDS).product
        pay = payments_pb2.CreatePaymentIntentRequest(
            request_id=SAMPLE_REQUEST, user_id="user-0", product_id=product.id
        )
        pay.data.update({"patient": "Rex"})
        paid = payments.CreatePaymentIntent(pay, timeout=CALL_SECONDS)
        get_order = orders_pb2.GetOrderRequest(order_id=paid.order.id)
        order = orders.GetOrder(get_order, timeout=CALL_SECONDS)
        get_product = orders_pb2.GetProductRequest(product_id=product.id)
        got = orders.GetProduct(get_product, timeout=CALL_SECONDS)
    assert order.order.id == paid.order.id
    assert got.product == product
    return Shop(
        address=address,
        product_id=product.id,
        pay=_call(PAY, pay, paid),
        reads=(_call(GET_ORDER, get_order, order), _call(GET_PRODUCT, get_product, got)),
    )


def open_bare_shop(lab: Lab, shop: Shop) -> Shop:
    """Start a bare server that answers the same bytes, payments after as long as Stripe takes."""
    bare = lab.child("bench.bare")
    for call in (shop.pay, *shop.reads):
        delay = DELAY_SECONDS if call is shop.pay else 0
        bare.ask("answer", method=call.method, body=call.answer.hex(), delay=delay)
    return replace(shop, address=bare.ask("address")["address"])


def charge(address: str, request: payments_pb2.ChargeUserRequest) -> None:
    """Charge a user who has saved a payment method."""
    with grpc.insecure_channel(address) as channel:
        payments = payments_pb2_grpc.PaymentsServiceStub(channel)
        paid = payments.ChargeUser(request, timeout=CALL_SECONDS).payment
    assert paid.status == payments_pb2.PAYMENT_STATUS_COMPLETE


def _new_product() -> orders_pb2.CreateProductRequest:
    product = orders_pb2.Product(
        name="Wellness exam",
        prices=[
            money_pb2.Money(amount=4900, currency_code="eur"),
            money_pb2.Money(amount=5200, currency_code="usd"),
        ],
        tags=["clinic"],
    )
    product.schema.properties.add(
        name="patient", type=orders_pb2.SCHEMA_PROPERTY_TYPE_STRING, required=True
    )
    return orders_pb2.CreateProductRequest(request_id="product", product=product)


def _call(method: str, request: Message, answer: Message) -> Call:
    return Call(
        method=method, request=request.SerializeToString(), answer=answer.SerializeToString()
    )
