"""Refunds through the official SDK."""

import pytest
import stripe

from tests.sandbox.harness import Desk


async def _paid(desk: Desk, card: str = "pm_card_visa") -> str:
    return (await desk.new_payment(payment_method=card, confirm=True)).id


async def test_whole_payment_is_refunded(desk: Desk) -> None:
    """Without an amount everything goes back, once."""
    intent = await _paid(desk)
    refund = await desk.stripe.v1.refunds.create_async(
        {"payment_intent": intent, "reason": "requested_by_customer"}
    )
    assert (refund.amount, refund.status) == (1000, "succeeded")
    assert refund.reason == "requested_by_customer"
    charge = await desk.stripe.v1.charges.retrieve_async(
        str(refund.charge), {"expand": ["refunds"]}
    )
    assert charge.refunded
    assert charge.refunds is not None
    assert [item.id for item in charge.refunds.data] == [refund.id]
    assert (await desk.events())[-2:] == ["refund.created", "charge.refunded"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.refunds.create_async({"payment_intent": intent})
    assert refused.value.code == "charge_already_refunded"


async def test_parts_never_exceed_the_payment(desk: Desk) -> None:
    """Partial refunds add up to the payment at most."""
    intent = await _paid(desk)
    create = desk.stripe.v1.refunds.create_async
    first = await create({"payment_intent": intent, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError, match=r"\(€6\.01\) is greater") as refused:
        await create({"payment_intent": intent, "amount": 601})
    assert refused.value.param == "amount"
    second = await create({"charge": str(first.charge), "amount": 600})
    listed = await desk.stripe.v1.refunds.list_async({"payment_intent": intent})
    assert [item.id for item in listed.data] == [second.id, first.id]
    charge = await desk.stripe.v1.charges.retrieve_async(str(first.charge))
    assert (charge.amount_refunded, charge.refunded) == (1000, True)


async def test_partly_captured_payment_refunds_what_was_captured(desk: Desk) -> None:
    """What was never captured isn't refunded a second time."""
    held = await desk.new_payment(
        payment_method="pm_card_visa", capture_method="manual", confirm=True
    )
    await desk.stripe.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 300})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await desk.stripe.v1.refunds.create_async({"payment_intent": held.id, "amount": 301})
    refund = await desk.stripe.v1.refunds.create_async({"payment_intent": held.id})
    assert refund.amount == 300


async def test_unpaid_intent_has_nothing_to_refund(desk: Desk) -> None:
    """No charge, no refund."""
    intent = await desk.new_payment()
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await desk.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    with desk.http.bad_requests(), pytest.raises(stripe.InvalidRequestError):
        await desk.stripe.v1.refunds.create_async({})


async def test_refund_may_fail_later(desk: Desk) -> None:
    """A failed refund gives the money back to the account."""
    intent = await _paid(desk, "pm_card_refundFail")
    refund = await desk.stripe.v1.refunds.create_async({"payment_intent": intent})
    assert refund.status == "succeeded"
    assert (await desk.control(f"refunds/{refund.id}/fail"))["status"] == "failed"
    charge = await desk.stripe.v1.charges.retrieve_async(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    read = await desk.stripe.v1.refunds.retrieve_async(refund.id)
    assert read.failure_reason == "lost_or_stolen_card"
    assert (await desk.events())[-3:] == [
        "refund.updated",
        "charge.refund.updated",
        "refund.failed",
    ]


async def test_refund_may_be_pending_first(desk: Desk) -> None:
    """A pending refund becomes a done one."""
    intent = await _paid(desk, "pm_card_pendingRefund")
    refund = await desk.stripe.v1.refunds.create_async({"payment_intent": intent})
    assert refund.status == "pending"
    assert (await desk.control(f"refunds/{refund.id}/succeed"))["status"] == "succeeded"


async def test_redirect_payment_is_refunded(desk: Desk) -> None:
    """Money that came over a redirect goes back too."""
    intent = await desk.new_payment(payment_method_types=["bancontact"])
    await desk.press(intent.id, "pay")
    refund = await desk.stripe.v1.refunds.create_async(
        {"payment_intent": intent.id, "metadata": {"why": "late"}}
    )
    assert refund.status == "succeeded"
    changed = await desk.stripe.v1.refunds.update_async(refund.id, {"metadata": {"why": ""}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {}
