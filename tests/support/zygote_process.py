"""The process that services are forked from: `python -m tests.support.zygote_process FOLDER`.

It has imported all that a service needs and started nothing: no thread, no event loop, nothing of
gRPC. Who connects to its socket in that folder asks for one service in a line of JSON, and holds
the connection as long as that service may live. Back come lines too: what the service tells, and
how it ended. When its standard input ends, so does everything, the folder included.
"""

import asyncio
import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boxoffice_server.storage.postgres
import boxoffice_server.storage.sqlite  # noqa: F401 -- all four are for the services
from boxoffice_server import fail_points
from boxoffice_server.app import Application, Timings
from boxoffice_server.log import configure_log
from boxoffice_server.runtime import run
from boxoffice_server.settings import Settings, read_settings
from boxoffice_server.vendors.stripe.client import Patience, StripeConnection
from tests.support import sabotage
from tests.support.strikes import Plan, Striker

Json = dict[str, Any]

SOCKET = "socket"
MOST_BYTES = 65536
# Wakes what hangs.
WAKE = signal.SIGUSR1
# The SDK imports these when they are first used.
STRIPE_SERVICES = (
    "charges",
    "customers",
    "disputes",
    "events",
    "payment_intents",
    "payment_methods",
    "refunds",
    "setup_intents",
    "sources",
)


def build(
    settings: Settings,
    *,
    operation_lease: float,
    operation_pause: float,
    look_every: float,
    sweep_every: float,
    request: float,
    call: float,
    pause: float,
) -> Application:
    """Compose a service that is as patient as a case wants it, in seconds.

    What it asks Stripe it repeats after each of two pauses.
    """
    timings = Timings(
        operation_lease=timedelta(seconds=operation_lease),
        operation_pause=timedelta(seconds=operation_pause),
        look_every=timedelta(seconds=look_every),
        sweep_every=timedelta(seconds=sweep_every),
        patience=Patience(
            request=timedelta(seconds=request),
            call=timedelta(seconds=call),
            pauses=(timedelta(seconds=pause),) * 2,
        ),
    )
    return Application(settings, timings=timings)


@dataclass(slots=True, kw_only=True, eq=False)
class Case:
    """One connection, and the service that was asked for over it."""

    connection: socket.socket
    heard: bytes = b""
    # 0 before it was asked for, and when it has ended.
    pid: int = 0

    def tell(self, **told: object) -> None:
        """Send one line. Who has closed the connection has no use for it."""
        with contextlib.suppress(ConnectionError):
            self.connection.sendall(json.dumps(told).encode() + b"\n")


class Zygote:
    """Forks services, passes signals on to them, and tells how they ended."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._watch(listener, self._accept)
        self._watch(sys.stdin.fileno(), self._close)
        self._cases: set[Case] = set()
        self._is_open = True

    def run(self) -> None:
        """Do as told until standard input ends; then nothing is left."""
        while self._is_open:
            for key, _ in self._selector.select():
                key.data()

    def _watch(self, source: int | socket.socket, callback: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, callback)

    def _close(self) -> None:
        self._is_open = False
        for case in self._cases:
            _kill(case)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        case = Case(connection=connection)
        self._cases.add(case)
        self._watch(connection, lambda: self._hear(case))

    def _hear(self, case: Case) -> None:
        try:
            heard = case.connection.recv(MOST_BYTES)
        except ConnectionError:
            heard = b""
        if not heard:
            self._selector.unregister(case.connection)
            _kill(case)
            self._forget(case)
            return
        *lines, case.heard = (case.heard + heard).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if "signal" not in asked:
                self._fork(case, asked)
            elif case.pid:
                os.kill(case.pid, asked["signal"])

    def _fork(self, case: Case, asked: Json) -> None:
        # Its one writing end is the service's, so it ends with the service, however that ends.
        ending, alive = os.pipe()
        case.pid = os.fork()
        if not case.pid:
            os.close(ending)
            self._become(case, asked)
        os.close(alive)
        case.tell(pid=case.pid)
        self._watch(ending, lambda: self._bury(case, ending))

    def _bury(self, case: Case, ending: int) -> None:
        self._selector.unregister(ending)
        os.close(ending)
        _, status = os.waitpid(case.pid, 0)
        case.pid = 0
        case.tell(ended=os.waitstatus_to_exitcode(status))
        self._forget(case)

    def _forget(self, case: Case) -> None:
        """Let go of a case that has neither a listener nor a service any more."""
        if not case.pid and case.connection not in self._selector.get_map():
            case.connection.close()
            self._cases.discard(case)

    def _become(self, case: Case, asked: Json) -> None:
        """Be the service from here on, and hold nothing of what belongs to others."""
        code = 1
        try:
            self._let_go(case)
            run_service(case, asked)
            code = 0
        except BaseException:  # noqa: BLE001 -- nothing may go on as the zygote
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _let_go(self, mine: Case) -> None:
        for key in self._selector.get_map().values():
            if not isinstance(key.fileobj, socket.socket):
                os.close(key.fd)
            elif key.fileobj is not mine.connection:
                # By its owner, who would else close whatever has this number later.
                key.fileobj.close()
        self._selector.close()


def _kill(case: Case) -> None:
    # It is there, if only as a zombie, until it is buried.
    if case.pid:
        os.kill(case.pid, signal.SIGKILL)


def run_service(case: Case, asked: Json) -> None:
    """Run one service to its end, with its log in a file of its own."""
    # Whatever is lowest is given: standard input was closed.
    os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.close(log)
    configure_log()
    plans = [Plan.read(each) for each in asked["plans"]]
    striker = Striker(plans, tell=lambda plan: case.tell(struck=asdict(plan)))
    fail_points.strike = striker
    # By Python's own handler: one of the loop's waits for a loop that may be what hangs.
    signal.signal(WAKE, lambda *_: striker.wake())
    sabotage.do(asked["sabotage"])
    settings = read_settings(asked["environment"], sandbox=False)
    run(serve(case, settings, asked["timings"]))


async def serve(case: Case, settings: Settings, timings: Mapping[str, float]) -> None:
    """Serve until SIGTERM, as `boxoffice serve` does."""
    application = build(settings, **timings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    doors = await application.start()
    case.tell(serving={"grpc": str(doors.grpc), "http": str(doors.http)})
    try:
        await stop.wait()
    finally:
        await application.stop()


async def warm() -> None:
    """Have the SDK import what it imports late."""
    stripe = StripeConnection(api_key="sk_test_warm", api_base="http://127.0.0.1:9")
    for name in STRIPE_SERVICES:
        getattr(stripe.v1, name)
    await stripe.close()


def main(folder: Path) -> None:
    """Listen for as long as standard input is open."""
    asyncio.run(warm())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        assert threading.active_count() == 1, "a fork takes one thread along, and no other"
        # What was imported stays shared between all services.
        gc.freeze()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        Zygote(listener).run()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
