"""Every write and every read of the payments API meets every fault, and what is left then."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import stripe

from tests.sandbox.harness import CheckingClient, Desk, Json

Call = Callable[[stripe.StripeClient, "Ids", Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What the calls are about."""

    customer: str
    method: str
    open_intent: str
    held: str
    voided: str
    paid: str
    refund: str
    setup: str
    given_up: str
    dispute: str
    source: str


async def _held(desk: Desk) -> str:
    intent = await desk.new_payment(
        payment_method="pm_card_visa", capture_method="manual", confirm=True
    )
    return intent.id


async def _prepared(desk: Desk) -> Ids:
    """An object of its own for each call that can be made once only."""
    await desk.control(f"accounts/{desk.key}", {"legacy": True})
    v1 = desk.stripe.v1
    customer = await desk.new_customer()
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    paid = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    disputed = await desk.new_payment(payment_method="pm_card_createDispute", confirm=True)
    setups = [await v1.setup_intents.create_async({}) for _ in range(2)]
    return Ids(
        customer=customer,
        method=method.id,
        open_intent=(await desk.new_payment()).id,
        held=await _held(desk),
        voided=await _held(desk),
        paid=paid.id,
        refund=(await v1.refunds.create_async({"payment_intent": paid.id, "amount": 1})).id,
        setup=setups[0].id,
        given_up=setups[1].id,
        dispute=(await v1.disputes.list_async({"payment_intent": disputed.id})).data[0].id,
        source=(await v1.sources.create_async({"type": "card", "token": "tok_visa"})).id,
    )


async def _newest_event(desk: Desk) -> str:
    return (await desk.stripe.v1.events.list_async({"limit": 1})).data[0].id


CARD: Any = {"payment_method": "pm_card_visa"}
RETURNING: Any = {**CARD, "return_url": "https://shop.example/"}
PAYMENT: Any = {"amount": 1000, "currency": "eur", "payment_method_types": ["card"]}
TOKEN: Any = {"type": "card", "card": {"token": "tok_visa"}}
WRITES: dict[str, Call] = {
    "/v1/customers": lambda c, _, o: c.v1.customers.create_async({}, o),
    "/v1/customers/*": lambda c, ids, o: c.v1.customers.update_async(
        ids.customer, {"name": "Ann"}, o
    ),
    "/v1/payment_intents": lambda c, _, o: c.v1.payment_intents.create_async(PAYMENT, o),
    "/v1/payment_intents/*": lambda c, ids, o: c.v1.payment_intents.update_async(
        ids.open_intent, {"metadata": {"a": "b"}}, o
    ),
    "/v1/payment_intents/*/confirm": lambda c, ids, o: c.v1.payment_intents.confirm_async(
        ids.open_intent, CARD, o
    ),
    "/v1/payment_intents/*/capture": lambda c, ids, o: c.v1.payment_intents.capture_async(
        ids.held, {}, o
    ),
    "/v1/payment_intents/*/cancel": lambda c, ids, o: c.v1.payment_intents.cancel_async(
        ids.voided, {}, o
    ),
    "/v1/refunds": lambda c, ids, o: c.v1.refunds.create_async(
        {"payment_intent": ids.paid, "amount": 100}, o
    ),
    "/v1/refunds/*": lambda c, ids, o: c.v1.refunds.update_async(
        ids.refund, {"metadata": {"a": "b"}}, o
    ),
    "/v1/setup_intents": lambda c, _, o: c.v1.setup_intents.create_async({}, o),
    "/v1/setup_intents/*/confirm": lambda c, ids, o: c.v1.setup_intents.confirm_async(
        ids.setup, RETURNING, o
    ),
    "/v1/setup_intents/*/cancel": lambda c, ids, o: c.v1.setup_intents.cancel_async(
        ids.given_up, {}, o
    ),
    "/v1/payment_methods": lambda c, _, o: c.v1.payment_methods.create_async(TOKEN, o),
    "/v1/payment_methods/*": lambda c, ids, o: c.v1.payment_methods.update_async(
        ids.method, {"metadata": {"a": "b"}}, o
    ),
    "/v1/payment_methods/*/attach": lambda c, ids, o: c.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": ids.customer}, o
    ),
    "/v1/payment_methods/*/detach": lambda c, ids, o: c.v1.payment_methods.detach_async(
        ids.method, {}, o
    ),
    "/v1/disputes/*": lambda c, ids, o: c.v1.disputes.update_async(
        ids.dispute, {"metadata": {"a": "b"}}, o
    ),
    "/v1/sources": lambda c, _, o: c.v1.sources.create_async(
        {"type": "card", "token": "tok_visa"}, o
    ),
    "/v1/charges": lambda c, ids, o: c.v1.charges.create_async(
        {"amount": 1000, "currency": "eur", "source": ids.source}, o
    ),
}
READS: dict[str, Call] = {
    "/v1/customers/*": lambda c, ids, o: c.v1.customers.retrieve_async(ids.customer, {}, o),
    "/v1/payment_intents": lambda c, _, o: c.v1.payment_intents.list_async({}, o),
    "/v1/payment_intents/*": lambda c, ids, o: c.v1.payment_intents.retrieve_async(ids.paid, {}, o),
    "/v1/refunds": lambda c, _, o: c.v1.refunds.list_async({}, o),
    "/v1/refunds/*": lambda c, ids, o: c.v1.refunds.retrieve_async(ids.refund, {}, o),
    "/v1/disputes": lambda c, _, o: c.v1.disputes.list_async({}, o),
    "/v1/setup_intents/*": lambda c, ids, o: c.v1.setup_intents.retrieve_async(ids.setup, {}, o),
    "/v1/payment_methods": lambda c, ids, o: c.v1.payment_methods.list_async(
        {"customer": ids.customer}, o
    ),
    "/v1/charges": lambda c, _, o: c.v1.charges.list_async({}, o),
    "/v1/sources/*": lambda c, ids, o: c.v1.sources.retrieve_async(ids.source, {}, o),
    "/v1/events": lambda c, _, o: c.v1.events.list_async({}, o),
}
BREAKS: list[Json] = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 500, "processed": True},
    {"kind": "status", "status": 409},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 401},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
]
FAILED = (stripe.StripeError, aiohttp.ClientPayloadError)


def _name(fault: Json) -> str:
    return "-".join(str(value).lower() for value in fault.values())


@pytest.mark.parametrize("fault", BREAKS, ids=_name)
async def test_every_write_survives_a_fault(desk: Desk, fault: Json) -> None:
    """It fails, and once more under the same key it does its work exactly once."""
    worked = fault["kind"] in ("reset_after", "truncate") or fault.get("processed", False)
    ids = await _prepared(desk)
    for path, call in WRITES.items():
        key: Json = {"idempotency_key": path}
        before = await _newest_event(desk)
        await desk.fault(**fault, method="POST", path=path)
        with pytest.raises(FAILED):
            await call(desk.stripe, ids, key)
        after = await _newest_event(desk)
        done = await call(desk.stripe, ids, key)
        replayed = desk.http.last_headers.get("Idempotent-Replayed") == "true"
        assert replayed == worked, path
        assert after == (await _newest_event(desk) if worked else before), path
        again = await call(desk.stripe, ids, key)
        assert again.to_dict() == done.to_dict(), path


@pytest.mark.parametrize("fault", BREAKS, ids=_name)
async def test_every_read_survives_a_fault(desk: Desk, fault: Json) -> None:
    """It fails once, and the next one reads; aiohttp itself asks again after one reset."""
    times = 2 if str(fault["kind"]).startswith("reset") else 1
    ids = await _prepared(desk)
    for path, call in READS.items():
        await desk.fault(**fault, method="GET", path=path, times=times)
        with pytest.raises(FAILED):
            await call(desk.stripe, ids, {})
        await desk.control("faults", verb="DELETE")
        assert (await call(desk.stripe, ids, {})).to_dict()["object"], path


@pytest.mark.parametrize("processed", [True, False])
async def test_failure_may_be_kept(desk: Desk, *, processed: bool) -> None:
    """A stored 500 answers for its key for good, whether or not anything was done."""
    ids = await _prepared(desk)
    for path, call in WRITES.items():
        fault: Json = {"kind": "status", "status": 500, "stored": True, "processed": processed}
        await desk.fault(**fault, method="POST", path=path)
        for _ in range(2):
            with pytest.raises(stripe.APIError) as failed:
                await call(desk.stripe, ids, {"idempotency_key": path})
            assert failed.value.http_status == 500, path
        assert desk.http.last_headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("kind", ["latency", "late"])
async def test_slow_answers_reach_the_patient(desk: Desk, kind: str) -> None:
    """Slow before or after the work: the hasty give up, the patient get their answer."""
    ids = await _prepared(desk)
    hasty = CheckingClient(desk.openapi, timeout=0.3)
    impatient = desk.client(desk.key, http=hasty)
    for verb, calls in (("POST", WRITES), ("GET", READS)):
        path = "/v1/payment_intents"
        await desk.fault(kind=kind, seconds=1, method=verb, path=path)
        with pytest.raises(stripe.APIConnectionError):
            await calls[path](impatient, ids, {})
        await desk.fault(kind=kind, seconds=0.05, method=verb, path=path)
        started = asyncio.get_running_loop().time()
        assert await calls[path](desk.stripe, ids, {})
        assert asyncio.get_running_loop().time() - started >= 0.05
    await hasty.close()
