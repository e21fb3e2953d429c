"""Checks a Watch stream from outside, frame by frame, against the stream contract.

It knows nothing of the server but what a client sees, and what was written. Each way to break the
contract has a name. Which Watch RPC is checked makes no difference to it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import (
    entitlements_pb2,
    entitlements_pb2_grpc,
    subscriptions_pb2,
)
from boxoffice.orders.v1 import orders_pb2, orders_pb2_grpc
from boxoffice.payments.v1 import payments_pb2, payments_pb2_grpc
from boxoffice_client import error_info

SANDBOX = subscriptions_pb2.ENVIRONMENT_SANDBOX
# How late a frame may be that was due: scheduling on a busy machine, not the contract.
SLACK_SECONDS = 0.8
# How long a frame is waited for that must come at once.
SOON_SECONDS = 10.0

Event: TypeAlias = (
    orders_pb2.OrderEvent
    | payments_pb2.PaymentEvent
    | subscriptions_pb2.SubscriptionEvent
    | subscriptions_pb2.EntitlementEvent
)
Frame: TypeAlias = (
    orders_pb2.WatchOrdersResponse
    | payments_pb2.WatchPaymentsResponse
    | entitlements_pb2.WatchSubscriptionEventsResponse
    | entitlements_pb2.WatchEntitlementsResponse
)
Call: TypeAlias = grpc.aio.UnaryStreamCall[Any, Frame]
# Opens a stream by one of the Watch RPCs; its second argument are the fields of the request.
Rpc: TypeAlias = Callable[[grpc.aio.Channel, dict[str, Any]], Any]


def watch_orders(channel: grpc.aio.Channel, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """Open a stream of orders."""
    stub = orders_pb2_grpc.OrdersServiceStub(channel)
    return stub.WatchOrders(orders_pb2.WatchOrdersRequest(**fields))


def watch_payments(channel: grpc.aio.Channel, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """Open a stream of payments."""
    stub = payments_pb2_grpc.PaymentsServiceStub(channel)
    return stub.WatchPayments(payments_pb2.WatchPaymentsRequest(**fields))


def watch_subscription_events(channel: grpc.aio.Channel, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """Open a stream of subscription events."""
    stub = entitlements_pb2_grpc.EntitlementsServiceStub(channel)
    request = entitlements_pb2.WatchSubscriptionEventsRequest(environment=SANDBOX, **fields)
    return stub.WatchSubscriptionEvents(request)


def watch_entitlements(channel: grpc.aio.Channel, fields: dict[str, Any]) -> Any:  # noqa: ANN401
    """Open a stream of entitlements, without the snapshot that only this one may begin with."""
    stub = entitlements_pb2_grpc.EntitlementsServiceStub(channel)
    request = entitlements_pb2.WatchEntitlementsRequest(environment=SANDBOX, **fields)
    if request.WhichOneof("start") is None:
        request.start_position = streams_pb2.START_POSITION_LATEST
    return stub.WatchEntitlements(request)


class Violation(AssertionError):  # noqa: N818 -- says what it is
    """The contract was broken."""


class BrokeOrder(Violation):
    """Clause 1: events came in another order than they were written."""


class BrokeCompleteness(Violation):
    """Clause 2: something was lost, or the frames don't prove that nothing was."""


class BrokeUnique(Violation):
    """Clause 3: an event came twice on one stream, or under another id on another."""


class BrokeAtomic(Violation):
    """Clause 4: a transaction came in parts that did not say so."""


class BrokeResumable(Violation):
    """Clause 5: a stream did not start where it was told to."""


class BrokeSilenceBound(Violation):
    """Clause 6: a stream was silent for too long, or called complete what was not."""


class BrokePhase(Violation):
    """Clause 7: a stream did not say, or not truly, whether it had caught up."""


class SkippedSilently(Violation):
    """Clause 8: a start that can't be served was not refused in the way that was promised."""


class BrokeSlowConsumer(Violation):
    """Clause 9: a caller who does not read was not sent away, or not told why."""


class BrokeEnding(Violation):
    """Clause 10: a stream did not end as politely as it must."""


@dataclass(frozen=True, slots=True)
class Written:
    """One event that was written: its transaction, and its place within.

    It is the id of what the event tells of, so that a client can read it.
    """

    transaction: int
    index: int
    size: int

    def order_id(self) -> str:
        """Write it as an order's id."""
        return f"ord_{self}"

    def payment_id(self) -> str:
        """Write it as a payment's id."""
        return f"pay_{self}"

    def subscription_event_id(self) -> str:
        """Write it as a subscription event's id."""
        return f"evt_{self}"

    def entitlement_id(self) -> str:
        """Write it as an entitlement's id."""
        return f"ent_{self}"

    def __str__(self) -> str:
        return f"{self.transaction:06}_{self.index}_{self.size}"

    @classmethod
    def of(cls, event: Event) -> "Written":
        """Read it from an event."""
        match event:
            case orders_pb2.OrderEvent():
                id_ = event.order.id
            case payments_pb2.PaymentEvent():
                id_ = event.payment.id
            case subscriptions_pb2.EntitlementEvent():
                id_ = event.entitlement.id
            case _:
                id_ = event.id
        _, transaction, index, size = id_.split("_")
        return cls(int(transaction), int(index), int(size))


@dataclass(slots=True, kw_only=True)
class StreamChecker:
    """Reads one stream and raises the name of what it breaks."""

    call: Call
    interval: float
    written_of: Callable[[Event], Written] = Written.of
    filtered: bool = False
    events: list[Event] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    _open: list[Event] = field(default_factory=list)
    _live: bool = False
    _gone: bool = False

    async def read(self) -> Frame | None:
        """Read and check the next frame; None at an end that is OK."""
        bound = self.interval + SLACK_SECONDS if self.frames else SOON_SECONDS
        try:
            async with asyncio.timeout(bound):
                frame = await self.call.read()
        except TimeoutError:
            raise BrokeSilenceBound(f"nothing came for {bound:.1f} s") from None
        if frame is grpc.aio.EOF:
            code = await self.call.code()
            if code is not grpc.StatusCode.OK:
                raise BrokeEnding(f"the stream ended with {code}")
            if not self._gone:
                raise BrokeEnding("the stream ended without going_away")
            return None
        assert isinstance(frame, Frame)
        self._check(frame)
        self.frames.append(frame)
        return frame

    async def read_frame(self) -> Frame:
        """Read the next frame; an end is an error."""
        frame = await self.read()
        if frame is None:
            raise BrokeEnding("the stream ended though nobody asked it to")
        return frame

    async def catch_up(self) -> None:
        """Read up to the frame that says caught_up."""
        waiting = self._waiting()
        while not (await self.read_frame()).HasField("caught_up"):
            if waiting() and self._told_all():
                raise BrokePhase("the stream has nothing left to tell and never said caught_up")

    async def read_until(self, through: int) -> None:
        """Read until a position is covered."""
        while not self.frames or self.frames[-1].through < through:
            await self.read_frame()

    async def read_events(self, count: int) -> None:
        """Read until this many events have come; silence that covers them all is a loss."""
        waiting = self._waiting()
        while len(self.events) < count:
            await self.read_frame()
            if waiting() and self._told_all():
                raise BrokeCompleteness(f"{len(self.events)} events came of {count}")

    def _waiting(self) -> Callable[[], bool]:
        """Tell whether a stream with something to tell has had time for it, from now on."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * self.interval + SLACK_SECONDS
        return lambda: loop.time() > deadline

    def _told_all(self) -> bool:
        """Tell whether the stream calls complete all that there is."""
        return self._last_is_progress() and self.frames[-1].through >= self.frames[-1].head

    def _check(self, frame: Frame) -> None:
        if self._gone:
            raise BrokeEnding("a frame came after going_away")
        self._check_chain(frame)
        self._check_events(frame)
        self._check_atomic(frame)
        self._check_mark(frame)
        self.events += frame.events

    def _check_chain(self, frame: Frame) -> None:
        if self.frames and frame.prev_through != self.frames[-1].through:
            before = self.frames[-1].through
            raise BrokeCompleteness(f"prev_through is {frame.prev_through} after {before}")
        if frame.through < frame.prev_through:
            raise BrokeCompleteness(f"through falls from {frame.prev_through} to {frame.through}")
        if frame.head < frame.through:
            raise BrokeSilenceBound(f"head {frame.head} lies before through {frame.through}")
        if not frame.server_time.seconds or not frame.resume_token:
            raise BrokeResumable("a frame has no server_time or no resume_token")

    def _check_events(self, frame: Frame) -> None:
        known = {event.id: event for event in self.events}
        last = self.events[-1].position if self.events else 0
        for event in frame.events:
            if event.id in known:
                raise BrokeUnique(f"event {event.id} came twice")
            known[event.id] = event
            if event.position <= last:
                raise BrokeOrder(f"position {event.position} comes after {last}")
            if event.position <= frame.prev_through:
                kind = BrokeSilenceBound if self._last_is_progress() else BrokeCompleteness
                raise kind(f"{event.position} comes after all to {frame.prev_through} was told")
            last = event.position
        if frame.events and not frame.more and last > frame.through:
            raise BrokeCompleteness(f"event {last} lies beyond the frame's through {frame.through}")
        written = [self.written_of(event) for event in [*self.events[-1:], *frame.events]]
        for earlier, later in pairwise(written):
            if (later.transaction, later.index) < (earlier.transaction, earlier.index):
                raise BrokeOrder(f"{later} was written before {earlier}")

    def _check_atomic(self, frame: Frame) -> None:
        self._open += frame.events
        if frame.more:
            if frame.through != frame.prev_through:
                raise BrokeAtomic("a fragment moves through")
            return
        whole, self._open = self._open, []
        if self.filtered:
            return
        sizes = Counter((each.transaction, each.size) for each in map(self.written_of, whole))
        for (transaction, expected), size in sizes.items():
            if size != expected:
                raise BrokeAtomic(f"{size} events of {expected} of transaction {transaction}")

    def _check_mark(self, frame: Frame) -> None:
        match frame.WhichOneof("marker"):
            case "caught_up":
                if self._live:
                    raise BrokePhase("caught_up came twice")
                self._live = True
            case "fell_behind":
                if not self._live:
                    raise BrokePhase("fell_behind came before caught_up")
                self._live = False
            case "going_away":
                self._gone = True
                if frame.going_away.retry_after.ToTimedelta().total_seconds() <= 0:
                    raise BrokeEnding("going_away does not say when to come back")
            case _:
                pass

    def _last_is_progress(self) -> bool:
        return bool(self.frames) and self.frames[-1].HasField("progress")


def check_told(
    events: Sequence[Event],
    expected: Sequence[Written],
    written_of: Callable[[Event], Written] = Written.of,
) -> None:
    """Raise unless exactly what was written was told."""
    told = [written_of(event) for event in events]
    if len(told) > len(set(told)):
        raise BrokeUnique("something was told twice")
    if missing := set(expected) - set(told):
        raise BrokeCompleteness(f"never told: {sorted(missing, key=str)[:5]}")
    if more := set(told) - set(expected):
        raise BrokeResumable(f"told though it lies before the start: {sorted(more, key=str)[:5]}")
    if told != list(expected):
        raise BrokeOrder("told in another order than it was written")


@dataclass(slots=True, kw_only=True)
class ContractChecker:
    """Opens streams at a server and checks them."""

    channel: grpc.aio.Channel
    rpc: Rpc
    interval: float = 1.0
    # How to read what was written from an event: another way where its ids were not chosen for it.
    written_of: Callable[[Event], Written] = Written.of

    def open(self, **request: Any) -> StreamChecker:  # noqa: ANN401 -- the fields of the request
        """Open a stream: the arguments are the request's fields."""
        interval = Duration()
        interval.FromNanoseconds(int(self.interval * 1e9))
        call = self.rpc(self.channel, {"progress_interval": interval, **request})
        filtered = bool(request.keys() - {"resume_token", "start_position", "start_time"})
        return StreamChecker(
            call=call, interval=self.interval, written_of=self.written_of, filtered=filtered
        )

    def from_beginning(self) -> StreamChecker:
        """Open a stream of everything."""
        return self.open(start_position=streams_pb2.START_POSITION_EARLIEST)

    async def refused(
        self,
        code: grpc.StatusCode,
        reason: str,
        keys: Sequence[str],
        **request: Any,  # noqa: ANN401
    ) -> dict[str, str]:
        """Assert that a start is refused with this reason, and answer what goes with it."""
        stream = self.open(**request)
        try:
            async with asyncio.timeout(SOON_SECONDS):
                frame = await stream.call.read()
        except TimeoutError:
            raise SkippedSilently(f"{reason} was not told: the stream just waits") from None
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            if info is None or info.reason != reason or error.code() is not code:
                raise SkippedSilently(f"{reason} was told as {error.code()} {info}") from error
            if missing := set(keys) - set(info.metadata):
                raise SkippedSilently(f"{reason} does not tell {missing}") from error
            return dict(info.metadata)
        finally:
            stream.call.cancel()
        raise SkippedSilently(f"{reason} was not told: the stream went on with {frame!r:.200}")
