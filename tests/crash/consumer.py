"""A consumer that dies after every frame, sometimes before it has noted how far it came."""

import threading
from typing import Any

import grpc

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1 import payments_pb2
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from tests.crash.case import AGAIN, Case
from tests.support.calls import WATCH_SECONDS, ended
from tests.support.serving import CHANNEL_OPTIONS

SECONDS = 15
EARLIEST = streams_pb2.START_POSITION_EARLIEST


class Consumer:
    """Watches orders and payments from the beginning, in a thread each."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._orders = _Stream(
            case, OrdersServiceStub, "WatchOrders", orders_pb2.WatchOrdersRequest
        )
        self._payments = _Stream(
            case, PaymentsServiceStub, "WatchPayments", payments_pb2.WatchPaymentsRequest
        )

    def check(self) -> None:
        """Check that every event came, in order, and the same each time that it came."""
        told = self._case.books_now().told()
        try:
            self._orders.check(list(told.orders))
            self._payments.check(list(told.payments))
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop watching."""
        self._orders.stop()
        self._payments.stop()


class _Stream:
    def __init__(self, case: Case, stub: Any, method: str, request: Any) -> None:  # noqa: ANN401
        self._channel = grpc.insecure_channel(case.grpc_address, options=CHANNEL_OPTIONS)
        self._watch = getattr(stub(self._channel), method)
        self._request = request
        self._token = ""
        self._lives = 0
        self._seen: dict[str, bytes] = {}
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def check(self, events: list[Any]) -> None:
        """Wait for all events, and compare them."""
        wanted = {each.id: each.SerializeToString(deterministic=True) for each in events}
        with self._news:
            self._news.wait_for(lambda: self._failure or len(self._seen) >= len(wanted), SECONDS)
        assert self._failure is None, self._failure
        assert list(self._seen.items()) == list(wanted.items()), "the consumer has seen otherwise"

    def stop(self) -> None:
        """End its thread."""
        self._stopping.set()
        self._channel.close()
        self._thread.join(SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._live()
            except grpc.RpcError as error:
                if not self._stopping.is_set() and ended(error).code() not in AGAIN:
                    self._fail(error)
                    return
            except (ValueError, AssertionError) as error:
                # A channel that was closed, or a word that was changed.
                if not self._stopping.is_set():
                    self._fail(error)
                return

    def _live(self) -> None:
        """Watch until something was told; every other life ends before that is noted."""
        start = {"resume_token": self._token} if self._token else {"start_position": EARLIEST}
        call = self._watch(self._request(**start), timeout=WATCH_SECONDS, wait_for_ready=True)
        self._lives += 1
        try:
            for frame in call:
                if frame.events:
                    self._take(frame.events)
                    if self._lives % 2:
                        return
                self._token = frame.resume_token
                if frame.events:
                    return
        finally:
            call.cancel()

    def _take(self, events: Any) -> None:  # noqa: ANN401
        with self._news:
            for event in events:
                told = event.SerializeToString(deterministic=True)
                assert self._seen.setdefault(event.id, told) == told, "told otherwise before"
            self._news.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._news:
            self._failure = error
            self._news.notify_all()
