"""Snapshots that are not what they must be: the client says so, or begins anew."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice_client import (
    EntitlementCopy,
    StreamBroken,
    WatchedEntitlements,
    open_channel,
    watch_entitlements,
)
from tests.client.keeping import QUICK

Frames = list[pb.WatchEntitlementsResponse]


class Script:
    """Answers each call with the next frames that it was given, and then is not available."""

    def __init__(self, *answers: Frames) -> None:
        self._answers = list(answers)
        self.asked: list[str | None] = []

    async def answer(
        self,
        request: pb.WatchEntitlementsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        start = request.WhichOneof("start")
        self.asked.append(request.resume_token if start else None)
        for frame in self._answers.pop(0):
            await context.write(frame)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


@asynccontextmanager
async def watching(script: Script, **wanted: Any) -> AsyncIterator[WatchedEntitlements]:  # noqa: ANN401
    """Watch what a script tells."""
    server = grpc.aio.server()
    handler: Any = grpc.unary_stream_rpc_method_handler(
        script.answer,
        request_deserializer=pb.WatchEntitlementsRequest.FromString,
        response_serializer=pb.WatchEntitlementsResponse.SerializeToString,
    )
    service = pb.DESCRIPTOR.services_by_name["EntitlementsService"].full_name
    generic = grpc.method_handlers_generic_handler(service, {"WatchEntitlements": handler})
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            open_channel(f"127.0.0.1:{port}") as channel,
            watch_entitlements(channel, back_off=QUICK, **wanted) as watch,
        ):
            yield watch
    finally:
        await server.stop(None)


def part(
    *ids: str,
    position: int = 0,
    version: int = 1,
    removed: bool = False,
    **fields: Any,  # noqa: ANN401 -- the frame's
) -> pb.WatchEntitlementsResponse:
    """A frame of a snapshot that stands at the seventh position; the last one has a token."""
    frame: dict[str, Any] = {"through": 7, "prev_through": 7, "snapshot": True}
    if not fields.get("more"):
        frame["resume_token"] = "seven"
    events = [
        words.EntitlementEvent(
            entitlement=words.Entitlement(id=each, version=version),
            position=position,
            removed=removed,
        )
        for each in ids
    ]
    return pb.WatchEntitlementsResponse(events=events, **(frame | fields))


def change(
    id_: str, position: int, *, after: int, version: int = 1, removed: bool = False
) -> pb.WatchEntitlementsResponse:
    """A frame of one change."""
    return part(
        id_,
        position=position,
        version=version,
        removed=removed,
        prev_through=after,
        through=position,
        snapshot=False,
        resume_token=f"after {position}",
    )


@pytest.mark.parametrize(
    "frames",
    [
        [change("b", 8, after=7)],
        [part("a", more=True), change("b", 8, after=7)],
        [part("a"), part("b")],
        [part("a", more=True, resume_token="six")],
        [part("a", resume_token="")],
        [part("a", more=True, through=8)],
        [part("a", through=8)],
        [part("a", more=True), part("b", prev_through=8, through=8)],
        [part("a", position=7)],
        [part("a"), change("b", 9, after=8)],
        [part("a"), change("b", 7, after=7)],
    ],
    ids=[
        "is missing",
        "is cut short",
        "comes twice",
        "has a token in its middle",
        "has no token",
        "moves within",
        "moves at its end",
        "has a gap",
        "tells a change",
        "is followed by a gap",
        "is followed by what it has",
    ],
)
async def test_snapshot_that_breaks_the_contract_is_told(frames: Frames) -> None:
    """And nothing of the frame that shows it is handed out."""
    async with watching(Script(frames)) as watch:
        if frames[0] == part("a"):
            whole = await anext(aiter(watch))
            assert [event.entitlement.id for event in whole.events] == ["a"]
        with pytest.raises(StreamBroken):
            await anext(aiter(watch))


async def test_snapshot_that_was_not_asked_for_is_told() -> None:
    """For the local copy of before is not to be dropped for it."""
    async with watching(Script([part("a")]), resume_token="kept") as watch:
        with pytest.raises(StreamBroken):
            await anext(aiter(watch))


async def test_interrupted_snapshot_is_read_anew_and_told_once() -> None:
    """Though the second may hold other things than the first did."""
    script = Script(
        [part("a", "b", more=True), part("c", more=True)],
        [],
        [part("a", more=True), part("c", "d")],
        [change("e", 8, after=7)],
    )
    async with watching(script) as watch:
        snapshot, following = [await anext(aiter(watch)) for _ in range(2)]
    assert [event.entitlement.id for event in snapshot.events] == ["a", "c", "d"]
    assert (snapshot.snapshot, snapshot.resume_token) == (True, "seven")
    assert [event.entitlement.id for event in following.events] == ["e"]
    assert (following.snapshot, following.resume_token) == (False, "after 8")
    assert script.asked == [None, None, None, "seven"]


async def test_copy_never_goes_back() -> None:
    """A snapshot may be ahead of the changes that are told after it."""
    script = Script(
        [
            part("a", version=4),
            change("a", 8, after=7, version=2),
            change("a", 9, after=8, version=3, removed=True),
            change("a", 10, after=9, version=4),
            change("a", 11, after=10, version=5),
        ]
    )
    copy = EntitlementCopy()
    versions: list[int] = []
    async with watching(script) as watch:
        for _ in range(5):
            copy.take(await anext(aiter(watch)))
            versions.append(copy.entitlements["a"].version)
    assert versions == [4, 4, 4, 4, 5]
