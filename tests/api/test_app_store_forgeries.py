"""What Apple did not sign is refused without a row; what it signed for others is kept apart."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from boxoffice_server.intake import MAX_BODY_BYTES
from tests.support.app_store import AppStore, catalogue
from tests.support.calls import refused, refused_field
from tests.support.doors import Doors
from tests.support.readings import held, statuses
from tests.support.service import Sandbox, ServiceThread
from tests.vendors.app_store.notices import body_of, signed_payload
from tests.vendors.app_store.payloads import BUNDLE, JANUARY_10, ms
from tests.vendors.app_store.signing import Apple, make_apple, the_apple

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)

# Trusted like Apple, but its leaf has ended before what it signs here.
ENDED = make_apple(leaf_end=JANUARY_10 - timedelta(days=1))


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[WebhooksServiceStub]:
    """The stub that pytest-grpc makes."""
    return WebhooksServiceStub


@pytest.fixture(scope="module")
def sandbox(app_store: AppStore) -> Sandbox:
    """The sandbox of the module's App Store."""
    return app_store.sandbox


@pytest.fixture(scope="module")
def variables(app_store: AppStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The App Store's; and two more Apples are trusted, which sign what no App Store would."""
    folder = tmp_path_factory.mktemp("roots")
    roots = [app_store.folder / "root.cer"]
    for number, apple in enumerate((the_apple(), ENDED)):
        roots.append(folder / f"{number}.cer")
        roots[-1].write_bytes(apple.root.der)
    return app_store.variables(ROOT_CERTIFICATES=",".join(map(str, roots)))


@pytest.fixture(scope="module")
def doors(service: ServiceThread, grpc_stub: WebhooksServiceStub) -> Doors:
    """The doors of the running service."""
    return Doors(url=service.http_url, webhooks=grpc_stub)


def _mended(text: str, part: int, change: Callable[[str], str]) -> str:
    parts = text.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def _flipped(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


def _with_chain(apple: Apple, chain: list[str]) -> str:
    payload = {"notificationType": "TEST", "notificationUUID": "x", "signedDate": ms(JANUARY_10)}
    return apple.sign({**payload, "data": {"bundleId": BUNDLE}}, chain=chain)


STRANGER = make_apple()
FORGED: dict[str, Callable[[], str]] = {
    "by another root": lambda: signed_payload(apple=STRANGER),
    "payload changed": lambda: _mended(signed_payload(), 1, _flipped),
    "signature changed": lambda: _mended(signed_payload(), 2, _flipped),
    "signature cut short": lambda: signed_payload()[:-9],
    "without a signature": lambda: _mended(signed_payload(), 2, lambda _: ""),
    "algorithm none": lambda: the_apple().sign({"signedDate": ms(JANUARY_10)}, algorithm="none"),
    "chain of another": lambda: _with_chain(STRANGER, the_apple().chain),
    "chain mixed": lambda: _with_chain(the_apple(), [the_apple().chain[0], *STRANGER.chain[1:]]),
    "chain turned round": lambda: _with_chain(the_apple(), the_apple().chain[::-1]),
    "chain cut short": lambda: _with_chain(the_apple(), the_apple().chain[:2]),
    "no chain": lambda: _with_chain(the_apple(), []),
    "chain that had ended": lambda: signed_payload(apple=ENDED),
    "transaction of a stranger's": lambda: signed_payload(
        data={"signedTransactionInfo": STRANGER.sign({"bundleId": BUNDLE})}
    ),
    "renewal of a stranger's": lambda: signed_payload(
        data={"signedRenewalInfo": STRANGER.sign({"environment": "Sandbox"})}
    ),
}
MALFORMED: dict[str, bytes] = {
    "no JSON": b"signedPayload",
    "no object": b"[]",
    "no payload": b'{"payload":"x"}',
    "payload of no text": b'{"signedPayload":7}',
    "not UTF-8": b'{"signedPayload":"\xff"}',
    "nested deeply": b"[" * 100_000,
}


def refuse(doors: Doors, body: bytes, *reasons: Reason) -> None:
    """See it refused at both doors, and that nothing is kept."""
    before = doors.kept()
    status, reason = doors.post(body)
    assert (status, reason in reasons) == (400, True), reason
    with refused(Reason(reason)):
        doors.deliver(body)
    assert doors.kept() == before


@pytest.mark.parametrize("case", FORGED)
def test_what_apple_did_not_sign_is_refused_without_a_row(doors: Doors, case: str) -> None:
    """Whatever is wrong with it; Apple is told not to send it again."""
    refuse(doors, body_of(FORGED[case]()), Reason.SIGNATURE_INVALID, Reason.NOTIFICATION_MALFORMED)


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_notification_is_refused_without_a_row(doors: Doors, case: str) -> None:
    """It is nobody's."""
    refuse(doors, MALFORMED[case], Reason.NOTIFICATION_MALFORMED)


def test_what_was_signed_after_now_is_refused_beyond_the_tolerance(doors: Doors) -> None:
    """Five minutes; what is less ahead is taken."""
    ahead = datetime.now(UTC) + timedelta(seconds=320)
    refuse(
        doors,
        body_of(signed_payload(signedDate=ms(ahead), notificationUUID=str(uuid.uuid4()))),
        Reason.TIMESTAMP_OUT_OF_TOLERANCE,
    )
    soon = ms(datetime.now(UTC) + timedelta(seconds=280))
    taken = str(uuid.uuid4())
    assert doors.post(body_of(signed_payload(signedDate=soon, notificationUUID=taken)))[0] == 200
    assert taken in doors.kept()


def test_what_is_too_large_is_refused(doors: Doors) -> None:
    """Before anybody looks at it."""
    before = doors.kept()
    body = body_of("x" * MAX_BODY_BYTES)
    assert doors.post(body) == (413, "BODY_TOO_LARGE")
    with refused_field("body"):
        doors.deliver(body)
    assert doors.kept() == before


def test_what_apple_signed_for_another_app_is_kept_apart(
    doors: Doors, apple: AppStore, entitlements: EntitlementsServiceStub
) -> None:
    """It is acknowledged, or Apple would go on; and says nothing to us. So do other servers'."""
    user = str(uuid.uuid4())
    catalogue(entitlements)
    apple.offer("another", bundle_id="com.example.another")
    foreign = apple.buy("another", app_account_token=user)
    elsewhere = apple.buy(app_account_token=user, environment="Production")
    apple.wait_sent()
    for subscription in (foreign, elsewhere):
        (uuid_,) = apple.told(subscription)
        assert apple.results(uuid_) == ["SUCCESS"]
        assert doors.kept()[uuid_] == "quarantined"
    assert held(entitlements, user) == []
    apple.buy(app_account_token=user)
    apple.wait_sent()
    assert statuses(entitlements, user) == {"premium_monthly": "active_with_renewal"}


INSIDE: dict[str, dict[str, Any]] = {
    "transaction of another app": {"tx": {"bundleId": "com.example.another"}},
    "transaction of another server": {"tx": {"environment": "Production"}},
    "renewal of another server": {"ri": {"environment": "Production"}},
    "unsigned server": {"data": {"environment": "Xcode"}},
}


@pytest.mark.parametrize("case", INSIDE)
def test_notification_whose_parts_are_for_others_is_kept_apart(doors: Doors, case: str) -> None:
    """The signature holds and the whole is for us, but not what is inside of it."""
    name = str(uuid.uuid4())
    signed = signed_payload("SUBSCRIBED", "INITIAL_BUY", notificationUUID=name, **INSIDE[case])
    assert doors.post(body_of(signed)) == (200, "")
    assert doors.kept()[name] == "quarantined"
