"""What befalls a service while it is asked for something: each function here makes one such play.

A play begins with a service that runs undisturbed, and ends with one that nothing disturbs any
more, except for faults that strike once and the webhooks that are kept back.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from boxoffice_server.fail_points import FailPoint
from tests.crash.case import CALL_SECONDS, Answer, Case
from tests.crash.consumer import Consumer
from tests.crash.scenarios import Deal, Scenario
from tests.support.calls import ended
from tests.support.strikes import Deed, Plan

# A call to Stripe is repeated so often by itself.
ATTEMPTS = 3
# Longer than one request may take, and shorter.
LATE_SECONDS = 0.6
DEADLINE_SECONDS = 0.5
SLOW_SECONDS = 0.15
DAY_SECONDS = 25 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a play is played."""

    case: Case
    deal: Deal
    scenario: Scenario

    def attempt(self) -> Answer | None:
        """Ask for it once, or have the service do it by itself."""
        if self.deal.method is None or self.deal.request is None:
            self.deal.trigger()
            return None
        return self.case.ask(self.deal.method, self.deal.request)

    def plan(self, point: FailPoint, deed: Deed, then: Deed | None = None) -> Plan:
        """Plan a strike at this operation, or at the notification that comes of it."""
        is_notice = point in {FailPoint.KEEPING, FailPoint.KEPT}
        name = self.scenario.notice if is_notice else self.scenario.operation
        return Plan(point=point, name=name, deed=deed, then=then)

    def fault(self, kind: str, **more: object) -> None:
        """Arm a fault for what Stripe is asked for."""
        path, method = self.scenario.path, self.scenario.verb
        self.case.account.fault(kind, path=path, method=method, **more)

    def tell_all(self) -> None:
        """Have Stripe tell all that it has to tell, and wait until it is kept."""
        self.case.account.webhooks("normal")
        self.case.account.release()
        self.case.account.wait_delivered()


DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
Play = Callable[[Stage], None]


def strike(point: FailPoint, deed: Deed) -> Play:
    """It is struck at a fail point."""

    def play(stage: Stage) -> None:
        plan = stage.plan(point, deed)
        stage.case.start(plan)
        stage.case.strike(plan, stage.attempt).result()

    return play


def vendor_fault(kind: str, *, times: int = 1, crash: bool = False, **more: object) -> Play:
    """Stripe fails, or the line to it does; then perhaps the service crashes."""

    def play(stage: Stage) -> None:
        stage.fault(kind, times=times, **more)
        stage.attempt()
        if not stage.scenario.by_caller or crash:
            stage.case.account.wait_met(times)
        if crash:
            stage.case.restart()

    return play


def crash_in_flight(kind: str) -> Play:
    """The service crashes while Stripe is at work on the request, or has done it."""

    def play(stage: Stage) -> None:
        stage.fault(kind, seconds=LATE_SECONDS)
        called = stage.case.submit(stage.attempt)
        stage.case.account.wait_struck()
        stage.case.restart()
        called.result(CALL_SECONDS)

    return play


def overtaken_by_notice(then: Deed | None) -> Play:
    """What Stripe tells of it is kept while its answer is held."""

    def play(stage: Stage) -> None:
        plan = stage.plan(FailPoint.ASKED, Deed.HANG, then)
        stage.case.start(plan)
        stage.case.strike(plan, stage.attempt, meanwhile=stage.tell_all).result()

    return play


def two_callers(deed: Deed | None) -> Play:
    """Two ask for the same at once, and perhaps whoever is at work is struck."""

    def play(stage: Stage) -> None:
        if deed is None:
            stage.fault("latency", seconds=SLOW_SECONDS)
            other = stage.case.submit(stage.attempt)
            stage.attempt()
            other.result(CALL_SECONDS)
            return
        plan = stage.plan(FailPoint.ASKED, deed)
        stage.case.start(plan)
        other = stage.case.submit(stage.attempt)
        stage.case.strike(plan, stage.attempt).result()
        other.result(CALL_SECONDS)

    return play


def lease_ran_out(then: Deed, *, refused: bool = False) -> Play:
    """The owner sleeps for so long that somebody else finishes; then it wakes.

    On PostgreSQL that is another instance, on SQLite the janitor of the same one. An owner that was
    `refused` wakes to a word that is not the last.
    """

    def play(stage: Stage) -> None:
        plan = stage.plan(FailPoint.ASKED, Deed.HANG, then)
        stage.case.start(plan)
        if refused:
            stage.fault("status", status=400)

        def overtake() -> None:
            if stage.case.is_postgres:
                stage.case.start_other()
            stage.case.books_now().wait_settled()

        stage.case.strike(plan, stage.attempt, meanwhile=overtake).result()

    return play


def caller_leaves(how: str) -> Play:
    """The caller cancels, or has no more time, while Stripe is asked; the service goes on."""

    def play(stage: Stage) -> None:
        case, plan = stage.case, stage.plan(FailPoint.ASKED, Deed.HANG, Deed.NOTHING)
        case.start(plan)
        assert stage.deal.method is not None
        seconds = DEADLINE_SECONDS if how == "deadline" else CALL_SECONDS
        call = stage.deal.method(case).future(stage.deal.request, timeout=seconds)
        assert case.service.wait_struck() == plan
        if how != "deadline":
            call.cancel()
        with contextlib.suppress(grpc.FutureCancelledError):
            assert ended(call.exception(CALL_SECONDS)).code() is DEADLINE_EXCEEDED
        case.service.wake()
        if how == "crash":
            case.restart()

    return play


def store_away(*, crash: bool) -> Play:
    """Stripe has said yes, and then the store is gone for a while; a server is stopped for that."""

    def play(stage: Stage) -> None:
        if not stage.case.is_postgres:
            strike(FailPoint.SETTLING, Deed.ERROR)(stage)
            if crash:
                stage.case.restart()
            return
        case, plan = stage.case, stage.plan(FailPoint.ASKED, Deed.HANG, Deed.NOTHING)
        case.start(plan)
        try:
            told = case.strike(plan, stage.attempt, meanwhile=case.stop_store).result()
            assert told is None, f"nothing of it can be kept, and it is told: {told}"
            case.check_store_missed()
            if crash:
                case.service.kill()
        finally:
            case.start_store()
        if crash:
            case.start()
        case.account.sandbox.retry_webhooks()

    return play


def lines_cut(point: FailPoint) -> Play:
    """The line to the store breaks just before the commit."""

    def play(stage: Stage) -> None:
        plan = stage.plan(point, Deed.HANG, Deed.NOTHING)
        stage.case.start(plan)
        stage.case.strike(plan, stage.attempt, meanwhile=stage.case.cut_lines).result()

    return play


def consumer_dies(deed: Deed) -> Play:
    """Who watches dies after every frame, and the service is struck as it tells."""

    def play(stage: Stage) -> None:
        consumer = Consumer(stage.case)
        stage.case.at_end.append(consumer.check)
        try:
            if stage.scenario.operation:
                strike(FailPoint.SETTLED, deed)(stage)
            else:
                strike(FailPoint.KEPT, deed)(stage)
        except BaseException:
            consumer.stop()
            raise

    return play


def outage(point: FailPoint) -> Play:
    """The service crashes, and comes back when Stripe has forgotten its keys."""

    def play(stage: Stage) -> None:
        plan = stage.plan(point, Deed.CRASH)
        stage.case.start(plan)
        called = stage.case.submit(stage.attempt)
        stage.case.wait_struck(plan, called)
        stage.case.service.wait()
        called.result(CALL_SECONDS)
        stage.case.age(DAY_SECONDS)
        stage.case.start()

    return play


def webhooks(mode: str, order: str = "fifo") -> Play:
    """Stripe tells of everything in another order, twice, or never."""

    def play(stage: Stage) -> None:
        stage.case.keep_back(mode, order)
        stage.attempt()

    return play


def nothing_told(deed: Deed) -> Play:
    """Stripe tells of nothing, and the service is struck as well."""

    def play(stage: Stage) -> None:
        stage.case.keep_back("drop")
        strike(FailPoint.SETTLED, deed)(stage)

    return play
