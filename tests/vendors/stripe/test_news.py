"""What events say about refunds, disputes and payment methods."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import PaymentTidings
from boxoffice_server.domain.payment import PaymentSignal
from boxoffice_server.domain.payment_method import MethodDetails, MethodNews
from boxoffice_server.domain.refund import (
    DisputeNews,
    DisputeStatus,
    RefundNews,
    RefundReason,
    RefundStatus,
)
from tests.vendors.stripe.events import (
    CREATED,
    DISPUTE,
    INTENT,
    METHOD,
    REFUND,
    SETUP_INTENT,
    tidings,
)

TOLD = datetime.fromtimestamp(CREATED, UTC)
BEGAN = datetime.fromtimestamp(CREATED - 60, UTC)
REFUNDED = RefundNews(
    stripe_refund_id="re_1",
    refund_id="rfd_1",
    stripe_payment_intent_id="pi_1",
    stripe_charge_id="ch_1",
    amount=Money(amount=500, currency="eur"),
    status=RefundStatus.SUCCEEDED,
    reason=RefundReason.DUPLICATE,
    failure_reason="",
    event_time=TOLD,
    create_time=BEGAN,
)
DISPUTED = DisputeNews(
    stripe_dispute_id="du_1",
    stripe_payment_intent_id="pi_1",
    stripe_charge_id="ch_1",
    amount=Money(amount=1250, currency="eur"),
    status=DisputeStatus.NEEDS_RESPONSE,
    reason="fraudulent",
    evidence_due_time=datetime.fromtimestamp(CREATED + 60, UTC),
    event_time=TOLD,
    create_time=BEGAN,
)
SAVED = MethodNews(
    stripe_payment_method_id="pm_1",
    stripe_customer_id="cus_1",
    details=MethodDetails(type="card", brand="visa", exp_month=8, exp_year=2031, last4="4242"),
    event_time=TOLD,
    detached=False,
)


@pytest.mark.parametrize(
    "type_", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"]
)
def test_a_refund_is_news(type_: str) -> None:
    """Under every name that Stripe has for it, at the event's own time."""
    assert tidings(type_, REFUND) == REFUNDED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"status": "failed", "failure_reason": "declined"},
            {"status": RefundStatus.FAILED, "failure_reason": "declined"},
        ),
        ({"status": "canceled"}, {"status": RefundStatus.CANCELLED}),
        ({"metadata": {}}, {"refund_id": ""}),
        ({"metadata": None}, {"refund_id": ""}),
        ({"payment_intent": None}, {"stripe_payment_intent_id": ""}),
        ({"payment_intent": INTENT}, {}),
        ({"reason": None}, {"reason": None}),
        ({"reason": "something_new"}, {"reason": None}),
    ],
    ids=str,
)
def test_a_refund_says_what_it_is(fields: dict[str, object], expected: dict[str, object]) -> None:
    """Of an intent or of a legacy charge, made here or elsewhere."""
    news = tidings("refund.updated", REFUND | fields)
    assert isinstance(news, RefundNews)
    for name, value in expected.items():
        assert getattr(news, name) == value
    assert news.stripe_charge_id == "ch_1"


def test_a_hold_that_has_run_out_gives_no_money_back() -> None:
    """Stripe calls that a refund too; it is kept with its payment, and changes nothing."""
    told = REFUND | {"reason": "expired_uncaptured_charge", "amount": 1250}
    news = tidings("refund.created", told)
    assert isinstance(news, PaymentTidings)
    assert news.fact.signal is PaymentSignal.RECORDED
    assert (news.fact.resource_type, news.fact.resource_id) == ("refund", "re_1")
    assert (news.stripe_payment_intent_id, news.stripe_charge_id) == ("pi_1", "ch_1")
    assert news.amount == Money(amount=1250, currency="eur")


@pytest.mark.parametrize(
    "type_",
    [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    ],
)
def test_a_dispute_is_news(type_: str) -> None:
    """Whatever happened to it, the dispute as it is then."""
    assert tidings(type_, DISPUTE) == DISPUTED


@pytest.mark.parametrize("status", list(DisputeStatus))
def test_every_status_of_a_dispute_is_known(status: DisputeStatus) -> None:
    """Ours are Stripe's words."""
    news = tidings("charge.dispute.updated", DISPUTE | {"status": status.value})
    assert news == replace(DISPUTED, status=status)


@pytest.mark.parametrize("details", [None, {}, {"due_by": None}, {"due_by": 0}], ids=str)
def test_a_dispute_need_not_be_answered_by_any_time(details: object) -> None:
    """Where the bank takes no answer."""
    news = tidings("charge.dispute.created", DISPUTE | {"evidence_details": details})
    assert news == replace(DISPUTED, evidence_due_time=None)


@pytest.mark.parametrize(
    "type_",
    ["payment_method.attached", "payment_method.updated", "payment_method.automatically_updated"],
)
def test_a_saved_method_is_news(type_: str) -> None:
    """Whose it is, and what it looks like now."""
    assert tidings(type_, METHOD) == SAVED


@pytest.mark.parametrize(
    ("before", "customer"),
    [
        ({"previous_attributes": {"customer": "cus_1"}}, "cus_1"),
        ({"previous_attributes": None}, ""),
        ({}, ""),
    ],
    ids=["told", "null", "absent"],
)
def test_a_detached_method_is_news(before: dict[str, object], customer: str) -> None:
    """Whose it was, Stripe tells as what has changed."""
    news = tidings("payment_method.detached", METHOD | {"customer": None}, **before)
    assert news == replace(SAVED, stripe_customer_id=customer, detached=True)


def test_a_method_without_a_customer_is_not_called_detached() -> None:
    """Only its detachment says that it had one."""
    news = tidings("payment_method.updated", METHOD | {"customer": None})
    assert news == replace(SAVED, stripe_customer_id="")


def test_a_setup_that_succeeded_names_the_method_it_saved() -> None:
    """And nothing more about it."""
    assert tidings("setup_intent.succeeded", SETUP_INTENT) == replace(SAVED, details=None)


@pytest.mark.parametrize("missing", ["customer", "payment_method"])
def test_a_setup_for_nobody_says_nothing(missing: str) -> None:
    """A method that belongs to no customer is saved for none of our users."""
    assert tidings("setup_intent.succeeded", SETUP_INTENT | {missing: None}) is None


@pytest.mark.parametrize(
    "type_",
    [
        "charge.updated",
        "customer.created",
        "customer.updated",
        "setup_intent.created",
        "setup_intent.requires_action",
        "setup_intent.setup_failed",
        "setup_intent.canceled",
        "payment_intent.partially_funded",
        "boxoffice.unheard_of",
    ],
)
def test_a_type_that_is_not_understood_says_nothing(type_: str) -> None:
    """It says nothing about money or methods that another type does not say."""
    assert tidings(type_, INTENT) is None


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        ("refund.created", DISPUTE),
        ("refund.created", REFUND | {"status": None}),
        ("refund.created", REFUND | {"status": "given"}),
        ("refund.created", REFUND | {"amount": None}),
        ("refund.created", REFUND | {"currency": "EURO"}),
        ("refund.created", REFUND | {"created": None}),
        ("charge.dispute.created", REFUND),
        ("charge.dispute.created", DISPUTE | {"status": "settled"}),
        ("charge.dispute.created", DISPUTE | {"evidence_details": {"due_by": "soon"}}),
        ("payment_method.attached", METHOD | {"type": None}),
        ("payment_method.attached", METHOD | {"card": {"exp_month": "August"}}),
        ("payment_method.attached", INTENT),
        ("setup_intent.succeeded", SETUP_INTENT | {"customer": 7}),
    ],
)
def test_news_that_can_not_be_read_is_malformed(type_: str, told: dict[str, object]) -> None:
    """Nothing is guessed: such a notification is for a person to look at."""
    with pytest.raises(BoxofficeError) as caught:
        tidings(type_, told)
    assert caught.value.reason is Reason.NOTIFICATION_MALFORMED
