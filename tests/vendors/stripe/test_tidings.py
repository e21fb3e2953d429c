"""What each type of event says about a payment, and which one moves the clock."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import (
    Notification,
    NotificationState,
)
from boxoffice_server.domain.payment import FactOrigin, PaymentFailure, PaymentSignal
from tests.vendors.stripe.events import (
    CHARGE,
    CREATED,
    DECLINE,
    DECLINED,
    INTENT,
    LEGACY_CHARGE,
    NOW,
    SOURCE_OBJECT,
    SUCCEEDED,
    event,
    payment_tidings,
    sandboxed,
    source,
    verify,
)


@pytest.mark.parametrize(
    ("type_", "told", "signal"),
    [
        ("source.chargeable", SOURCE_OBJECT, PaymentSignal.RECORDED),
        ("source.canceled", SOURCE_OBJECT, PaymentSignal.ATTEMPT_FAILED),
        ("source.failed", SOURCE_OBJECT, PaymentSignal.ATTEMPT_FAILED),
        ("charge.pending", CHARGE, PaymentSignal.PROCESSING),
        ("charge.pending", LEGACY_CHARGE, PaymentSignal.LEGACY_CHARGE_PENDING),
        ("charge.failed", CHARGE, PaymentSignal.ATTEMPT_FAILED),
        ("charge.failed", LEGACY_CHARGE, PaymentSignal.ATTEMPT_FAILED),
        ("charge.succeeded", CHARGE, PaymentSignal.CAPTURED),
        ("charge.succeeded", LEGACY_CHARGE, PaymentSignal.CAPTURED),
        ("charge.succeeded", CHARGE | {"captured": False}, PaymentSignal.AUTHORISED),
        ("charge.succeeded", LEGACY_CHARGE | {"captured": False}, PaymentSignal.AUTHORISED),
        ("payment_intent.payment_failed", INTENT, PaymentSignal.ATTEMPT_FAILED),
        ("payment_intent.succeeded", INTENT, PaymentSignal.CAPTURED),
        ("payment_intent.processing", INTENT, PaymentSignal.PROCESSING),
        ("payment_intent.requires_action", INTENT, PaymentSignal.REQUIRES_ACTION),
        ("payment_intent.canceled", INTENT, PaymentSignal.CANCELLED),
        ("payment_intent.created", INTENT, PaymentSignal.REQUIRES_PAYMENT_METHOD),
        (
            "payment_intent.created",
            INTENT | {"status": "requires_confirmation"},
            PaymentSignal.REQUIRES_CONFIRMATION,
        ),
        (
            "payment_intent.amount_capturable_updated",
            INTENT | {"amount_capturable": 1250},
            PaymentSignal.AUTHORISED,
        ),
        ("payment_intent.amount_capturable_updated", INTENT, PaymentSignal.RECORDED),
        ("charge.captured", CHARGE, PaymentSignal.CAPTURED),
        # The refunds themselves tell what was given back, and the intent that a hold has run out.
        ("charge.refunded", CHARGE, PaymentSignal.RECORDED),
        ("charge.expired", CHARGE, PaymentSignal.RECORDED),
    ],
)
def test_each_type_is_one_signal(
    type_: str, told: dict[str, object], signal: PaymentSignal
) -> None:
    """Stripe's words become the domain's, and the fact keeps where they came from."""
    fact = payment_tidings(type_, told).fact
    assert fact.signal is signal
    assert fact.id == "evt_1"
    assert fact.origin is FactOrigin.NOTIFICATION
    assert fact.type == type_
    assert (fact.resource_type, fact.resource_id) == (told["object"], told["id"])
    assert fact.event_time == datetime.fromtimestamp(CREATED, UTC)


@pytest.mark.parametrize(
    ("type_", "told", "amount"),
    [
        ("charge.captured", CHARGE | {"amount_captured": 900}, 900),
        ("charge.succeeded", CHARGE | {"amount_captured": 1250}, 1250),
        ("charge.succeeded", CHARGE | {"captured": False, "amount_captured": 0}, 1250),
        ("charge.succeeded", CHARGE, None),
        ("payment_intent.succeeded", INTENT | {"amount_received": 900}, 900),
        ("payment_intent.created", INTENT | {"status": "succeeded", "amount_received": 9}, 9),
        (
            "payment_intent.created",
            INTENT | {"status": "requires_capture", "amount_capturable": 1250},
            1250,
        ),
        (
            "payment_intent.amount_capturable_updated",
            INTENT | {"amount_capturable": 1250},
            1250,
        ),
        ("payment_intent.amount_capturable_updated", INTENT, None),
        ("payment_intent.processing", INTENT | {"amount_received": 0}, None),
    ],
)
def test_money_that_is_held_or_taken_is_counted(
    type_: str, told: dict[str, object], amount: int | None
) -> None:
    """As far as Stripe says it; a payment is still found by the amount that was asked for."""
    read = payment_tidings(type_, told)
    assert read.fact.amount == amount
    assert read.amount == Money(amount=1250, currency="eur")


@pytest.mark.parametrize(
    ("type_", "told", "intent", "charge"),
    [
        ("payment_intent.succeeded", INTENT, "pi_1", ""),
        ("payment_intent.succeeded", INTENT | {"latest_charge": "ch_1"}, "pi_1", "ch_1"),
        ("charge.succeeded", CHARGE, "pi_1", "ch_1"),
        ("charge.succeeded", CHARGE | {"payment_intent": INTENT}, "pi_1", "ch_1"),
        ("charge.succeeded", LEGACY_CHARGE, "", "ch_1"),
        ("source.chargeable", SOURCE_OBJECT, "", ""),
    ],
)
def test_an_event_leads_to_its_payment(
    type_: str, told: dict[str, object], intent: str, charge: str
) -> None:
    """By intent and charge, whether they are named or expanded, and by the object's metadata."""
    read = payment_tidings(type_, told)
    assert (read.stripe_payment_intent_id, read.stripe_charge_id) == (intent, charge)
    assert (read.order_id, read.user_id) == ("ord_1", "user-1")
    assert read.payment_id == ("" if type_.startswith("source.") else "pay_1")
    assert read.amount == Money(amount=1250, currency="eur")


@pytest.mark.parametrize(
    ("type_", "told", "untrusted"),
    [
        ("source.chargeable", SOURCE_OBJECT, True),
        ("source.failed", SOURCE_OBJECT, True),
        ("source.canceled", SOURCE_OBJECT, True),
        ("charge.succeeded", LEGACY_CHARGE, False),
        ("payment_intent.succeeded", INTENT, False),
    ],
)
def test_only_a_sources_metadata_is_not_to_be_trusted(
    type_: str,
    told: dict[str, object],
    untrusted: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """A customer's device makes Sources; intents and charges need our secret key."""
    assert payment_tidings(type_, told).untrusted is untrusted


def test_an_object_of_someone_elses_names_nothing_of_ours() -> None:
    """Without our metadata the event is read all the same, and leads nowhere."""
    read = payment_tidings("payment_intent.succeeded", INTENT | {"metadata": {"shop": "other"}})
    assert (read.order_id, read.payment_id, read.user_id) == ("", "", "")


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_a_source_need_not_have_an_amount(missing: str) -> None:
    """Then there is nothing that could agree with an order."""
    assert payment_tidings("source.chargeable", SOURCE_OBJECT | {missing: None}).amount is None


@pytest.mark.parametrize(
    ("type_", "waits"),
    [("source.chargeable", "src_1"), ("source.failed", ""), ("source.canceled", "")],
)
def test_a_source_waits_to_be_charged(type_: str, waits: str) -> None:
    """Only one that may be."""
    assert payment_tidings(type_, SOURCE_OBJECT).chargeable_source_id == waits


@pytest.mark.parametrize("field", ["code", "decline_code"])
@pytest.mark.parametrize("type_", ["payment_intent.payment_failed", "payment_intent.created"])
def test_an_intents_bank_may_ask_for_the_customer(type_: str, field: str) -> None:
    """Which is no decline: with the customer there, the same intent can still be paid."""
    told = INTENT | {"last_payment_error": DECLINE | {field: "authentication_required"}}
    fact = payment_tidings(type_, told).fact
    assert fact.signal is PaymentSignal.AUTHENTICATION_REQUIRED
    assert fact.failure


@pytest.mark.parametrize(
    ("charge", "signal"),
    [
        (CHARGE, PaymentSignal.AUTHENTICATION_REQUIRED),
        (LEGACY_CHARGE, PaymentSignal.ATTEMPT_FAILED),
    ],
    ids=["intent", "legacy"],
)
@pytest.mark.parametrize(
    "fields",
    [
        {"failure_code": "authentication_required"},
        {"outcome": {"type": "issuer_declined", "reason": "authentication_required"}},
    ],
    ids=["code", "reason"],
)
def test_a_charges_bank_may_ask_for_the_customer(
    charge: dict[str, object], signal: PaymentSignal, fields: dict[str, object]
) -> None:
    """A legacy charge has nothing at which a customer could authenticate, so it has failed."""
    assert payment_tidings("charge.failed", charge | fields).fact.signal is signal


def test_a_failed_intent_says_why() -> None:
    """The failure is the intent's last_payment_error."""
    told = INTENT | {"last_payment_error": DECLINE}
    assert payment_tidings("payment_intent.payment_failed", told).fact.failure == DECLINED


@pytest.mark.parametrize(
    ("outcome", "decline_code"),
    [
        ({"type": "issuer_declined", "reason": "lost_card"}, "lost_card"),
        ({"type": "blocked", "reason": "highest_risk_level"}, ""),
        (None, ""),
    ],
)
def test_a_failed_charge_says_why(outcome: object, decline_code: str) -> None:
    """The reason of the outcome is a decline code only where the issuer declined."""
    told = CHARGE | {
        "outcome": outcome,
        "failure_code": "card_declined",
        "failure_message": "Your card was declined.",
    }
    assert payment_tidings("charge.failed", told).fact.failure == replace(
        DECLINED, decline_code=decline_code
    )


def test_a_failed_source_says_why_where_it_knows() -> None:
    """A redirect that the customer gave up has a reason; a source that lapsed has none."""
    told = SOURCE_OBJECT | {"redirect": {"status": "failed", "failure_reason": "user_abort"}}
    assert payment_tidings("source.failed", told).fact.failure == PaymentFailure(
        code="user_abort", decline_code="", message=""
    )
    assert payment_tidings("source.canceled", SOURCE_OBJECT).fact.failure is None


def test_a_failure_that_is_over_is_not_told_again() -> None:
    """An intent that succeeded keeps no failure, whatever its last_payment_error says."""
    told = INTENT | {"last_payment_error": DECLINE, "status": "succeeded"}
    assert payment_tidings("payment_intent.succeeded", told).fact.failure is None
    assert payment_tidings("payment_intent.created", told).fact.signal is PaymentSignal.CAPTURED


def test_text_that_no_store_can_keep_is_replaced() -> None:
    """PostgreSQL keeps no NUL, and half a surrogate pair is no character."""
    told = INTENT | {"last_payment_error": {"message": "a\x00b\ud800c"}}
    failure = payment_tidings("payment_intent.payment_failed", told).fact.failure
    assert failure is not None
    assert failure.message == "a\N{REPLACEMENT CHARACTER}b?c"


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        ("payment_intent.succeeded", CHARGE),
        ("payment_intent.succeeded", INTENT | {"id": None}),
        ("payment_intent.succeeded", INTENT | {"amount": "1250"}),
        ("payment_intent.succeeded", INTENT | {"amount": -1}),
        ("payment_intent.succeeded", INTENT | {"amount": 1 << 63}),
        ("payment_intent.succeeded", INTENT | {"currency": "EURO"}),
        ("payment_intent.succeeded", INTENT | {"metadata": []}),
        ("payment_intent.succeeded", INTENT | {"metadata": {"boxoffice_order_id": 7}}),
        ("payment_intent.created", INTENT | {"status": "requires_magic"}),
        ("payment_intent.created", INTENT | {"status": None}),
        ("payment_intent.payment_failed", INTENT | {"last_payment_error": "declined"}),
        ("payment_intent.amount_capturable_updated", INTENT | {"amount_capturable": None}),
        ("charge.succeeded", CHARGE | {"captured": None}),
        ("charge.captured", CHARGE | {"amount_captured": "900"}),
        ("payment_intent.succeeded", INTENT | {"amount_received": -1}),
        ("payment_intent.succeeded", INTENT | {"latest_charge": 7}),
        ("charge.succeeded", CHARGE | {"payment_intent": 7}),
        ("charge.failed", CHARGE | {"outcome": "bad"}),
        ("source.failed", SOURCE_OBJECT | {"redirect": {"failure_reason": 7}}),
    ],
)
def test_a_known_type_with_a_strange_object_is_malformed(
    type_: str, told: dict[str, object]
) -> None:
    """Nothing is guessed: such a notification is for a person to look at."""
    read = event(type_, told)
    if told["id"] is None:
        read["data"] = {"object": {name: told[name] for name in told if name != "id"}}
    verified = verify(read)
    with pytest.raises(BoxofficeError) as caught:
        source.tidings(verified)
    assert caught.value.reason is Reason.NOTIFICATION_MALFORMED


def test_a_kept_notification_is_read_as_it_was() -> None:
    """A notification says the same when it comes and when it is applied again."""
    verified = verify(SUCCEEDED)
    kept = Notification(
        id="ntf_1",
        source=verified.source,
        vendor_event_id=verified.vendor_event_id,
        type=verified.type,
        resource_id=verified.resource_id,
        event_time=verified.event_time,
        receive_time=NOW,
        state=NotificationState.PARKED,
        order_id="",
        payment_id="",
        related_id="",
        body=verified.body,
    )
    assert source.tidings(kept) == source.tidings(verified)


# -- the sandbox's clock --------------------------------------------------------------------------

ADVANCED = event("boxoffice.sandbox.clock_advanced", {"object": "clock", "offset_seconds": 86_400})


def test_the_sandbox_moves_the_clock() -> None:
    """The sandbox's own event tells the new offset, and nothing about a payment."""
    verified = verify(ADVANCED, using=sandboxed)
    assert sandboxed.clock_offset(verified) == 86_400
    assert sandboxed.tidings(verified) is None


def test_only_the_sandbox_moves_the_clock() -> None:
    """At a service with a key of Stripe's the same event is one of an unknown type."""
    assert source.clock_offset(verify(ADVANCED)) is None


def test_no_other_event_moves_the_clock() -> None:
    """Not even in the sandbox."""
    assert sandboxed.clock_offset(verify(SUCCEEDED, using=sandboxed)) is None


@pytest.mark.parametrize(
    "told",
    [
        {"object": "clock"},
        {"object": "clock", "offset_seconds": "86400"},
        {"object": "clock", "offset_seconds": -1},
        {"object": "clock", "offset_seconds": 10**12},
        {"object": "watch", "offset_seconds": 86_400},
    ],
)
def test_a_clock_that_tells_no_offset_is_malformed(told: dict[str, object]) -> None:
    """Business time never goes back, nor out of what a time can hold."""
    verified = verify(event("boxoffice.sandbox.clock_advanced", told), using=sandboxed)
    with pytest.raises(BoxofficeError) as caught:
        sandboxed.clock_offset(verified)
    assert caught.value.reason is Reason.NOTIFICATION_MALFORMED
