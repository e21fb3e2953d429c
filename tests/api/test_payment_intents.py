"""CreatePaymentIntent and GetPayment: what is asked of Stripe, and what callers are told."""

import pytest

from boxoffice.common.v1.money_pb2 import Money
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import new_user, refused, refused_field, statuses_until
from tests.support.sales import PRICES, create_intent, create_product, intent_request
from tests.support.service import Account

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

CARD, BANCONTACT, GIROPAY, IDEAL = (
    pb.PAYMENT_METHOD_TYPE_CARD,
    pb.PAYMENT_METHOD_TYPE_BANCONTACT,
    pb.PAYMENT_METHOD_TYPE_GIROPAY,
    pb.PAYMENT_METHOD_TYPE_IDEAL,
)
STARTED = orders_pb2.ORDER_STATUS_TASK_STARTED


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def product(orders: OrdersServiceStub, account: Account) -> orders_pb2.Product:
    """What is sold, to customers who may still pay by giropay."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    return create_product(orders)


def test_answer_holds_order_payment_and_secret(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """An intent by default is by card in eur; the answer is what Get has, and the secret."""
    user = new_user()
    made = create_intent(grpc_stub, product.id, user_id=user, tags=["t1", "t2"])
    order, payment = made.order, made.payment
    assert order.id.startswith("ord_")
    assert payment.id.startswith("pay_")
    assert (order.user_id, order.target_user_id, payment.user_id) == (user, user, user)
    assert (order.payment_id, payment.order_id) == (payment.id, order.id)
    assert order.price == payment.amount == PRICES[0]
    assert order.status == orders_pb2.ORDER_STATUS_CREATED
    assert order.created_by == "development"
    assert list(order.tags) == ["t1", "t2"]
    assert not order.vendor_events
    assert payment.status == pb.PAYMENT_STATUS_REQUIRES_PAYMENT_METHOD
    assert payment.payment_method_type == CARD
    assert not payment.HasField("last_error")
    assert made.client_secret.startswith(f"{payment.stripe_payment_intent_id}_secret_")
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=payment.id))
    assert (got.payment, got.client_secret) == (payment, made.client_secret)
    (intent,) = account.intents_of(user)
    assert intent["client_secret"] == made.client_secret


def test_metadata_leads_back_to_our_order(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """The intent at Stripe names order, payment and user; its customer names the user."""
    user = new_user()
    made = create_intent(grpc_stub, product.id, user_id=user, currency_code="usd")
    intent = account.call("GET", f"payment_intents/{made.payment.stripe_payment_intent_id}")
    assert intent["metadata"] == {
        "boxoffice_order_id": made.order.id,
        "boxoffice_payment_id": made.payment.id,
        "boxoffice_user_id": user,
    }
    assert (intent["amount"], intent["currency"]) == (1400, "usd")
    assert intent["payment_method_types"] == ["card"]
    customer = account.call("GET", f"customers/{intent['customer']}")
    assert customer["metadata"]["boxoffice_user_id"] == user


WAYS = {
    "card in usd": (CARD, "usd"),
    "card in eur": (CARD, "eur"),
    "bancontact": (BANCONTACT, "eur"),
    "ideal": (IDEAL, "eur"),
    "giropay": (GIROPAY, ""),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_paid_order_starts_by_itself(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    way: tuple[pb.PaymentMethodType.ValueType, str],
) -> None:
    """From intent to task_started: the customer pays, and the watcher sees each step once."""
    method, currency = way
    made = create_intent(grpc_stub, product.id, payment_method_type=method, currency_code=currency)
    assert made.payment.payment_method_type == method
    account.press("pay", made.payment.stripe_payment_intent_id)
    seen = statuses_until(orders, made.order.id, STARTED)
    assert seen == ["created", "paid", "task_started"]
    got = grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=made.payment.id))
    assert got.payment.status == pb.PAYMENT_STATUS_COMPLETE
    assert got.client_secret == ""
    account.wait_delivered()
    order = orders.GetOrder(orders_pb2.GetOrderRequest(order_id=made.order.id)).order
    told = {event.type for event in order.vendor_events}
    assert {"payment_intent.succeeded", "charge.succeeded"} <= told
    types = {event.resource_type for event in order.vendor_events}
    assert types == {"payment_intent", "charge"}
    times = [event.event_time.ToSeconds() for event in order.vendor_events]
    assert times == sorted(times)


def test_receiver_may_be_another(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product
) -> None:
    """The user pays, the target receives."""
    made = create_intent(grpc_stub, product.id, user_id="a" * 64, target_user_id="b" * 64)
    assert (made.order.user_id, made.order.target_user_id) == ("a" * 64, "b" * 64)


def test_one_stripe_customer_for_all_payments_of_a_user(
    grpc_stub: PaymentsServiceStub, product: orders_pb2.Product, account: Account
) -> None:
    """Sixteen first calls at once make one customer and sixteen intents."""
    user = new_user()
    calls = [
        grpc_stub.CreatePaymentIntent.future(intent_request(product.id, user_id=user))
        for _ in range(16)
    ]
    made = {call.result().payment.stripe_payment_intent_id for call in calls}
    assert len(made) == 16
    intents = account.intents_of(user)
    assert {intent["id"] for intent in intents} == made
    assert len({intent["customer"] for intent in intents}) == 1
    customers = [
        customer["id"]
        for customer in account.everything("customers")
        if customer["metadata"].get("boxoffice_user_id") == user
    ]
    assert len(customers) == 1


REFUSALS: dict[str, tuple[dict[str, object], Reason]] = {
    "unknown product": ({"product_id": "prd_none"}, Reason.PRODUCT_NOT_FOUND),
    "currency without a price": ({"currency_code": "gbp"}, Reason.CURRENCY_NOT_PRICED),
    "bancontact in usd": (
        {"currency_code": "usd", "payment_method_type": BANCONTACT},
        Reason.CURRENCY_NOT_SUPPORTED,
    ),
    "ideal in usd": (
        {"currency_code": "usd", "payment_method_type": IDEAL},
        Reason.CURRENCY_NOT_SUPPORTED,
    ),
    "giropay in usd": (
        {"currency_code": "usd", "payment_method_type": GIROPAY},
        Reason.CURRENCY_NOT_SUPPORTED,
    ),
    "data without a schema": ({"data": {"size": "L"}}, Reason.DATA_SCHEMA_MISMATCH),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_intent_leaves_nothing(
    grpc_stub: PaymentsServiceStub,
    orders: OrdersServiceStub,
    product: orders_pb2.Product,
    account: Account,
    case: tuple[dict[str, object], Reason],
) -> None:
    """No order, nothing at Stripe, and the request id is free again."""
    fields, reason = case
    request = intent_request(product.id)
    bad = pb.CreatePaymentIntentRequest()
    bad.CopyFrom(request)
    bad.MergeFrom(pb.CreatePaymentIntentRequest(**fields))  # type: ignore[arg-type]
    with refused(reason) as refusal:
        grpc_stub.CreatePaymentIntent(bad)
    for name in ("product_id", "currency_code"):
        if name in refusal.metadata:
            assert refusal.metadata[name] == getattr(bad, name)
    assert not orders.ListOrders(orders_pb2.ListOrdersRequest(user_id=bad.user_id)).orders
    assert not account.intents_of(bad.user_id)
    assert grpc_stub.CreatePaymentIntent(request).order.user_id == request.user_id


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no user": ({"user_id": ""}, "user_id"),
    "user of 65": ({"user_id": "u" * 65}, "user_id"),
    "NUL in the user": ({"user_id": "u\0"}, "user_id"),
    "receiver of 65": ({"target_user_id": "u" * 65}, "target_user_id"),
    "no product": ({"product_id": ""}, "product_id"),
    "product id of 65": ({"product_id": "p" * 65}, "product_id"),
    "currency in capitals": ({"currency_code": "EUR"}, "currency_code"),
    "currency of a word": ({"currency_code": "euro"}, "currency_code"),
    "unknown method": ({"payment_method_type": 99}, "payment_method_type"),
    "51 tags": ({"tags": [f"t{n}" for n in range(51)]}, "tags"),
    "tag twice": ({"tags": ["t", "t"]}, "tags"),
    "tag of 65": ({"tags": ["t" * 65]}, "tags[0]"),
    "NUL in a tag": ({"tags": ["\0"]}, "tags[0]"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_field_is_refused(
    grpc_stub: PaymentsServiceStub,
    product: orders_pb2.Product,
    fields: dict[str, object],
    field: str,
) -> None:
    """The field that is at fault is named."""
    with refused_field(field):
        grpc_stub.CreatePaymentIntent(intent_request(**({"product_id": product.id} | fields)))  # type: ignore[arg-type]


def test_unknown_payment_is_not_found(grpc_stub: PaymentsServiceStub) -> None:
    """An id that nothing has is told back; one that nothing can have is a fault."""
    with refused(Reason.PAYMENT_NOT_FOUND) as refusal:
        grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id="pay_none"))
    assert refusal.metadata == {"payment_id": "pay_none"}
    for bad in ("", "x" * 65, "\0"):
        with refused_field("payment_id"):
            grpc_stub.GetPayment(pb.GetPaymentRequest(payment_id=bad))


def test_currency_of_three_decimals_is_asked_for_in_minor_units(
    grpc_stub: PaymentsServiceStub, orders: OrdersServiceStub, account: Account
) -> None:
    """The amount goes to Stripe as it stands, whatever the currency's minor unit is."""
    prices = [Money(amount=100, currency_code="eur"), Money(amount=5000, currency_code="jpy")]
    product = create_product(orders, prices=prices)
    made = create_intent(grpc_stub, product.id, currency_code="jpy")
    intent = account.call("GET", f"payment_intents/{made.payment.stripe_payment_intent_id}")
    assert (intent["amount"], intent["currency"]) == (5000, "jpy")
