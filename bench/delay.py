"""From the commit of an event to the moment a watcher has read it, against a bare stream.

The service's delay is taken from the moment its store has acknowledged the transaction, once per
event and stream. The bare server then sends the same frames, at the same distances, to as many
streams; its delay is taken from the moment a frame is handed to gRPC. So the ratio shows what the
log, its reader and the pace of frames add.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.child import Answer
from bench.lab import STORES, Lab
from bench.report import Row, in_turns, quantile

# No payment is made here, so nobody needs to answer there.
NO_STRIPE = "http://127.0.0.1:9"
BARE = "bare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One round: the delays in ms of all events on all streams, and the rate of the writer."""

    delays: list[float]
    rate: float

    def at(self, part: float) -> float:
        """Answer a quantile of the delays."""
        return quantile(self.delays, part)


class Setting:
    """A service with a writer, a bare server, and one client process for both."""

    def __init__(self, lab: Lab, store: str) -> None:
        self._scale = lab.scale
        self._service = lab.child("bench.service")
        self._address = self._service.ask("start", database=lab.database(store), stripe=NO_STRIPE)[
            "address"
        ]
        self._service.ask("make_orders")
        self._bare = lab.child("bench.bare")
        self._bare_address = self._bare.ask("address")["address"]
        self._watcher = lab.child("bench.watcher")
        self._file: Path = lab.folder / f"frames of {store}"
        self._frames: list[tuple[int, int]] = []

    @property
    def _events(self) -> int:
        return round(self._scale.live_seconds * self._scale.live_rate)

    def ours(self) -> Live:
        """Write and watch, and keep the frames."""
        self._open(self._address)
        written = self._service.ask("write", events=self._events, rate=self._scale.live_rate)
        seen = self._watcher.ask("collect", record=str(self._file))
        acknowledged = written["acknowledged"]
        assert set(seen["event_ids"]) == set(acknowledged), "an event is another one"
        first = seen["reads"][0]
        self._frames = [(begin, end) for begin, end, _ in first]
        start = first[0][0]
        times = {
            start + offset: acknowledged[event_id]
            for offset, event_id in enumerate(seen["event_ids"])
        }
        return Live(delays=_delays(seen, times), rate=self._events / written["seconds"])

    def bare(self) -> Live:
        """Send the frames of the round before once more, and watch them."""
        self._bare.ask("load", path=str(self._file), repeats=0)
        self._open(self._bare_address)
        pushed = self._bare.ask("push")["pushed"]
        seen = self._watcher.ask("collect", record="")
        times = {
            position: time
            for (begin, end), time in zip(self._frames, pushed, strict=True)
            for position in range(begin, end + 1)
        }
        return Live(delays=_delays(seen, times), rate=0)

    def _open(self, address: str) -> None:
        self._watcher.ask(
            "open", address=address, streams=self._scale.live_streams, events=self._events
        )


def bench_delay(lab: Lab) -> list[Row]:
    """Measure how long an event takes to all its watchers, on both stores."""
    measures: dict[str, Callable[[], Live]] = {}
    for store in STORES:
        setting = Setting(lab, store)
        measures[store] = setting.ours
        measures[f"{BARE} {store}"] = setting.bare
    taken = in_turns(lab.scale.rounds, measures)
    rows = []
    for store in STORES:
        ours, bare = taken[store], taken[f"{BARE} {store}"]
        streams = f"{lab.scale.live_streams} bare streams of the same frames, from memory"
        rows += [
            Row(
                measure=f"commit to watcher, {store}, {title}",
                unit="ms",
                baseline=[live.at(part) for live in bare],
                ours=[live.at(part) for live in ours],
                against=streams,
            )
            for title, part in (("p50", 0.5), ("p99", 0.99))
        ]
        rows.append(
            Row(
                measure=f"written meanwhile, {store}",
                unit="events/s",
                baseline=[float(lab.scale.live_rate)] * len(ours),
                ours=[live.rate for live in ours],
                against="the rate that was asked for",
            )
        )
    return rows


def _delays(seen: Answer, times: dict[int, float]) -> list[float]:
    """Answer the delays in ms of all events on all streams."""
    return [
        (read - times[position]) * 1000
        for begin, end, read in chain.from_iterable(seen["reads"])
        for position in range(begin, end + 1)
    ]
