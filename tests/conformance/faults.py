"""Servers that break the contract in one way each. The suite must name every one of them."""

from dataclasses import replace

from boxoffice.orders.v1 import orders_pb2 as pb
from tests.conformance import clauses, edge_faults
from tests.conformance.checker import (
    BrokeAtomic,
    BrokeCompleteness,
    BrokeEnding,
    BrokeOrder,
    BrokePhase,
    BrokeResumable,
    BrokeSilenceBound,
    BrokeSlowConsumer,
    BrokeUnique,
    SkippedSilently,
    Violation,
)
from tests.conformance.fake import Context, Entry, FakeServer, FakeStream, Frames


def _renumbered(entry: Entry, position: int) -> Entry:
    event = pb.OrderEvent()
    event.CopyFrom(entry.event)
    event.position = position
    return replace(entry, position=position, event=event)


class SwapsEvents(FakeServer):
    """Tells two events of a transaction in the wrong order, with rising positions."""

    def wanted(self, stream: FakeStream) -> list[Entry]:
        found = super().wanted(stream)
        if len(found) > 2:
            first, second = found[1], found[2]
            found[1:3] = [
                _renumbered(second, first.position),
                _renumbered(first, second.position),
            ]
        return found


class TellsTransactionsOutOfOrder(FakeServer):
    """Numbers a later write before an earlier one."""

    async def write(self, size: int = 1, *, user_id: str = "user-1", bytes_each: int = 0) -> str:
        token = await super().write(size, user_id=user_id, bytes_each=bytes_each)
        if self.head == 4:
            *_, first, last = self.entries
            self.entries[-2:] = [
                replace(_renumbered(last, first.position), transaction=first.transaction),
                replace(_renumbered(first, last.position), transaction=last.transaction),
            ]
        return token


class FallingPositions(FakeServer):
    """Gives an event a position below that of the one before."""

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        turned = [
            _renumbered(entry, other.position)
            for entry, other in zip(entries, reversed(entries), strict=True)
        ]
        return super().frame(stream, through, turned, more=more)


class LosesAnEvent(FakeServer):
    """Never tells one event, though every frame joins."""

    lost = 6

    def wanted(self, stream: FakeStream) -> list[Entry]:
        return [entry for entry in super().wanted(stream) if entry.position != self.lost]


class LosesAFrame(FakeServer):
    """Makes a frame and does not send it."""

    def news(self, stream: FakeStream) -> Frames:
        frames = super().news(stream)
        return frames[:1] + frames[2:]


class LosesWhatAFilterWants(FakeServer):
    """Loses what is written live to one who wants only some of it."""

    def wanted(self, stream: FakeStream) -> list[Entry]:
        found = super().wanted(stream)
        if stream.request.user_id and stream.caught_up:
            stream.through = self.head
            return []
        return found


class LiesAboutPrevThrough(FakeServer):
    """Says that a frame joins another than the one before."""

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        frame = super().frame(stream, through, entries, more=more)
        if frame.prev_through > 3:
            frame.prev_through -= 1
        return frame


class CoversWhatItHidesInSilence(FakeServer):
    """Passes over what a filter hides without a frame that says so."""

    def caught_up(self, stream: FakeStream) -> Frames:
        stream.through = self.head
        return super().caught_up(stream)


class GoesBack(FakeServer):
    """Lets `through` fall."""

    def caught_up(self, stream: FakeStream) -> Frames:
        frame = self.frame(stream, max(0, stream.through - 1), [])
        frame.caught_up.SetInParent()
        return [frame]


class RepeatsAnEvent(FakeServer):
    """Tells an event twice, in the same frame."""

    def news(self, stream: FakeStream) -> Frames:
        frames = super().news(stream)
        for frame in frames:
            frame.events.append(frame.events[-1])
        return frames


class RepeatsUnderANewId(FakeServer):
    """Tells an event again, as if it were another."""

    def wanted(self, stream: FakeStream) -> list[Entry]:
        found = super().wanted(stream)
        for index, entry in enumerate(found):
            if entry.position == 4:
                again = _renumbered(found[index - 1], 4) if index else entry
                again.event.id = "evt_again"
                found[index] = again
        return found


class ChangesIds(FakeServer):
    """Gives an event another id on every stream."""

    streams = 0

    async def place(self, request: pb.WatchOrdersRequest, context: Context) -> int:
        self.streams += 1
        for entry in self.entries:
            entry.event.id = f"evt_{self.streams}_{entry.position}"
        return await super().place(request, context)


class SplitsATransaction(FakeServer):
    """Sends a transaction in two frames that look whole."""

    def news(self, stream: FakeStream) -> Frames:
        frames: Frames = []
        for entry in self.wanted(stream):
            frames.append(self.frame(stream, entry.position, [entry]))
        return frames


class FragmentsMoveThrough(FakeServer):
    """Moves `through` with every fragment."""

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        return super().frame(stream, entries[-1].position if more else through, entries, more=more)


class ForgetsMore(FakeServer):
    """Does not say that a fragment is one."""

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        last = entries[-1].position if entries else through
        return super().frame(stream, last, entries)


class NeverSpeaks(FakeServer):
    """Sends no progress."""

    def progress(self, stream: FakeStream) -> Frames:
        return []


class SpeaksToTheUnfilteredOnly(FakeServer):
    """Sends no progress to one who wants nothing of what happens."""

    def progress(self, stream: FakeStream) -> Frames:
        return [] if stream.request.user_id else super().progress(stream)


class ProgressOvertakes(FakeServer):
    """Calls complete what is still to come."""

    def news(self, stream: FakeStream) -> Frames:
        if not stream.caught_up or stream.through == self.head:
            return super().news(stream)
        sent = stream.through
        frames = self.progress(stream)
        stream.through = sent
        late = super().news(stream)
        for frame in late:
            frame.prev_through = frame.through = self.head
        stream.through = self.head
        return frames + late


class ProgressStandsStill(FakeServer):
    """Does not let progress cover what a filter hides."""

    def progress(self, stream: FakeStream) -> Frames:
        frame = self.frame(stream, stream.through, [])
        frame.progress.SetInParent()
        return [frame]


class LiesAboutTheHead(FakeServer):
    """Tells a head that lies before what it covers."""

    def frame(
        self, stream: FakeStream, through: int, entries: list[Entry], *, more: bool = False
    ) -> pb.WatchOrdersResponse:
        frame = super().frame(stream, through, entries, more=more)
        frame.head = max(0, through - 1)
        return frame


class NeverCatchesUp(FakeServer):
    """Does not say that it has caught up."""

    def caught_up(self, stream: FakeStream) -> Frames:
        return []


class CatchesUpTwice(FakeServer):
    """Says so again after every event."""

    def news(self, stream: FakeStream) -> Frames:
        frames = super().news(stream)
        return frames + self.caught_up(stream) if frames and stream.caught_up else frames


class CatchesUpTooEarly(FakeServer):
    """Says so before it has told what the log holds."""

    def news(self, stream: FakeStream) -> Frames:
        if stream.caught_up:
            return super().news(stream)
        stream.caught_up = True
        frame = self.frame(stream, stream.through, [])
        frame.caught_up.SetInParent()
        return [frame]


class FallsBehindAtOnce(FakeServer):
    """Says that it fell behind before it was ever live."""

    def caught_up(self, stream: FakeStream) -> Frames:
        frame = self.frame(stream, stream.through, [])
        frame.fell_behind.lag_events = 1
        return [frame, *super().caught_up(stream)]


PLANTED: list[tuple[type[FakeServer], clauses.Clause, type[Violation]]] = [
    (SwapsEvents, clauses.one_order, BrokeOrder),
    (TellsTransactionsOutOfOrder, clauses.one_order, BrokeOrder),
    (FallingPositions, clauses.one_order, BrokeOrder),
    (LosesAnEvent, clauses.provable_completeness, BrokeCompleteness),
    (LosesAFrame, clauses.provable_completeness, BrokeCompleteness),
    (LosesWhatAFilterWants, clauses.provable_completeness, BrokeCompleteness),
    (LiesAboutPrevThrough, clauses.provable_completeness, BrokeCompleteness),
    (CoversWhatItHidesInSilence, clauses.provable_completeness, BrokeCompleteness),
    (GoesBack, clauses.provable_completeness, BrokeCompleteness),
    (RepeatsAnEvent, clauses.exactly_once, BrokeUnique),
    (RepeatsUnderANewId, clauses.exactly_once, BrokeUnique),
    (ChangesIds, clauses.exactly_once, BrokeUnique),
    (SplitsATransaction, clauses.atomic, BrokeAtomic),
    (FragmentsMoveThrough, clauses.atomic, BrokeAtomic),
    (ForgetsMore, clauses.atomic, BrokeAtomic),
    (edge_faults.ResumesInclusively, clauses.start_anywhere, BrokeResumable),
    (edge_faults.ResumesTooLate, clauses.start_anywhere, BrokeResumable),
    (edge_faults.ResumesAtTheHead, clauses.start_anywhere, BrokeResumable),
    (edge_faults.IgnoresTheTime, clauses.start_anywhere, BrokeResumable),
    (edge_faults.TellsThePastFromTheHead, clauses.start_anywhere, BrokeResumable),
    (edge_faults.GivesNoToken, clauses.start_anywhere, BrokeResumable),
    (NeverSpeaks, clauses.bounded_silence, BrokeSilenceBound),
    (SpeaksToTheUnfilteredOnly, clauses.bounded_silence, BrokeSilenceBound),
    (ProgressOvertakes, clauses.bounded_silence, BrokeSilenceBound),
    (ProgressStandsStill, clauses.bounded_silence, BrokeSilenceBound),
    (LiesAboutTheHead, clauses.bounded_silence, BrokeSilenceBound),
    (NeverCatchesUp, clauses.phases, BrokePhase),
    (CatchesUpTwice, clauses.phases, BrokePhase),
    (CatchesUpTooEarly, clauses.phases, BrokePhase),
    (FallsBehindAtOnce, clauses.phases, BrokePhase),
    (edge_faults.SkipsWhatWasCompacted, clauses.never_skips, SkippedSilently),
    (edge_faults.TakesTokensOfAnotherLog, clauses.never_skips, SkippedSilently),
    (edge_faults.WaitsForTheFuture, clauses.never_skips, SkippedSilently),
    (edge_faults.TakesNonsense, clauses.never_skips, SkippedSilently),
    (edge_faults.RefusesInProse, clauses.never_skips, SkippedSilently),
    (edge_faults.RefusesWithoutDetails, clauses.never_skips, SkippedSilently),
    (edge_faults.KeepsTheSlow, clauses.slow_callers_pay_alone, BrokeSlowConsumer),
    (edge_faults.CutsTheSlow, clauses.slow_callers_pay_alone, BrokeSlowConsumer),
    (edge_faults.EndsTheSlowPolitely, clauses.slow_callers_pay_alone, BrokeEnding),
    (edge_faults.DrainsByAccident, clauses.polite_endings, BrokeEnding),
    (edge_faults.EndsWithoutAWord, clauses.polite_endings, BrokeEnding),
    (edge_faults.SpeaksAfterTheEnd, clauses.polite_endings, BrokeEnding),
    (edge_faults.SaysNotWhenToReturn, clauses.polite_endings, BrokeEnding),
    (edge_faults.NeverDrains, clauses.polite_endings, BrokeEnding),
]
