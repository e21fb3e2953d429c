"""The HTTP port: what a vendor gets for its webhook, and what a monitor reads."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.logs import recorded_log
from tests.support.notices import Json, deliver, event_of, now, signed
from tests.support.service import ServiceThread, running_service

LIMIT = 256 * 1024
DRIVER_TEXT = "SELECT secrets FROM drivers"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceThread]:
    """A running service; no Stripe is needed to tell it things."""
    url = f"sqlite:///{tmp_path_factory.mktemp('service') / 'boxoffice.db'}"
    with running_service(url, timings=None) as service:
        yield service


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    type: str
    body: bytes

    @property
    def refusal(self) -> Json:
        """The reason and message of a refusal."""
        assert self.type.startswith("application/json")
        told: Json = json.loads(self.body)
        assert set(told) == {"reason", "message"}
        return told


def ask(
    service: ServiceThread,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request over HTTP."""
    address = service.doors.http
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Answer(
            status=answer.status, type=answer.headers["Content-Type"] or "", body=answer.read()
        )
    finally:
        connection.close()


def post(service: ServiceThread, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """Post a webhook, signed now unless told otherwise."""
    signature = signed(body) if headers is None else headers
    return ask(service, "POST", "/webhooks/stripe", body, signature)


def kept(service: ServiceThread) -> int:
    """How many notifications are kept."""
    with grpc.insecure_channel(service.grpc_address) as channel:
        stub = WebhooksServiceStub(channel)
        listed = stub.ListNotifications(pb.ListNotificationsRequest(page_size=500))
        return len(listed.notifications)


def thing(**fields: object) -> bytes:
    """The body of an event that moves nothing."""
    return json.dumps(event_of("any.type", {"object": "thing"}, **fields)).encode()


def test_webhook_is_kept_and_acknowledged(service: ServiceThread) -> None:
    """200 without a body, and again for the same one; it is kept once."""
    before, body = kept(service), thing()
    for _ in range(2):
        answer = post(service, body)
        assert (answer.status, answer.body) == (200, b"")
    assert kept(service) == before + 1


def test_both_doors_lead_to_one_inbox(service: ServiceThread) -> None:
    """What came by HTTP is a duplicate by RPC, and the other way round."""
    first, second = (event_of("any.type", {"object": "thing"}) for _ in range(2))
    with grpc.insecure_channel(service.grpc_address) as channel:
        stub = WebhooksServiceStub(channel)
        assert post(service, json.dumps(first).encode()).status == 200
        assert deliver(stub, first).duplicate
        assert not deliver(stub, second).duplicate
    before = kept(service)
    assert post(service, json.dumps(second).encode()).status == 200
    assert kept(service) == before


def test_malformed_event_of_a_known_type_is_acknowledged(service: ServiceThread) -> None:
    """Signed but unreadable: it is parked, for Stripe would only send it again."""
    before = kept(service)
    body = json.dumps(event_of("charge.succeeded", {"object": "charge"})).encode()
    assert post(service, body).status == 200
    assert kept(service) == before + 1


def refusals() -> dict[str, tuple[bytes, dict[str, str], str]]:
    """What is refused, and why."""
    body, good = thing(), signed(thing())
    return {
        "no signature": (body, {}, "SIGNATURE_INVALID"),
        "another's signature": (body, signed(body, secret="whsec_other"), "SIGNATURE_INVALID"),
        "signature of another body": (body, good, "SIGNATURE_INVALID"),
        "no text": (b"\xff\xfe", good, "SIGNATURE_INVALID"),
        "empty": (b"", good, "SIGNATURE_INVALID"),
        "stale": (body, signed(body, at=now() - 400), "TIMESTAMP_OUT_OF_TOLERANCE"),
        "from the future": (body, signed(body, at=now() + 400), "TIMESTAMP_OUT_OF_TOLERANCE"),
        "no event": (b"{}", signed(b"{}"), "NOTIFICATION_MALFORMED"),
        "live": (
            (live := thing(livemode=True)),
            signed(live),
            "LIVEMODE_MISMATCH",
        ),
    }


@pytest.mark.parametrize("case", refusals())
def test_bad_webhook_is_refused_and_not_kept(service: ServiceThread, case: str) -> None:
    """400 with the reason, so that the sender's log tells what is wrong."""
    body, headers, reason = refusals()[case]
    before = kept(service)
    answer = post(service, body, headers)
    assert answer.status == 400
    assert answer.refusal["reason"] == reason
    assert answer.refusal["message"]
    assert kept(service) == before


def test_body_has_at_most_256_kib(service: ServiceThread) -> None:
    """At the limit it is taken, one byte beyond it is refused."""
    event = thing()
    most = event + b" " * (LIMIT - len(event))
    assert post(service, most).status == 200
    before = kept(service)
    answer = post(service, most + b" ")
    assert answer.status == 413
    assert answer.refusal["reason"] == "BODY_TOO_LARGE"
    assert kept(service) == before


def test_store_that_is_away_makes_the_vendor_come_back(service: ServiceThread) -> None:
    """503, and nothing is lost: the same webhook is taken when the store is back."""
    body = thing()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "_is_open", False)
        answer = post(service, body)
    assert answer.status == 503
    assert answer.refusal["reason"] == "STORE_UNAVAILABLE"
    assert post(service, body).status == 200


def test_fault_of_the_service_is_told_without_its_words(service: ServiceThread) -> None:
    """500 with an id under which the log has the story; nothing is kept."""

    async def fail(*_: object) -> None:
        raise RuntimeError(DRIVER_TEXT)

    before = kept(service)
    with recorded_log() as log, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "write", fail)
        answer = post(service, thing())
    assert answer.status == 500
    assert answer.refusal["reason"] == "INTERNAL"
    assert DRIVER_TEXT not in answer.refusal["message"]
    (line,) = (line for line in log.lines if line["level"] == "error")
    assert line["request_id"] in answer.refusal["message"]
    assert DRIVER_TEXT in str(line["exception"])
    assert kept(service) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhooks/stripe", 405),
        ("POST", "/webhooks/paypal", 404),
        ("GET", "/", 404),
        ("POST", "/metrics", 405),
    ],
)
def test_other_paths_and_methods_are_not_there(
    service: ServiceThread, method: str, path: str, status: int
) -> None:
    """The port has three doors and no more."""
    assert ask(service, method, path).status == status


def test_health_and_metrics_are_read_over_http(service: ServiceThread) -> None:
    """For probes and for Prometheus."""
    health = ask(service, "GET", "/healthz")
    assert (health.status, health.body) == (200, b"SERVING\n")
    metrics = ask(service, "GET", "/metrics")
    assert metrics.status == 200
    assert metrics.type.startswith("text/plain")
    assert b"# TYPE boxoffice_calls_total counter" in metrics.body


def test_draining_service_is_not_healthy(tmp_path: Path) -> None:
    """Whoever balances load by HTTP sends nothing more here."""
    url = f"sqlite:///{tmp_path / 'boxoffice.db'}"
    with running_service(url, timings=None) as service:
        service.application._draining.set()
        answer = ask(service, "GET", "/healthz")
    assert (answer.status, answer.body) == (503, b"NOT_SERVING\n")
