"""The service as whole processes: its command line, its ports, and its sudden end."""

import random
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import grpc

from tests.support.processes import Process
from tests.support.service import Account, Sandbox

# What `make serve` runs.
SERVE = (sys.executable, "-m", "boxoffice_server", "serve", "--migrate", "--sandbox")
START_SECONDS = 20
# How soon after its end, however it came, nothing of the service may be left.
GONE_SECONDS = 1.0
KEY = "sk_test_boxoffice_default"
# Below those that the system hands out for outgoing connections, one of which could be given the
# port of a service that is about to come back.
FIXED_PORTS = range(10_240, 32_000)
# Two services that share a database and a sandbox.
Replicas = tuple["Service", "Service"]
# A caller that comes back as soon as the service does.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 200),
    # Each service of the tests is spoken to over a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
)


def fixed_address() -> str:
    """An address that stays free while a service is down."""
    while True:
        address = f"127.0.0.1:{random.choice(FIXED_PORTS)}"
        if is_free(address):
            return address


def is_free(address: str) -> bool:
    """Tell whether a service could listen there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        # As servers do, which don't wait for connections that have ended to be forgotten.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
            probe.listen()
        except OSError:
            return False
        return True


class Service:
    """One service on fixed ports and a database, which may be started any number of times.

    With `sandbox_url` its Stripe is a sandbox that runs already; without, it starts its own.
    """

    def __init__(
        self, folder: Path, *, database_url: str = "", sandbox_url: str = "", **variables: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.grpc_address = fixed_address()
        self.http_address = fixed_address()
        self.sandbox_address = fixed_address()
        self._own_sandbox = not sandbox_url
        sandbox = Sandbox(url=sandbox_url or f"http://{self.sandbox_address}")
        self.stripe = Account(sandbox=sandbox, key=KEY)
        self.environment = {
            "BOXOFFICE_GRPC_ADDRESS": self.grpc_address,
            "BOXOFFICE_HTTP_ADDRESS": self.http_address,
            "BOXOFFICE_SANDBOX_ADDRESS": self.sandbox_address,
            "BOXOFFICE_DATABASE_URL": database_url or f"sqlite:///{folder / 'boxoffice.db'}",
            "BOXOFFICE_STRIPE_API_KEY": KEY,
        } | variables
        if sandbox_url:
            self.environment["BOXOFFICE_STRIPE_API_BASE"] = f"{sandbox_url}/stripe"
        self.process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ports(self) -> list[str]:
        """The addresses that the service and what it starts listen on."""
        return [self.grpc_address, self.http_address] + [self.sandbox_address] * self._own_sandbox

    @property
    def running(self) -> Process:
        """The process, which must have been launched."""
        assert self.process is not None, "the service was not started"
        return self.process

    def launch(self) -> Process:
        """Start it without waiting for anything."""
        if self.process is not None:
            self.process.close()
        command = SERVE if self._own_sandbox else SERVE[:-1]
        self.process = Process(command, env=self.environment, cwd=self.folder)
        return self.process

    def start(self) -> None:
        """Start it, and wait until it serves on every port."""
        self.launch()
        self.wait_serving()

    def wait_serving(self) -> None:
        """Wait until it serves on every port."""
        process = self.running
        process.wait_for(rf"^grpc {self.grpc_address} SERVING$", seconds=START_SECONDS)
        process.wait_for(rf"^http {self.http_address} SERVING$")
        if self._own_sandbox:
            process.wait_for(r"^sandbox \S+ SERVING$")

    def kill(self) -> None:
        """End it as a crash would, and see that all its ports are free at once."""
        self.running.kill()
        self.check_gone()

    def check_gone(self) -> None:
        """Check that soon nothing holds its ports."""
        deadline = time.monotonic() + GONE_SECONDS
        while taken := [each for each in self.ports if not is_free(each)]:
            assert time.monotonic() < deadline, f"{taken} still taken"
            time.sleep(0.005)

    def restart(self) -> None:
        """Kill it and start it again on what it left."""
        self.kill()
        self.start()

    def calm(self) -> None:
        """Have Stripe deliver to it, what was held or refused at once, and end all faults."""
        url = f"http://{self.http_address}/webhooks/stripe"
        sandbox = self.stripe.sandbox
        sandbox.control(f"accounts/{KEY}", {"webhook_url": url})
        sandbox.control("webhooks", {"first_pause_seconds": 0.05})
        self.stripe.webhooks("normal")
        self.stripe.release()
        clear = urllib.request.Request(f"{sandbox.url}/control/faults", method="DELETE")  # noqa: S310
        urllib.request.urlopen(clear, timeout=10).close()  # noqa: S310 -- always http to loopback

    def close(self) -> None:
        """End it for good, whatever it was doing."""
        if self.process is not None:
            self.process.close()
            self.check_gone()
            self.process = None

    def channel(self) -> grpc.Channel:
        """A connection to it that outlives its restarts."""
        return grpc.insecure_channel(self.grpc_address, options=CHANNEL_OPTIONS)
