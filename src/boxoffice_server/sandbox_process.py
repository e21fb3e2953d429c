"""The vendor sandbox beside a development service: a process of its own, never imported."""

import asyncio
import sys
from pathlib import Path

from boxoffice_server.settings import Address, Settings, sandbox_folder

READY_SECONDS = 20.0
# It keeps everything in its file, so a hard end costs it nothing.
STOP_SECONDS = 0.5


class SandboxError(Exception):
    """The sandbox did not start. Its own words are on standard error."""


class SandboxProcess:
    """A running sandbox.

    It has a session of its own, so that a Ctrl-C meant for the service reaches it only once the
    service has drained; and it holds the reading end of a pipe from the service, so that it ends
    with it however the service ends.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: Address) -> None:
        self._process = process
        self._address = address

    @classmethod
    async def start(cls, settings: Settings) -> "SandboxProcess":
        """Start it without waiting for it; its state lies beside the service's."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "boxoffice_sandbox",
            "serve",
            "--address",
            str(settings.sandbox_address),
            "--database",
            str(_database(settings)),
            "--webhook-url",
            f"http://{settings.http_address}/webhooks/stripe",
            "--webhook-secret",
            settings.stripe_webhook_secrets[0].reveal(),
            "--service-url",
            f"http://{settings.http_address.to_call}",
            "--service-key",
            settings.stripe_api_key.reveal(),
            "--app-store-root-file",
            str(sandbox_folder(settings.database_url) / "boxoffice-sandbox-app-store-root.cer"),
            "--app-store-key-file",
            str(sandbox_folder(settings.database_url) / "boxoffice-sandbox-app-store-key.p8"),
            "--exit-on-stdin-close",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(process, settings.sandbox_address)

    async def wait_ready(self) -> None:
        """Wait until it listens."""
        if self._process.stdout is None:
            raise AssertionError("the sandbox was started with a pipe")
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise SandboxError("the sandbox did not start in time") from error
        if not line.rstrip().endswith(b"READY"):
            raise SandboxError(
                "the sandbox did not start; BOXOFFICE_SANDBOX_ADDRESS says that it is to listen on "
                f"{self._address}"
            )

    async def stop(self) -> None:
        """End it."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _database(settings: Settings) -> Path:
    return sandbox_folder(settings.database_url) / "boxoffice-sandbox.db"
