"""Which notifications are taken for Stripe's: who sent them, when, and what they must be."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import (
    Source,
    VerifiedNotification,
)
from boxoffice_server.vendors.stripe.notifications import StripeNotificationSource
from tests.vendors.stripe.events import (
    CREATED,
    NOW,
    OTHER_SECRET,
    SECONDS,
    SECRET,
    SUCCEEDED,
    event,
    refusal,
    signed,
    source,
    verified,
    verify,
)


@pytest.mark.parametrize("secrets", [[], [""], [SECRET, ""]])
def test_a_source_without_secrets_is_refused(secrets: list[str]) -> None:
    """An empty secret would verify nothing; it is a fault of the settings."""
    with pytest.raises(ValueError, match="secret"):
        StripeNotificationSource(secrets=secrets, livemode=False, sandbox=False)


# -- who sent it, and when ------------------------------------------------------------------------


def test_a_signed_event_is_read() -> None:
    """What is kept of an event: its id, type, time, what it is about, and its bytes."""
    body = json.dumps(SUCCEEDED).encode()
    assert verified(signed(body), body) == VerifiedNotification(
        source=Source.STRIPE,
        vendor_event_id="evt_1",
        type="payment_intent.succeeded",
        resource_id="pi_1",
        event_time=datetime.fromtimestamp(CREATED, UTC),
        body=body,
    )


@pytest.mark.parametrize("name", ["Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE"])
def test_header_names_come_in_any_case(name: str) -> None:
    """HTTP/1 callers write them one way, gRPC metadata another."""
    body = json.dumps(SUCCEEDED).encode()
    assert verified(signed(body, name=name), body).vendor_event_id == "evt_1"


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_either_secret_holds_while_one_is_rolled(secret: str) -> None:
    """Stripe signs with the old and the new secret for a day."""
    rolling = StripeNotificationSource(
        secrets=[SECRET, OTHER_SECRET], livemode=False, sandbox=False
    )
    body = json.dumps(SUCCEEDED).encode()
    assert verified(signed(body, secret=secret), body, using=rolling).vendor_event_id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is rolled, a header holds one signature for each."""
    body = json.dumps(SUCCEEDED).encode()
    good = signed(body)["Stripe-Signature"]
    headers = {"Stripe-Signature": f"{good},v1=beef,v0=dead"}
    assert verified(headers, body).vendor_event_id == "evt_1"


def test_a_signature_under_another_secret_is_refused() -> None:
    """A secret that is not ours signs nothing."""
    body = json.dumps(SUCCEEDED).encode()
    error = refusal(signed(body, secret=OTHER_SECRET), body)
    assert error.reason is Reason.SIGNATURE_INVALID


def test_the_signature_covers_the_raw_bytes() -> None:
    """A body that means the same and is written differently is another body."""
    body = json.dumps(SUCCEEDED).encode()
    error = refusal(signed(body), body.replace(b": ", b":"))
    assert error.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        f"t={SECONDS}",
        "v1=beef",
        f"t={SECONDS},v0=beef",
        "t",
        "v1",
        ",",
        "t=soon,v1=beef",
        f"t={'9' * 5000},v1=beef",
        f"t={SECONDS},v1=é",
        "t=٣,v1=beef",
        "\x00",
    ],
)
def test_a_header_that_is_no_signature_is_refused(header: str | None) -> None:
    """Missing, mangled or not ASCII: a wrong signature, never another exception."""
    headers = {} if header is None else {"Stripe-Signature": header}
    error = refusal(headers, json.dumps(SUCCEEDED).encode())
    assert error.reason is Reason.SIGNATURE_INVALID


def test_a_body_that_is_no_utf_8_is_refused() -> None:
    """Stripe signs text, so such a body can't be signed."""
    body = b'{"object": "event", "id": "\xff"}'
    error = refusal({"Stripe-Signature": f"t={SECONDS},v1=beef"}, body)
    assert error.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("age", [-300, -299, 0, 299, 300])
def test_a_signature_within_300_seconds_is_taken(age: int) -> None:
    """The tolerance is 300 s into the past and into the future."""
    assert verify(SUCCEEDED, at=SECONDS - age).vendor_event_id == "evt_1"


@pytest.mark.parametrize("age", [-(10**400), -86_400, -301, 301, 86_400, SECONDS + 1])
def test_a_signature_beyond_300_seconds_is_refused(age: int) -> None:
    """A replay of an old notification, or one made by a wrong clock, however far off."""
    body = json.dumps(SUCCEEDED).encode()
    error = refusal(signed(body, at=SECONDS - age), body)
    assert error.reason is Reason.TIMESTAMP_OUT_OF_TOLERANCE
    assert error.metadata == {"tolerance_seconds": "300"}


def test_the_tolerance_is_counted_on_the_clock_that_is_given() -> None:
    """Business time decides, not the machine's clock: a sandbox's day ahead is no future."""
    later = NOW + timedelta(days=30)
    body = json.dumps(SUCCEEDED).encode()
    assert (
        verified(signed(body, at=int(later.timestamp())), body, now=later).vendor_event_id
        == "evt_1"
    )


def test_the_signature_is_checked_before_its_age() -> None:
    """A stranger learns nothing about our clock."""
    body = json.dumps(SUCCEEDED).encode()
    error = refusal(signed(body, secret=OTHER_SECRET, at=0), body)
    assert error.reason is Reason.SIGNATURE_INVALID


# -- what it must be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "nonsense",
        '{"object": "event"',
        "[" * 100_000,
        "9" * 5000,
        json.dumps(SUCCEEDED | {"object": "v2.core.event"}),
        json.dumps(SUCCEEDED | {"object": None}),
        json.dumps(SUCCEEDED | {"id": None}),
        json.dumps(SUCCEEDED | {"id": ""}),
        json.dumps(SUCCEEDED | {"id": "x" * 256}),
        json.dumps(SUCCEEDED | {"id": "evt\x00"}),
        json.dumps(SUCCEEDED | {"id": "evt\ud800"}),
        json.dumps(SUCCEEDED | {"type": 7}),
        json.dumps(SUCCEEDED | {"created": "now"}),
        json.dumps(SUCCEEDED | {"created": True}),
        json.dumps(SUCCEEDED | {"created": -1}),
        json.dumps(SUCCEEDED | {"created": 1.5}),
        json.dumps(SUCCEEDED | {"created": 10**17}),
        json.dumps(SUCCEEDED | {"data": None}),
        json.dumps(SUCCEEDED | {"data": []}),
        json.dumps(SUCCEEDED | {"data": {}}),
        json.dumps(SUCCEEDED | {"data": {"object": "pi_1"}}),
        json.dumps(SUCCEEDED | {"data": {"object": {"id": {}}}}),
        json.dumps(SUCCEEDED | {"livemode": None}),
    ],
    ids=lambda body: body[:60],
)
def test_what_is_no_event_is_malformed(body: str) -> None:
    """Signed, but nothing that Stripe sends: a coded refusal."""
    error = refusal(signed(body.encode()), body.encode())
    assert error.reason is Reason.NOTIFICATION_MALFORMED


def test_an_object_without_an_id_is_about_nothing_by_name() -> None:
    """A balance has no id, and its event is one all the same."""
    told = event("balance.available", {"object": "balance", "available": []})
    assert verify(told).resource_id == ""


def test_fields_that_nobody_knows_are_left_alone() -> None:
    """A later API version adds fields and types."""
    told = event("treasury.golden", {"id": "gold_1", "shine": [{}]}, weather={"sun": 1.5})
    read = verify(told)
    assert (read.type, read.resource_id) == ("treasury.golden", "gold_1")
    assert source.tidings(read) is None


@pytest.mark.parametrize("live", [True, False])
def test_the_other_modes_events_are_refused(live: bool) -> None:  # noqa: FBT001 -- a parameter
    """A live event at a service with a test key, and the reverse."""
    ours = StripeNotificationSource(secrets=[SECRET], livemode=live, sandbox=False)
    assert verify(SUCCEEDED | {"livemode": live}, using=ours).vendor_event_id == "evt_1"
    with pytest.raises(BoxofficeError) as caught:
        verify(SUCCEEDED | {"livemode": not live}, using=ours)
    assert caught.value.reason is Reason.LIVEMODE_MISMATCH
