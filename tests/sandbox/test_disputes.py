"""Disputes and inquiries, from the first word of the bank to the last."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Json, Listener

DAY = 24 * 3600
OPENED = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


async def _paid(desk: Desk, card: str = "pm_card_visa") -> stripe.PaymentIntent:
    return await desk.new_payment(payment_method=card, confirm=True)


async def _disputed(desk: Desk, **body: object) -> stripe.Dispute:
    """A payment that the bank disputes as told."""
    paid = await _paid(desk)
    opened = await desk.control(f"payment_intents/{paid.id}/dispute", body)
    return await desk.stripe.v1.disputes.retrieve_async(opened["id"])


async def _dispute_events(desk: Desk) -> list[str]:
    return [kind for kind in await desk.events() if kind.startswith("charge.dispute.")]


async def test_bank_disputes_a_payment(desk: Desk, listener: Listener) -> None:
    """The money is gone at once, with a fee, and there is a day to answer by."""
    paid = await _paid(desk)
    opened = await desk.control(f"payment_intents/{paid.id}/dispute")
    assert opened["status"] == "needs_response"
    dispute = await desk.stripe.v1.disputes.retrieve_async(opened["id"])
    assert (dispute.charge, dispute.payment_intent) == (paid.latest_charge, paid.id)
    assert (dispute.amount, dispute.currency, dispute.reason) == (1000, "eur", "fraudulent")
    assert not dispute.is_charge_refundable
    assert dispute.evidence_details.due_by is not None
    assert dispute.evidence_details.due_by >= dispute.created + 7 * DAY
    (withdrawn,) = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.type) == (-1000, 1500, "adjustment")
    charge = await desk.stripe.v1.charges.retrieve_async(str(paid.latest_charge))
    assert charge.disputed
    await listener.until_count(6)
    assert sorted(listener.types)[:2] == OPENED
    with pytest.raises(stripe.InvalidRequestError, match="has been charged back") as refused:
        await desk.stripe.v1.refunds.create_async({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"


async def test_dispute_may_be_over_a_part(desk: Desk) -> None:
    """The bank says how much and why; a legacy charge is disputed by its own id."""
    paid = await _paid(desk)
    body = {"amount": 300, "reason": "product_not_received"}
    opened = await desk.control(f"charges/{paid.latest_charge}/dispute", body)
    dispute = await desk.stripe.v1.disputes.retrieve_async(opened["id"])
    assert (dispute.amount, dispute.reason) == (300, "product_not_received")
    assert dispute.balance_transactions[0].amount == -300


@pytest.mark.parametrize(("action", "status"), [("win", "won"), ("lose", "lost")])
async def test_reviewed_dispute_is_decided(desk: Desk, action: str, status: str) -> None:
    """Under review, then closed; only a won one brings the money back."""
    dispute = await _disputed(desk)
    reviewed = await desk.control(f"disputes/{dispute.id}/review")
    assert reviewed["status"] == "under_review"
    updated = await desk.event("charge.dispute.updated")
    assert updated["data"]["previous_attributes"] == {"status": "needs_response"}
    assert (await desk.control(f"disputes/{dispute.id}/{action}"))["status"] == status
    after = await desk.stripe.v1.disputes.retrieve_async(dispute.id)
    moved = [-1000, 1000] if status == "won" else [-1000]
    assert [transaction.amount for transaction in after.balance_transactions] == moved
    reinstated = ["charge.dispute.funds_reinstated"] if status == "won" else []
    assert await _dispute_events(desk) == [
        *OPENED,
        "charge.dispute.updated",
        "charge.dispute.closed",
        *reinstated,
    ]
    closed = await desk.event("charge.dispute.closed")
    assert closed["data"]["object"]["status"] == status
    refusal, _ = await desk.try_control(f"disputes/{dispute.id}/win")
    assert refusal == 400


async def test_inquiry_moves_no_money(desk: Desk) -> None:
    """The bank only asks: the payment can be refunded, and the inquiry ends without a dispute."""
    dispute = await _disputed(desk, inquiry=True)
    assert (dispute.status, dispute.is_charge_refundable) == ("warning_needs_response", True)
    assert dispute.balance_transactions == []
    details = dispute.payment_method_details
    assert details is not None
    assert details.card is not None
    assert (details.card.case_type, details.card.network_reason_code) == ("inquiry", "10")
    refund = await desk.stripe.v1.refunds.create_async({"charge": str(dispute.charge)})
    assert refund.status == "succeeded"
    reviewed = await desk.control(f"disputes/{dispute.id}/review")
    assert reviewed["status"] == "warning_under_review"
    assert (await desk.control(f"disputes/{dispute.id}/close"))["status"] == "warning_closed"
    assert await _dispute_events(desk) == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
    ]


async def test_inquiry_may_become_a_dispute(desk: Desk) -> None:
    """Then the money is taken back after all, and nothing can be refunded any more."""
    dispute = await _disputed(desk, inquiry=True)
    for wrong in ("win", "lose"):
        assert (await desk.try_control(f"disputes/{dispute.id}/{wrong}"))[0] == 400
    assert (await desk.control(f"disputes/{dispute.id}/escalate"))["status"] == "needs_response"
    after = await desk.stripe.v1.disputes.retrieve_async(dispute.id)
    assert not after.is_charge_refundable
    assert after.balance_transactions[0].net == -2500
    assert (await _dispute_events(desk))[-1] == "charge.dispute.funds_withdrawn"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.refunds.create_async({"charge": str(dispute.charge)})
    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize(
    ("card", "reason", "status"),
    [
        ("pm_card_createDispute", "fraudulent", "needs_response"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received", "needs_response"),
        ("pm_card_createDisputeInquiry", "fraudulent", "warning_needs_response"),
    ],
)
async def test_dispute_card_is_disputed_by_itself(
    desk: Desk, card: str, reason: str, status: str
) -> None:
    """Stripe's test cards: disputed as soon as the money is taken, not while it is held."""
    held = await desk.new_payment(payment_method=card, capture_method="manual", confirm=True)
    disputes = desk.stripe.v1.disputes
    assert (await disputes.list_async({"payment_intent": held.id})).data == []
    await desk.stripe.v1.payment_intents.capture_async(held.id)
    paid = await _paid(desk, card)
    for intent in (held, paid):
        (dispute,) = (await disputes.list_async({"payment_intent": intent.id})).data
        assert (dispute.reason, dispute.status) == (reason, status)


@pytest.mark.parametrize(
    ("kind", "text", "status"),
    [
        ("dispute", "They came.", "under_review"),
        ("dispute", "winning_evidence", "won"),
        ("dispute", "losing_evidence", "lost"),
        ("inquiry", "They came.", "warning_under_review"),
        ("inquiry", "winning_evidence", "warning_closed"),
        ("inquiry", "escalate_inquiry_evidence", "needs_response"),
    ],
)
async def test_evidence_goes_to_the_bank(desk: Desk, kind: str, text: str, status: str) -> None:
    """What Stripe's magic words ask for happens; any other evidence waits for the bank."""
    dispute = await _disputed(desk, inquiry=kind == "inquiry")
    update = desk.stripe.v1.disputes.update_async
    drafted = await update(dispute.id, {"evidence": {"product_description": "A"}, "submit": False})
    assert (drafted.status, drafted.evidence_details.submission_count) == (dispute.status, 0)
    answered = await update(dispute.id, {"evidence": {"uncategorized_text": text}})
    assert (answered.status, answered.evidence_details.submission_count) == (status, 1)
    assert "charge.dispute.updated" in await desk.events()


async def test_dispute_is_given_up(desk: Desk) -> None:
    """Closing it says that there is no evidence: it is lost, and takes none any more."""
    dispute = await _disputed(desk)
    closed = await desk.stripe.v1.disputes.close_async(dispute.id)
    assert closed.status == "lost"
    with pytest.raises(stripe.InvalidRequestError):
        await desk.stripe.v1.disputes.update_async(
            dispute.id, {"evidence": {"uncategorized_text": "Late."}}
        )


async def test_disputes_are_listed(desk: Desk) -> None:
    """By charge, by payment intent, by time, and in pages."""
    first, second = await _disputed(desk), await _disputed(desk)
    list_disputes = desk.stripe.v1.disputes.list_async
    for page in (
        await list_disputes({"charge": str(first.charge)}),
        await list_disputes({"payment_intent": str(first.payment_intent)}),
        await list_disputes({"limit": 1, "starting_after": second.id}),
    ):
        assert [dispute.id for dispute in page.data] == [first.id]
    created: Any = {"gte": first.created, "lte": second.created}
    both = await list_disputes({"created": created, "limit": 1})
    assert [item.id async for item in both.auto_paging_iter()] == [second.id, first.id]
    assert (await list_disputes({"created": {"gt": second.created}})).data == []


@pytest.mark.parametrize(
    "body", [{"amount": 0}, {"amount": 1001}, {"reason": "bad mood"}, {"inquiry": "yes"}]
)
async def test_unreadable_dispute_is_refused(desk: Desk, body: Json) -> None:
    """More than was paid, or no reason of Stripe's."""
    paid = await _paid(desk)
    status, answer = await desk.try_control(f"payment_intents/{paid.id}/dispute", body)
    assert (status, bool(answer["error"]["message"])) == (400, True)
    assert await _dispute_events(desk) == []


async def test_only_taken_card_payments_are_disputed(desk: Desk) -> None:
    """Nothing was paid, only held, not by card, or it is disputed already."""
    unpaid = await desk.new_payment()
    held = await desk.new_payment(
        payment_method="pm_card_visa", capture_method="manual", confirm=True
    )
    bank = await desk.new_payment(payment_method_types=["bancontact"])
    await desk.press(bank.id, "pay")
    disputed = await _disputed(desk)
    for intent in (unpaid.id, held.id, bank.id, str(disputed.payment_intent)):
        status, _ = await desk.try_control(f"payment_intents/{intent}/dispute")
        assert status == 400
