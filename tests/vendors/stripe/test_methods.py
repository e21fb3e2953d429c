"""The payment methods that users save: what is sent to Stripe, and what is read."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.payment_method import MethodDetails, MethodNews
from boxoffice_server.ports import SetupAnswer
from boxoffice_server.vendors.stripe.methods import StripeMethods
from tests.vendors.stripe.calls import NOW, SETUP, refusal
from tests.vendors.stripe.fake_stripe import CREATED, FakeStripe, Reply, method_body, stripe_error

BEGAN = datetime.fromtimestamp(CREATED, UTC)
CARD = MethodDetails(type="card", brand="visa", exp_month=8, exp_year=2031, last4="4242")


async def test_a_setup_intent_is_made(methods: StripeMethods, stripe: FakeStripe) -> None:
    """It says for whom, what kind of method, and what for; its secret is not logged."""
    with capture_logs() as logs:
        answer = await methods.create_setup_intent(SETUP)
    assert answer == SetupAnswer(
        stripe_setup_intent_id="seti_1", client_secret="seti_1_secret_hush"
    )
    (sent,) = stripe.received
    assert (sent.method, sent.path, sent.key) == ("POST", "/v1/setup_intents", "opn_1-1")
    assert dict(sent.form) == {
        "customer": "cus_1",
        "payment_method_types[0]": "card",
        "usage": "off_session",
        "metadata[boxoffice_user_id]": "user-1",
    }
    assert "hush" not in json.dumps(logs, default=str)


async def test_a_setup_intent_is_read(methods: StripeMethods, stripe: FakeStripe) -> None:
    """Its secret is never kept, so it is read again for whoever asks again."""
    made = await methods.create_setup_intent(SETUP)
    stripe.objects["seti_1"] = next(iter(stripe.made.values()))
    assert await methods.read_setup_intent("seti_1") == made


@pytest.mark.parametrize("customer", [None, "cus_1", {"id": "cus_1", "object": "customer"}])
async def test_a_method_is_read(
    methods: StripeMethods, stripe: FakeStripe, customer: object
) -> None:
    """At its own beginning; one without a customer need not have had one, so it is not detached."""
    stripe.objects["pm_1"] = method_body("pm_1", customer=customer)
    assert await methods.read_method("pm_1") == MethodNews(
        stripe_payment_method_id="pm_1",
        stripe_customer_id="cus_1" if customer else "",
        details=CARD,
        event_time=BEGAN,
        detached=False,
    )


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        (
            {"type": "sepa_debit", "sepa_debit": {"country": "DE", "last4": "3000"}},
            MethodDetails(type="sepa_debit", last4="3000"),
        ),
        (
            {"type": "us_bank_account", "us_bank_account": {"last4": None}},
            MethodDetails(type="us_bank_account"),
        ),
        ({"type": "ideal", "ideal": {"bank": "ing"}}, MethodDetails(type="ideal")),
        ({"type": "new_way_to_pay"}, MethodDetails(type="new_way_to_pay")),
    ],
    ids=str,
)
async def test_a_method_tells_what_its_kind_has(
    methods: StripeMethods, stripe: FakeStripe, fields: dict[str, object], details: MethodDetails
) -> None:
    """Only cards have a brand and an end; what is absent stays empty."""
    stripe.objects["pm_1"] = method_body("pm_1", **fields)
    assert (await methods.read_method("pm_1")).details == details


async def test_a_method_is_attached(methods: StripeMethods, stripe: FakeStripe) -> None:
    """To the customer, under the operation's key."""
    news = await methods.attach_method("pm_1", "cus_1", key="opn_1-1")
    (sent,) = stripe.received
    assert (sent.path, sent.key) == ("/v1/payment_methods/pm_1/attach", "opn_1-1")
    assert dict(sent.form) == {"customer": "cus_1"}
    assert (news.stripe_customer_id, news.details, news.detached) == ("cus_1", CARD, False)


async def test_a_method_that_is_detached_is_so_from_now_on(
    methods: StripeMethods, stripe: FakeStripe
) -> None:
    """The answer has no time of its own but the method's beginning, so it gets the caller's."""
    news = await methods.detach_method("pm_1", key="opn_1-1", now=NOW + timedelta(seconds=0.7))
    (sent,) = stripe.received
    assert (sent.path, sent.key) == ("/v1/payment_methods/pm_1/detach", "opn_1-1")
    assert sent.form == ()
    assert (news.detached, news.stripe_customer_id, news.event_time) == (True, "", NOW)
    assert news.details == CARD


async def test_a_card_that_is_declined_at_once_is_not_attached(
    methods: StripeMethods, stripe: FakeStripe
) -> None:
    """It leaves nothing behind, so it is a refusal."""
    error = stripe_error("card_error", "Declined.", code="card_declined", decline_code="lost_card")
    stripe.script = [Reply(status=402, body=error)]
    refused = await refusal(methods.attach_method("pm_1", "cus_1", key="opn_1-1"))
    assert refused.reason is Reason.VENDOR_REFUSED
    assert refused.metadata["vendor_decline_code"] == "lost_card"


async def test_a_method_that_stripe_does_not_know_is_refused(methods: StripeMethods) -> None:
    """A 404 is an answer."""
    error = await refusal(methods.read_method("pm_none"))
    assert error.reason is Reason.VENDOR_REFUSED
    assert error.metadata["stripe_payment_method_id"] == "pm_none"


@pytest.mark.parametrize("fields", [{"type": None}, {"card": "visa"}, {"customer": 7}], ids=str)
async def test_a_method_that_can_not_be_read_is_told_so(
    methods: StripeMethods, stripe: FakeStripe, fields: dict[str, object]
) -> None:
    """Nothing is guessed."""
    stripe.objects["pm_1"] = method_body("pm_1", **fields)
    assert (await refusal(methods.read_method("pm_1"))).reason is Reason.VENDOR_UNAVAILABLE
