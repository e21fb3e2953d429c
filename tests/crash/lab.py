"""Cases: each a service on a database of its own and an account of its own, struck and restarted.

What is slow to make is made once, in the lab: the process that services are forked from, the
sandbox, the PostgreSQL server, and a database with all tables on each store, to be copied.
"""

import asyncio
import random
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import grpc
from google.protobuf.message import Message

from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.support.books import Books
from tests.support.calls import ended
from tests.support.postgres import PostgresServer
from tests.support.service import WEBHOOK_SECRET, Sandbox, service_environment
from tests.support.serving import CHANNEL_OPTIONS, FIXED_PORTS, is_free
from tests.support.stores import sqlite_url
from tests.support.strikes import Deed, Plan
from tests.support.zygote import Fork, Zygote

T = TypeVar("T")

CALL_SECONDS = 15
PATIENCE_SECONDS = 20
# A caller that was told one of these sends the same request again: nothing is known to have failed.
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
}
# Short, so that what a crash left is soon taken up. What a call may take is less than its lease.
TIMINGS: Mapping[str, float] = {
    "operation_lease": 0.6,
    "look_every": 0.05,
    "sweep_every": 3600,
    "request": 0.25,
    "call": 0.5,
    "pause": 0.02,
}


class Lab:
    """What all cases share; threads may share it."""

    def __init__(
        self,
        *,
        folder: Path,
        zygote: Zygote,
        sandbox: Sandbox,
        postgres: PostgresServer,
        sqlite_template: Path,
        postgres_template: str,
    ) -> None:
        self.zygote = zygote
        self.sandbox = sandbox
        self._folder = folder
        self._postgres = postgres
        self._sqlite_template = sqlite_template
        self._postgres_template = postgres_template
        self._numbers = count(1)
        # Each port is given to one case only: they come and go while others look for theirs.
        self._ports = random.sample(FIXED_PORTS, len(FIXED_PORTS))

    def address(self) -> str:
        """An address that no other case has, and that stays free while its service is down."""
        while not is_free(address := f"127.0.0.1:{self._ports.pop()}"):
            pass
        return address

    @contextmanager
    def case(self, store: str, *, timings: Mapping[str, float] = TIMINGS) -> "Iterator[Case]":
        """Make a case; nothing of it is left running at the end. An error tells its log."""
        folder = self._folder / f"case-{next(self._numbers)}"
        folder.mkdir()
        with self._database(store, folder) as url:
            case = Case(self, log=folder / "log", database_url=url, timings=timings)
            try:
                yield case
            except BaseException as error:
                error.add_note(f"-- the service's log --\n{case.log_text}")
                raise
            finally:
                case.close()

    @contextmanager
    def _database(self, store: str, folder: Path) -> Iterator[str]:
        if store == "sqlite":
            shutil.copy(self._sqlite_template, folder / "boxoffice.db")
            yield sqlite_url(folder)
            return
        self._execute(f'CREATE DATABASE "{folder.name}" TEMPLATE "{self._postgres_template}"')
        try:
            yield self._postgres.url(folder.name)
        finally:
            self._execute(f'DROP DATABASE "{folder.name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        """Execute a statement. Not by psql: threads had better not start programs all the time."""

        async def execute() -> None:
            connection = await asyncpg.connect(self._postgres.url("postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(execute())


class Case:
    """A service that is struck, its caller, and its account at Stripe."""

    def __init__(
        self, lab: Lab, *, log: Path, database_url: str, timings: Mapping[str, float]
    ) -> None:
        self.account = lab.sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}")
        self._zygote = lab.zygote
        self._log = log
        self.database_url = database_url
        self._timings = timings
        # The same over all restarts, as Stripe knows where to send webhooks.
        self._grpc_address, self._http_address = lab.address(), lab.address()
        self._caller = ThreadPoolExecutor(1)
        self._fork: Fork | None = None
        self._channel: grpc.Channel | None = None
        self.account.sandbox.control(
            f"accounts/{self.account.key}",
            {
                "webhook_url": f"http://{self._http_address}/webhooks/stripe",
                "webhook_secret": WEBHOOK_SECRET,
            },
        )

    @property
    def log_text(self) -> str:
        """What the service has logged, over all its restarts."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def service(self) -> Fork:
        """The service that was started last."""
        assert self._fork is not None, "no service was started"
        return self._fork

    def start(self, *plans: Plan) -> None:
        """Start the service on what is there, and wait until it serves."""
        self._end()
        environment = service_environment(
            self.database_url,
            BOXOFFICE_GRPC_ADDRESS=self._grpc_address,
            BOXOFFICE_HTTP_ADDRESS=self._http_address,
            BOXOFFICE_STRIPE_API_KEY=self.account.key,
            BOXOFFICE_STRIPE_API_BASE=self.account.sandbox.stripe_api_base,
        )
        self._fork = self._zygote.start(
            environment, log=self._log, plans=plans, timings=self._timings
        )
        self._fork.wait_serving()
        self._channel = grpc.insecure_channel(self._grpc_address, options=CHANNEL_OPTIONS)
        self.orders = OrdersServiceStub(self._channel)
        self.payments = PaymentsServiceStub(self._channel)

    def strike(
        self, plan: Plan, call: Callable[[], T], *, meanwhile: Callable[[], None] = lambda: None
    ) -> "Future[T]":
        """Make a call that a plan strikes, and do what a supervisor would do then.

        What has crashed is started again; what hangs is killed first; what met an error goes on.
        `meanwhile` is done once the plan was carried out, before that. Answers what became of the
        call, whose caller has waited for its end.
        """
        called = self._caller.submit(call)
        assert self.service.wait_struck() == plan
        meanwhile()
        if plan.deed is Deed.HANG:
            self.service.signal(signal.SIGKILL)
        if plan.deed in {Deed.HANG, Deed.CRASH}:
            assert self.service.wait() == -signal.SIGKILL
        called.exception(CALL_SECONDS)
        if plan.deed in {Deed.HANG, Deed.CRASH}:
            self.start()
        return called

    def answered(self, method: Callable[["Case"], Any], request: Message) -> Any:  # noqa: ANN401 -- the method says what it answers
        """Send the same request until it is answered."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return method(self)(request, timeout=CALL_SECONDS, wait_for_ready=True)
            except grpc.RpcError as error:
                if ended(error).code() not in AGAIN or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)

    def books(self) -> Books:
        """Its books, once Stripe has told all that there is to tell."""
        self.account.wait_delivered()
        return Books(
            grpc_address=self._grpc_address,
            database_url=self.database_url,
            account=self.account,
        )

    def close(self) -> None:
        """End everything of it."""
        self._end()
        self._caller.shutdown()
        self.account.stop_webhooks()

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._fork is not None:
            self._fork.close()
            self._fork = None
