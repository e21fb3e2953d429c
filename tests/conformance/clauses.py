"""The stream contract, clause by clause, as a client can check it at any server.

Each clause opens streams at a subject, has it write, and raises a Violation if it is broken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.common.v1 import streams_pb2
from boxoffice_client import error_info
from tests.conformance.checker import (
    SLACK_SECONDS,
    SOON_SECONDS,
    BrokeCompleteness,
    BrokeEnding,
    BrokePhase,
    BrokeResumable,
    BrokeSilenceBound,
    BrokeSlowConsumer,
    BrokeUnique,
    ContractChecker,
    Rpc,
    StreamChecker,
    Written,
    check_told,
    watch_orders,
)

EARLIEST = streams_pb2.START_POSITION_EARLIEST
LATEST = streams_pb2.START_POSITION_LATEST
LARGE = 200_000
# How long a drained stream may still take.
ENDING_SECONDS = 3.0


class Subject(Protocol):
    """A server under test, and what is done to it apart from watching."""

    address: str
    written: list[Written]

    async def write(self, size: int = 1, *, user_id: str = "user-1", bytes_each: int = 0) -> str:
        """Write a transaction of this many events; answers a token just behind it."""
        ...

    async def compact(self) -> None:
        """Drop all but the last event that was written."""
        ...

    async def drain(self) -> None:
        """Send every stream away."""
        ...

    async def foreign_token(self) -> str:
        """Answer a token of another log."""
        ...

    async def token_ahead(self) -> str:
        """Answer a token that lies ahead of the log's head."""
        ...


Clause = Callable[[Subject, ContractChecker], Awaitable[None]]


async def check(subject: Subject, clause: Clause, rpc: Rpc = watch_orders) -> None:
    """Check one clause at a server, by one of its Watch RPCs."""
    async with grpc.aio.insecure_channel(subject.address) as channel:
        await clause(subject, ContractChecker(channel=channel, rpc=rpc))


async def _write_some(subject: Subject) -> None:
    for size in (1, 3, 1, 2, 5, 1):
        await subject.write(size)


async def one_order(subject: Subject, checker: ContractChecker) -> None:
    """1. Positions rise, and follow the order in which writes were acknowledged."""
    stream = checker.from_beginning()
    await _write_some(subject)
    await stream.read_events(len(subject.written))
    check_told(stream.events, subject.written)
    stream.call.cancel()


async def provable_completeness(subject: Subject, checker: ContractChecker) -> None:
    """2. Frames join without a gap, under a filter too, and nothing is missing between them."""
    await subject.write(user_id="user-2")
    await _write_some(subject)
    stream, some = checker.from_beginning(), checker.open(user_id="user-2", start_position=EARLIEST)
    await stream.read_events(len(subject.written))
    await some.catch_up()
    await _write_some(subject)
    await subject.write(user_id="user-2")
    await stream.read_events(len(subject.written))
    await some.read_events(2)
    check_told(stream.events, subject.written)
    check_told(some.events, [subject.written[0], subject.written[-1]])
    for each in (stream, some):
        await each.read_until(stream.events[-1].position)
        each.call.cancel()


async def exactly_once(subject: Subject, checker: ContractChecker) -> None:
    """3. An event comes once on a stream, and under the same id and position on every stream."""
    first = checker.from_beginning()
    await _write_some(subject)
    await first.read_events(len(subject.written))
    second = checker.from_beginning()
    await second.read_events(len(subject.written))
    for stream in (first, second):
        check_told(stream.events, subject.written)
    if [each.SerializeToString() for each in first.events] != [
        each.SerializeToString() for each in second.events
    ]:
        raise BrokeUnique("two streams tell the same events differently")
    first.call.cancel()
    second.call.cancel()


async def atomic(subject: Subject, checker: ContractChecker) -> None:
    """4. A transaction comes in one frame, or in fragments that say so; live or not."""
    live = checker.from_beginning()
    await live.catch_up()
    await subject.write(2)
    await subject.write(7)
    await subject.write(1300)
    await subject.write(3)
    late = checker.from_beginning()
    for stream in (live, late):
        await stream.read_events(len(subject.written))
        check_told(stream.events, subject.written)
        stream.call.cancel()


async def start_anywhere(subject: Subject, checker: ContractChecker) -> None:
    """5. A stream starts after any token, at either end, or at a time, and nowhere else."""
    await _write_some(subject)
    token = await subject.write()
    behind = len(subject.written)
    await asyncio.sleep(0.01)
    now = Timestamp()
    now.GetCurrentTime()
    await asyncio.sleep(0.01)
    await _write_some(subject)
    whole = checker.from_beginning()
    await whole.read_events(len(subject.written))
    check_told(whole.events, subject.written)
    whole.call.cancel()
    for request in ({"resume_token": token}, {"start_time": now}):
        await _starts(checker.open(**request), subject.written[behind:])
    for frame in whole.frames:
        rest = [each for each in whole.events if each.position > frame.through]
        resumed = checker.open(resume_token=frame.resume_token)
        await _starts(resumed, [Written.of(each) for each in rest])
        if resumed.frames[0].prev_through != frame.through:
            raise BrokeResumable("the first frame does not go on where the token was given")
    latest = checker.open(start_position=LATEST)
    await _starts(latest, [], cancel=False)
    await subject.write()
    await latest.read_events(1)
    check_told(latest.events, subject.written[-1:])
    latest.call.cancel()


async def _starts(stream: StreamChecker, expected: list[Written], *, cancel: bool = True) -> None:
    await stream.catch_up()
    try:
        check_told(stream.events, expected)
    except BrokeCompleteness as error:
        raise BrokeResumable(str(error)) from error
    if cancel:
        stream.call.cancel()


async def bounded_silence(subject: Subject, checker: ContractChecker) -> None:
    """6. A silent stream speaks in time, also one that wants nothing, and covers what it hid."""
    everything = checker.from_beginning()
    idle = checker.open(user_id="nobody", start_position=EARLIEST)
    await everything.catch_up()
    await idle.catch_up()
    started = time.monotonic()
    for count in range(1, 4):
        frame = await idle.read_frame()
        if not frame.HasField("progress") or frame.events:
            raise BrokeSilenceBound("a stream with nothing to tell does not tell progress")
        if time.monotonic() - started > count * checker.interval + SLACK_SECONDS:
            raise BrokeSilenceBound("progress comes too late")
        await subject.write(2)
    await everything.read_events(len(subject.written))
    check_told(everything.events, subject.written)
    position = everything.events[-1].position
    deadline = time.monotonic() + 3 * checker.interval
    while (await idle.read_frame()).through < position:
        if time.monotonic() > deadline:
            raise BrokeSilenceBound("progress does not cover what was hidden")
    everything.call.cancel()
    idle.call.cancel()


async def phases(subject: Subject, checker: ContractChecker) -> None:
    """7. A stream says once that it has caught up, and only when it has."""
    await _write_some(subject)
    probe = checker.from_beginning()
    await probe.read_events(len(subject.written))
    probe.call.cancel()
    head = probe.events[-1].position
    stream = checker.from_beginning()
    await stream.catch_up()
    if stream.frames[-1].through < head:
        raise BrokePhase(f"caught_up at {stream.frames[-1].through} while the head is {head}")
    if len(stream.events) != len(subject.written):
        raise BrokePhase("caught_up before all that the log held was told")
    await subject.write()
    await stream.read_events(len(subject.written))
    await stream.read_frame()
    stream.call.cancel()


async def never_skips(subject: Subject, checker: ContractChecker) -> None:
    """8. A start that can't be served is refused with its reason, and nothing is passed over."""
    token = await subject.write()
    for mangled in ("", "nonsense", token[:-2], token + "A", token[::-1]):
        code, reason = grpc.StatusCode.INVALID_ARGUMENT, "RESUME_TOKEN_INVALID"
        await checker.refused(code, reason, (), resume_token=mangled)
    other, ahead = await subject.foreign_token(), await subject.token_ahead()
    await checker.refused(
        grpc.StatusCode.FAILED_PRECONDITION, "LOG_CHANGED", ["log_id"], resume_token=other
    )
    code = grpc.StatusCode.OUT_OF_RANGE
    await checker.refused(code, "POSITION_AHEAD", ["head"], resume_token=ahead)
    first = checker.from_beginning()
    await first.catch_up()
    first.call.cancel()
    await _write_some(subject)
    await subject.compact()
    keys = ["earliest", "head"]
    for old in (token, first.frames[0].resume_token):
        told = await checker.refused(code, "POSITION_COMPACTED", keys, resume_token=old)
    stream = checker.from_beginning()
    await _starts(stream, subject.written[-1:])
    if stream.events[0].position != int(told["earliest"]):
        raise BrokeResumable("the log does not begin where POSITION_COMPACTED says")


async def slow_callers_pay_alone(subject: Subject, checker: ContractChecker) -> None:
    """9. Who does not read is sent away with SLOW_CONSUMER; who reads is not held up by it."""
    for _ in range(12):
        await subject.write(5, bytes_each=LARGE)
    options = [("grpc.http2.bdp_probe", 0), ("grpc.max_receive_message_length", 1 << 24)]
    async with grpc.aio.insecure_channel(subject.address, options=options) as channel:
        stalled = replace(checker, channel=channel).from_beginning()
        await stalled.read_frame()
        stream = checker.from_beginning()
        await stream.read_events(len(subject.written))
        deadline = time.monotonic() + SOON_SECONDS / 4
        while time.monotonic() < deadline:
            await subject.write()
            await stream.read_events(len(subject.written))
            await asyncio.sleep(0.1)
        check_told(stream.events, subject.written)
        stream.call.cancel()
        await _sent_away(stalled)


async def _sent_away(stalled: StreamChecker) -> None:
    try:
        async with asyncio.timeout(SOON_SECONDS):
            while await stalled.read() is not None:
                if len(stalled.events) and stalled.frames[-1].HasField("caught_up"):
                    raise BrokeSlowConsumer("a caller who does not read is kept")
    except grpc.aio.AioRpcError as error:
        info = error_info(error)
        told = (error.code(), info.reason if info else "")
        if told != (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER"):
            raise BrokeSlowConsumer(f"a slow caller was told {told}") from error
        return
    except TimeoutError:
        raise BrokeSlowConsumer("a caller who does not read is kept") from None
    raise BrokeSlowConsumer("a slow caller was not told why it was sent away")


async def polite_endings(subject: Subject, checker: ContractChecker) -> None:
    """10. A drained stream ends with going_away and OK, whether it had something to tell or not."""
    await _write_some(subject)
    streams = [checker.from_beginning() for _ in range(3)]
    streams.append(checker.open(user_id="nobody"))
    for stream in streams:
        await stream.catch_up()
    draining = asyncio.create_task(subject.drain())
    try:
        for stream in streams:
            await _ends(stream)
    except grpc.aio.AioRpcError as error:
        raise BrokeEnding(f"a drained stream ended with {error.code()}") from error
    finally:
        await draining


async def _ends(stream: StreamChecker) -> None:
    deadline = time.monotonic() + ENDING_SECONDS
    while (frame := await stream.read()) is not None:
        last = frame
        if time.monotonic() > deadline:
            raise BrokeEnding("a drained stream goes on")
    if last.through < (stream.events[-1].position if stream.events else 0):
        raise BrokeEnding("going_away does not cover what was told")
