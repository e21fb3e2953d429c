"""Refunds through the official SDK."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk, Json, Listener


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
    charge = await desk.stripe.v1.charges.retrieve_async(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (300, True)


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


async def test_failed_refund_is_over(desk: Desk) -> None:
    """A refund fails once: the money can be refunded anew, and the failed one stays failed."""
    intent = await _paid(desk)
    create = desk.stripe.v1.refunds.create_async
    first = await create({"payment_intent": intent, "amount": 400})
    await desk.control(f"refunds/{first.id}/fail", {"reason": "expired_or_canceled_card"})
    for action in ("fail", "succeed"):
        assert (await desk.try_control(f"refunds/{first.id}/{action}"))[0] == 400
    failed = await desk.event("refund.failed")
    assert failed["data"]["object"]["failure_reason"] == "expired_or_canceled_card"
    back = await desk.stripe.v1.balance_transactions.retrieve_async(
        failed["data"]["object"]["failure_balance_transaction"]
    )
    assert (back.amount, back.type) == (400, "refund_failure")
    second = await create({"payment_intent": intent})
    assert second.amount == 1000
    assert (await desk.try_control(f"refunds/{second.id}/fail", {"reason": "mood"}))[0] == 400


async def test_pending_refund_may_fail(desk: Desk) -> None:
    """Pending counts as given back until it fails."""
    intent = await _paid(desk, "pm_card_pendingRefund")
    create = desk.stripe.v1.refunds.create_async
    refund = await create({"payment_intent": intent, "amount": 900})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await create({"payment_intent": intent, "amount": 200})
    assert (await desk.control(f"refunds/{refund.id}/fail"))["status"] == "failed"
    updated = await desk.event("refund.updated")
    assert updated["data"]["object"]["status"] == "failed"
    assert updated["data"]["previous_attributes"] == {"status": "pending"}
    assert (await create({"payment_intent": intent})).amount == 1000


async def test_refund_in_the_dashboard(desk: Desk, listener: Listener) -> None:
    """Somebody refunds by hand: no metadata, no request of ours, the same webhooks."""
    intent = await _paid(desk)
    made = await desk.control(f"payment_intents/{intent}/refund", {"amount": 300})
    assert made["status"] == "succeeded"
    refund = await desk.stripe.v1.refunds.retrieve_async(made["id"])
    assert (refund.amount, refund.payment_intent) == (300, intent)
    assert refund.metadata is not None
    assert refund.metadata.to_dict() == {}
    rest = await desk.control(
        f"charges/{refund.charge}/refund",
        {"reason": "requested_by_customer", "metadata": {"who": "Ann"}},
    )
    assert (rest["object"]["amount"], rest["object"]["metadata"]) == (700, {"who": "Ann"})
    charge = await desk.stripe.v1.charges.retrieve_async(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (1000, True)
    event = await desk.event("charge.refunded")
    assert event["request"] == {"id": None, "idempotency_key": None}
    await listener.until_count(8)
    assert sorted(listener.types)[-2:] == ["refund.created", "refund.created"]
    status, answer = await desk.try_control(f"payment_intents/{intent}/refund")
    assert (status, answer["error"]["code"]) == (400, "charge_already_refunded")


@pytest.mark.parametrize("body", [{"amount": 0}, {"reason": "mood"}, {"metadata": {"a": 1}}])
async def test_unreadable_refund_is_refused(desk: Desk, body: Json) -> None:
    """A control call with a mistake refunds nothing."""
    intent = await _paid(desk)
    assert (await desk.try_control(f"payment_intents/{intent}/refund", body))[0] == 400
    assert (await desk.stripe.v1.refunds.list_async({"payment_intent": intent})).data == []


async def test_refunds_are_listed(desk: Desk) -> None:
    """By payment intent, by charge, by time, and in pages."""
    first, second = await _paid(desk), await _paid(desk)
    create = desk.stripe.v1.refunds.create_async
    one = await create({"payment_intent": first, "amount": 100})
    two = await create({"payment_intent": first, "amount": 200})
    other = await create({"payment_intent": second, "metadata": {"order": "o1"}})
    list_refunds = desk.stripe.v1.refunds.list_async
    for page in (
        await list_refunds({"payment_intent": first}),
        await list_refunds({"charge": str(one.charge)}),
    ):
        assert [refund.id for refund in page.data] == [two.id, one.id]
    created: Any = {"gte": one.created, "lte": other.created}
    page = await list_refunds({"created": created, "limit": 1})
    assert [item.id async for item in page.auto_paging_iter()] == [other.id, two.id, one.id]
    assert (await list_refunds({"created": {"gt": other.created}})).data == []


async def test_refund_may_be_pending_first(desk: Desk) -> None:
    """A pending refund becomes a done one."""
    intent = await _paid(desk, "pm_card_pendingRefund")
    refund = await desk.stripe.v1.refunds.create_async({"payment_intent": intent})
    assert refund.status == "pending"
    assert (await desk.control(f"refunds/{refund.id}/succeed"))["status"] == "succeeded"
    updated = await desk.event("refund.updated")
    assert updated["data"]["previous_attributes"] == {"status": "pending"}
    charge = await desk.stripe.v1.charges.retrieve_async(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (1000, True)


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
