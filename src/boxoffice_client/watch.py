"""Streams that resume by themselves, and that check that nothing was lost or repeated.

This is the part that all Watch RPCs share; `orders.py` and its siblings use it.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.common.v1 import streams_pb2
from boxoffice_client.errors import ResumeImpossible, StreamBroken, error_info

# The service is in order and so is the token, but what lies between them is gone.
_GONE = frozenset({"LOG_CHANGED", "POSITION_COMPACTED", "POSITION_AHEAD"})
_END_OF_RESUMING = _GONE | {"RESUME_TOKEN_INVALID"}


class Event(Protocol):
    """What all events have in common."""

    @property
    def position(self) -> int:
        """The event's place in the log."""
        ...


EventT = TypeVar("EventT", bound=Event)
EventT_co = TypeVar("EventT_co", bound=Event, covariant=True)


class Frame(Protocol[EventT_co]):
    """What all Watch responses have in common."""

    @property
    def events(self) -> Sequence[EventT_co]: ...
    @property
    def resume_token(self) -> str: ...
    @property
    def through(self) -> int: ...
    @property
    def prev_through(self) -> int: ...
    @property
    def more(self) -> bool: ...
    @property
    def going_away(self) -> streams_pb2.GoingAway: ...
    def WhichOneof(  # noqa: N802 -- protobuf's name
        self, oneof_group: Literal["marker"], /
    ) -> str | None: ...


class Told(Protocol):
    """What all that is handed out has in common."""

    @property
    def resume_token(self) -> str:
        """The token to keep once it has been dealt with."""
        ...


FrameT = TypeVar("FrameT", bound=Frame[Any])
ToldT = TypeVar("ToldT", bound=Told)
RequestT = TypeVar("RequestT")

# Where to start: a resume token, a StartPosition, or a time.
Start: TypeAlias = "str | streams_pb2.StartPosition.ValueType | datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """How long to wait before the next attempt: longer each time, spread at random."""

    first: timedelta = timedelta(milliseconds=100)
    most: timedelta = timedelta(seconds=10)
    factor: float = 2.0

    def delay(self, failures: int) -> float:
        """Choose how many seconds to wait after this many failures in a row, from 1 on."""
        # The exponent is bounded only so that the power can be computed.
        longest = self.first.total_seconds() * self.factor ** min(failures - 1, 64)
        return random.SystemRandom().uniform(0, min(longest, self.most.total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Generic[EventT]):
    """One event, and the token to keep once it has been dealt with.

    The token moves with the last event of a frame, so that a caller who resumes in the middle of a
    transaction gets all of its events again and none is left out.
    """

    event: EventT
    resume_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Generic[EventT]):
    """All events of whole transactions, or a whole snapshot, which replaces what was told before.

    The token is the one to keep once all of it has been dealt with.
    """

    events: Sequence[EventT]
    resume_token: str
    snapshot: bool = False


@dataclass(slots=True, kw_only=True)
class _Attempt(Generic[EventT]):
    """What one call has told so far."""

    through: int | None
    # True while the snapshot that the call begins with goes on.
    snapshot: bool = False
    held: list[EventT] = field(default_factory=list)
    last: int = 0


class Resuming(ABC, Generic[ToldT, EventT, FrameT]):
    """An endless stream over as many calls as it takes. What it hands out its subclasses say."""

    # Whether the RPC, not told where to start, begins with a snapshot.
    _has_snapshots: ClassVar[bool] = False

    def __init__(
        self,
        call: "Callable[[Start | None], grpc.aio.UnaryStreamCall[Any, FrameT]]",
        start: "Start | None",
        *,
        silence: timedelta,
        back_off: BackOff | None = None,
        on_frame: Callable[[FrameT], None] | None = None,
    ) -> None:
        """Take how to open a call at a place, where to start, and how long it may be silent."""
        self._call = call
        self._start = start
        # Progress that is twice as late as it may be will not come.
        self._patience = 2 * silence.total_seconds() + 1
        self._back_off = back_off or BackOff()
        self._on_frame = on_frame
        self._through: int | None = None
        self._failures = 0
        self._token = start if isinstance(start, str) else ""
        self._told = self._run()

    @property
    def resume_token(self) -> str:
        """The token to keep once all events handed out have been dealt with; empty before any."""
        return self._token

    def __aiter__(self) -> AsyncGenerator[ToldT]:
        return self._told

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the call."""
        await self._told.aclose()

    @abstractmethod
    def _tell(self, whole: Whole[EventT]) -> Sequence[ToldT]:
        """Make what is handed out of a whole, which may hold no events."""

    def _is_snapshot(self, frame: FrameT) -> bool:
        """Tell whether a frame is a part of a snapshot."""
        del frame
        return False

    async def _run(self) -> AsyncGenerator[ToldT]:
        while True:
            pause: float | None = None
            call = self._call(self._start)
            attempt = _Attempt[EventT](through=self._through, snapshot=self._start is None)
            try:
                while (frame := await self._read(call)) is not None:
                    for told in self._take(attempt, frame):
                        self._token = told.resume_token
                        yield told
                    self._arrive(attempt, frame)
                    if frame.WhichOneof("marker") == "going_away":
                        pause = frame.going_away.retry_after.ToTimedelta().total_seconds()
            except grpc.aio.AioRpcError as error:
                self._bear(error)
            except TimeoutError:
                # The connection looks alive and is not.
                pause = None
            finally:
                call.cancel()
            if pause is None:
                self._failures += 1
                pause = self._back_off.delay(self._failures)
            await asyncio.sleep(pause)

    async def _read(self, call: grpc.aio.UnaryStreamCall[Any, FrameT]) -> FrameT | None:
        async with asyncio.timeout(self._patience):
            frame = await call.read()
        return None if frame is grpc.aio.EOF else cast(FrameT, frame)

    def _take(self, attempt: _Attempt[EventT], frame: FrameT) -> Sequence[ToldT]:
        """Check a frame; answers what is told by it and by those held back for it."""
        if self._on_frame is not None:
            self._on_frame(frame)
        snapshot = self._is_snapshot(frame)
        _check(attempt, frame, snapshot=snapshot)
        attempt.held.extend(frame.events)
        if frame.more:
            return ()
        events, attempt.held = attempt.held, []
        return self._tell(Whole(events=events, resume_token=frame.resume_token, snapshot=snapshot))

    def _arrive(self, attempt: _Attempt[EventT], frame: FrameT) -> None:
        """Go on from a frame whose events have all been handed out."""
        attempt.through = frame.through
        if not frame.more:
            attempt.snapshot = False
            self._failures = 0
            self._through = frame.through
            self._start = self._token = frame.resume_token

    def _bear(self, error: grpc.aio.AioRpcError) -> None:
        """Make ready for the next call after one that failed, or raise if there is no use in it."""
        try:
            _raise_if_final(error)
        except ResumeImpossible as impossible:
            if not self._has_snapshots or self._start is None or impossible.reason not in _GONE:
                raise
            self._start = self._through = None


class Watch(Resuming[Watched[EventT], EventT, FrameT]):
    """An endless stream of events: `async for watched in watch`.

    It resumes by itself, after a pause, whenever the service is unavailable, sends it away, ends
    the stream for reading too slowly, or falls silent for longer than it may. Every event comes
    once and in order, and those of one transaction only when all of them are there. Iterate it
    once. Leaving the loop early leaves the call to `aclose`, which `async with` does.

    Raises ResumeImpossible, StreamBroken, or the call's own `grpc.aio.AioRpcError` where trying
    again is of no use.
    """

    def _tell(self, whole: Whole[EventT]) -> Sequence[Watched[EventT]]:
        before = self._token
        return [
            Watched(
                event=event,
                resume_token=whole.resume_token if index == len(whole.events) else before,
            )
            for index, event in enumerate(whole.events, 1)
        ]


def _check(attempt: _Attempt[Any], frame: Frame[Any], *, snapshot: bool) -> None:
    """Raise StreamBroken unless a frame follows those before it without a gap or a repetition."""
    if attempt.through is not None and frame.prev_through != attempt.through:
        raise StreamBroken(
            f"a frame goes on after {frame.prev_through} and not after {attempt.through}"
        )
    if frame.through < frame.prev_through:
        raise StreamBroken(f"a frame goes back from {frame.prev_through} to {frame.through}")
    if frame.more and frame.through != frame.prev_through:
        raise StreamBroken("a fragment moves `through`")
    if snapshot is not attempt.snapshot:
        raise StreamBroken("a snapshot is " + ("out of place" if snapshot else "cut short"))
    if snapshot:
        _check_snapshot(frame)
        return
    last = max(attempt.last, frame.prev_through)
    for event in frame.events:
        if event.position <= last:
            raise StreamBroken(f"event {event.position} comes after {last}")
        last = event.position
    if not frame.more and last > frame.through:
        raise StreamBroken(f"event {last} lies beyond the frame's end {frame.through}")
    attempt.last = last


def _check_snapshot(frame: Frame[Any]) -> None:
    """Raise StreamBroken unless a part of a snapshot is what it may be."""
    if frame.through != frame.prev_through:
        raise StreamBroken("a snapshot moves `through`")
    if any(event.position for event in frame.events):
        raise StreamBroken("a snapshot tells a change")
    if frame.more is bool(frame.resume_token):
        raise StreamBroken("a snapshot must have a token at its end, and nowhere else")


def _raise_if_final(error: grpc.aio.AioRpcError) -> None:
    """Raise what trying again would not mend."""
    info = error_info(error)
    if info is not None and info.reason in _END_OF_RESUMING:
        raise ResumeImpossible(info.reason, info.metadata, error.details() or "") from error
    # A server that stops cancels what it has not handed over yet; a caller that cancels its own
    # task does not come here.
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return
    if info is not None and info.reason == "SLOW_CONSUMER":
        return
    raise error


def open_watch(
    method: Callable[[RequestT], grpc.aio.UnaryStreamCall[Any, FrameT]],
    request: Callable[..., RequestT],
    *,
    start: Start,
    progress_interval: timedelta,
    back_off: BackOff | None,
    on_frame: Callable[[FrameT], None] | None,
) -> Watch[EventT, FrameT]:
    """Watch by a stub's method. `request` makes its request of where to start; it has the filters.

    A caller's own `watch_…` says which events its frames hold.
    """
    call = caller(method, request, progress_interval)
    return Watch(call, start, silence=progress_interval, back_off=back_off, on_frame=on_frame)


def caller(
    method: Callable[[RequestT], grpc.aio.UnaryStreamCall[Any, FrameT]],
    request: Callable[..., RequestT],
    progress_interval: timedelta,
) -> "Callable[[Start | None], grpc.aio.UnaryStreamCall[Any, FrameT]]":
    """Make what opens a call at a place; `request` as in `open_watch`."""
    interval = Duration()
    interval.FromTimedelta(progress_interval)

    def call(place: "Start | None") -> grpc.aio.UnaryStreamCall[Any, FrameT]:
        fields = {} if place is None else start_fields(place)
        return method(request(progress_interval=interval, **fields))

    return call


def start_fields(start: Start) -> dict[str, Any]:
    """Write where to start as the fields of a Watch request."""
    if isinstance(start, str):
        return {"resume_token": start}
    if isinstance(start, datetime):
        time = Timestamp()
        time.FromDatetime(start)
        return {"start_time": time}
    return {"start_position": start}
