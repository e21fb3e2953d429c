"""`boxoffice reconcile payments`, run as people run it, at a running service and its sandbox."""

import json
import os
import pty
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest

from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2 as pb
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.vendors.stripe import metadata
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.processes import Process
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, running_sandbox, running_service
from tests.support.serving import Service
from tests.support.stores import sqlite_url

PRICE = 1250
SINCE = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
SECONDS = 30
# What the service waits for Stripe; the janitor does not mend what the tests leave to the command.
TIMINGS = Timings(
    look_every=timedelta(hours=1),
    sweep_every=timedelta(hours=1),
    patience=Patience(
        request=timedelta(seconds=1), call=timedelta(seconds=2), pauses=(timedelta(0),)
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command has printed, and how it ended."""

    code: int
    lines: list[str]
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Sells at a service, and pays as its customers do at the account of the service."""

    address: str
    account: Account
    payments: Any
    product_id: str

    def sell(self) -> pb.Payment:
        """Sell something, and have it paid."""
        payment = create_intent(self.payments, self.product_id).payment
        self.account.press("pay", payment.stripe_payment_intent_id)
        return payment

    def run(self, *arguments: str) -> Ended:
        """Run the command, its output going into a pipe."""
        return run(self.address, *arguments)


def command(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "boxoffice_server", "reconcile", "payments", *arguments]


def environment(address: str) -> dict[str, str]:
    """The environment of someone at the machine of a service."""
    return {**os.environ, "BOXOFFICE_GRPC_ADDRESS": address, "TERM": "xterm", "COLUMNS": "200"}


def run_on_terminal(address: str, *arguments: str) -> tuple[int, str]:
    """Run the command on a terminal; answers the exit code and all that the terminal was sent."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        command(*arguments), env=environment(address), stdout=its, stderr=its, stdin=its
    ) as process:
        os.close(its)
        sent = b""
        # Linux tells the end of a terminal by an error.
        with suppress(OSError):
            while some := os.read(ours, 65536):
                sent += some
        os.close(ours)
        return process.wait(SECONDS), sent.decode()


def run(address: str, *arguments: str) -> Ended:
    """Run the command at an address."""
    ended = subprocess.run(
        command(*arguments),
        env=environment(address),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ended(code=ended.returncode, lines=ended.stdout.splitlines(), errors=ended.stderr)


@contextmanager
def opened_shop(address: str, account: Account) -> Iterator[Shop]:
    """Open a shop that Stripe tells of nothing: its webhooks get lost."""
    account.webhooks("drop")
    with grpc.insecure_channel(address) as channel:
        yield Shop(
            address=address,
            account=account,
            payments=PaymentsServiceStub(channel),
            product_id=create_product(OrdersServiceStub(channel)).id,
        )


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop of the test's own."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        account = sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}")
        variables = {
            "BOXOFFICE_STRIPE_API_KEY": account.key,
            "BOXOFFICE_STRIPE_API_BASE": sandbox.stripe_api_base,
        }
        url = sqlite_url(tmp_path_factory.mktemp("service"))
        with running_service(url, timings=TIMINGS, **variables) as service:
            account.point_webhooks(service)
            with opened_shop(service.grpc_address, account) as shop:
                yield shop
            account.stop_webhooks()


def test_lost_webhooks_are_found_and_repaired(shop: Shop) -> None:
    """Told first, repaired when asked to, and then the books agree."""
    paid, refunded = shop.sell(), shop.sell()
    shop.account.call("POST", "refunds", payment_intent=refunded.stripe_payment_intent_id, amount=5)
    found = shop.run("--since", SINCE)
    assert (found.code, found.errors) == (1, "")
    for payment in (paid, refunded):
        assert (
            f"{'status':17}  {'notification_missed':24}  {payment.id}  "
            f"{payment.stripe_payment_intent_id}  "
            f"here: requires_payment_method, at Stripe: complete {PRICE}"
        ) in found.lines
    (line,) = [each for each in found.lines if each.startswith("unknown_here")]
    assert re.fullmatch(
        rf"unknown_here +notification_missed +{refunded.id}  re_\w+  "
        r"here: no such refund, at Stripe: succeeded 5",
        line,
    )
    assert found.lines[-2:] == [
        f"eur  captured 0 here and {2 * PRICE} at Stripe, refunded 0 here and 5 at Stripe: differ",
        "The books differ; differences left: 3 of 3.",
    ]
    repaired = shop.run("--since", SINCE, "--repair")
    assert (repaired.code, repaired.errors) == (0, "")
    assert repaired.lines[-2].endswith("refunded 5 here and 5 at Stripe: agree")
    assert repaired.lines[-1].startswith("The books agree")
    got = shop.payments.GetPayment(pb.GetPaymentRequest(payment_id=paid.id))
    assert got.payment.status == pb.PAYMENT_STATUS_COMPLETE
    again = shop.run("--since", SINCE)
    assert (again.code, again.lines[-1]) == (0, "The books agree.")


def test_what_was_repaired_is_told(shop: Shop) -> None:
    """Stripe has no webhook that got lost where it was told of none, so its objects are read."""
    shop.account.stop_webhooks()
    payment = shop.sell()
    repaired = shop.run("--since", SINCE, "--repair")
    assert repaired.code == 0
    (line,) = [each for each in repaired.lines if payment.id in each]
    assert line.endswith(f"at Stripe: complete {PRICE}  repaired")
    assert repaired.lines[-1] == "The books agree; differences repaired: 1."


def test_difference_that_can_not_be_repaired_is_left_for_a_person(shop: Shop) -> None:
    """An intent that names a payment nobody here knows; one that names none is not ours."""
    stray = shop.account.call(
        "POST",
        "payment_intents",
        amount=700,
        currency="eur",
        **{f"metadata[{metadata.PAYMENT_ID}]": "pay_lost"},
    )
    shop.account.call("POST", "payment_intents", amount=800, currency="eur")
    ended = shop.run("--since", SINCE, "--repair")
    assert ended.code == 1
    line = (
        f"{'missing_here':17}  {'unexplained':24}  pay_lost  {stray['id']}  "
        "here: no such payment, at Stripe: requires_payment_method  not repaired"
    )
    assert ended.lines == [
        line,
        "2 compared, 1 of them not ours",
        "The books differ; differences left: 1 of 1.",
    ]


def test_programs_read_an_object_per_line(shop: Shop) -> None:
    """The same facts, in fields."""
    payment = shop.sell()
    ended = shop.run("--since", SINCE, "--json")
    assert ended.code == 1
    told = [json.loads(line) for line in ended.lines]
    assert told[0] == {
        "difference": {
            "kind": "status",
            "cause": "notification_missed",
            "payment_id": payment.id,
            "stripe_id": payment.stripe_payment_intent_id,
            "ours": "requires_payment_method",
            "theirs": f"complete {PRICE}",
            "repaired": False,
        }
    }
    summary = told[-1]["summary"]
    assert (summary["agree"], summary["differences"], summary["repaired"]) == (False, 1, 0)
    assert summary["sums"] == [
        {
            "currency_code": "eur",
            "our_captured": 0,
            "stripe_captured": PRICE,
            "our_refunded": 0,
            "stripe_refunded": 0,
            "agree": False,
        }
    ]


def test_terminal_shows_a_bar_and_a_pipe_none(shop: Shop) -> None:
    """The bar says how far it is; differences stay on lines of their own."""
    payment = shop.sell()
    assert not any("Comparing" in line for line in shop.run("--since", SINCE).lines)
    code, screen = run_on_terminal(shop.address, "--since", SINCE)
    assert code == 1
    assert re.search(r"Comparing with Stripe .*━.*100%.* \d compared, 1 differ", screen)
    assert re.search(rf"status .*{payment.id}.*at Stripe: complete {PRICE}", screen)


def test_time_since_when_is_a_date_or_a_time_of_any_zone(shop: Shop) -> None:
    """What was made before it is not compared."""
    shop.sell()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    elsewhere = tomorrow.astimezone(timezone(timedelta(hours=9)))
    for since in (f"{tomorrow:%Y-%m-%d}", f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}", elsewhere.isoformat()):
        ended = shop.run("--since", since)
        assert (ended.code, ended.lines) == (0, ["0 compared", "The books agree."])
    assert shop.run("--since", "2026-11-01").code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: --since"),
        (("--since", "yesterday"), "'yesterday' is no time such as 2026-11-01"),
        (("--since", SINCE, "--repare"), "unrecognized arguments: --repare"),
    ],
)
def test_command_that_is_not_understood_is_told_how(arguments: Sequence[str], said: str) -> None:
    """With the exit code of its own."""
    ended = run("127.0.0.1:9", *arguments)
    assert (ended.code, ended.lines) == (2, [])
    assert said in ended.errors


def test_service_that_is_not_there_is_told() -> None:
    """With where it was looked for, and by which variable that is said."""
    ended = run("127.0.0.1:9", "--since", SINCE)
    assert (ended.code, ended.lines) == (1, [])
    assert ended.errors == (
        "boxoffice: no service answers at 127.0.0.1:9, where BOXOFFICE_GRPC_ADDRESS says it is\n"
    )


def test_stripe_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    """And that nothing keeps anyone from starting again."""
    with running_service(sqlite_url(tmp_path), timings=TIMINGS) as service:
        ended = run(service.grpc_address, "--since", SINCE)
    assert (ended.code, ended.lines) == (1, [])
    assert ended.errors.startswith("boxoffice: Stripe can't be read (")
    assert "start it again" in ended.errors


def test_service_that_dies_in_the_middle_is_told(tmp_path: Path) -> None:
    """After what it had told, and nothing is called compared."""
    with Service(tmp_path) as service, opened_shop(service.grpc_address, service.stripe) as shop:
        payment = shop.sell()
        shop.account.fault("latency", "/v1/refunds", method="GET", seconds=60)
        with Process(command("--since", SINCE), env=environment(shop.address)) as process:
            process.wait_for(payment.id)
            service.kill()
            assert process.wait() == 1
            process.wait_for(rf"^boxoffice: the service at {shop.address} went away in the middle")
            assert "The books" not in process.output


def test_comparison_that_is_interrupted_ends_at_once(shop: Shop) -> None:
    """Without a traceback, and with the exit code that shells expect."""
    payment = shop.sell()
    shop.account.fault("latency", "/v1/refunds", method="GET", seconds=60)
    with Process(command("--since", SINCE), env=environment(shop.address)) as process:
        process.wait_for(payment.id)
        process.signal(signal.SIGINT)
        assert process.wait(seconds=5) == 130
        process.wait_for("^boxoffice: interrupted")
        assert "Traceback" not in process.output
