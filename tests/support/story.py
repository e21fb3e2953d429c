"""The story of one sale, told by a caller who sends every request until it is answered.

A product is made, a payment is asked for, a person pays, a worker starts the task, and a watcher
sees it all. Every step may be taken again after any failure, by the same request, and then answers
what it answered before: that is checked here at every repetition.
"""

import http.client
import random
import threading
import time
import urllib.error
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

import grpc

from boxoffice.common.v1 import money_pb2, streams_pb2
from boxoffice.orders.v1 import orders_pb2, orders_pb2_grpc
from boxoffice.payments.v1 import payments_pb2, payments_pb2_grpc
from tests.support.serving import Service

T = TypeVar("T")

# Longer than a lease (30 s) and the pause after it, which is what a caller may have to wait for
# what a crashed instance held.
PATIENCE_SECONDS = 50
CALL_SECONDS = 30
# After these the same request is sent again.
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,  # down, restarting, or Stripe can't be reached
    grpc.StatusCode.ABORTED,  # a call with this request id is still running
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # cut, or not begun, when the service ended
}
CREATED = orders_pb2.ORDER_STATUS_CREATED
PAID = orders_pb2.ORDER_STATUS_PAID
TASK_STARTED = orders_pb2.ORDER_STATUS_TASK_STARTED


class Client:
    """A caller's connection to one service, across all its restarts."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._channel = service.channel()
        self.orders = orders_pb2_grpc.OrdersServiceStub(self._channel)
        self.payments = payments_pb2_grpc.PaymentsServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class Watcher:
    """Watches a user's orders from the beginning of the log, in a thread of its own.

    It resumes from its last token when the service goes away, without end, at the next of its
    clients, and takes note of everything it was sent.
    """

    def __init__(self, *clients: Client, user_id: str) -> None:
        self.frames: list[orders_pb2.WatchOrdersResponse] = []
        self.resumed = 0
        self._clients = clients
        self._user_id = user_id
        self._news = threading.Condition()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[orders_pb2.OrderEvent]:
        """Every event so far, in the order they were sent."""
        return [event for frame in list(self.frames) for event in frame.events]

    def wait(
        self,
        condition: Callable[["Watcher"], object],
        what: str,
        *,
        seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Wait until what was seen fulfils a condition."""
        with self._news:
            fulfilled = self._news.wait_for(lambda: bool(self._failure or condition(self)), seconds)
        assert self._failure is None, self._failure
        assert fulfilled, f"the watcher did not see {what}, but {self.events}"

    def close(self) -> None:
        """Stop watching."""
        with self._news:
            self._stopped.set()
            if self._call is not None:
                self._call.cancel()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for frame in self._open():
                    with self._news:
                        self.frames.append(frame)
                        self._news.notify_all()
            except grpc.RpcError as error:
                if not self._stopped.is_set() and error.code() not in AGAIN:
                    with self._news:
                        self._failure = error
                        self._news.notify_all()
                    return
            self.resumed += 1

    def _open(self) -> Iterable[orders_pb2.WatchOrdersResponse]:
        request = orders_pb2.WatchOrdersRequest(user_id=self._user_id)
        request.progress_interval.seconds = 1
        if self.frames:
            request.resume_token = self.frames[-1].resume_token
        else:
            request.start_position = streams_pb2.START_POSITION_EARLIEST
        with self._news:
            if self._stopped.is_set():
                return ()
            client = self._clients[self.resumed % len(self._clients)]
            self._call = client.orders.WatchOrders(request, wait_for_ready=True)
            frames: Iterable[orders_pb2.WatchOrdersResponse] = self._call
            return frames


class Story:
    """One sale to one user, and what is there to check when it has ended.

    Each request goes to one of `clients`, whichever; they may be changed between two steps, for any
    instance of the service will do. The watcher has its own.
    """

    def __init__(
        self,
        *clients: Client,
        watch_at: Sequence[Client] = (),
        currency: str = "usd",
        method_type: "payments_pb2.PaymentMethodType.ValueType" = (
            payments_pb2.PAYMENT_METHOD_TYPE_CARD
        ),
        function_name: str = "",
    ) -> None:
        self.clients = clients
        self.user_id = f"user-{uuid.uuid4()}"
        self.function_name = function_name and f"{function_name}-{uuid.uuid4()}"
        self.stripe = clients[0].service.stripe
        self.watcher = Watcher(*(watch_at or clients), user_id=self.user_id)
        self._currency = currency
        self._method_type = method_type
        self._product_request, self._intent_request = str(uuid.uuid4()), str(uuid.uuid4())
        self._answers: dict[str, tuple[str, ...]] = {}
        self._offer: orders_pb2.ReceiveTasksResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.close()

    @property
    def client(self) -> Client:
        """One of the clients."""
        return random.choice(self.clients)

    def tell(self) -> None:
        """Take every step from the first on, and wait until the watcher has seen the end."""
        self.make_product()
        self.ask_for_payment()
        self.pay()
        if self.function_name:
            self.receive_task()
            self.acknowledge_task()
        self.wait_for(TASK_STARTED)

    def make_product(self) -> str:
        """Make the product, once however often it is asked for."""
        product = orders_pb2.Product(
            name="Wellness exam",
            prices=[
                money_pb2.Money(amount=1000, currency_code="eur"),
                money_pb2.Money(amount=1200, currency_code="usd"),
            ],
            task_function_name=self.function_name,
        )
        request = orders_pb2.CreateProductRequest(request_id=self._product_request, product=product)
        response = self._answered(lambda client: client.orders.CreateProduct, request)
        return self._same("product", response.product.id)[0]

    def ask_for_payment(self) -> str:
        """Make the order and its payment intent; answers the intent's id."""
        request = payments_pb2.CreatePaymentIntentRequest(
            request_id=self._intent_request,
            user_id=self.user_id,
            product_id=self._known("product") or self.make_product(),
            currency_code=self._currency,
            payment_method_type=self._method_type,
        )
        response = self._answered(lambda client: client.payments.CreatePaymentIntent, request)
        payment = response.payment
        return self._same(
            "payment", payment.stripe_payment_intent_id, payment.id, response.order.id
        )[0]

    def pay(self) -> None:
        """Press the button at the sandbox until the money has moved; who has paid looks first."""
        intent_id = self._known("payment") or self.ask_for_payment()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if self.stripe.call("GET", f"payment_intents/{intent_id}")["status"] == "succeeded":
                    return
                self.stripe.press("pay", intent_id)
            except urllib.error.HTTPError:
                raise
            except (OSError, http.client.HTTPException):
                # Down, or gone while it was being asked.
                assert time.monotonic() < deadline, "the sandbox did not come back"
                time.sleep(0.01)

    def receive_task(self) -> None:
        """Wait as a worker until the order's task is offered; who holds it does not ask again."""
        request = orders_pb2.ReceiveTasksRequest(
            function_names=[self.function_name], worker_id="worker"
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._offer is None:
            left = deadline - time.monotonic()
            assert left > 0, "the task was not offered"
            offers = self.client.orders.ReceiveTasks(request, wait_for_ready=True, timeout=left)
            try:
                self._offer = next(offers, None)
            except grpc.RpcError as error:
                if error.code() not in AGAIN:
                    raise
            finally:
                offers.cancel()

    def lose_task(self) -> orders_pb2.ReceiveTasksResponse:
        """Forget the task that was received, as a worker that dies does."""
        assert self._offer is not None
        lost, self._offer = self._offer, None
        return lost

    def acknowledge_task(self) -> None:
        """Start the task that was received, once however often that is told."""
        assert self._offer is not None
        request = orders_pb2.AcknowledgeTaskRequest(
            task_id=self._offer.task.id, lease_id=self._offer.lease_id
        )
        response = self._answered(lambda client: client.orders.AcknowledgeTask, request)
        assert response.order.status == TASK_STARTED

    def wait_for(self, status: "orders_pb2.OrderStatus.ValueType") -> None:
        """Wait until the watcher has seen the order in a status."""
        self.watcher.wait(
            lambda watcher: any(event.order.status == status for event in watcher.events),
            orders_pb2.OrderStatus.Name(status),
        )

    def check(self) -> None:
        """Check that the sale has ended as it should, and that everything is there once."""
        intent_id, payment_id, order_id = self._answers["payment"]
        orders = orders_pb2.ListOrdersRequest(user_id=self.user_id)
        (order,) = self._answered(lambda client: client.orders.ListOrders, orders).orders
        assert (order.id, order.status) == (order_id, TASK_STARTED)
        asked = payments_pb2.GetPaymentRequest(payment_id=payment_id)
        payment = self._answered(lambda client: client.payments.GetPayment, asked).payment
        assert payment.status == payments_pb2.PAYMENT_STATUS_COMPLETE
        # Stripe has the same sale, and no other of this user's.
        assert [each["id"] for each in self.intents()] == [intent_id]
        assert len(self.customers()) == 1
        charges = self.stripe.everything("charges", payment_intent=intent_id)
        assert [each["status"] for each in charges] == ["succeeded"]
        self._check_events(order)

    def intents(self) -> list[dict[str, Any]]:
        """The user's payment intents at the sandbox."""
        return self._find("payment_intents")

    def customers(self) -> list[dict[str, Any]]:
        """What the sandbox knows the user as."""
        return self._find("customers")

    def _check_events(self, order: orders_pb2.Order) -> None:
        """The watcher has seen every event once, in order, and those that there should be."""
        vendor_ids = [each.vendor_event_id for each in order.vendor_events]
        assert len(vendor_ids) == len(set(vendor_ids))
        with_all = Watcher(*self.clients, user_id=self.user_id)
        try:
            with_all.wait(lambda each: any(f.HasField("caught_up") for f in each.frames), "the end")
        finally:
            with_all.close()
        end = with_all.events[-1].position
        self.watcher.wait(lambda each: each.events[-1].position >= end, f"event {end}")
        seen = [event for event in self.watcher.events if event.position <= end]
        assert [event.id for event in seen] == [event.id for event in with_all.events]
        check_frames(self.watcher.frames)
        check_steps(self.watcher.events)

    def _answered(self, method: Callable[[Client], Any], request: object) -> Any:  # noqa: ANN401 -- the method says what it answers
        """Send a request until it is answered; the client may change meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return method(self.client)(request, timeout=CALL_SECONDS, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _known(self, what: str) -> str:
        """The id that was answered before; empty if none was."""
        return self._answers.get(what, ("",))[0]

    def _same(self, what: str, *answer: str) -> tuple[str, ...]:
        """Check that an answer is the one that was given before."""
        assert all(answer)
        known = self._answers.setdefault(what, answer)
        assert answer == known, f"{what}: {answer} and before {known}"
        return answer

    def _find(self, kind: str) -> list[dict[str, Any]]:
        query = f"metadata['boxoffice_user_id']:'{self.user_id}'"
        found: list[dict[str, Any]] = self.stripe.call("GET", f"{kind}/search", query=query)["data"]
        return found


def check_frames(frames: Sequence[orders_pb2.WatchOrdersResponse]) -> None:
    """Check that each frame goes on where the last one ended, whoever sent it, and none repeats."""
    assert frames
    through = frames[0].prev_through
    position, known = through, set[str]()
    for frame in frames:
        assert frame.prev_through == through, f"{frame.prev_through} after {through}: a gap"
        for event in frame.events:
            assert event.position > position, f"{event.position} after {position}"
            assert event.id not in known, f"{event.id} twice"
            known.add(event.id)
            position = event.position
        assert frame.more or frame.through >= position
        through = frame.through


def check_steps(events: Sequence[orders_pb2.OrderEvent]) -> None:
    """Check that one order was made, paid and started, each by one event, and told of in between.

    Every other event adds something that the vendor said.
    """
    steps = [event for event in events if event.type != orders_pb2.ORDER_EVENT_TYPE_UPDATED]
    assert [event.order.status for event in steps] == [CREATED, PAID, TASK_STARTED], steps
    assert [event.previous_status for event in steps] == [0, CREATED, PAID]
    assert steps[0].type == orders_pb2.ORDER_EVENT_TYPE_CREATED
    before: orders_pb2.OrderEvent | None = None
    for event in events:
        if before is not None:
            assert event.order.id == before.order.id
            assert event.previous_status == before.order.status, "an event between is missing"
            if event.type == orders_pb2.ORDER_EVENT_TYPE_UPDATED:
                assert len(event.order.vendor_events) > len(before.order.vendor_events)
        before = event
