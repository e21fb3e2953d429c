"""What every Watch method does: reads where to start, writes frame after frame, ends politely."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.common.v1 import streams_pb2
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.stream import (
    CaughtUp,
    FellBehind,
    Frame,
    GoingAway,
    LogEnd,
    LogFilter,
    Progress,
    Start,
    decode_token,
)
from boxoffice_server.ports import FrameSource

Context = grpc.aio.ServicerContext[Any, Any]

WRITE_DEADLINE = timedelta(seconds=10)
LEAST_SILENCE = timedelta(seconds=1)
MOST_SILENCE = timedelta(seconds=60)
DEFAULT_SILENCE = timedelta(seconds=5)


class WatchRequest(Protocol):
    """What all Watch requests have in common."""

    resume_token: str

    @property
    def start_position(self) -> int: ...
    @property
    def start_time(self) -> Timestamp: ...
    @property
    def progress_interval(self) -> Duration: ...
    def HasField(self, field_name: Literal["progress_interval"], /) -> bool: ...
    def WhichOneof(
        self, oneof_group: Literal["start"], /
    ) -> Literal["resume_token", "start_position", "start_time"] | None: ...


async def watch(
    context: Context,
    frames: FrameSource,
    wanted: LogFilter,
    request: WatchRequest,
    response_type: type[Message],
    *,
    write_deadline: timedelta = WRITE_DEADLINE,
) -> None:
    """Answer a Watch call.

    A servicer's method is `await watch(context, feed, LogFilter(...), request, pb.XResponse)`.
    Writes bytes, so the method's response serializer must let them pass. A caller that does not
    take a frame within the write deadline gets SLOW_CONSUMER. Returns when the caller is sent away.
    """
    start, silence = read_start(request), read_silence(request)
    ending = _Ending(response_type.DESCRIPTOR.name)
    stream = frames.stream(
        wanted,
        start,
        position_field=_position_field(response_type),
        progress_interval=silence,
    )
    try:
        async with aclosing(stream):
            async for frame in stream:
                await _write(context, to_bytes(frame, response_type), frame, write_deadline)
                ending.count(frame)
    except asyncio.CancelledError:
        ending.why = "caller left"
        raise
    except BoxofficeError as error:
        ending.why = error.reason
        raise
    except Exception:
        ending.why = Reason.INTERNAL
        raise
    finally:
        ending.tell()


def read_start(request: WatchRequest) -> Start:
    """Read where a Watch request starts, or refuse it."""
    match request.WhichOneof("start"):
        case "resume_token":
            return decode_token(request.resume_token)
        case "start_time":
            try:
                return request.start_time.ToDatetime(UTC)
            except (ValueError, OverflowError) as error:
                raise invalid_field("start_time", "must be a time from year 1 to 9999") from error
        case "start_position" | None:
            match request.start_position:
                case streams_pb2.START_POSITION_UNSPECIFIED | streams_pb2.START_POSITION_LATEST:
                    return LogEnd.LATEST
                case streams_pb2.START_POSITION_EARLIEST:
                    return LogEnd.EARLIEST
                case _:
                    raise invalid_field("start_position", "must be a value of StartPosition")


def read_silence(request: WatchRequest) -> timedelta:
    """Read how long a stream may be silent, or refuse the request."""
    if not request.HasField("progress_interval"):
        return DEFAULT_SILENCE
    sent = request.progress_interval
    try:
        silence = timedelta(seconds=sent.seconds, microseconds=sent.nanos / 1000)
    except OverflowError:
        silence = timedelta()
    if not LEAST_SILENCE <= silence <= MOST_SILENCE:
        raise invalid_field("progress_interval", "must be from 1 s to 60 s")
    return silence


def to_bytes(frame: Frame, response_type: type[Message]) -> bytes:
    """Write a frame as a response: its events are field 1 already, the rest follows."""
    progress = caught_up = fell_behind = going_away = None
    match frame.mark:
        case None:
            pass
        case Progress():
            progress = streams_pb2.Progress()
        case CaughtUp():
            caught_up = streams_pb2.CaughtUp()
        case FellBehind():
            fell_behind = streams_pb2.FellBehind(
                lag_events=frame.mark.lag_events, lag=_duration(frame.mark.lag)
            )
        case GoingAway():
            going_away = streams_pb2.GoingAway(
                retry_after=_duration(frame.mark.retry_after), reason=frame.mark.reason
            )
    # All Watch responses have these fields; no type says so.
    make: Any = response_type
    response: Message = make(
        resume_token=frame.resume_token,
        through=frame.through,
        prev_through=frame.prev_through,
        head=frame.head,
        server_time=_timestamp(frame.server_time),
        more=frame.more,
        progress=progress,
        caught_up=caught_up,
        fell_behind=fell_behind,
        going_away=going_away,
    )
    return frame.events + response.SerializeToString()


async def _write(context: Context, response: bytes, frame: Frame, deadline: timedelta) -> None:
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            await context.write(response)
    except TimeoutError as error:
        raise BoxofficeError(
            Reason.SLOW_CONSUMER,
            f"no frame was read for {deadline.total_seconds():g} s; resume from the last one",
            metadata={"through": str(frame.prev_through)},
        ) from error


class _Ending:
    """The one log line of a stream, written when it has ended."""

    def __init__(self, response: str) -> None:
        self.why = "drained"
        self._response = response
        self._events = 0
        self._through: int | None = None

    def count(self, frame: Frame) -> None:
        self._events += frame.count
        self._through = frame.through
        if isinstance(frame.mark, GoingAway):
            self.why = frame.mark.reason

    def tell(self) -> None:
        structlog.get_logger(part="watch").info(
            "stream ended",
            response=self._response,
            events=self._events,
            through=self._through,
            why=str(self.why),
        )


def _position_field(response_type: type[Message]) -> int:
    event = response_type.DESCRIPTOR.fields_by_name["events"].message_type
    if event is None:
        raise AssertionError("the events of a Watch response are messages")
    return event.fields_by_name["position"].number


def _timestamp(time: datetime) -> Timestamp:
    # Faster than FromDatetime, and this runs for every frame.
    seconds = int(time.timestamp())
    return Timestamp(seconds=seconds, nanos=time.microsecond * 1000)


def _duration(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration
