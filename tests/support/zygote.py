"""Services that start in a tenth of a second: forked from a process that has imported everything.

    with Zygote() as zygote:
        with zygote.start(environment, log=folder / "log", plans=[...]) as service:
            doors = service.wait_serving()

Each is a process of its own, with the same `Application` that `boxoffice serve` runs. It ends with
its block, with the zygote, or with the tests, however those end.
"""

import contextlib
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tests.support.processes import Process
from tests.support.strikes import Plan
from tests.support.zygote_process import SOCKET, WAKE

ROOT = Path(__file__).parents[2]
READY_SECONDS = 30
WAIT_SECONDS = 15
LOG_LINES = 20


class Zygote:
    """The process that services are forked from. Threads may share it."""

    def __init__(self) -> None:
        # Short, for a socket's path must be.
        self.folder = Path(tempfile.mkdtemp(prefix="boxoffice-zygote-"))
        command = (sys.executable, "-m", "tests.support.zygote_process", self.folder)
        self._process = Process(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it can fork."""
        self._process.wait_for("^ready$", seconds=READY_SECONDS)

    def start(
        self,
        environment: Mapping[str, str],
        *,
        log: Path,
        plans: Sequence[Plan] = (),
        timings: Mapping[str, float] | None = None,
        sabotage: str = "",
    ) -> "Fork":
        """Start a service, without waiting for anything.

        `environment` is all that its settings are read from; `timings` are seconds by the names
        that `zygote_process.build` takes; `sabotage` is what is wrong with it, by its name in
        `sabotage.py`. What it logs is added to the file `log`.
        """
        asked = {
            "environment": dict(environment),
            "log": str(log),
            "plans": [asdict(each) for each in plans],
            "timings": dict(timings or {}),
            "sabotage": sabotage,
        }
        return Fork(self.folder / SOCKET, asked)

    def close(self) -> None:
        """End it, and with it every service that it has forked."""
        self._process.close()
        shutil.rmtree(self.folder)


class Fork:
    """One service that was forked. Belongs to one thread."""

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self.log = Path(asked["log"])
        self._told: dict[str, Any] = {}
        self._heard = b""
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.connect(str(path))
            self._send(asked)
            self.pid = int(self._wait_for("pid"))
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_serving(self) -> tuple[str, str]:
        """Wait until it serves; answers where: gRPC and HTTP."""
        doors = self._wait_for("serving")
        return doors["grpc"], doors["http"]

    def wait_struck(self) -> Plan:
        """Wait until one of its plans is carried out."""
        return Plan.read(self._wait_for("struck"))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self._send({"signal": number})

    def wake(self) -> None:
        """Have what hangs in it go on."""
        self.signal(WAKE)

    def terminate(self) -> None:
        """Ask it to drain and end: SIGTERM."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would, and wait until nothing is left of it."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, *, seconds: float = WAIT_SECONDS) -> int:
        """Wait for its end; answers the exit status, negative for a signal."""
        return int(self._wait_for("ended", seconds=seconds))

    def has_ended(self, seconds: float) -> bool:
        """Tell whether it ends within this time."""
        try:
            self.wait(seconds=seconds)
        except AssertionError:
            return False
        return True

    def close(self) -> None:
        """End it, if it still runs, and wait until nothing is left of it."""
        # Where the zygote has ended, nothing is left of its services either.
        with self._connection, contextlib.suppress(ConnectionError):
            self.kill()

    def _send(self, asked: Mapping[str, Any]) -> None:
        self._connection.sendall(json.dumps(asked).encode() + b"\n")

    def _wait_for(self, what: str, *, seconds: float = WAIT_SECONDS) -> Any:  # noqa: ANN401 -- JSON
        """Read on until something was told."""
        deadline = time.monotonic() + seconds
        while what not in self._told:
            left = deadline - time.monotonic()
            assert left > 0, self._say(f"was silent for {seconds:g} s before it told {what!r}")
            assert "ended" not in self._told, self._say(f"ended before it told {what!r}")
            self._connection.settimeout(left)
            try:
                heard = self._connection.recv(65536)
            except TimeoutError:
                continue
            if not heard:
                raise ConnectionResetError(self._say("is gone, and its zygote too"))
            *lines, self._heard = (self._heard + heard).split(b"\n")
            for line in lines:
                self._told |= json.loads(line)
        return self._told[what]

    def _say(self, what: str) -> str:
        """Say what is wrong, and what the service logged last."""
        logged = self.log.read_text().splitlines()[-LOG_LINES:] if self.log.exists() else []
        return "\n".join([f"the service {what}; it told {self._told}", *logged])
