"""What befalls a service at its fail points: it crashes, hangs, or meets an error."""

import asyncio
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.fail_points import FailPoint
from boxoffice_server.storage.errors import unavailable

# How long a wake is overlooked at most.
WAKE_CHECK_SECONDS = 0.05


class Deed(StrEnum):
    """What is done at a fail point."""

    CRASH = "crash"  # kill -9, by its own hand
    ERROR = "error"  # what a line that was lost at this moment raises
    FAULT = "fault"  # what nobody expects
    HANG = "hang"  # a task between transactions, the whole thread inside of one; until woken
    NOTHING = "nothing"  # it goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One strike: where, at the how-manieth time that it gets there, and what is done then.

    What hangs does `then` when it is woken.
    """

    point: FailPoint
    name: str
    deed: Deed
    occurrence: int = 1
    then: Deed | None = None

    @classmethod
    def read(cls, plan: Mapping[str, Any]) -> Self:
        """Read a plan that was sent as JSON."""
        then = Deed(plan["then"]) if plan["then"] else None
        read = {"point": FailPoint(plan["point"]), "deed": Deed(plan["deed"]), "then": then}
        return cls(**{**plan, **read})


class Striker:
    """Implements fail_points.Strike: carries out plans, each once, and tells of it just before."""

    def __init__(self, plans: Sequence[Plan], *, tell: Callable[[Plan], None]) -> None:
        self._plans = plans
        self._tell = tell
        self._times: dict[tuple[FailPoint, str], int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        # A thread that hangs reads from it.
        self._sleep, self._alarm = os.pipe()

    def wake(self) -> None:
        """Have what hangs go on, now and from now on. May be called by a signal's handler."""
        os.write(self._alarm, b"!" * len(self._plans))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    def reach(self, point: FailPoint, name: str) -> None:
        """Strike inside a transaction, in whatever thread runs it."""
        plan = self._due(point, name)
        if plan is not None:
            self._tell(plan)
            if plan.deed is Deed.HANG:
                self._hang()
            _strike(plan)

    def _hang(self) -> None:
        """Hang until woken.

        A signal that comes just before a read begins does not interrupt it, and its handler would
        wait for the read: so this comes back to Python now and then.
        """
        while not select.select([self._sleep], [], [], WAKE_CHECK_SECONDS)[0]:
            pass
        os.read(self._sleep, 1)

    async def reach_async(self, point: FailPoint, name: str) -> None:
        """Strike between transactions."""
        plan = self._due(point, name)
        if plan is not None:
            # Whoever is told may wake it before anything else is done here.
            self._loop = asyncio.get_running_loop()
            self._tell(plan)
            if plan.deed is Deed.HANG:
                await self._woken.wait()
            _strike(plan)

    def _due(self, point: FailPoint, name: str) -> Plan | None:
        times = self._times[point, name] = self._times.get((point, name), 0) + 1
        due = [
            each
            for each in self._plans
            if (each.point, each.name, each.occurrence) == (point, name, times)
        ]
        return due[0] if due else None


def _strike(plan: Plan) -> None:
    match plan.then if plan.deed is Deed.HANG else plan.deed:
        case Deed.CRASH:
            os.kill(os.getpid(), signal.SIGKILL)
        case Deed.ERROR:
            raise _lost_line(plan.point)
        case Deed.FAULT:
            raise RuntimeError(f"a fault at {plan.point} of {plan.name}, made by the test")
        case Deed.NOTHING | Deed.HANG | None:
            """It goes on."""


def _lost_line(point: FailPoint) -> BoxofficeError:
    """Make the error of a line that is lost just now: to the vendor, or else to the store.

    Just after a commit it is the store's, too: the transaction is there, and nobody was told.
    """
    if point is FailPoint.ASKED:
        return BoxofficeError(Reason.OUTCOME_UNKNOWN, "the vendor's answer was lost, by the test")
    return unavailable()
