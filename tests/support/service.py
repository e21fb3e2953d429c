"""The service for tests: started in a thread of its own, on a store and a sandbox account."""

import asyncio
import json
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from boxoffice_server.app import Application, Doors, Timings
from boxoffice_server.settings import Settings, read_settings
from boxoffice_server.storage import migrate
from tests.support.processes import Process

T = TypeVar("T")
Json = dict[str, Any]

START_SECONDS = 20
STOP_SECONDS = 20
WAIT_SECONDS = 10
WEBHOOK_SECRET = "whsec_boxoffice_tests"


def service_environment(database_url: str, **variables: str) -> dict[str, str]:
    """The environment of a service on free ports; `variables` are more of it, or other."""
    environment = {
        "BOXOFFICE_GRPC_ADDRESS": "127.0.0.1:0",
        "BOXOFFICE_HTTP_ADDRESS": "127.0.0.1:0",
        "BOXOFFICE_DATABASE_URL": database_url,
        "BOXOFFICE_STRIPE_API_KEY": "sk_test_boxoffice_tests",
        # Nothing listens there: tests that reach Stripe name a sandbox.
        "BOXOFFICE_STRIPE_API_BASE": "http://127.0.0.1:9/stripe",
        "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    }
    return environment | variables


def service_settings(database_url: str, **variables: str) -> Settings:
    """The settings of such a service."""
    return read_settings(service_environment(database_url, **variables), sandbox=False)


class ServiceThread:
    """A running service. Its loop runs in a thread, so that tests may block."""

    def __init__(self, settings: Settings, *, timings: Timings | None = None) -> None:
        self._settings = settings
        self._timings = timings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.application: Application
        self.doors: Doors

    def start(self) -> None:
        """Migrate, start and wait until it serves."""
        migrate(self._settings.database_url)
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        starting.result(START_SECONDS)

    async def _start(self) -> None:
        self.application = Application(self._settings, timings=self._timings)
        self.doors = await self.application.start()

    def stop(self) -> None:
        """Drain it and end its thread."""
        stopping = asyncio.run_coroutine_threadsafe(self.application.stop(), self._loop)
        stopping.result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    def run(self, work: Callable[[Application], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the service's own loop, to look inside or to reach into it."""
        future = asyncio.run_coroutine_threadsafe(work(self.application), self._loop)
        return future.result(WAIT_SECONDS)

    @property
    def grpc_address(self) -> str:
        """Where it takes calls."""
        return str(self.doors.grpc)

    @property
    def http_url(self) -> str:
        """Where it takes webhooks."""
        return f"http://{self.doors.http}"


@contextmanager
def running_service(
    database_url: str, *, timings: Timings | None = None, **variables: str
) -> Iterator[ServiceThread]:
    """Run a service on free ports until the end of the block."""
    service = ServiceThread(service_settings(database_url, **variables), timings=timings)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A running vendor sandbox."""

    url: str

    @property
    def stripe_api_base(self) -> str:
        """Where it answers as Stripe does."""
        return f"{self.url}/stripe"

    def control(self, path: str, body: object | None = None) -> Json:
        """Call the sandbox's control API: GET without a body, else POST."""
        request = urllib.request.Request(  # noqa: S310 -- always http to loopback
            f"{self.url}/control/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 -- as above
            answer: Json = json.load(response)
            return answer

    def clear_faults(self) -> None:
        """Disarm every fault, of all accounts."""
        request = urllib.request.Request(f"{self.url}/control/faults", method="DELETE")  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 -- http to loopback

    def retry_webhooks(self) -> None:
        """Try again at once whatever was not taken, of all accounts."""
        self.control("webhooks/retry", {})

    def account(self, key: str) -> "Account":
        """One account of it, which its first use makes."""
        return Account(sandbox=self, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One Stripe account at the sandbox, as its owner and its customers use it."""

    sandbox: Sandbox
    key: str

    def point_webhooks(self, service: ServiceThread) -> None:
        """Have the account's webhooks sent to a service."""
        url = f"{service.http_url}/webhooks/stripe"
        body = {"webhook_url": url, "webhook_secret": WEBHOOK_SECRET}
        self.sandbox.control(f"accounts/{self.key}", body)

    def stop_webhooks(self) -> None:
        """Send no webhooks any more, for whoever took them is about to end."""
        self.sandbox.control(f"accounts/{self.key}", {"webhook_url": ""})

    def webhooks(self, mode: str) -> None:
        """Deliver what is to come: `normal`, `hold`, `drop`, `duplicate` or `reverse`."""
        self.sandbox.control("webhooks", {"account": self.key, "mode": mode})

    def release(self, order: str | list[str] = "fifo") -> list[str]:
        """Deliver what is held, one by one; answers the ids of the events."""
        body = {"account": self.key, "order": order}
        released: list[str] = self.sandbox.control("webhooks/release", body)["released"]
        return released

    def told(self) -> set[str]:
        """List the ids of the events that are, were or would have been sent."""
        sent: list[Json] = self.sandbox.control(f"webhooks?account={self.key}")["deliveries"]
        return {each["event"] for each in sent}

    def held(self) -> list[str]:
        """List the ids of the events that are held, newest first."""
        sent: list[Json] = self.sandbox.control(f"webhooks?account={self.key}")["deliveries"]
        return [each["event"] for each in sent if each["state"] == "held"]

    def call(self, method: str, path: str, **form: object) -> Json:
        """Call Stripe's API with the account's secret key."""
        coded = urllib.parse.urlencode(form)
        query = f"?{coded}" if method == "GET" and form else ""
        request = urllib.request.Request(  # noqa: S310 -- always http to loopback
            f"{self.sandbox.stripe_api_base}/v1/{path}{query}",
            data=None if method == "GET" else coded.encode(),
            headers={"Authorization": f"Bearer {self.key}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:  # noqa: S310
            answer: Json = json.load(response)
            return answer

    def everything(self, path: str, **filters: object) -> list[Json]:
        """List the account's objects of a kind, newest first."""
        listed: list[Json] = self.call("GET", path, limit=100, **filters)["data"]
        return listed

    def intents_of(self, user_id: str) -> list[Json]:
        """List the intents that were made for one of our users."""
        return [
            each
            for each in self.everything("payment_intents")
            if each["metadata"].get("boxoffice_user_id") == user_id
        ]

    def press(self, button: str, payment_intent_id: str) -> Json:
        """Press pay, decline, authenticate, refuse or process; answers the intent then."""
        path = f"payment_intents/{payment_intent_id}/{button}"
        pressed: Json = self.sandbox.control(path, {})["object"]
        return pressed

    def fault(self, kind: str, path: str = "/v1/payment_intents", **more: object) -> None:
        """Arm a fault for the account's next requests below a path."""
        body = {"account": self.key, "kind": kind, "method": "POST", "path": path, **more}
        self.sandbox.control("faults", body)

    def wait_delivered(self) -> None:
        """Wait until every webhook of the account was taken, but for those that were dropped."""

        def delivered() -> bool:
            path = f"webhooks?account={self.key}"
            sent: list[Json] = self.sandbox.control(path)["deliveries"]
            return all(each["state"] in {"delivered", "dropped"} for each in sent)

        wait_until(delivered, "a webhook was not taken")

    def wait_taken(self) -> None:
        """Wait until every webhook of the account that is not held back was taken."""

        def taken() -> bool:
            path = f"webhooks?account={self.key}"
            sent: list[Json] = self.sandbox.control(path)["deliveries"]
            return all(each["state"] in {"delivered", "held", "dropped"} for each in sent)

        wait_until(taken, "a webhook was not taken")

    def wait_met(self, times: int) -> None:
        """Wait until the account's fault, armed for so many times, has met a request."""

        def met() -> bool:
            armed: list[Json] = self.sandbox.control("faults")["faults"]
            mine = [each for each in armed if each["account"] == self.key]
            return all(each["times"] < times for each in mine)

        wait_until(met, "the fault has met no request")

    def wait_struck(self) -> None:
        """Wait until every armed fault of the account has met its request."""

        def struck() -> bool:
            armed: list[Json] = self.sandbox.control("faults")["faults"]
            return all(each["account"] not in (None, self.key) for each in armed)

        wait_until(struck, "the fault has met no request")


def wait_until(holds: Callable[[], bool], fault: str, *, seconds: float = WAIT_SECONDS) -> None:
    """Wait for what no stream tells, looking again and again; fails with `fault`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, fault
        time.sleep(0.01)


@contextmanager
def running_sandbox(folder: Path, *options: str | Path) -> Iterator[Sandbox]:
    """Run a sandbox on a free port until the end of the block."""
    command = (
        *(sys.executable, "-m", "boxoffice_sandbox", "serve"),
        *("--address", "127.0.0.1:0", "--database", folder / "sandbox.db"),
        *options,
    )
    with Process(command) as process:
        ready = process.wait_for(r"^sandbox (\S+) READY$")
        yield Sandbox(url=f"http://{ready[1]}")
        process.terminate()
        process.wait()
