"""Refunds and legacy charges: what is sent, what is read, and how a lost one is found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import Payment, PaymentFailure, PaymentSignal
from boxoffice_server.domain.refund import RefundNews, RefundReason, RefundStatus
from boxoffice_server.ports import SourceAnswer
from boxoffice_server.vendors.stripe.gateway import StripeGateway
from tests.vendors.stripe.calls import CHARGE, CHARGED, MADE, PAYMENT, REFUND, TOO_SMALL, refusal
from tests.vendors.stripe.fake_stripe import (
    CREATED,
    FakeStripe,
    Reply,
    charge_body,
    intent_body,
    refund_body,
)

BEGAN = datetime.fromtimestamp(CREATED, UTC)
OURS = {"boxoffice_payment_id": "pay_1"}


@pytest.mark.parametrize(
    ("payment", "named"),
    [(MADE, {"payment_intent": "pi_1"}), (CHARGED, {"charge": "ch_1"})],
    ids=["intent", "legacy charge"],
)
async def test_a_refund_is_made_of_what_was_paid(
    gateway: StripeGateway, stripe: FakeStripe, payment: Payment, named: dict[str, str]
) -> None:
    """By the intent, or by the charge where there is none; the metadata leads back to ours."""
    await gateway.create_refund(REFUND, payment, key="opn_1-1")
    (sent,) = stripe.received
    assert (sent.method, sent.path, sent.key) == ("POST", "/v1/refunds", "opn_1-1")
    assert dict(sent.form) == named | {
        "amount": "500",
        "reason": "duplicate",
        "metadata[boxoffice_refund_id]": "rfd_1",
        "metadata[boxoffice_payment_id]": "pay_1",
        "metadata[boxoffice_user_id]": "user-1",
    }


async def test_a_refund_need_not_have_a_reason(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Then none is made up."""
    await gateway.create_refund(replace(REFUND, reason=None), MADE, key="opn_1-1")
    assert "reason" not in dict(stripe.received[0].form)


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.REQUIRES_ACTION),
        ("succeeded", RefundStatus.SUCCEEDED),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.CANCELLED),
    ],
)
async def test_a_refunds_answer_is_news(
    gateway: StripeGateway, stripe: FakeStripe, status: str, read: RefundStatus
) -> None:
    """All that Stripe says of it, at the refund's own beginning."""
    body = refund_body(
        "re_1",
        status=status,
        reason="fraudulent",
        failure_reason="declined",
        metadata={"boxoffice_refund_id": "rfd_1"},
    )
    stripe.script = [Reply(status=200, body=body)]
    assert await gateway.create_refund(REFUND, MADE, key="opn_1-1") == RefundNews(
        stripe_refund_id="re_1",
        refund_id="rfd_1",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        amount=Money(amount=500, currency="eur"),
        status=read,
        reason=RefundReason.FRAUDULENT,
        failure_reason="declined",
        event_time=BEGAN,
        create_time=BEGAN,
    )


async def test_a_refund_of_no_known_status_is_an_unknown_outcome(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Something was made, and we can't tell what."""
    stripe.script = [Reply(status=200, body=refund_body("re_1", status=None))]
    error = await refusal(gateway.create_refund(REFUND, MADE, key="opn_1-1"))
    assert error.reason is Reason.OUTCOME_UNKNOWN


async def test_a_refund_that_stripe_refuses_is_told(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """With what it is about."""
    stripe.script = [TOO_SMALL]
    error = await refusal(gateway.create_refund(REFUND, MADE, key="opn_1-1"))
    assert error.reason is Reason.VENDOR_REFUSED
    assert (error.metadata["refund_id"], error.metadata["payment_id"]) == ("rfd_1", "pay_1")


@pytest.mark.parametrize(
    ("payment", "named"),
    [(MADE, ("payment_intent", "pi_1")), (CHARGED, ("charge", "ch_1"))],
    ids=["intent", "legacy charge"],
)
async def test_a_lost_refund_is_found_among_its_payments(
    gateway: StripeGateway, stripe: FakeStripe, payment: Payment, named: tuple[str, str]
) -> None:
    """Page by page, by our id in the metadata; no further than it must be read."""
    stripe.page_size = 2
    ours = refund_body("re_1", metadata={"boxoffice_refund_id": "rfd_1"})
    others = [refund_body(f"re_{n}", metadata={"boxoffice_refund_id": "other"}) for n in (9, 8, 7)]
    stripe.lists["/v1/refunds"] = [*others, ours, refund_body("re_0"), refund_body("re_00")]
    found = await gateway.find_refund(REFUND, payment)
    assert found is not None
    assert found.stripe_refund_id == "re_1"
    assert [sent.form for sent in stripe.received] == [
        (named, ("limit", "100")),
        (named, ("limit", "100"), ("starting_after", "re_8")),
    ]


async def test_a_refund_that_was_never_made_is_not_found(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """After the last page there is nothing."""
    stripe.page_size = 1
    stripe.lists["/v1/refunds"] = [refund_body("re_2"), refund_body("re_1")]
    assert await gateway.find_refund(REFUND, MADE) is None
    assert len(stripe.received) == 2


# -- intents that were lost -----------------------------------------------------------------------


async def test_a_lost_intent_is_found_among_its_customers(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Those made since, page by page, by our payment's id."""
    stripe.page_size = 1
    stripe.lists["/v1/payment_intents"] = [
        intent_body("pi_2", metadata={"boxoffice_payment_id": "pay_2"}),
        intent_body("pi_1", metadata=OURS, status="succeeded", amount_received=1250),
    ]
    since = BEGAN + timedelta(milliseconds=700)
    found = await gateway.find_intent(PAYMENT, "cus_1", since=since)
    assert found is not None
    assert found.stripe_payment_intent_id == "pi_1"
    assert found.fact.signal is PaymentSignal.CAPTURED
    assert dict(stripe.received[0].form) == {
        "customer": "cus_1",
        "created[gte]": str(CREATED),
        "limit": "100",
    }
    stripe.objects["pi_1"] = stripe.lists["/v1/payment_intents"][1]
    assert await gateway.read_intent("pi_1") == found


@pytest.mark.parametrize(
    "intents",
    [[], [intent_body("pi_1")], [intent_body("pi_1", metadata=OURS, created=CREATED - 1)]],
    ids=["none", "another's", "too old"],
)
async def test_an_intent_that_was_never_made_is_not_found(
    gateway: StripeGateway, stripe: FakeStripe, intents: list[dict[str, object]]
) -> None:
    """Nothing of another's is taken for ours."""
    stripe.lists["/v1/payment_intents"] = intents
    assert await gateway.find_intent(PAYMENT, "cus_1", since=BEGAN) is None


async def test_an_intent_that_is_found_and_can_not_be_read_is_not_passed_over(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Whoever asks must not think that there is none."""
    stripe.lists["/v1/payment_intents"] = [intent_body("pi_1", metadata=OURS, status="magic")]
    error = await refusal(gateway.find_intent(PAYMENT, "cus_1", since=BEGAN))
    assert error.reason is Reason.VENDOR_UNAVAILABLE


# -- legacy charges -------------------------------------------------------------------------------


async def test_a_source_is_charged_for_the_payments_amount(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Under the operation's key, with the way back to ours."""
    await gateway.create_charge(CHARGE)
    (sent,) = stripe.received
    assert (sent.method, sent.path, sent.key) == ("POST", "/v1/charges", "opn_1-1")
    assert dict(sent.form) == {
        "amount": "1250",
        "currency": "eur",
        "source": "src_1",
        "customer": "cus_1",
        "metadata[boxoffice_operation_id]": "opn_1",
        "metadata[boxoffice_order_id]": "ord_1",
        "metadata[boxoffice_payment_id]": "pay_1",
        "metadata[boxoffice_user_id]": "user-1",
    }


async def test_a_source_may_belong_to_nobody(gateway: StripeGateway, stripe: FakeStripe) -> None:
    """Then no customer is named; a description is passed on."""
    payment = replace(PAYMENT, description="Seat 7")
    await gateway.create_charge(replace(CHARGE, payment=payment, stripe_customer_id=""))
    form = dict(stripe.received[0].form)
    assert "customer" not in form
    assert form["description"] == "Seat 7"


@pytest.mark.parametrize(
    ("fields", "signal", "amount"),
    [
        ({"status": "pending", "captured": False}, PaymentSignal.LEGACY_CHARGE_PENDING, None),
        ({"amount_captured": 1200}, PaymentSignal.CAPTURED, 1200),
        ({"captured": False, "amount_captured": 0}, PaymentSignal.AUTHORISED, 1250),
        ({"captured": False, "refunded": True}, PaymentSignal.CANCELLED, None),
        ({"status": "failed", "captured": False}, PaymentSignal.ATTEMPT_FAILED, None),
    ],
    ids=["pending", "captured", "held", "given back", "failed"],
)
async def test_a_charge_is_read_by_its_status(
    gateway: StripeGateway,
    stripe: FakeStripe,
    fields: dict[str, object],
    signal: PaymentSignal,
    amount: int | None,
) -> None:
    """Each is one signal, at the charge's own beginning."""
    stripe.script = [Reply(status=200, body=charge_body("ch_1", **fields))]
    answer = await gateway.create_charge(CHARGE)
    assert answer.stripe_charge_id == answer.fact.resource_id == "ch_1"
    assert (answer.fact.signal, answer.fact.amount) == (signal, amount)
    assert answer.fact.event_time == BEGAN


async def test_the_charge_of_an_attempt_is_found(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Among all charges since, but not that of another attempt at the same payment."""
    stripe.page_size = 2
    failed = {"status": "failed", "failure_code": "card_declined", "captured": False}
    stripe.lists["/v1/charges"] = [
        charge_body("ch_9"),
        charge_body("ch_8", metadata=OURS | {"boxoffice_operation_id": "opn_2"}),
        charge_body("ch_7", metadata=OURS | {"boxoffice_operation_id": "opn_1"}, **failed),
        charge_body("ch_6", metadata=OURS),
    ]
    found = await gateway.find_charge(PAYMENT, operation_id="opn_1", since=BEGAN)
    assert found is not None
    assert found.stripe_charge_id == "ch_7"
    assert found.fact.failure == PaymentFailure(code="card_declined", decline_code="", message="")
    assert dict(stripe.received[0].form) == {"created[gte]": str(CREATED), "limit": "100"}
    assert len(stripe.received) == 2


async def test_a_charge_that_was_never_made_is_not_found(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    """Charges of others are none of ours."""
    stripe.lists["/v1/charges"] = [charge_body("ch_9")]
    assert await gateway.find_charge(PAYMENT, operation_id="opn_1", since=BEGAN) is None


@pytest.mark.parametrize(
    ("fields", "money"),
    [
        ({"amount": 1250, "currency": "eur"}, Money(amount=1250, currency="eur")),
        ({"amount": None, "currency": "eur"}, None),
    ],
)
async def test_a_source_is_read(
    gateway: StripeGateway, stripe: FakeStripe, fields: dict[str, object], money: Money | None
) -> None:
    """With what a customer's device has written on it."""
    stripe.objects["src_1"] = {
        "id": "src_1",
        "object": "source",
        "metadata": {"boxoffice_order_id": "ord_1", "boxoffice_user_id": "user-1"},
        "status": "chargeable",
    } | fields
    assert await gateway.read_source("src_1") == SourceAnswer(
        stripe_source_id="src_1",
        stripe_customer_id="",
        status="chargeable",
        amount=money,
        order_id="ord_1",
        user_id="user-1",
    )
