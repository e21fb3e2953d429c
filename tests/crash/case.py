"""Cases: each a service on a database and an account of its own, struck and restarted."""

import asyncio
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import grpc
from google.protobuf.message import Message

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.notifications import HANDLED_TYPES
from tests.support.books import Books
from tests.support.calls import DETAILS_KEY, ended, refused
from tests.support.postgres import PostgresServer
from tests.support.service import WEBHOOK_SECRET, Account, service_environment, wait_until
from tests.support.serving import CHANNEL_OPTIONS
from tests.support.strikes import Deed, Plan
from tests.support.zygote import Fork, Zygote

T = TypeVar("T")
Method = Callable[["Case"], Any]

CALL_SECONDS = 15
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 30
# A caller that was told one of these sends the same request again: nothing is known to have failed.
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
}
# Short, so that what a crash left is soon taken up. What a call may take is less than its lease.
TIMINGS: Mapping[str, float] = {
    "operation_lease": 1.0,
    "operation_pause": 0.05,
    "look_every": 0.05,
    "sweep_every": 3600,
    "request": 0.4,
    "call": 0.9,
    "pause": 0.02,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a caller was told for good: an answer, or a refusal; byte for byte."""

    raw: bytes
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: Any = None

    @property
    def is_refusal(self) -> bool:
        """Tell whether the caller has reason to believe that nothing happened."""
        return self.code is not grpc.StatusCode.OK


class Case:
    """A service that is struck, its caller, and its account at Stripe."""

    def __init__(
        self,
        *,
        zygote: Zygote,
        account: Account,
        address: Callable[[], str],
        log: Path,
        database_url: str,
        server: PostgresServer,
        may_stop_server: bool,
        timings: Mapping[str, float],
        sabotage: str,
        patience_seconds: float,
    ) -> None:
        self.account = account
        self.database_url = database_url
        self._zygote = zygote
        self._log = log
        self._server = server
        self._may_stop_server = may_stop_server
        self._timings = timings
        self._sabotage = sabotage
        self.patience_seconds = patience_seconds
        self._address = address
        # The same over all restarts, as Stripe knows where to send webhooks.
        self.grpc_address, self._http_address = address(), address()
        self._callers = ThreadPoolExecutor(4)
        self._fork: Fork | None = None
        self._other: Fork | None = None
        self._channel: grpc.Channel | None = None
        self.told: list[Answer] = []
        self.at_end: list[Callable[[], None]] = []
        self.kept_back = ""
        self._order = "fifo"
        self.point_webhooks()

    @property
    def is_postgres(self) -> bool:
        """Tell which of the two stores it is on."""
        return self.database_url.startswith("postgresql")

    @property
    def log_text(self) -> str:
        """What the service has logged, over all its restarts."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def service(self) -> Fork:
        """The service that was started last."""
        assert self._fork is not None, "no service was started"
        return self._fork

    def point_webhooks(self, *, legacy: bool = False) -> None:
        """Have Stripe send its webhooks here; a `legacy` account has Sources."""
        self.account.sandbox.control(
            f"accounts/{self.account.key}",
            {
                "webhook_url": f"http://{self._http_address}/webhooks/stripe",
                "webhook_secret": WEBHOOK_SECRET,
            }
            | ({"legacy": True} if legacy else {}),
        )

    # -- the service ------------------------------------------------------------------------------

    def start(self, *plans: Plan) -> None:
        """Start the service on what is there, and wait until it serves."""
        self._end()
        self._fork = self._start(self.grpc_address, self._http_address, plans)
        self._channel = grpc.insecure_channel(self.grpc_address, options=CHANNEL_OPTIONS)
        self.orders = OrdersServiceStub(self._channel)
        self.payments = PaymentsServiceStub(self._channel)

    def start_other(self) -> None:
        """Start another instance on the same database, until the first is started again."""
        self._other = self._start(self._address(), self._address(), ())

    def _start(self, grpc_address: str, http_address: str, plans: tuple[Plan, ...]) -> Fork:
        environment = service_environment(
            self.database_url,
            BOXOFFICE_GRPC_ADDRESS=grpc_address,
            BOXOFFICE_HTTP_ADDRESS=http_address,
            BOXOFFICE_STRIPE_API_KEY=self.account.key,
            BOXOFFICE_STRIPE_API_BASE=self.account.sandbox.stripe_api_base,
        )
        fork = self._zygote.start(
            environment,
            log=self._log,
            plans=plans,
            timings=self._timings,
            sabotage=self._sabotage,
        )
        try:
            fork.wait_serving()
        except BaseException:
            fork.close()
            raise
        return fork

    def restart(self) -> None:
        """Kill the service and start it on what it left."""
        self.service.signal(signal.SIGKILL)
        assert self.service.wait() == -signal.SIGKILL
        self.start()

    def revive(self) -> None:
        """Start the service again if it has crashed."""
        if self.service.has_ended(PAUSE_SECONDS):
            self.start()

    def strike(
        self, plan: Plan, call: Callable[[], T], *, meanwhile: Callable[[], None] = lambda: None
    ) -> "Future[T]":
        """Make a call that a plan strikes, and do what a supervisor would do then.

        What has crashed is started again; what hangs is woken or killed first; what met an error
        goes on. `meanwhile` is done once the plan was carried out, before that. Answers what became
        of the call, whose caller has waited for its end.
        """
        called = self._callers.submit(call)
        self.wait_struck(plan, called)
        meanwhile()
        if plan.then is not None:
            self.service.wake()
        last = plan.then or plan.deed
        if last is Deed.HANG:
            self.service.signal(signal.SIGKILL)
        if last in {Deed.HANG, Deed.CRASH}:
            assert self.service.wait() == -signal.SIGKILL
            called.exception(CALL_SECONDS)
            self.start()
        called.exception(CALL_SECONDS)
        return called

    def wait_struck(self, plan: Plan, called: "Future[T]") -> None:
        """Wait until a plan is carried out; where it never is, the call may know why."""
        try:
            assert self.service.wait_struck() == plan
        except AssertionError:
            if called.done():
                called.result()
            raise

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Have somebody else make a call."""
        return self._callers.submit(call)

    # -- the caller -------------------------------------------------------------------------------

    def ask(
        self, method: Method, request: Message, *, seconds: float = CALL_SECONDS
    ) -> Answer | None:
        """Ask once; None where nothing is known after that, so that the caller has to ask again."""
        try:
            called = method(self)(request, timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            call = ended(error)
            if call.code() in AGAIN:
                return None
            details = dict(call.trailing_metadata() or ()).get(DETAILS_KEY, b"")
            assert isinstance(details, bytes)
            answer = Answer(raw=details, code=call.code(), message=call.details())
        else:
            answer = Answer(raw=called.SerializeToString(deterministic=True), message=called)
        self.told.append(answer)
        return answer

    def ask_until_told(self, method: Method, request: Message) -> Answer:
        """Send the same request until it is answered."""
        deadline = time.monotonic() + self.patience_seconds
        while (answer := self.ask(method, request)) is None:
            assert time.monotonic() < deadline, f"{type(request).__name__} is never answered"
            time.sleep(PAUSE_SECONDS)
        return answer

    def answered(self, method: Method, request: Message) -> Any:  # noqa: ANN401 -- the method says what it answers
        """Send the same request until it is answered, which must not be by a refusal."""
        answer = self.ask_until_told(method, request)
        assert not answer.is_refusal, f"{type(request).__name__} is refused: {answer}"
        return answer.message

    # -- Stripe -----------------------------------------------------------------------------------

    def keep_back(self, mode: str, order: str = "fifo") -> None:
        """Have Stripe's webhooks delivered otherwise, until `calm` delivers what is held."""
        self.kept_back, self._order = mode, order
        self.account.webhooks(mode)

    def calm(self) -> None:
        """Have Stripe tell all that it has to tell; what is dropped stays so."""
        if self.kept_back != "drop":
            self.account.webhooks("normal")
            if self._order == "shuffle":
                held = self.account.held()
                random.Random(len(held)).shuffle(held)
                self.account.release(held)
            else:
                self.account.release(self._order)

    def wait_told(self) -> None:
        """Wait until all that Stripe has told, or would have, is kept."""
        if self.kept_back != "drop":
            self.account.wait_delivered()
            return

        missing: set[str] = set()

        def kept() -> bool:
            events = self.account.everything("events")
            known = {each["id"] for each in events if each["type"] in HANDLED_TYPES}
            told = known & self.account.told()
            rows = self.books_now().tables("notifications")["notifications"]
            missing.clear()
            missing.update(told - {each["vendor_event_id"] for each in rows})
            return not missing

        try:
            wait_until(kept, "what Stripe could not deliver is not found")
        except AssertionError as error:
            error.add_note(f"missing: {missing}")
            raise

    def age(self, seconds: int) -> None:
        """Let time pass at Stripe and here while the service is down. Its sandbox is its own."""
        self.account.stop_webhooks()
        self.account.sandbox.control("clock", {"advance_seconds": seconds})
        self.execute(f"UPDATE business_clock SET offset_seconds = offset_seconds + {seconds}")  # noqa: S608 -- a number
        self.point_webhooks()

    # -- what is kept -----------------------------------------------------------------------------

    def books(self) -> Books:
        """Its books, once Stripe has told all that there is to tell."""
        for _ in range(2):
            # What is told may have something done, of which there is more to tell.
            self.wait_told()
            self.books_now().wait_settled()
        self.wait_told()
        return self.books_now()

    def books_now(self) -> Books:
        """Its books, whatever Stripe has yet to tell."""
        return Books(
            grpc_address=self.grpc_address,
            database_url=self.database_url,
            account=self.account,
            patience_seconds=self.patience_seconds,
        )

    def execute(self, statement: str) -> None:
        """Change the store behind the service's back."""
        if self.is_postgres:
            asyncio.run(_execute(self.database_url, statement))
            return
        path = self.database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=CALL_SECONDS)) as connection, connection:
            connection.execute(statement)

    def stop_store(self) -> None:
        """Stop the server at once, as a crash would, in the middle of whatever it does."""
        assert self._may_stop_server, "others are on this server, too"
        self._server.stop("immediate")

    def start_store(self) -> None:
        """Start the server on what it left."""
        self._server.start()

    def check_store_missed(self) -> None:
        """Check that a caller is told that the store is away, and no more than that."""
        with refused(Reason.STORE_UNAVAILABLE):
            self.orders.ListOrders(orders_pb2.ListOrdersRequest(user_id="nobody"))

    def cut_lines(self) -> None:
        """Break every connection that the service has to its database."""
        name = self.database_url.partition("?")[0].rpartition("/")[2]
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        asyncio.run(_execute(self._server.url("postgres"), f"{ending}'{name}'"))

    def close(self) -> None:
        """End everything of it."""
        self._end()
        self._callers.shutdown()
        self.account.stop_webhooks()

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        for fork in (self._fork, self._other):
            if fork is not None:
                fork.close()
        self._fork = self._other = None


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
