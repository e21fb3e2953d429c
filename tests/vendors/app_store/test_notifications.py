"""The App Store's notifications: what is kept of them, and what they say."""

from collections.abc import Callable

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.notification import (
    Nothing,
    Quarantine,
    Source,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.vendors.app_store.notifications import AppStoreNotificationSource
from boxoffice_server.vendors.app_store.table import NO_SUBTYPE, ROWS
from tests.support.logs import recorded_log
from tests.vendors.app_store.notices import NOW, body_of, signed_payload, verification
from tests.vendors.app_store.payloads import (
    BUNDLE,
    LINEAGE,
    UUID,
    notification,
    told_fact,
    transaction,
)
from tests.vendors.app_store.signing import make_apple, the_apple

CONSUMABLE = {"type": "Consumable", "expiresDate": None, "webOrderLineItemId": None}


async def _verified(signed: str, *, live: bool = True) -> VerifiedNotification:
    verifying = verification()
    source = AppStoreNotificationSource(verifying)
    try:
        if live:
            return await source.verify({}, body_of(signed), now=NOW)
        return await source.verify_history(body_of(signed), now=NOW)
    finally:
        await verifying.close()


async def _tidings(signed: str) -> Tidings | None:
    return AppStoreNotificationSource(verification()).tidings(await _verified(signed))


async def test_what_is_kept_of_a_notification() -> None:
    """Its own id, its kind, its subscription, its time, and all of its bytes."""
    signed = signed_payload("SUBSCRIBED", "INITIAL_BUY")
    wanted = VerifiedNotification(
        source=Source.APP_STORE,
        vendor_event_id=UUID,
        type="SUBSCRIBED/INITIAL_BUY",
        resource_id=LINEAGE,
        event_time=NOW,
        body=body_of(signed),
    )
    assert await _verified(signed) == wanted
    assert await _verified(signed, live=False) == wanted


async def test_a_notification_of_a_subscription_is_a_fact() -> None:
    """The same one as is made of the payloads by themselves."""
    told = await _tidings(signed_payload("DID_RENEW"))
    wanted = told_fact("DID_RENEW")
    assert isinstance(told, SubscriptionFact)
    assert (told.id, told.payload, told.sign_time) == (wanted.id, wanted.payload, NOW)


@pytest.mark.parametrize(
    "signed",
    [
        lambda: the_apple().sign(notification("TEST")),
        lambda: signed_payload("ONE_TIME_CHARGE", tx=CONSUMABLE, data={"signedRenewalInfo": None}),
        lambda: signed_payload("REFUND", tx=CONSUMABLE, data={"signedRenewalInfo": None}),
        lambda: the_apple().sign(
            notification("RENEWAL_EXTENSION", "SUMMARY", data=None)
            | {"summary": {"bundleId": BUNDLE, "environment": "Sandbox", "succeededCount": 5}}
        ),
        lambda: the_apple().sign(
            notification("RESCIND_CONSENT", data=None)
            | {"appData": {"bundleId": BUNDLE, "environment": "Sandbox"}}
        ),
    ],
    ids=["a test", "a charge", "a refund of a consumable", "a summary", "a consent"],
)
async def test_what_speaks_of_no_subscription_says_nothing(signed: Callable[[], str]) -> None:
    """It is understood, so there is nothing to park."""
    assert await _tidings(signed()) == Nothing()


async def test_an_unknown_kind_is_parked_or_tells_how_things_stood_and_is_reported() -> None:
    """Apple's lists are open."""
    with recorded_log() as log:
        assert await _tidings(the_apple().sign(notification("NEVER_HEARD_OF"))) is None
        assert isinstance(await _tidings(signed_payload("NEVER_HEARD_OF", "X")), SubscriptionFact)
    assert [line["type"] for line in log.lines if line["level"] == "error"] == [
        "NEVER_HEARD_OF",
        "NEVER_HEARD_OF/X",
    ]


@pytest.mark.parametrize("row", ROWS, ids="/".join)
async def test_no_kind_that_apple_documents_is_reported(row: tuple[str, str]) -> None:
    """Every row is known."""
    with recorded_log() as log:
        assert await _tidings(signed_payload(*row)) is not None
    assert not [line for line in log.lines if line["level"] == "error"]


async def test_what_is_not_for_us_is_quarantined() -> None:
    """With the reason, for people."""
    told = await _tidings(signed_payload(data={"bundleId": "com.example.other"}))
    assert told == Quarantine(why="another app")


async def test_a_signed_transaction_is_no_notification() -> None:
    """Everybody's device has one that Apple has signed."""
    with pytest.raises(BoxofficeError) as caught:
        await _verified(the_apple().sign(transaction()))
    assert caught.value.reason is Reason.NOTIFICATION_MALFORMED


async def test_a_fact_that_cannot_be_read_is_malformed() -> None:
    """Its signature holds, so its notification is kept, and parked."""
    signed = signed_payload(tx={"purchaseDate": "today"})
    verified = await _verified(signed)
    with pytest.raises(BoxofficeError) as caught:
        AppStoreNotificationSource(verification()).tidings(verified)
    assert caught.value.reason is Reason.NOTIFICATION_MALFORMED


async def test_another_apples_word_is_not_kept() -> None:
    """Neither live nor from history."""
    signed = signed_payload(apple=make_apple())
    for live in (True, False):
        with pytest.raises(BoxofficeError) as caught:
            await _verified(signed, live=live)
        assert caught.value.reason is Reason.SIGNATURE_INVALID


async def test_the_app_store_moves_no_clock() -> None:
    """Only a sandbox of Stripe's does."""
    verified = await _verified(signed_payload("TEST", NO_SUBTYPE))
    assert AppStoreNotificationSource(verification()).clock_offset(verified) is None
