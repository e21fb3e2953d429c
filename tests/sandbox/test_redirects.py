"""Bancontact, iDEAL and giropay."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk

BACK = "https://shop.example/done"


def _method(kind: str) -> Any:  # noqa: ANN401  (the SDK has its own type for each kind)
    return {"type": kind, "billing_details": {"name": "Jenny Rosen"}}


@pytest.mark.parametrize("kind", ["bancontact", "ideal"])
async def test_redirect_method_pays_at_the_bank(desk: Desk, kind: str) -> None:
    """Confirming redirects; what the customer does there decides."""
    intent = await desk.new_payment(payment_method_types=[kind])
    sent = await desk.stripe.v1.payment_intents.confirm_async(
        intent.id,
        {"payment_method_data": _method(kind), "return_url": BACK},
    )
    assert sent.status == "requires_action"
    assert sent.next_action is not None
    assert sent.next_action.redirect_to_url is not None
    assert sent.next_action.redirect_to_url.return_url == BACK
    page = str(sent.next_action.redirect_to_url.url).partition(desk.address)[2]
    _, location, _ = await desk.visit(f"{page}/fail", post=True)
    assert location.endswith("redirect_status=failed")
    failed = await desk.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (failed.status, failed.latest_charge) == ("requires_payment_method", None)
    assert (await desk.press(intent.id, "pay"))["status"] == "succeeded"
    paid = await desk.stripe.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert paid.latest_charge.payment_method_details is not None
    assert paid.latest_charge.payment_method_details.type == kind


@pytest.mark.parametrize("kind", ["bancontact", "giropay", "ideal"])
async def test_redirect_methods_take_euros_only(desk: Desk, kind: str) -> None:
    """Another currency is refused at creation."""
    with pytest.raises(stripe.InvalidRequestError, match="following currencies: eur") as refused:
        await desk.new_payment(currency="usd", payment_method_types=[kind])
    assert refused.value.param == "currency"


async def test_redirect_needs_a_way_back(desk: Desk) -> None:
    """No return_url, no redirect."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(
            payment_method_types=["ideal"], payment_method_data=_method("ideal"), confirm=True
        )
    assert refused.value.param == "return_url"
    assert (await desk.stripe.v1.payment_intents.list_async()).data == []


async def test_bancontact_needs_a_name(desk: Desk) -> None:
    """Bancontact wants the payer's name."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(
            payment_method_types=["bancontact"],
            payment_method_data={"type": "bancontact"},
            return_url=BACK,
            confirm=True,
        )
    assert refused.value.param == "billing_details[name]"


async def test_redirect_methods_are_not_held(desk: Desk) -> None:
    """Manual capture is for cards."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(payment_method_types=["ideal"], capture_method="manual")
    assert refused.value.param == "capture_method"


async def test_method_of_another_type_is_refused(desk: Desk) -> None:
    """An intent for cards takes cards."""
    method = await desk.stripe.v1.payment_methods.create_async({"type": "ideal"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(payment_method=method.id, return_url=BACK, confirm=True)
    assert refused.value.code == "payment_intent_incompatible_payment_method"


async def test_giropay_is_closed(desk: Desk) -> None:
    """As at Stripe today: made, but refused with HTTP 402 when confirmed."""
    intent = await desk.new_payment(payment_method_types=["giropay"])
    with pytest.raises(stripe.CardError, match="Giropay is deprecated") as refused:
        await desk.stripe.v1.payment_intents.confirm_async(
            intent.id, {"payment_method_data": {"type": "giropay"}, "return_url": BACK}
        )
    assert refused.value.http_status == 402
    status, answer = await desk.try_control(f"payment_intents/{intent.id}/pay")
    assert (status, answer["error"]["type"]) == (402, "invalid_request_error")


async def test_giropay_pays_in_a_legacy_account(legacy_desk: Desk) -> None:
    """With the legacy switch it works as it did."""
    intent = await legacy_desk.new_payment(payment_method_types=["giropay"])
    assert (await legacy_desk.press(intent.id, "pay"))["status"] == "succeeded"


async def test_default_account_is_legacy(desk: Desk) -> None:
    """`default` has the switch on, `modern` has it off."""
    made = {
        name: await desk.client(f"sk_test_boxoffice_{name}").v1.payment_intents.create_async(
            {"amount": 1000, "currency": "eur", "payment_method_types": ["giropay"]}
        )
        for name in ("default", "modern")
    }
    assert (await desk.press(made["default"].id, "pay"))["status"] == "succeeded"
    status, _ = await desk.try_control(f"payment_intents/{made['modern'].id}/pay")
    assert status == 402


async def test_bank_may_take_its_time(desk: Desk) -> None:
    """A payment may be processing for a while, and fail or succeed after that."""
    for ending, status in (("authenticate", "succeeded"), ("refuse", "requires_payment_method")):
        intent = await desk.new_payment(
            payment_method_types=["ideal"],
            payment_method_data=_method("ideal"),
            return_url=BACK,
            confirm=True,
        )
        assert (await desk.press(intent.id, "process"))["status"] == "processing"
        assert (await desk.events())[-2:] == ["charge.pending", "payment_intent.processing"]
        assert (await desk.press(intent.id, ending))["status"] == status
    assert (await desk.events())[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def test_future_usage_makes_a_sepa_debit_method(desk: Desk) -> None:
    """Reuse of a redirect method means SEPA Debit, which the charge names."""
    customer = await desk.new_customer()
    intent = await desk.new_payment(
        customer=customer, payment_method_types=["ideal"], setup_future_usage="off_session"
    )
    await desk.press(intent.id, "pay")
    methods = await desk.stripe.v1.payment_methods.list_async({"customer": customer})
    assert [method.type for method in methods.data] == ["sepa_debit"]


async def test_buttons_say_no_where_they_do_not_fit(desk: Desk) -> None:
    """Authenticating needs something pending; a paid intent takes no button."""
    intent = await desk.new_payment()
    status, answer = await desk.try_control(f"payment_intents/{intent.id}/authenticate")
    assert status == 400
    assert "requires_payment_method" in answer["error"]["message"]
    assert (await desk.press(intent.id, "decline"))["status"] == "requires_payment_method"
    assert (await desk.press(intent.id, "pay"))["status"] == "succeeded"
    assert (await desk.try_control(f"payment_intents/{intent.id}/pay"))[0] == 400
    assert (await desk.try_control("payment_intents/pi_nothing/pay"))[0] == 404
    assert (await desk.try_control(f"payment_intents/{intent.id}/steal"))[0] == 404
