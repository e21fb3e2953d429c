"""The check against Stripe's document notices what is wrong, or it would prove nothing."""

import copy
from typing import Any

import pytest

from tests.sandbox.harness import Desk, Json
from tests.support.stripe_openapi import StripeOpenApi

PATH = "/v1/payment_intents"
GOOD = {"amount": "1000", "currency": "eur"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"metadata[order_id]": "o1", "metadata[1]": "x"},
        {"payment_method_types[0]": "card", "payment_method_types[1]": "ideal"},
        {"payment_method_data[type]": "ideal", "payment_method_data[ideal][bank]": "ing"},
        {"expand[]": "latest_charge", "confirm": "true", "off_session": "one_off"},
    ],
)
def test_correct_request_passes(openapi: StripeOpenApi, more: dict[str, str]) -> None:
    """What Stripe's document allows."""
    openapi.check_request("POST", PATH, {**GOOD, **more})


@pytest.mark.parametrize(
    "form",
    [
        {"amount": "1000"},
        {**GOOD, "amount": "ten"},
        {**GOOD, "colour": "blue"},
        {**GOOD, "capture_method": "later"},
        {**GOOD, "confirm": "yes"},
        {**GOOD, "automatic_payment_methods[enabld]": "true"},
        {**GOOD, "automatic_payment_methods": "true"},
        {**GOOD, "payment_method_data[type]": "ideal", "payment_method_data[ideal][bnk]": "ing"},
        {**GOOD, "payment_method_types": "card"},
        {**GOOD, "description": "x" * 1001},
        {**GOOD, "metadata": "x"},
    ],
)
def test_wrong_request_is_refused(openapi: StripeOpenApi, form: dict[str, str]) -> None:
    """Missing, mistyped, unknown and misspelled parameters, at any depth."""
    with pytest.raises(AssertionError, match="request POST"):
        openapi.check_request("POST", PATH, form)


def test_query_is_checked(openapi: StripeOpenApi) -> None:
    """A GET's parameters are its query."""
    openapi.check_request("GET", PATH, {"limit": "3", "created[gte]": "5"})
    openapi.check_request("GET", f"{PATH}/search", {"query": "status:'x'"})
    for query in ({"limt": "3"}, {"limit": "x"}, {"created[since]": "5"}):
        with pytest.raises(AssertionError):
            openapi.check_request("GET", PATH, query)
    with pytest.raises(AssertionError, match="query"):
        openapi.check_request("GET", f"{PATH}/search", {})


def test_unknown_path_is_refused(openapi: StripeOpenApi) -> None:
    """Stripe has no such endpoint."""
    with pytest.raises(AssertionError, match="Stripe has no"):
        openapi.check_request("POST", "/v1/payment_intentions", GOOD)


async def test_wrong_answer_is_refused(desk: Desk, openapi: StripeOpenApi) -> None:
    """One wrong member anywhere in a correct answer is noticed."""
    intent: Any = await desk.new_payment(
        payment_method="pm_card_visa", confirm=True, expand=["latest_charge"]
    )
    good: Json = intent.to_dict()
    openapi.check_response("POST", PATH, 200, good)

    def spoiled(**changes: object) -> Json:
        return {**copy.deepcopy(good), **changes}

    charge: Json = good["latest_charge"]
    for bad in (
        spoiled(status="paid"),
        spoiled(amount="1000"),
        spoiled(created=None),
        spoiled(colour="blue"),
        spoiled(next_action={"typ": "redirect_to_url"}),
        spoiled(latest_charge={**charge, "paid": "yes"}),
        spoiled(latest_charge={**charge, "outcome": {**charge["outcome"], "mood": "good"}}),
        {name: value for name, value in good.items() if name != "livemode"},
    ):
        with pytest.raises(AssertionError, match="answer 200"):
            openapi.check_response("POST", PATH, 200, bad)


def test_wrong_error_is_refused(openapi: StripeOpenApi) -> None:
    """Errors have a shape too."""
    openapi.check_response("POST", PATH, 400, {"error": {"type": "invalid_request_error"}})
    for bad in ({}, {"error": {"type": "oops"}}, {"error": {"message": "no type"}}):
        with pytest.raises(AssertionError, match="answer 400"):
            openapi.check_response("POST", PATH, 400, bad)


async def test_wrong_event_is_refused(desk: Desk, openapi: StripeOpenApi) -> None:
    """The object inside an event is checked as what it says it is."""
    await desk.new_payment()
    event = await desk.event("payment_intent.created")
    openapi.check_event(event)
    event["data"]["object"]["colour"] = "blue"
    with pytest.raises(AssertionError, match="colour"):
        openapi.check_event(event)
