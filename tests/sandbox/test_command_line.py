"""The sandbox as a process: start, buttons, stop, and what survives a crash."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from boxoffice_sandbox.__main__ import main
from tests.sandbox.harness import Desk, Listener
from tests.support.processes import Process
from tests.support.stripe_openapi import StripeOpenApi

PROGRAM = [sys.executable, "-m", "boxoffice_sandbox"]
SERVE = [*PROGRAM, "serve", "--address", "127.0.0.1:0"]
READY = r"^sandbox (\S+) READY$"


def _press(desk: Desk, action: str, intent: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, action, intent, "--sandbox", f"http://{desk.address}"],
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


def test_start_is_fast(tmp_path: Path) -> None:
    """The best of three starts, so that a busy machine doesn't decide, is well below a second."""
    taken = []
    for _ in range(3):
        started = time.monotonic()
        with Process([*SERVE, "--database", tmp_path / "s.db"]) as process:
            process.wait_for(READY)
            taken.append(time.monotonic() - started)
    assert min(taken) < 1


def test_taken_port_is_an_error(tmp_path: Path, sandbox_address: str) -> None:
    """A second sandbox on the same address says so and ends."""
    command = [*PROGRAM, "serve", "--address", sandbox_address]
    command += ["--database", str(tmp_path / "s.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=15)
    assert done.returncode == 1
    assert "address already in use" in done.stderr


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
