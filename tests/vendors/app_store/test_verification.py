"""Who signed: nothing that Apple did not sign for us is believed, and nothing it did is refused."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.vendors.app_store.recipients import PRODUCTION, SANDBOX, App, Recipients
from tests.vendors.app_store.notices import (
    NOW,
    OURS,
    body_of,
    refusal_of,
    signed_payload,
    verification,
)
from tests.vendors.app_store.payloads import (
    BUNDLE,
    LINEAGE,
    ms,
    notification,
    renewal,
    transaction,
)
from tests.vendors.app_store.signing import make_apple, the_apple

NUMBER = 1234567890


def judged_by_the_library(signed: str) -> None:
    """Have Apple's library verify a notification by itself."""
    verifier = SignedDataVerifier([the_apple().root.der], False, Environment.SANDBOX, BUNDLE)  # noqa: FBT003
    verifier.verify_and_decode_notification(signed)


async def test_what_apple_signed_for_us_is_opened() -> None:
    """The outer payload and both inner ones, field by field as they were signed."""
    signed = signed_payload("SUBSCRIBED", "INITIAL_BUY", tx={"fieldOfTomorrow": [1, "a"]})
    judged_by_the_library(signed)
    verifying = verification()
    opened = await verifying.notification(body_of(signed), now=NOW)
    await verifying.close()
    assert opened.payload.text("notificationType") == "SUBSCRIBED"
    assert opened.transaction == transaction(fieldOfTomorrow=[1, "a"])
    assert opened.renewal == renewal()
    assert OURS.stranger(opened) == ""


def _with_payload(signed: str, **changes: object) -> str:
    header, content, signature = signed.split(".")
    told = json.loads(base64.urlsafe_b64decode(content + "=="))
    forged = json.dumps(told | changes).encode()
    return f"{header}.{base64.urlsafe_b64encode(forged).decode().rstrip('=')}.{signature}"


def _swapped() -> str:
    """Signed by our leaf, with another Apple's certificates."""
    return the_apple().sign(notification("TEST"), chain=make_apple().chain)


FORGERIES: dict[str, Callable[[], str]] = {
    "another payload": lambda: _with_payload(signed_payload(), notificationType="REFUND"),
    "another Apple": lambda: signed_payload(apple=make_apple()),
    "truncated": lambda: signed_payload()[:-20],
    "two parts": lambda: signed_payload().rpartition(".")[0],
    "no base64": lambda: "a.b.c",
    "nothing signed": lambda: the_apple().sign(notification("TEST"), algorithm="none"),
    "a swapped chain": _swapped,
    "no chain": lambda: the_apple().sign(notification("TEST"), chain=[]),
    "two certificates": lambda: the_apple().sign(notification("TEST"), chain=the_apple().chain[:2]),
    "a leaf that is not Apple's": lambda: signed_payload(apple=make_apple(leaf_mark=False)),
    "a forged transaction": lambda: signed_payload(
        data={"signedTransactionInfo": make_apple().sign(transaction())}
    ),
    "a forged renewal info": lambda: signed_payload(
        data={"signedRenewalInfo": _with_payload(the_apple().sign(renewal()), autoRenewStatus=0)}
    ),
    "what Xcode signs": lambda: make_apple().sign(
        notification("TEST", data={"bundleId": BUNDLE, "environment": "Xcode"})
    ),
    "what local tests sign": lambda: make_apple().sign(
        notification("TEST", data={"bundleId": BUNDLE, "environment": "LocalTesting"})
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
async def test_what_apple_did_not_sign_is_refused(forgery: Callable[[], str]) -> None:
    """Whatever is wrong with it, and without a row."""
    assert await refusal_of(body_of(forgery())) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"signedPayload": null}',
        b'{"signedPayload": 7}',
        b"[" * 5000,
    ],
)
async def test_a_body_that_is_none_of_the_app_stores_is_malformed(body: bytes) -> None:
    """Its only field is missing, or is no text."""
    assert await refusal_of(body) is Reason.NOTIFICATION_MALFORMED


@pytest.mark.parametrize("signed_date", [None, "today", -1, [1]])
async def test_a_payload_without_a_time_is_refused(signed_date: object) -> None:
    """Nothing could be ordered by it."""
    payload = notification("TEST") | {"signedDate": signed_date}
    assert await refusal_of(body_of(the_apple().sign(payload))) in {
        Reason.NOTIFICATION_MALFORMED,
        Reason.SIGNATURE_INVALID,
    }


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [(300_000, None), (300_001, Reason.TIMESTAMP_OUT_OF_TOLERANCE), (-(10**10), None)],
)
async def test_what_is_signed_far_ahead_of_our_clock_is_refused(
    ahead: int, refused: Reason | None
) -> None:
    """By business time; what is old is taken, for Apple sends again for days."""
    payload = notification("TEST", signedDate=ms(NOW) + ahead)
    assert await refusal_of(body_of(the_apple().sign(payload))) is refused


async def test_a_chain_is_judged_at_the_time_of_the_signature() -> None:
    """Not by today: history was signed by certificates that have ended since."""
    apple = make_apple(leaf_end=datetime(2025, 1, 5, tzinfo=UTC))
    before = datetime(2025, 1, 4, tzinfo=UTC)
    for signed_at, refused in ((before, None), (NOW, Reason.SIGNATURE_INVALID)):
        payload = notification("TEST", signedDate=ms(signed_at))
        body = body_of(apple.sign(payload))
        assert await refusal_of(body, using=verification(apple)) is refused


async def test_a_clock_far_ahead_judges_by_what_was_signed() -> None:
    """The sandbox moves business time by years, and its Apple signs in that time."""
    later = NOW + timedelta(days=4000)
    signed = the_apple().sign(notification("TEST", signedDate=ms(later)))
    assert await refusal_of(body_of(signed), now=later) is None


async def _stranger(signed: str, ours: Recipients = OURS) -> str:
    verifying = verification(recipients=ours)
    try:
        return ours.stranger(await verifying.notification(body_of(signed), now=NOW))
    finally:
        await verifying.close()


STRANGERS: dict[str, tuple[Callable[[], str], str]] = {
    "another app": (
        lambda: signed_payload(data={"bundleId": "com.example.other"}),
        "another app",
    ),
    "no app": (lambda: the_apple().sign(notification("TEST", data={})), "another app"),
    "another environment": (
        lambda: signed_payload(data={"environment": "Production"}),
        "another environment",
    ),
    "an environment of tomorrow": (
        lambda: signed_payload(data={"environment": "Moon"}),
        "another environment",
    ),
    "a transaction of another app": (
        lambda: signed_payload(tx={"bundleId": "com.example.other"}),
        "a transaction of another app",
    ),
    "a transaction of another environment": (
        lambda: signed_payload(tx={"environment": "Production"}),
        "a transaction of another environment",
    ),
    "a renewal info of another environment": (
        lambda: signed_payload(ri={"environment": "Production"}),
        "a transaction of another environment",
    ),
    "a renewal info of another subscription": (
        lambda: signed_payload(ri={"originalTransactionId": "7"}),
        "a transaction of another subscription",
    ),
    "a summary for another app": (
        lambda: the_apple().sign(
            notification("RENEWAL_EXTENSION", "SUMMARY", data=None)
            | {"summary": {"bundleId": "com.example.other", "environment": "Sandbox"}}
        ),
        "another app",
    ),
}


@pytest.mark.parametrize(("signed", "why"), STRANGERS.values(), ids=STRANGERS)
async def test_what_apple_signed_for_somebody_else_is_verified_and_told_apart(
    signed: Callable[[], str], why: str
) -> None:
    """It is Apple's, so nothing is refused; it is not for us, so nothing may follow."""
    assert await _stranger(signed()) == why


PRODUCTION_APP = Recipients.of([App(bundle_id=BUNDLE, app_apple_id=NUMBER)], [PRODUCTION, SANDBOX])


@pytest.mark.parametrize(
    ("number", "why"), [(NUMBER, ""), (NUMBER + 1, "another app"), (None, "another app")]
)
async def test_production_tells_the_apps_number(number: int | None, why: str) -> None:
    """Two apps may have had one bundle id; in the sandbox there is no number."""
    where = {"environment": "Production"}
    signed = signed_payload(tx=where, ri=where, data=where | {"appAppleId": number})
    assert await _stranger(signed, PRODUCTION_APP) == why
    assert await _stranger(signed_payload(), PRODUCTION_APP) == ""


EXTERNAL = {"bundleId": BUNDLE, "appAppleId": NUMBER, "tokenCreationDate": ms(NOW)}


@pytest.mark.parametrize("subtype", ["CREATED", "ACTIVE_TOKEN_REMINDER", "UNREPORTED", "TOMORROW"])
async def test_external_purchases_are_told_apart_by_their_id(subtype: str) -> None:
    """They have no data, and some of their subtypes Apple's library does not know."""
    for id_, ours, why in (
        ("SANDBOX_1", OURS, ""),
        ("1", PRODUCTION_APP, ""),
        ("1", OURS, "another environment"),
    ):
        payload = notification("EXTERNAL_PURCHASE_TOKEN", subtype) | {
            "externalPurchaseToken": EXTERNAL | {"externalPurchaseId": id_}
        }
        del payload["data"]
        assert await _stranger(the_apple().sign(payload), ours) == why


async def test_words_of_tomorrow_break_nothing() -> None:
    """Types, statuses and shapes that Apple's library does not know, in what is signed for us."""
    signed = signed_payload(
        "NEVER_HEARD_OF",
        "NEITHER",
        tx={"offerType": 99, "inAppOwnershipType": "BORROWED", "price": "free"},
        ri={"priceIncreaseStatus": 9, "expirationIntent": 77, "eligibleWinBackOfferIds": 3},
        data={"status": 42, "consumptionRequestReason": "BORED"},
        summary=7,
    )
    assert await _stranger(signed) == ""


async def test_the_library_alone_would_refuse_shapes_of_tomorrow() -> None:
    """Its models come after the signature, so what they raise says nothing about who signed."""
    signed = the_apple().sign(notification("TEST") | {"summary": 7})
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- what it raises is not documented
        judged_by_the_library(signed)
    assert not isinstance(caught.value, VerificationException)
    assert await refusal_of(body_of(signed)) is None


async def test_a_signed_transaction_is_read() -> None:
    """Handed in by itself, it is verified as one inside a notification is."""
    verifying = verification()
    told = await verifying.transaction(the_apple().sign(transaction()), now=NOW)
    assert told.text("originalTransactionId") == LINEAGE
    told = await verifying.renewal(the_apple().sign(renewal()), now=NOW)
    assert told.fields == renewal()
    await verifying.close()


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (lambda: "", Reason.SIGNATURE_INVALID),
        (lambda: make_apple().sign(transaction()), Reason.SIGNATURE_INVALID),
        (
            lambda: the_apple().sign(transaction(bundleId="com.example.other")),
            Reason.SIGNATURE_INVALID,
        ),
        (
            lambda: the_apple().sign(transaction(environment="Production")),
            Reason.SIGNATURE_INVALID,
        ),
        (lambda: the_apple().sign(renewal()), Reason.SIGNATURE_INVALID),
        (
            lambda: the_apple().sign(transaction(signedDate=ms(NOW) + 300_001)),
            Reason.TIMESTAMP_OUT_OF_TOLERANCE,
        ),
        (lambda: the_apple().sign(transaction(signedDate=None)), Reason.NOTIFICATION_MALFORMED),
    ],
    ids=[
        "nothing",
        "another Apple",
        "another app",
        "another environment",
        "a renewal info",
        "far ahead",
        "no time",
    ],
)
async def test_a_transaction_that_is_not_ours_is_refused(
    signed: Callable[[], str], reason: Reason
) -> None:
    """There is no quarantine for what a device hands in."""
    verifying = verification()
    with pytest.raises(BoxofficeError) as caught:
        await verifying.transaction(signed(), now=NOW)
    await verifying.close()
    assert caught.value.reason is reason


def test_only_apples_servers_can_be_listened_to() -> None:
    """In all other environments the library checks no signature at all."""
    for environment in ("Xcode", "LocalTesting", "sandbox", ""):
        with pytest.raises(ValueError, match="servers"):
            Recipients.of([App(bundle_id=BUNDLE)], [environment])
    with pytest.raises(ValueError, match="at least one"):
        Recipients.of([], [SANDBOX])


def test_production_needs_the_apps_number() -> None:
    """A fault of the settings, found at the start."""
    with pytest.raises(ValueError, match="number"):
        Recipients.of([App(bundle_id=BUNDLE)], [PRODUCTION])


async def test_without_a_root_nothing_is_apples() -> None:
    """Whoever may have signed it."""
    using = verification(root_certificates=list)
    assert await refusal_of(body_of(signed_payload()), using=using) is Reason.SIGNATURE_INVALID


async def test_apples_library_can_be_taken_in_beforehand() -> None:
    """So that the first notification does not wait for it."""
    using = verification()
    await using.warm()
    assert await refusal_of(body_of(signed_payload()), using=using) is None


async def test_any_of_several_roots_holds() -> None:
    """Apple has several at once, and so they are replaced."""
    other = make_apple()
    roots = [other.root.der, the_apple().root.der]
    for apple in (other, the_apple()):
        using = verification(root_certificates=lambda: roots)
        assert await refusal_of(body_of(signed_payload(apple=apple)), using=using) is None


async def test_what_is_signed_inside_must_be_signed_to_be_read() -> None:
    """Apple has signed the notification, and what is in it is no JWS."""
    body = body_of(signed_payload(data={"signedTransactionInfo": "a.b.c"}))
    assert await refusal_of(body) is Reason.NOTIFICATION_MALFORMED


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    outer=st.dictionaries(st.sampled_from([*notification("TEST"), "summary", "appData"]), _JSON),
    body=st.binary(max_size=40),
)
async def test_whatever_is_posted_is_opened_or_refused_in_code(
    outer: dict[str, object], body: bytes
) -> None:
    """No body, and nothing that Apple might ever sign, raises anything else."""
    verifying = verification()
    reasons = {
        Reason.SIGNATURE_INVALID,
        Reason.TIMESTAMP_OUT_OF_TOLERANCE,
        Reason.NOTIFICATION_MALFORMED,
        None,
    }
    signed = the_apple().sign(notification("TEST") | outer)
    for posted in (body, body_of(signed), body_of(body.decode("latin-1"))):
        assert await refusal_of(posted, using=verifying) in reasons
        verifying = verification()
    await verifying.close()
