"""One stream through a long log, against a bare stream of the same frames from memory.

The rounds go through the log one after the other, each from where the one before ended. The same
client reads and parses the bare stream, which sends the log's first frames again and again.
"""

import math
from collections.abc import Callable

from bench.child import Child
from bench.delay import NO_STRIPE
from bench.fill import fill_log
from bench.lab import STORES, Lab
from bench.report import Row, in_turns

BARE = "bare"
KEPT_FRAMES = 100


class Walk:
    """A client's way through the whole log of a service, in as many steps as there are rounds."""

    def __init__(self, client: Child, address: str, *, events: int, rounds: int) -> None:
        self._client = client
        self._address = address
        self._events = events
        self._rounds = rounds
        self._steps = 0
        self._read = 0
        self._token = ""

    def step(self) -> float:
        """Go on, and answer the events per second."""
        self._steps += 1
        told = self._client.ask(
            "catch_up",
            address=self._address,
            token=self._token,
            after=self._read,
            until=self._events * self._steps // self._rounds,
            checked=True,
        )
        self._token = told["token"]
        self._read += told["events"]
        assert self._read <= self._events, "there are events that nobody wrote"
        rate: float = told["events"] / told["seconds"]
        return rate


class BareWalk:
    """The same way over a bare server, which knows no places in it."""

    def __init__(self, lab: Lab, client: Child, service: str) -> None:
        self._client = client
        self._events = lab.scale.log_events // lab.scale.rounds
        path = lab.folder / "frames"
        kept = client.ask("record", address=service, frames=KEPT_FRAMES, path=str(path))["events"]
        bare = lab.child("bench.bare")
        bare.ask("load", path=str(path), repeats=math.ceil(self._events / kept))
        self._address = bare.ask("address")["address"]

    def step(self) -> float:
        """Read as many events as the other walk does, and answer the events per second."""
        told = self._client.ask(
            "catch_up",
            address=self._address,
            token="",
            after=0,
            until=self._events,
            checked=False,
        )
        rate: float = told["events"] / told["seconds"]
        return rate


def bench_catch_up(lab: Lab) -> list[Row]:
    """Measure how fast a stream comes from the beginning of the log to its head."""
    events, rounds = lab.scale.log_events, lab.scale.rounds
    client = lab.child("bench.watcher")
    measures: dict[str, Callable[[], float]] = {}
    for store in STORES:
        url = lab.database(store)
        fill_log(url, store, events)
        service = lab.child("bench.service")
        address = service.ask("start", database=url, stripe=NO_STRIPE)["address"]
        measures[f"{BARE} {store}"] = BareWalk(lab, client, address).step
        measures[store] = Walk(client, address, events=events, rounds=rounds).step
    taken = in_turns(rounds, measures)
    return [
        Row(
            measure=f"catch-up over {events:,} events, {store}",
            unit="events/s",
            baseline=taken[f"{BARE} {store}"],
            ours=taken[store],
            against="a bare stream of the same frames, from memory",
        )
        for store in STORES
    ]
