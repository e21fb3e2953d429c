"""What holds for every call: faults of the line and refusals mean the same whatever is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from boxoffice_server.domain.errors import Reason
from boxoffice_server.ports import KeySpentError
from tests.vendors.stripe.calls import (
    ATTEMPTS,
    CHARGE,
    CUSTOMER,
    FORBIDDEN,
    IN_FLIGHT,
    MADE,
    NOW,
    PAYMENT,
    REFUND,
    REQUEST,
    SERVER_ERROR,
    SETUP,
    TOO_MANY,
    TOO_SMALL,
    WRONG_KEY,
    Doors,
    refusal,
)
from tests.vendors.stripe.fake_stripe import FakeStripe, Fault, Reply

KEY = "opn_1-1"


Ask = Callable[[Doors], Awaitable[object]]

WRITES: dict[str, Ask] = {
    "create_customer": lambda to: to.gateway.create_customer(CUSTOMER, key=KEY),
    "create_intent": lambda to: to.gateway.create_intent(REQUEST),
    "capture_intent": lambda to: to.gateway.capture_intent(MADE, amount=900, key=KEY),
    "cancel_intent": lambda to: to.gateway.cancel_intent(MADE, key=KEY),
    "create_refund": lambda to: to.gateway.create_refund(REFUND, MADE, key=KEY),
    "create_charge": lambda to: to.gateway.create_charge(CHARGE),
    "create_setup_intent": lambda to: to.methods.create_setup_intent(SETUP),
    "attach_method": lambda to: to.methods.attach_method("pm_1", "cus_1", key=KEY),
    "detach_method": lambda to: to.methods.detach_method("pm_1", key=KEY, now=NOW),
}
READS: dict[str, Ask] = {
    "read_intent": lambda to: to.gateway.read_intent("pi_1"),
    "find_customer": lambda to: to.gateway.find_customer(CUSTOMER, since=NOW),
    "find_intent": lambda to: to.gateway.find_intent(PAYMENT, "cus_1", since=NOW),
    "find_refund": lambda to: to.gateway.find_refund(REFUND, MADE),
    "read_source": lambda to: to.gateway.read_source("src_1"),
    "find_charge": lambda to: to.gateway.find_charge(PAYMENT, operation_id="opn_1", since=NOW),
    "read_setup_intent": lambda to: to.methods.read_setup_intent("seti_1"),
    "read_method": lambda to: to.methods.read_method("pm_1"),
}

writes = pytest.mark.parametrize("ask", WRITES.values(), ids=WRITES)
reads = pytest.mark.parametrize("ask", READS.values(), ids=READS)
calls = pytest.mark.parametrize("ask", (WRITES | READS).values(), ids=WRITES | READS)


@writes
@pytest.mark.parametrize(
    "step",
    [SERVER_ERROR, IN_FLIGHT, Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.TRUNCATED],
    ids=["500", "409", "reset before", "reset after", "truncated"],
)
async def test_a_write_that_fails_once_is_done_once(
    doors: Doors, stripe: FakeStripe, ask: Ask, step: Fault | Reply
) -> None:
    """The repeat is the same request, and what it makes is all there is."""
    stripe.script = [step]
    answer = await ask(doors)
    first, second = stripe.received
    assert (first.path, first.key, first.form) == (second.path, second.key, second.form)
    assert len(stripe.made) == 1
    assert await ask(doors) == answer


@writes
@pytest.mark.parametrize(
    "step",
    [SERVER_ERROR, IN_FLIGHT, Fault.RESET_AFTER, Fault.TRUNCATED],
    ids=["500", "409", "reset", "truncated"],
)
async def test_a_write_that_always_fails_may_have_happened(
    doors: Doors, stripe: FakeStripe, ask: Ask, step: Fault | Reply
) -> None:
    """It can be asked for again under the same key."""
    stripe.script = [step] * ATTEMPTS
    error = await refusal(ask(doors))
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert not isinstance(error, KeySpentError)
    assert len(stripe.received) == ATTEMPTS


@writes
async def test_a_stored_fault_spends_the_key_of_a_write(
    doors: Doors, stripe: FakeStripe, ask: Ask
) -> None:
    """It may have happened, and asking again under the same key is pointless."""
    stripe.script = [replace(SERVER_ERROR, headers={"Idempotent-Replayed": "true"})]
    error = await refusal(ask(doors))
    assert isinstance(error, KeySpentError)
    assert error.reason is Reason.OUTCOME_UNKNOWN
    assert len(stripe.received) == 1


@reads
@pytest.mark.parametrize("step", [SERVER_ERROR, Fault.TRUNCATED], ids=["500", "truncated"])
async def test_a_read_that_always_fails_left_nothing_behind(
    doors: Doors, stripe: FakeStripe, ask: Ask, step: Fault | Reply
) -> None:
    """Whoever asked may come back."""
    stripe.script = [step] * ATTEMPTS
    error = await refusal(ask(doors))
    assert error.reason is Reason.VENDOR_UNAVAILABLE
    assert len(stripe.received) == ATTEMPTS


@calls
@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (TOO_SMALL, Reason.VENDOR_REFUSED),
        (FORBIDDEN, Reason.VENDOR_REFUSED),
        (WRONG_KEY, Reason.VENDOR_UNAVAILABLE),
        (TOO_MANY, Reason.VENDOR_UNAVAILABLE),
    ],
    ids=["400", "403", "401", "429"],
)
async def test_a_call_that_was_not_done_is_told_so_at_once(
    doors: Doors, stripe: FakeStripe, ask: Ask, step: Reply, reason: Reason
) -> None:
    """Nothing happened, and nothing is repeated."""
    stripe.script = [step]
    error = await refusal(ask(doors))
    assert error.reason is reason
    assert error.metadata
    assert len(stripe.received) == 1
