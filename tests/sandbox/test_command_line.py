"""The sandbox as a process: start, buttons, stop, and what survives a crash."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stripe

from boxoffice_sandbox.__main__ import main
from tests.sandbox.harness import Desk, Listener
from tests.support.processes import Process
from tests.support.stripe_openapi import StripeOpenApi

PROGRAM = [sys.executable, "-m", "boxoffice_sandbox"]
SERVE = [*PROGRAM, "serve", "--address", "127.0.0.1:0"]
READY = r"^sandbox (\S+) READY$"


def _press(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words, "--sandbox", f"http://{desk.address}"],
        capture_output=True,
        text=True,
        check=False,
    )


async def test_buttons_print_id_and_status(desk: Desk) -> None:
    """pay, decline, authenticate and refuse, each with one line."""
    for kind in ("card", "bancontact", "ideal"):
        intent = (await desk.new_payment(payment_method_types=[kind])).id
        for action, status in (("decline", "requires_payment_method"), ("pay", "succeeded")):
            done = await asyncio.to_thread(_press, desk, action, intent)
            assert (done.stdout, done.returncode) == (f"{intent} {status}\n", 0), done.stderr
    for action, status in (
        ("refuse", "requires_payment_method"),
        ("authenticate", "succeeded"),
    ):
        intent = (
            await desk.new_payment(payment_method="pm_card_threeDSecure2Required", confirm=True)
        ).id
        done = await asyncio.to_thread(_press, desk, action, intent)
        assert (done.stdout, done.returncode) == (f"{intent} {status}\n", 0), done.stderr


async def _pressed(desk: Desk, *words: str) -> str:
    """The one line that a command prints."""
    done = await asyncio.to_thread(_press, desk, *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


async def test_setups_are_finished_by_command(desk: Desk) -> None:
    """Declined, saved with a named card, and completed or refused at the bank."""
    create = desk.stripe.v1.setup_intents.create_async
    setup = (await create({"payment_method_types": ["card"]})).id
    assert await _pressed(desk, "setup", setup, "--decline") == f"{setup} requires_payment_method"
    assert await _pressed(desk, "setup", setup, "--card", "mastercard") == f"{setup} succeeded"
    for action, status in (("refuse", "requires_payment_method"), ("authenticate", "succeeded")):
        asked = await create(
            {
                "payment_method_types": ["card"],
                "payment_method": "pm_card_threeDSecure2Required",
                "confirm": True,
            }
        )
        assert await _pressed(desk, action, asked.id) == f"{asked.id} {status}"


async def test_payments_are_made_with_a_named_card_by_command(desk: Desk) -> None:
    """A card's number ends as it was named."""
    intent = await desk.new_payment()
    declined = ("decline", intent.id, "--card", "chargeDeclinedExpiredCard")
    assert await _pressed(desk, *declined) == f"{intent.id} requires_payment_method"
    assert await _pressed(desk, "pay", intent.id, "--card", "amex") == f"{intent.id} succeeded"
    paid = await desk.stripe.v1.payment_intents.retrieve_async(
        intent.id, {"expand": ["payment_method"]}
    )
    assert isinstance(paid.payment_method, stripe.PaymentMethod)
    assert paid.payment_method.card is not None
    assert paid.payment_method.card.brand == "amex"


async def test_refunds_are_made_and_end_by_command(desk: Desk) -> None:
    """In the dashboard, in part or whole; a pending one is settled, a done one fails."""
    paid = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
    done = await _pressed(desk, "refund", paid.id, "--amount", "300")
    refund, _, status = done.partition(" ")
    assert status == "succeeded"
    assert (await desk.stripe.v1.refunds.retrieve_async(refund)).amount == 300
    assert await _pressed(desk, "fail-refund", refund) == f"{refund} failed"
    rest = await _pressed(desk, "refund", str(paid.latest_charge), "--reason", "duplicate")
    assert (await desk.stripe.v1.refunds.retrieve_async(rest.split()[0])).amount == 1000
    slow = await desk.new_payment(payment_method="pm_card_pendingRefund", confirm=True)
    pending = (await _pressed(desk, "refund", slow.id)).split()
    assert pending[1] == "pending"
    assert await _pressed(desk, "settle-refund", pending[0]) == f"{pending[0]} succeeded"
    nothing = await asyncio.to_thread(_press, desk, "refund", slow.id, "--amount", "0")
    assert nothing.stderr == "boxoffice-sandbox: amount must be a positive number.\n"


async def test_disputes_run_by_command(desk: Desk) -> None:
    """Opened, reviewed, decided; an inquiry is closed or becomes a dispute."""
    for end, status in (("dispute-win", "won"), ("dispute-lose", "lost")):
        paid = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
        opened = await _pressed(desk, "dispute", paid.id, "--amount", "500")
        dispute = opened.removesuffix(" needs_response")
        assert await _pressed(desk, "dispute-review", dispute) == f"{dispute} under_review"
        assert await _pressed(desk, end, dispute) == f"{dispute} {status}"
    for end, status in (
        ("dispute-close", "warning_closed"),
        ("dispute-escalate", "needs_response"),
    ):
        paid = await desk.new_payment(payment_method="pm_card_visa", confirm=True)
        opened = await _pressed(desk, "dispute", str(paid.latest_charge), "--inquiry")
        inquiry = opened.removesuffix(" warning_needs_response")
        assert await _pressed(desk, end, inquiry) == f"{inquiry} {status}"


async def test_saved_card_is_renewed_by_command(desk: Desk) -> None:
    """Its network has a new expiry for it."""
    method = await desk.stripe.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": await desk.new_customer()}
    )
    done = await _pressed(desk, "renew-card", method.id, "--exp-year", "2044")
    assert done == f"{method.id} attached"
    renewed = await desk.stripe.v1.payment_methods.retrieve_async(method.id)
    assert renewed.card is not None
    assert renewed.card.exp_year == 2044


@pytest.mark.parametrize("kind", ["card", "bancontact", "ideal"])
async def test_source_is_made_by_command(legacy_desk: Desk, kind: str) -> None:
    """As a customer's device would: the publishable key, whose order it is, and authorised."""
    words = ["source", "create", "--amount", "1234", "--user", "u1", "--order", "o1"]
    key = legacy_desk.key.replace("sk_", "pk_")
    done = await _pressed(legacy_desk, *words, "--type", kind, "--key", key)
    made, _, status = done.partition(" ")
    assert status == "chargeable"
    source = await legacy_desk.stripe.v1.sources.retrieve_async(made)
    assert (source.type, source.amount, source.currency) == (kind, 1234, "eur")
    assert source.metadata is not None
    assert source.metadata.to_dict() == {"boxoffice_order_id": "o1", "boxoffice_user_id": "u1"}
    event = await legacy_desk.event("source.chargeable")
    assert event["data"]["object"]["id"] == made


async def test_source_with_a_mistake_says_why(desk: Desk) -> None:
    """Stripe's own refusal, where the account is not a legacy one."""
    words = ["source", "create", "--amount", "1", "--user", "u1", "--order", "o1"]
    key = desk.key.replace("sk_", "pk_")
    done = await asyncio.to_thread(_press, desk, *words, "--key", key)
    assert (done.returncode, "end of life" in done.stderr) == (1, True)


async def test_clock_is_moved_by_command(tmp_path: Path, openapi: StripeOpenApi) -> None:
    """The new time is printed; backwards is refused."""
    command = [*SERVE, "--database", str(tmp_path / "s.db"), "--webhook-url", ""]
    async with _started([*command, "--frozen-time", "1800000000"], openapi) as (_, desk):
        assert await _pressed(desk, "advance", "3600") == "clock 1800003600"
        refused = await asyncio.to_thread(_press, desk, "advance", "0")
        assert (refused.returncode, "only moves forward" in refused.stderr) == (1, True)


@pytest.mark.parametrize("command", ["pay", "setup", "refund", "fail-refund", "dispute-win"])
def test_wrong_kind_of_id_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command says which ids it takes."""
    assert main([command, "cus_1"]) == 1
    assert "boxoffice-sandbox: cus_1 is not " in capsys.readouterr().err


async def test_button_that_fails_says_why(desk: Desk) -> None:
    """A clear message on standard error and a non-zero status."""
    done = await asyncio.to_thread(_press, desk, "pay", "pi_nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "boxoffice-sandbox: No such payment_intent: 'pi_nothing'\n"
    intent = await desk.new_payment()
    done = await asyncio.to_thread(_press, desk, "authenticate", intent.id)
    assert done.returncode == 1
    assert "requires_payment_method" in done.stderr


def test_button_without_a_sandbox_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens there."""
    assert main(["pay", "pi_1", "--sandbox", "http://127.0.0.1:1"]) == 1
    assert "no sandbox at http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT: status 0 and nothing but the READY line printed."""
    with Process([*SERVE, "--database", tmp_path / "s.db"]) as process:
        process.wait_for(READY)
        process.signal(number)
        assert process.wait(seconds=5) == 0
        assert process.output.count("\n") == 1, process.output


def test_closed_stdin_ends_it(tmp_path: Path) -> None:
    """Its parent holds the pipe: when the parent is gone, so is the sandbox."""
    command = [*SERVE, "--database", str(tmp_path / "s.db"), "--exit-on-stdin-close"]
    with Process(command) as process:
        process.wait_for(READY)
        assert process.returncode is None
        assert process._popen.stdin is not None
        process._popen.stdin.close()
        assert process.wait(seconds=5) == 0


def test_taken_port_is_an_error(tmp_path: Path, sandbox_address: str) -> None:
    """A second sandbox on the same address says so and ends."""
    command = [*PROGRAM, "serve", "--address", sandbox_address]
    command += ["--database", str(tmp_path / "s.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=15)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:", ":80", "127.0.0.1:http"])
def test_unreadable_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The usage error names the address."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--address", address])
    assert ended.value.code == 2
    assert f"{address} is not host:port" in capsys.readouterr().err


async def test_everything_survives_a_kill(tmp_path: Path, openapi: StripeOpenApi) -> None:
    """Objects, keys, faults and undelivered webhooks are there after a kill -9."""
    command = [*SERVE, "--database", str(tmp_path / "s.db")]
    async with Listener(openapi) as listener:
        command += ["--webhook-url", listener.url]
        listener.answers = [500] * 100
        async with _started(command, openapi) as (process, desk):
            made = await _customer_under_key(desk)
            await listener.until_count(1)
            await desk.fault(kind="status", status=500, path="/v1/charges")
            process.kill()
        listener.answers.clear()
        tried = len(listener.events)
        async with _started(command, openapi) as (_, desk):
            await listener.until_count(tried + 1)
            assert listener.events[-1]["data"]["object"]["id"] == made
            assert await _customer_under_key(desk) == made
            assert len((await desk.control("faults", verb="GET"))["faults"]) == 1


@asynccontextmanager
async def _started(
    command: list[str], openapi: StripeOpenApi
) -> AsyncIterator[tuple[Process, Desk]]:
    with Process(command) as process:
        address = (await asyncio.to_thread(process.wait_for, READY)).group(1)
        desk = Desk(address, "sk_test_boxoffice_kill", openapi)
        yield process, desk
        await desk.close()


async def _customer_under_key(desk: Desk) -> str:
    customer = await desk.stripe.v1.customers.create_async({}, options={"idempotency_key": "k"})
    return customer.id
