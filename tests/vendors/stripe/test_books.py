"""Stripe's books: what is read of them, page by page."""

import json
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import PaymentTidings
from boxoffice_server.domain.payment import PaymentStatus
from boxoffice_server.domain.refund import DisputeStatus, RefundStatus
from boxoffice_server.ports import ChargeAnswer, IntentAnswer
from boxoffice_server.vendors.stripe.books import StripeBooks
from tests.vendors.stripe.calls import (
    ATTEMPTS,
    SERVER_ERROR,
    TOO_MANY,
    WRONG_KEY,
    read_all,
    refusal,
)
from tests.vendors.stripe.events import DISPUTE, INTENT, event, source
from tests.vendors.stripe.fake_stripe import (
    CREATED,
    FakeStripe,
    Fault,
    Reply,
    charge_body,
    intent_body,
    refund_body,
)

BEGAN = datetime.fromtimestamp(CREATED, UTC)
OURS = {"boxoffice_payment_id": "pay_1"}


@pytest.fixture(autouse=True)
def empty(stripe: FakeStripe) -> None:
    """Books with nothing in them."""
    for name in ("payment_intents", "charges", "refunds", "disputes", "events"):
        stripe.lists[f"/v1/{name}"] = []


async def test_payments_are_intents_and_then_charges_without_one(
    books: StripeBooks, stripe: FakeStripe
) -> None:
    """Each once, with our payment's id where it is ours."""
    stripe.page_size = 1
    stripe.lists["/v1/payment_intents"] = [
        intent_body("pi_2"),
        intent_body("pi_1", metadata=OURS),
    ]
    stripe.lists["/v1/charges"] = [
        charge_body("ch_2", payment_intent="pi_1"),
        charge_body("ch_1", metadata=OURS),
    ]
    entries = await read_all(books.payments(BEGAN))
    assert [(each.stripe_id, each.payment_id) for each in entries] == [
        ("pi_2", ""),
        ("pi_1", "pay_1"),
        ("ch_1", "pay_1"),
    ]
    since = {"created[gte]": str(CREATED), "limit": "100"}
    expanded = since | {"expand[0]": "data.latest_charge"}
    assert [(sent.path, dict(sent.form)) for sent in stripe.received] == [
        ("/v1/payment_intents", expanded),
        ("/v1/payment_intents", expanded | {"starting_after": "pi_2"}),
        ("/v1/charges", since),
        ("/v1/charges", since | {"starting_after": "ch_2"}),
    ]


@pytest.mark.parametrize(
    ("intent", "charge", "expected"),
    [
        ({}, None, (PaymentStatus.REQUIRES_PAYMENT_METHOD, 0, 0)),
        ({"status": "processing"}, {}, (PaymentStatus.PENDING, 0, 0)),
        (
            {"status": "succeeded", "amount_received": 1250},
            {"amount_refunded": 300},
            (PaymentStatus.COMPLETE, 1250, 300),
        ),
        # Of 1250 held, 900 were taken and 350 let go of, and 100 were given back.
        (
            {"status": "succeeded", "amount_received": 900},
            {"amount_captured": 900, "amount_refunded": 100},
            (PaymentStatus.COMPLETE, 900, 100),
        ),
        (
            {"status": "canceled"},
            {"captured": False, "amount_captured": 0, "amount_refunded": 0},
            (PaymentStatus.CANCELLED, 0, 0),
        ),
    ],
    ids=["new", "processing", "refunded in part", "captured in part", "never captured"],
)
async def test_an_intent_is_booked_in_our_words(
    books: StripeBooks,
    stripe: FakeStripe,
    intent: dict[str, object],
    charge: dict[str, object] | None,
    expected: tuple[PaymentStatus, int, int],
) -> None:
    """What was taken, what went back, and where that leaves it; no client secret."""
    latest = None if charge is None else charge_body("ch_1", payment_intent="pi_1", **charge)
    stripe.lists["/v1/payment_intents"] = [
        intent_body("pi_1", **(intent | {"latest_charge": latest}))
    ]
    (entry,) = await read_all(books.payments(BEGAN))
    assert (entry.status, entry.captured, entry.refunded) == expected
    assert entry.amount == Money(amount=1250, currency="eur")
    assert entry.create_time == BEGAN
    assert isinstance(entry.answer, IntentAnswer)
    assert entry.answer.client_secret == ""
    assert entry.answer.stripe_charge_id == ("" if charge is None else "ch_1")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"amount_refunded": 1250, "refunded": True}, (PaymentStatus.COMPLETE, 1250, 1250)),
        (
            {"status": "pending", "captured": False, "amount_captured": 0},
            (PaymentStatus.PENDING, 0, 0),
        ),
        (
            {"status": "failed", "captured": False, "amount_captured": 0},
            (PaymentStatus.REQUIRES_PAYMENT_METHOD, 0, 0),
        ),
    ],
    ids=["refunded", "pending", "failed"],
)
async def test_a_legacy_charge_is_booked_in_our_words(
    books: StripeBooks,
    stripe: FakeStripe,
    fields: dict[str, object],
    expected: tuple[PaymentStatus, int, int],
) -> None:
    """By its own status."""
    stripe.lists["/v1/charges"] = [charge_body("ch_1", **fields)]
    (entry,) = await read_all(books.payments(BEGAN))
    assert (entry.status, entry.captured, entry.refunded) == expected
    assert isinstance(entry.answer, ChargeAnswer)


async def test_refunds_are_read(books: StripeBooks, stripe: FakeStripe) -> None:
    """Those that give money back: a hold that has run out is none."""
    stripe.lists["/v1/refunds"] = [
        refund_body("re_2", reason="expired_uncaptured_charge"),
        refund_body("re_1"),
    ]
    (news,) = await read_all(books.refunds(BEGAN))
    assert (news.stripe_refund_id, news.status) == ("re_1", RefundStatus.SUCCEEDED)
    assert news.event_time == BEGAN


async def test_disputes_are_read(books: StripeBooks, stripe: FakeStripe) -> None:
    """With what they are about, and by when to answer."""
    stripe.lists["/v1/disputes"] = [DISPUTE | {"created": CREATED}]
    (news,) = await read_all(books.disputes(BEGAN))
    assert (news.stripe_dispute_id, news.status) == ("du_1", DisputeStatus.NEEDS_RESPONSE)
    assert (news.stripe_payment_intent_id, news.stripe_charge_id) == ("pi_1", "ch_1")
    assert (news.event_time, news.create_time) == (BEGAN, BEGAN)
    assert news.evidence_due_time


async def test_what_was_not_delivered_is_read_as_if_it_had_been(
    books: StripeBooks, stripe: FakeStripe
) -> None:
    """Of the types that are understood, and without client secrets."""
    told = INTENT | {"status": "succeeded", "client_secret": "pi_1_secret_0123456789abcdefghij"}
    stripe.lists["/v1/events"] = [
        event("payment_intent.succeeded", told, id="evt_3", created=CREATED + 1),
        event("customer.created", {"object": "customer", "id": "cus_1"}, created=CREATED),
    ]
    (missed,) = await read_all(books.missed(BEGAN))
    assert dict(stripe.received[0].form) == {
        "created[gte]": str(CREATED),
        "delivery_success": "false",
        "limit": "100",
    }
    assert (missed.vendor_event_id, missed.type) == ("evt_3", "payment_intent.succeeded")
    assert missed.resource_id == "pi_1"
    assert missed.event_time == datetime.fromtimestamp(CREATED + 1, UTC)
    assert b"0123456789abcdefghij" not in missed.body
    assert json.loads(missed.body)["data"]["object"]["status"] == "succeeded"
    tidings = source.tidings(missed)
    assert isinstance(tidings, PaymentTidings)
    assert tidings.payment_id == "pay_1"


async def test_an_entry_that_can_not_be_read_hides_no_other(
    books: StripeBooks, stripe: FakeStripe
) -> None:
    """It is left out, and the log shows an error."""
    stripe.lists["/v1/disputes"] = [DISPUTE | {"id": "du_2", "status": "new"}, DISPUTE]
    with capture_logs() as logs:
        (news,) = await read_all(books.disputes(BEGAN))
    assert news.stripe_dispute_id == "du_1"
    (error,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert error["stripe_id"] == "du_2"


@pytest.mark.parametrize(
    "step", [SERVER_ERROR, Fault.RESET_BEFORE, Fault.TRUNCATED, Fault.RESET_AFTER], ids=str
)
async def test_a_page_that_fails_is_asked_for_again(
    books: StripeBooks, stripe: FakeStripe, step: Fault | Reply
) -> None:
    """The same page, so nothing is left out."""
    stripe.page_size = 1
    stripe.lists["/v1/refunds"] = [refund_body("re_2"), refund_body("re_1")]
    pages = books.refunds(BEGAN)
    first = await anext(pages)
    stripe.script = [step]
    assert [each.stripe_refund_id for each in first + await read_all(pages)] == ["re_2", "re_1"]
    assert [dict(sent.form).get("starting_after") for sent in stripe.received] == [
        None,
        "re_2",
        "re_2",
    ]


@pytest.mark.parametrize(
    "steps",
    [
        [SERVER_ERROR] * ATTEMPTS,
        [WRONG_KEY],
        [TOO_MANY],
        [Reply(status=200, body={"object": "list", "data": [7], "has_more": False})],
        [Reply(status=200, body={"object": "list", "data": [refund_body("re_1")]})],
    ],
    ids=["500", "401", "429", "no objects", "no end"],
)
async def test_books_that_can_not_be_read_are_told_so(
    books: StripeBooks, stripe: FakeStripe, steps: list[Fault | Reply]
) -> None:
    """Reading changes nothing at Stripe, so whoever asks may come back."""
    stripe.script = steps
    error = await refusal(read_all(books.refunds(BEGAN)))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
