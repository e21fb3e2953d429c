"""Servers that break how streams start and end, in one way each."""

import asyncio

import grpc

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.domain.errors import BoxofficeError, Reason
from tests.conformance.fake import Context, FakeServer, FakeStream, Frames


class ResumesInclusively(FakeServer):
    """Repeats the event that a token was given with."""

    def after(self, text: str) -> int:
        return max(0, super().after(text) - 1)


class ResumesTooLate(FakeServer):
    """Passes over the event that follows a token."""

    def after(self, text: str) -> int:
        return min(self.head, super().after(text) + 1)


class ResumesAtTheHead(FakeServer):
    """Takes every token for the newest one."""

    def after(self, text: str) -> int:
        super().after(text)
        return self.head


class IgnoresTheTime(FakeServer):
    """Takes a time for the beginning."""

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        if request.WhichOneof("start") == "start_time":
            return 0
        return await super().place(request, context)


class TellsThePastFromTheHead(FakeServer):
    """Begins a bit before the head."""

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        place = await super().place(request, context)
        return place - 1 if place == self.head > 0 else place


class GivesNoToken(FakeServer):
    """Sends frames that nobody can resume after."""

    def token(self, position: int) -> str:
        return "" if position else super().token(position)


class SkipsWhatWasCompacted(FakeServer):
    """Goes on with what is left."""

    def after(self, text: str) -> int:
        try:
            return super().after(text)
        except BoxofficeError as error:
            if error.reason is Reason.POSITION_COMPACTED:
                return self.earliest - 1
            raise


class TakesTokensOfAnotherLog(FakeServer):
    """Reads the position and not the log."""

    def after(self, text: str) -> int:
        try:
            return super().after(text)
        except BoxofficeError as error:
            if error.reason is Reason.LOG_CHANGED:
                return self.head
            raise


class WaitsForTheFuture(FakeServer):
    """Waits until the log has got to the token."""

    def after(self, text: str) -> int:
        try:
            return super().after(text)
        except BoxofficeError as error:
            if error.reason is Reason.POSITION_AHEAD:
                return self.head
            raise


class TakesNonsense(FakeServer):
    """Begins at the head where it can't read the token."""

    def after(self, text: str) -> int:
        try:
            return super().after(text)
        except BoxofficeError as error:
            if error.reason is Reason.RESUME_TOKEN_INVALID:
                return self.head
            raise


class RefusesInProse(FakeServer):
    """Tells people what is wrong, and not programs."""

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        try:
            return await super().place(request, context)
        except BoxofficeError as error:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, error.message)
            raise


class RefusesWithoutDetails(FakeServer):
    """Says that the log was compacted, and not where it begins."""

    def after(self, text: str) -> int:
        try:
            return super().after(text)
        except BoxofficeError as error:
            raise BoxofficeError(error.reason, error.message) from error


class KeepsTheSlow(FakeServer):
    """Waits for a caller who does not read, for ever."""

    async def send(self, context: Context, frame: pb.WatchOrdersResponse) -> None:
        await context.write(frame)


class CutsTheSlow(FakeServer):
    """Ends a slow stream as if by accident."""

    async def send(self, context: Context, frame: pb.WatchOrdersResponse) -> None:
        try:
            await super().send(context, frame)
        except BoxofficeError as error:
            raise BoxofficeError(Reason.STORE_UNAVAILABLE, error.message) from error


class EndsTheSlowPolitely(FakeServer):
    """Ends a slow stream as if all were well."""

    async def answer(self, request: pb.WatchOrdersRequest, context: Context) -> None:
        try:
            await super().answer(request, context)
        except BoxofficeError as error:
            if error.reason is not Reason.SLOW_CONSUMER:
                raise


class DrainsByAccident(FakeServer):
    """Ends its streams with UNAVAILABLE."""

    async def end(self, context: Context) -> None:
        raise BoxofficeError(Reason.STORE_UNAVAILABLE, "shutting down")


class EndsWithoutAWord(FakeServer):
    """Ends its streams with OK and no going_away."""

    def goodbye(self, stream: FakeStream) -> Frames:
        return []


class SpeaksAfterTheEnd(FakeServer):
    """Sends another frame after going_away."""

    def goodbye(self, stream: FakeStream) -> Frames:
        return super().goodbye(stream) + self.progress(stream)


class SaysNotWhenToReturn(FakeServer):
    """Sends everyone back at once."""

    def goodbye(self, stream: FakeStream) -> Frames:
        frames = super().goodbye(stream)
        frames[0].going_away.ClearField("retry_after")
        return frames


class NeverDrains(FakeServer):
    """Goes on as if nobody had asked it to end."""

    async def drain(self) -> None:
        await asyncio.sleep(0)
