"""Notifications that are refused: whatever is wrong with them, nothing is written."""

import json
from collections.abc import Callable

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import refused, refused_field
from tests.support.notices import deliver, deliver_body, event_of, intent_of, now, signed
from tests.support.sales import create_intent, create_product
from tests.support.service import WEBHOOK_SECRET, Account, ServiceThread, running_service

ROLLED = "whsec_boxoffice_rolled"
LIMIT = 256 * 1024
# The clock may tick between signing and checking.
SLACK = 2


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[WebhooksServiceStub]:
    """The stub that pytest-grpc makes."""
    return WebhooksServiceStub


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Two secrets, as while one is rolled."""
    return {"BOXOFFICE_STRIPE_WEBHOOK_SECRETS": f"{ROLLED},{WEBHOOK_SECRET}"}


@pytest.fixture(scope="module")
def paid(orders: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> bytes:
    """The body of a notification that would pay an order."""
    account.webhooks("drop")
    payment = create_intent(payments, create_product(orders).id).payment
    return json.dumps(
        event_of("payment_intent.succeeded", intent_of(payment, "succeeded"))
    ).encode()


@pytest.fixture(autouse=True)
def nothing_is_written(
    grpc_stub: WebhooksServiceStub, orders: OrdersServiceStub, paid: bytes
) -> None:
    """No notification is kept and no order is paid by any test of this module so far."""
    kept = grpc_stub.ListNotifications(pb.ListNotificationsRequest()).notifications
    assert not [each for each in kept if each.type != "accepted"]
    statuses = [orders_pb2.ORDER_STATUS_PAID, orders_pb2.ORDER_STATUS_TASK_STARTED]
    assert not orders.ListOrders(orders_pb2.ListOrdersRequest(statuses=statuses)).orders


def flip(text: str) -> str:
    """Change the last hex digit."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


BAD_HEADERS: dict[str, Callable[[str], dict[str, str]]] = {
    "missing": lambda _: {},
    "other header": lambda good: {"X-Signature": good},
    "empty": lambda _: {"Stripe-Signature": ""},
    "nonsense": lambda _: {"Stripe-Signature": "nonsense"},
    "no time": lambda good: {"Stripe-Signature": good.partition(",")[2]},
    "no signature": lambda good: {"Stripe-Signature": good.partition(",")[0]},
    "another digest": lambda good: {"Stripe-Signature": flip(good)},
    "another time": lambda good: {"Stripe-Signature": good.replace("t=", "t=1")},
    "negative time": lambda good: {"Stripe-Signature": good.replace("t=", "t=-")},
    "no ASCII": lambda good: {"Stripe-Signature": good + "\N{PARTY POPPER}"},
    "another scheme": lambda good: {"Stripe-Signature": good.replace("v1=", "v0=")},
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_wrong_signature_is_refused(grpc_stub: WebhooksServiceStub, paid: bytes, case: str) -> None:
    """Whatever the header says instead of a signature."""
    headers = BAD_HEADERS[case](signed(paid)["Stripe-Signature"])
    with refused(Reason.SIGNATURE_INVALID):
        deliver_body(grpc_stub, paid, headers)


def test_signature_of_another_secret_or_body_is_refused(
    grpc_stub: WebhooksServiceStub, paid: bytes
) -> None:
    """The secret must be one of ours, and the body the one that was signed."""
    with refused(Reason.SIGNATURE_INVALID):
        deliver_body(grpc_stub, paid, signed(paid, secret="whsec_of_another"))
    for changed in (paid + b" ", paid[:-1], paid.replace(b"1250", b"1251")):
        with refused(Reason.SIGNATURE_INVALID):
            deliver_body(grpc_stub, changed, signed(paid))


def test_body_that_is_no_text_has_no_signature(grpc_stub: WebhooksServiceStub, paid: bytes) -> None:
    """Stripe signs UTF-8 only."""
    for body in (b"\xff", paid + b"\xc3", b"\x00\xd8"):
        with refused(Reason.SIGNATURE_INVALID):
            deliver_body(grpc_stub, body, signed(paid))


@pytest.mark.parametrize("seconds", [-301 - SLACK, 301 + SLACK, -86_400, 10**9])
def test_signature_out_of_time_is_refused(
    grpc_stub: WebhooksServiceStub, paid: bytes, seconds: int
) -> None:
    """More than 300 s before or after now, and signed all the same."""
    with refused(Reason.TIMESTAMP_OUT_OF_TOLERANCE) as refusal:
        deliver_body(grpc_stub, paid, signed(paid, at=now() + seconds))
    assert refusal.metadata == {"tolerance_seconds": "300"}


@pytest.mark.parametrize("seconds", [-300 + SLACK, 300])
def test_signature_within_time_is_taken(grpc_stub: WebhooksServiceStub, seconds: int) -> None:
    """A clock may be wrong by up to 300 s either way."""
    body = json.dumps(event_of("accepted", {"object": "thing"})).encode()
    assert deliver_body(grpc_stub, body, signed(body, at=now() + seconds)).notification.id


@pytest.mark.parametrize("secret", [ROLLED, WEBHOOK_SECRET])
def test_each_secret_is_good_while_one_is_rolled(
    grpc_stub: WebhooksServiceStub, secret: str
) -> None:
    """Old and new are valid side by side."""
    body = json.dumps(event_of("accepted", {"object": "thing"})).encode()
    assert not deliver_body(grpc_stub, body, signed(body, secret=secret)).duplicate


def test_one_good_signature_among_several_is_enough(grpc_stub: WebhooksServiceStub) -> None:
    """Stripe signs with both secrets while it rolls one."""
    body = json.dumps(event_of("accepted", {"object": "thing"})).encode()
    header = signed(body)["Stripe-Signature"]
    headers = {
        "Stripe-Signature": f"{header.partition(',')[0]},v1={'0' * 64},{header.partition(',')[2]}"
    }
    assert not deliver_body(grpc_stub, body, headers).duplicate


NO_EVENTS = {
    "no JSON": "nonsense",
    "a list": "[]",
    "empty object": "{}",
    "another object": json.dumps(event_of("t", {}) | {"object": "v2.core.event"}),
    "no id": json.dumps(event_of("t", {}) | {"id": ""}),
    "id of a number": json.dumps(event_of("t", {}) | {"id": 7}),
    "no type": json.dumps({k: v for k, v in event_of("t", {}).items() if k != "type"}),
    "type with a NUL": json.dumps(event_of("t\0", {})),
    "no time": json.dumps(event_of("t", {}) | {"created": "now"}),
    "negative time": json.dumps(event_of("t", {}) | {"created": -1}),
    "time after the calendar": json.dumps(event_of("t", {}) | {"created": 10**12}),
    "no data": json.dumps(event_of("t", {}) | {"data": None}),
    "data of a text": json.dumps(event_of("t", {}) | {"data": {"object": "pi_1"}}),
    "no mode": json.dumps(event_of("t", {}) | {"livemode": None}),
    "nested too deeply": "[" * 100_000,
}


@pytest.mark.parametrize("body", NO_EVENTS.values(), ids=NO_EVENTS.keys())
def test_signed_body_that_is_no_event_is_refused(grpc_stub: WebhooksServiceStub, body: str) -> None:
    """Signed with our secret, but nothing that Stripe sends."""
    with refused(Reason.NOTIFICATION_MALFORMED):
        deliver_body(grpc_stub, body.encode(), signed(body.encode()))


def test_event_of_live_mode_is_refused(grpc_stub: WebhooksServiceStub) -> None:
    """Our key is a test key, so real money is not ours."""
    with refused(Reason.LIVEMODE_MISMATCH):
        deliver(grpc_stub, event_of("t", {"object": "thing"}, livemode=True))


def test_body_has_from_1_byte_to_256_kib(grpc_stub: WebhooksServiceStub) -> None:
    """At the limit it is taken, beyond and without a body it is refused."""
    event = json.dumps(event_of("accepted", {"object": "thing"})).encode()
    most = event + b" " * (LIMIT - len(event))
    assert not deliver_body(grpc_stub, most, signed(most)).duplicate
    for body in (b"", most + b" "):
        with refused_field("body"):
            deliver_body(grpc_stub, body, signed(body))


@pytest.mark.parametrize("source", [pb.NOTIFICATION_SOURCE_UNSPECIFIED, 3, 99, -1])
def test_unknown_source_is_refused(grpc_stub: WebhooksServiceStub, source: int) -> None:
    """No such vendor delivers here."""
    request = pb.DeliverNotificationRequest(source=source, body=b"{}")  # type: ignore[arg-type]
    with refused(Reason.SOURCE_UNKNOWN) as refusal:
        grpc_stub.DeliverNotification(request)
    assert refusal.metadata == {"source": str(source)}


def test_clock_is_not_moved_by_a_notice_that_can_not_be_read(
    grpc_stub: WebhooksServiceStub,
) -> None:
    """The sandbox's own event, with nothing sensible in it."""
    for offset in (None, "3600", -1, 10**11, 1.5):
        clock = {"object": "clock", "offset_seconds": offset}
        with refused(Reason.NOTIFICATION_MALFORMED):
            deliver(grpc_stub, event_of("boxoffice.sandbox.clock_advanced", clock))


def test_nothing_was_kept_after_all(grpc_stub: WebhooksServiceStub, service: ServiceThread) -> None:
    """The inbox holds what was accepted and nothing else."""
    kept = grpc_stub.ListNotifications(pb.ListNotificationsRequest(page_size=500)).notifications
    assert {each.type for each in kept} <= {"accepted"}
    offset = service.run(lambda app: app._store.read(lambda repo: repo.log.clock_offset()))
    assert offset == 0


def test_live_service_refuses_test_events_and_takes_no_clock(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With a live key the mode is the other one, and the sandbox's event is an unknown type."""
    url = f"sqlite:///{tmp_path_factory.mktemp('live') / 'boxoffice.db'}"
    with (
        running_service(
            url,
            BOXOFFICE_STRIPE_API_KEY="sk_live_none",
            BOXOFFICE_STRIPE_API_BASE="https://api.stripe.com",
        ) as service,
        grpc.insecure_channel(service.grpc_address) as channel,
    ):
        stub = WebhooksServiceStub(channel)
        with refused(Reason.LIVEMODE_MISMATCH) as refusal:
            deliver(stub, event_of("t", {"object": "thing"}))
        assert refusal.metadata == {"notification_mode": "test", "service_mode": "live"}
        clock = {"object": "clock", "offset_seconds": 3600}
        event = event_of("boxoffice.sandbox.clock_advanced", clock, livemode=True)
        assert deliver(stub, event).notification.state == pb.NOTIFICATION_STATE_PARKED
