"""The crash matrix: what may befall each thing that is asked of Stripe, row by row, as data.

Each scenario, with each way of each row that applies to it, on each store, whose caller comes back
or does not, is a cell; `trial.py` runs one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from boxoffice_server.fail_points import FailPoint
from tests.crash import plays
from tests.crash.catalogue import SCENARIOS
from tests.crash.plays import ATTEMPTS, LATE_SECONDS, Play
from tests.crash.scenarios import Scenario
from tests.support.strikes import Deed

SQLITE, POSTGRESQL = "sqlite", "postgresql"
STORES = (SQLITE, POSTGRESQL)
# The janitor looks for what was never told.
SWEEPS = {"sweep_every": 0.2}
DEEDS = (Deed.CRASH, Deed.ERROR, Deed.FAULT, Deed.HANG)

Applies = Callable[[Scenario], bool]


def is_asked(scenario: Scenario) -> bool:
    """It is an operation of the service's, and not one that another one shows already."""
    return bool(scenario.operation) and not scenario.aside


def asks_stripe(scenario: Scenario) -> bool:
    """Stripe is asked for it."""
    return bool(scenario.path)


def has_caller(scenario: Scenario) -> bool:
    """Somebody calls for it."""
    return is_asked(scenario) and scenario.by_caller


def waits_for_stripe(scenario: Scenario) -> bool:
    """Somebody calls, and Stripe is asked for it."""
    return asks_stripe(scenario) and scenario.by_caller


def is_told(scenario: Scenario) -> bool:
    """Stripe tells of it."""
    return not scenario.aside


def may_expire(scenario: Scenario) -> bool:
    """It is asked for under a key that Stripe forgets."""
    return is_asked(scenario) and scenario.verb == "POST"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """One way in which a row comes about, named by its deed, and of the kind of deed that it is.

    `refuses` says that the caller may be refused in the end, as nothing was done.
    """

    deed: str
    play: Play
    applies: Applies
    stores: tuple[str, ...] = STORES
    points: tuple[FailPoint, ...] = ()
    refuses: bool = False
    own_sandbox: bool = False
    own_server: bool = False
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Tell which kind of deed it is: every lost or strange word is an error."""
        first = self.deed.partition(" ")[0]
        return first if first in set(DEEDS) else Deed.ERROR


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One row of the matrix: what goes wrong, and how."""

    name: str
    what: str
    ways: tuple[Way, ...]


def _strikes(point: FailPoint, applies: Applies) -> tuple[Way, ...]:
    return tuple(
        Way(deed=deed, play=plays.strike(point, deed), applies=applies, points=(point,))
        for deed in DEEDS
    )


def _vendor(
    deed: str,
    kind: str,
    *,
    times: int = 1,
    crash: bool = False,
    refuses: bool = False,
    **more: object,
) -> Way:
    play = plays.vendor_fault(kind, times=times, crash=crash, **more)
    return Way(deed=deed, play=play, applies=asks_stripe, refuses=refuses)


def _status(deed: str, status: int, **more: object) -> Way:
    return _vendor(deed, "status", status=status, **more)  # type: ignore[arg-type]  # a fault's


def _lost_answers() -> Iterator[Way]:
    """An answer is lost once, and is as often as Stripe is asked again."""
    for kind in ("reset_before", "reset_after", "truncate"):
        yield _vendor(f"{kind} once", kind)
        yield _vendor(kind, kind, times=ATTEMPTS)
    yield _vendor("late", "late", times=2, seconds=LATE_SECONDS)
    for deed, kind in (("crash before", "latency"), ("crash after", "late")):
        yield Way(deed=deed, play=plays.crash_in_flight(kind), applies=asks_stripe)


def _failures() -> Iterator[Way]:
    """Stripe fails before the work or after it, and keeps that under the key or does not."""
    for processed in (False, True):
        for stored in (False, True):
            deed = f"500{' processed' * processed}{' stored' * stored}"
            yield _status(deed, 500, processed=processed, stored=stored)
    yield _status("500 always", 500, times=ATTEMPTS)
    yield _status("crash", 500, times=ATTEMPTS, crash=True)
    yield _status("crash stored", 500, processed=True, stored=True, crash=True)


_ASKED = (FailPoint.ASKED,)
_THEN = {
    Deed.CRASH: None,
    Deed.ERROR: Deed.ERROR,
    Deed.FAULT: Deed.FAULT,
    Deed.HANG: Deed.NOTHING,
}
_WOKEN = {**_THEN, Deed.CRASH: Deed.CRASH}


def _overtaken() -> Iterator[Way]:
    """Whoever was overtaken wakes; on SQLite by the janitor, unless that is who sleeps."""
    for deed in DEEDS:
        play = plays.lease_ran_out(_WOKEN[deed] or Deed.CRASH)
        yield Way(deed=deed, play=play, applies=has_caller, points=_ASKED)
        own = Way(
            deed=deed,
            play=play,
            applies=lambda scenario: is_asked(scenario) and not scenario.by_caller,
            stores=(POSTGRESQL,),
            points=_ASKED,
        )
        yield own
    refused = plays.lease_ran_out(Deed.NOTHING, refused=True)
    yield Way(deed="refused", play=refused, applies=has_caller, points=_ASKED)


def _lost_commits() -> Iterator[Way]:
    """The line breaks just before a commit, which only a store behind a line knows; or after."""
    told = {FailPoint.KEEPING, FailPoint.KEPT}
    for point in (FailPoint.RECORDING, FailPoint.SETTLING, FailPoint.KEEPING):
        applies = is_told if point in told else is_asked
        yield Way(
            deed=f"cut {point}",
            play=plays.lines_cut(point),
            applies=applies,
            stores=(POSTGRESQL,),
            points=(point,),
        )
    for point in (FailPoint.RECORDED, FailPoint.SETTLED, FailPoint.KEPT):
        yield Way(
            deed=f"error {point}",
            play=plays.strike(point, Deed.ERROR),
            applies=is_told if point in told else is_asked,
            points=(point,),
        )


def _webhooks(deed: str, mode: str, order: str = "fifo") -> Way:
    play = plays.webhooks(mode, order)
    timings = SWEEPS if mode == "drop" else {}
    return Way(deed=deed, play=play, applies=is_told, timings=timings)


ROWS = (
    Row(
        name="C0",
        what="before what was asked for is recorded",
        ways=_strikes(FailPoint.RECORDING, is_asked),
    ),
    Row(
        name="C1",
        what="recorded, and Stripe is not asked yet",
        ways=_strikes(FailPoint.RECORDED, is_asked),
    ),
    Row(name="C2", what="Stripe is asked, and its answer is lost", ways=tuple(_lost_answers())),
    Row(
        name="C3",
        what="Stripe is at work on the same key",
        ways=(
            _status("409 once", 409),
            _status("409", 409, times=ATTEMPTS),
            _status("crash", 409, times=ATTEMPTS, crash=True),
        ),
    ),
    Row(
        name="C4",
        what="Stripe says no",
        ways=(
            _status("429", 429, times=ATTEMPTS),
            _status("401", 401, times=ATTEMPTS),
            _status("400", 400, refuses=True),
            _status("crash", 429, times=ATTEMPTS, crash=True),
        ),
    ),
    Row(name="C5", what="Stripe fails", ways=tuple(_failures())),
    Row(
        name="C6",
        what="the answer is held, and nothing of it is kept",
        ways=_strikes(FailPoint.ASKED, is_asked),
    ),
    Row(
        name="C7",
        what="Stripe tells of it before its answer is kept",
        ways=tuple(
            Way(deed=deed, play=plays.overtaken_by_notice(then), applies=is_asked, points=_ASKED)
            for deed, then in _THEN.items()
        ),
    ),
    Row(
        name="C8",
        what="kept, before it is committed and numbered",
        ways=_strikes(FailPoint.SETTLING, is_asked),
    ),
    Row(
        name="C9",
        what="committed, and the caller is not answered",
        ways=_strikes(FailPoint.SETTLED, is_asked),
    ),
    Row(
        name="C10",
        what="two ask for the same at once",
        ways=(
            Way(deed="both", play=plays.two_callers(None), applies=waits_for_stripe),
            *(
                Way(deed=deed, play=plays.two_callers(deed), applies=has_caller, points=_ASKED)
                for deed in DEEDS
            ),
        ),
    ),
    Row(name="C11", what="the lease runs out, and the owner wakes", ways=tuple(_overtaken())),
    Row(
        name="C12",
        what="the caller leaves while Stripe is at work",
        ways=tuple(
            Way(deed=how, play=plays.caller_leaves(how), applies=has_caller, points=_ASKED)
            for how in ("cancel", "deadline", "crash")
        ),
    ),
    Row(
        name="C13",
        what="the store is away after Stripe said yes",
        ways=tuple(
            Way(
                deed="crash" if crash else "error",
                play=plays.store_away(crash=crash),
                applies=is_asked,
                own_server=True,
                points=(FailPoint.ASKED, FailPoint.SETTLING),
            )
            for crash in (False, True)
        ),
    ),
    Row(
        name="C14",
        what="who watches dies before it has noted how far it came",
        ways=tuple(
            Way(
                deed=deed,
                play=plays.consumer_dies(deed),
                applies=is_told,
                points=(FailPoint.SETTLED,),
            )
            for deed in DEEDS
        ),
    ),
    Row(
        name="C15",
        what="an outage of more than a day, after which Stripe knows no key",
        ways=(
            Way(
                deed="crash before",
                play=plays.outage(FailPoint.RECORDED),
                applies=may_expire,
                refuses=True,
                own_sandbox=True,
                points=(FailPoint.RECORDED,),
            ),
            Way(
                deed="crash after",
                play=plays.outage(FailPoint.ASKED),
                applies=may_expire,
                own_sandbox=True,
                points=_ASKED,
            ),
        ),
    ),
    Row(name="C16", what="the line to the store breaks at a commit", ways=tuple(_lost_commits())),
    Row(
        name="W1",
        what="before a notification is kept",
        ways=_strikes(FailPoint.KEEPING, is_told),
    ),
    Row(
        name="W2",
        what="a notification is kept, and comes again",
        ways=(*_strikes(FailPoint.KEPT, is_told), _webhooks("duplicate", "duplicate")),
    ),
    Row(
        name="W3",
        what="notifications come in another order",
        ways=(
            _webhooks("reverse", "hold", "reverse"),
            _webhooks("shuffle", "hold", "shuffle"),
            _webhooks("reverse each", "reverse"),
        ),
    ),
    Row(
        name="W4",
        what="no notification ever comes",
        ways=(
            _webhooks("drop", "drop"),
            *(
                Way(
                    deed=deed,
                    play=plays.nothing_told(deed),
                    applies=is_asked,
                    timings=SWEEPS,
                    points=(FailPoint.SETTLED,),
                )
                for deed in DEEDS
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One case: a scenario that meets one way of a row, on a store.

    `comes_back` says whether its caller asks again, or leaves it all to the service.
    """

    scenario: Scenario
    row: Row
    way: Way
    store: str
    comes_back: bool

    def __str__(self) -> str:
        back = "again" if self.comes_back else "never"
        names = (self.scenario.name, self.row.name, self.way.deed.replace(" ", "_"))
        return "-".join((*names, self.store, back))

    @property
    def may_be_refused(self) -> bool:
        """Tell whether it may never be done."""
        expires = self.way.own_sandbox
        return self.way.refuses and not (expires and self.scenario.never_expires)

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """What comes together in it: each such pair has to come together in some chosen cell."""
        operation, scenario = self.scenario.operation, f"scenario {self.scenario}"
        row, store, kind = self.row.name, self.store, f"kind {self.way.kind}"
        way, back = f"way {self.way.deed}", f"comes back {self.comes_back}"
        return frozenset(
            {
                *((operation, row), (operation, kind), (operation, store), (operation, back)),
                *((scenario, kind), (scenario, store), (scenario, back)),
                *((row, way), (row, store), (row, back), (way, store)),
            }
        )


def cells() -> list[Cell]:
    """List all cells, always in the same order."""
    return [
        Cell(scenario=scenario, row=row, way=way, store=store, comes_back=comes_back)
        for row in ROWS
        for way in row.ways
        for scenario in SCENARIOS
        if way.applies(scenario)
        for store in way.stores
        for comes_back in ((True, False) if scenario.by_caller else (False,))
    ]
