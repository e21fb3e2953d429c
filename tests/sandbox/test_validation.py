"""Bad requests: each gets Stripe's own error."""

import base64
from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.harness import Desk, Json

CASES: list[tuple[Json, str | None, str | None]] = [
    ({"amount": 49}, "amount_too_small", "amount"),
    ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
    ({"amount": 100_000_000}, "amount_too_large", "amount"),
    ({"amount": 0}, "parameter_invalid_integer", "amount"),
    ({"amount": -5}, "parameter_invalid_integer", "amount"),
    ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
    ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
    ({"currency": "xyz"}, None, "currency"),
    ({"currency": ""}, "parameter_invalid_empty", "currency"),
    ({"colour": "blue"}, "parameter_unknown", "colour"),
    ({"shipping": {"planet": "x"}}, "parameter_unknown", "shipping[planet]"),
    ({"capture_method": "later"}, None, "capture_method"),
    ({"payment_method_types": ["cash"]}, None, "payment_method_types[0]"),
    ({"confirm": "yes"}, None, "confirm"),
    ({"receipt_email": "nobody"}, "email_invalid", "receipt_email"),
    ({"statement_descriptor_suffix": "x" * 23}, "parameter_invalid_string_too_long", None),
    ({"metadata": {"k" * 41: "v"}}, None, "metadata"),
    ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
    ({"metadata": {f"k{number}": "v" for number in range(51)}}, None, "metadata"),
    ({"return_url": "nowhere", "confirm": True}, "url_invalid", "return_url"),
    ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
    ({"payment_method": "pm_card_nothing"}, "resource_missing", "payment_method"),
]


@pytest.mark.parametrize(("params", "code", "param"), CASES)
async def test_bad_parameter_is_refused(
    desk: Desk, params: Json, code: str | None, param: str | None
) -> None:
    """HTTP 400 with code and parameter, and nothing is made."""
    with desk.http.bad_requests(), pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(**params)
    assert refused.value.http_status == 400
    assert refused.value.code == code
    if param is not None:
        assert refused.value.param == param
    assert (await desk.stripe.v1.payment_intents.list_async()).data == []


async def test_missing_parameter_is_named(desk: Desk) -> None:
    """A required parameter that isn't there."""
    bad: Any = {"amount": 1000}
    with desk.http.bad_requests(), pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.payment_intents.create_async(bad)
    assert (refused.value.code, refused.value.param) == ("parameter_missing", "currency")


async def test_both_kinds_of_method_choice_are_refused(desk: Desk) -> None:
    """Types and automatic methods exclude each other."""
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await desk.new_payment(automatic_payment_methods={"enabled": True})


@pytest.mark.parametrize("key", ["sk_test_somebody_else", "sk_live_boxoffice_default", "xyz"])
async def test_unknown_key_is_401(desk: Desk, key: str) -> None:
    """Only the sandbox's own keys open it, and the answer doesn't repeat the key."""
    with pytest.raises(stripe.AuthenticationError) as refused:
        await desk.client(key).v1.customers.list_async()
    assert refused.value.http_status == 401
    assert f" {key}" not in str(refused.value)


async def test_missing_key_is_401(desk: Desk) -> None:
    """No key, no answer; basic authorization works as it does at Stripe."""
    url = f"http://{desk.address}/stripe/v1/customers"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert response.status == 401
            desk.openapi.check_response("GET", "/v1/customers", 401, await response.json())
        basic = "Basic " + base64.b64encode(f"{desk.key}:".encode()).decode()
        async with session.get(url, headers={"Authorization": basic}) as response:
            assert response.status == 200
        async with session.get(url, headers={"Authorization": "Basic ?"}) as response:
            assert response.status == 401


async def test_unknown_address_is_404(desk: Desk) -> None:
    """A path that Stripe has and the sandbox hasn't says so."""
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as refused:
        await desk.stripe.v1.coupons.list_async()
    assert refused.value.http_status == 404


async def test_other_api_version_is_refused(desk: Desk) -> None:
    """The sandbox knows one version and doesn't pretend otherwise."""
    with pytest.raises(stripe.InvalidRequestError, match="API version"):
        await desk.stripe.v1.customers.list_async(options={"stripe_version": "2020-08-27"})


async def test_answers_carry_stripes_headers(desk: Desk) -> None:
    """Request id, version, and for a POST its key and the request that it first answered."""
    await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "key-1"})
    headers = desk.http.last_headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == "2026-08-26.dahlia"
    assert headers["Idempotency-Key"] == "key-1"
    assert headers["Original-Request"] == headers["Request-Id"]
    assert "Idempotent-Replayed" not in headers


async def test_unexpandable_field_is_refused(desk: Desk) -> None:
    """Only references expand."""
    intent = await desk.new_payment()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await desk.stripe.v1.payment_intents.retrieve_async(intent.id, {"expand": ["status"]})
