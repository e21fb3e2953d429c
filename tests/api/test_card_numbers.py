"""No card data: no text of any request takes a card number, and none leaves a trace."""

import json
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.entitlements.v1.purchases_pb2 import SubmitAppStoreTransactionRequest
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.api.card_numbers import card_number_fields
from boxoffice_server.api.server import SERVICES
from boxoffice_server.domain.errors import Reason
from tests.support.calls import Refusal, ended, new_user, refused
from tests.support.fields import NUMBER, Place, call, places
from tests.support.logs import ServiceLog, recorded_log
from tests.support.notices import deliver_body, event_of, signed
from tests.support.sales import create_product, intent_request
from tests.support.traces import kept_bytes, stream_bytes

TEXT_CARD = "4000-0566-5566-5556"
NUMBER_CARD = 4242424242424242
# As they were sent, and as any other writing of them would have to have it.
CANARIES = (TEXT_CARD, TEXT_CARD.replace("-", ""), str(NUMBER_CARD))
# Its headers are the vendor's words, and so are the ids of App Store transactions.
PLACES = [
    each
    for each in places()
    if each.method.name != "DeliverNotification"
    and (each.method.name, each.path) != ("SubmitAppStoreTransaction", "transaction_id")
]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[ServiceLog]:
    """Everything the service logs, from its start on."""
    with recorded_log() as log:
        yield log


def told(error: grpc.Call) -> bytes:
    """Everything that a caller is told with an error, byte for byte."""
    return f"{error.details()} {error.initial_metadata()} {error.trailing_metadata()}".encode()


def assert_no_canary(witness: bytes) -> None:
    """No card number is in what was told or kept."""
    for canary in CANARIES:
        assert canary.encode() not in witness


def test_every_service_is_looked_at() -> None:
    """What is generated from the protos misses none, nor streams, nor numbers."""
    assert {each.method.containing_service.full_name for each in PLACES} == set(SERVICES)
    assert any(each.method.server_streaming for each in PLACES)
    assert any(NUMBER in str(each) for each in PLACES)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_card_number_is_refused_wherever_it_stands(
    grpc_channel: grpc.Channel, place: Place
) -> None:
    """Each text of each request, by its path; the answer does not tell the number."""
    refusal = Refusal()
    with pytest.raises(grpc.RpcError) as error:
        call(grpc_channel, place.method, place.request(TEXT_CARD, NUMBER_CARD))
    refusal.read(ended(error.value))
    assert refusal.reason == Reason.CARD_NUMBER_REFUSED
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.violations == {place.path: "must not hold a card number"}
    assert_no_canary(told(ended(error.value)))


def test_refused_request_has_done_nothing(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """There is no order, and its request id is free for the request without the number."""
    product = create_product(
        grpc_stub,
        schema={"properties": [{"name": "note", "type": orders_pb2.SCHEMA_PROPERTY_TYPE_STRING}]},
    )
    user = new_user()
    request = intent_request(product.id, user_id=user, data={"note": f"card: {TEXT_CARD}."})
    with refused(Reason.CARD_NUMBER_REFUSED):
        payments.CreatePaymentIntent(request)
    mine = orders_pb2.ListOrdersRequest(user_id=user)
    assert not grpc_stub.ListOrders(mine).orders
    request.data["note"] = "no card"
    made = payments.CreatePaymentIntent(request)
    assert [each.id for each in grpc_stub.ListOrders(mine).orders] == [made.order.id]


def test_all_fields_with_a_number_are_named_at_once(payments: PaymentsServiceStub) -> None:
    """As with any fault of a field."""
    request = intent_request("prd_1", user_id=TEXT_CARD, tags=["a", f"<{TEXT_CARD}>"])
    with refused(Reason.CARD_NUMBER_REFUSED) as refusal:
        payments.CreatePaymentIntent(request)
    assert set(refusal.violations) == {"user_id", "tags[1]"}


def test_flood_of_numbers_gives_a_short_answer(payments: PaymentsServiceStub) -> None:
    """Nobody gets an answer that gRPC would drop."""
    request = intent_request("prd_1", tags=[TEXT_CARD] * 10_000)
    with refused(Reason.CARD_NUMBER_REFUSED) as refusal:
        payments.CreatePaymentIntent(request)
    assert refusal.violations["tags[0]"] == "must not hold a card number"


def test_vendors_words_are_taken_as_they_are(
    webhooks: WebhooksServiceStub, database_url: str
) -> None:
    """A notification is kept whatever its type is called; its headers are not kept at all."""
    event = event_of("boxoffice.10000000000008", {"id": "pi_1", "object": "payment_intent"})
    body = json.dumps(event).encode()
    headers = signed(body) | {"X-Note": TEXT_CARD, TEXT_CARD: "x"}
    kept = deliver_body(webhooks, body, headers).notification
    assert kept.type == "boxoffice.10000000000008"
    assert_no_canary(kept_bytes(database_url))


@pytest.mark.parametrize(
    ("message", "paths"),
    [
        (error_details_pb2.ErrorInfo(metadata={"a": TEXT_CARD, "b": "c"}), ["metadata.a"]),
        (error_details_pb2.ErrorInfo(metadata={TEXT_CARD: "c", "a": "b"}), ["metadata"]),
        (
            error_details_pb2.BadRequest(
                field_violations=[{}, {"field": TEXT_CARD, "description": TEXT_CARD}]
            ),
            ["field_violations[1].field", "field_violations[1].description"],
        ),
        (error_details_pb2.ErrorInfo(domain="boxoffice", reason=TEXT_CARD[:-1]), []),
        (error_details_pb2.RetryInfo(), []),
    ],
    ids=["map's value", "map's key", "list of messages", "none", "no text"],
)
def test_number_is_found_in_any_kind_of_field(message: Message, paths: list[str]) -> None:
    """Also in those that no request of ours has yet."""
    assert card_number_fields(message) == paths


def test_no_card_number_leaves_a_trace(
    grpc_stub: OrdersServiceStub,
    payments: PaymentsServiceStub,
    grpc_channel: grpc.Channel,
    database_url: str,
    log: ServiceLog,
) -> None:
    """Neither in the log nor in the store nor in a stream, though their neighbours do."""
    for place in PLACES:
        with pytest.raises(grpc.RpcError):
            call(grpc_channel, place.method, place.request(TEXT_CARD, NUMBER_CARD))
    product = create_product(grpc_stub)
    order = payments.CreatePaymentIntent(intent_request(product.id)).order
    kept, streamed = kept_bytes(database_url), stream_bytes(grpc_stub)
    for witness in (kept, streamed):
        assert order.id.encode() in witness
        assert_no_canary(witness)
    assert log.text.count(Reason.CARD_NUMBER_REFUSED) >= len(PLACES)
    assert_no_canary(log.text.encode())


def test_card_number_instead_of_a_transaction_is_told_to_nobody(
    grpc_channel: grpc.Channel, database_url: str, log: ServiceLog
) -> None:
    """Apple's own numbers may look like one, so that it is no such transaction's is the answer."""
    submit = EntitlementsServiceStub(grpc_channel).SubmitAppStoreTransaction
    request = SubmitAppStoreTransactionRequest(
        request_id="a-card", user_id="user", actor="app", transaction_id=CANARIES[1]
    )
    with pytest.raises(grpc.RpcError) as error:
        submit(request)
    assert_no_canary(told(ended(error.value)))
    assert_no_canary(kept_bytes(database_url))
    assert_no_canary(log.text.encode())
