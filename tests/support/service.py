"""The service for tests: started in a thread of its own, on a store and a sandbox account."""

import asyncio
import json
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boxoffice_server.app import Application, Doors
from boxoffice_server.domain.task import LeasePolicy
from boxoffice_server.settings import Settings, read_settings
from boxoffice_server.storage import migrate
from tests.support.processes import Process

START_SECONDS = 20
STOP_SECONDS = 20
WEBHOOK_SECRET = "whsec_boxoffice_tests"


def service_settings(database_url: str, **variables: str) -> Settings:
    """Settings of a service on free ports; `variables` are environment variables."""
    environment = {
        "BOXOFFICE_GRPC_ADDRESS": "127.0.0.1:0",
        "BOXOFFICE_HTTP_ADDRESS": "127.0.0.1:0",
        "BOXOFFICE_DATABASE_URL": database_url,
        "BOXOFFICE_STRIPE_API_KEY": "sk_test_boxoffice_tests",
        # Nothing listens there: tests that reach Stripe name a sandbox.
        "BOXOFFICE_STRIPE_API_BASE": "http://127.0.0.1:9/stripe",
        "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    }
    return read_settings(environment | variables, sandbox=False)


class ServiceThread:
    """A running service. Its loop runs in a thread, so that tests may block."""

    def __init__(self, settings: Settings, *, leases: LeasePolicy | None = None) -> None:
        self._settings = settings
        self._leases = leases
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
        self.application = Application(self._settings, leases=self._leases)
        self.doors = await self.application.start()

    def stop(self) -> None:
        """Drain it and end its thread."""
        stopping = asyncio.run_coroutine_threadsafe(self.application.stop(), self._loop)
        stopping.result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

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
    database_url: str, *, leases: LeasePolicy | None = None, **variables: str
) -> Iterator[ServiceThread]:
    """Run a service on free ports until the end of the block."""
    service = ServiceThread(service_settings(database_url, **variables), leases=leases)
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

    def control(self, path: str, body: object | None = None) -> dict[str, object]:
        """Call the sandbox's control API: GET without a body, else POST."""
        request = urllib.request.Request(  # noqa: S310 -- always http to loopback
            f"{self.url}/control/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 -- as above
            answer: dict[str, object] = json.load(response)
            return answer

    def point_webhooks(self, key: str, service: ServiceThread) -> None:
        """Have an account's webhooks sent to a service."""
        self.control(
            f"accounts/{key}",
            {"webhook_url": f"{service.http_url}/webhooks/stripe", "webhook_secret": WEBHOOK_SECRET},
        )

    def press(self, button: str, payment_intent_id: str) -> None:
        """Press pay, decline, authenticate or refuse."""
        self.control(f"payment_intents/{payment_intent_id}/{button}", {})


@contextmanager
def running_sandbox(folder: Path) -> Iterator[Sandbox]:
    """Run a sandbox on a free port until the end of the block."""
    command = (
        *(sys.executable, "-m", "boxoffice_sandbox", "serve"),
        *("--address", "127.0.0.1:0", "--database", folder / "sandbox.db"),
    )
    with Process(command) as process:
        ready = process.wait_for(r"^sandbox (\S+) READY$")
        yield Sandbox(url=f"http://{ready[1]}")
        process.terminate()
        process.wait()
