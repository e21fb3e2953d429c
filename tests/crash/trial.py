"""How a cell of the matrix is run: what befalls it, and what must hold after that."""

from tests.crash.case import PATIENCE_SECONDS, Answer, Case
from tests.crash.lab import Lab
from tests.crash.matrix import Cell
from tests.crash.plays import Stage
from tests.crash.scenarios import Deal
from tests.support.service import wait_until


def run(
    cell: Cell, lab: Lab, *, sabotage: str = "", patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Run a cell in a case of its own."""
    way = cell.way
    with lab.case(
        cell.store,
        timings=way.timings,
        own_sandbox=way.own_sandbox,
        own_server=way.own_server,
        sabotage=sabotage,
        patience_seconds=patience_seconds,
    ) as case:
        case.start()
        deal = cell.scenario.make(case)
        case.account.wait_taken()
        case.told.clear()
        way.play(Stage(case=case, deal=deal, scenario=cell.scenario))
        conclude(case, deal, cell)


def conclude(case: Case, deal: Deal, cell: Cell) -> None:
    """Have everything come to its end, and check what must hold then."""
    if not case.kept_back:
        case.calm()
    if cell.comes_back:
        _ask(case, deal)
    else:
        _leave_alone(case, deal, cell)
    answer = _ask(case, deal) if deal.method else None
    done = deal.times()
    check_told(case, answer, done, cell)
    if done:
        deal.act()
    if case.kept_back:
        case.calm()
    case.wait_told()
    if not done and deal.method is None and not cell.may_be_refused:
        # What was held back may be what the service waits for, or nobody has waited for it yet.
        _wait_done(case, deal)
        case.wait_told()
        done = deal.times()
        check_told(case, answer, done, cell)
    if done:
        deal.check()
    case.books().check()
    for check in case.at_end:
        check()


def _ask(case: Case, deal: Deal) -> Answer:
    assert deal.method is not None
    assert deal.request is not None
    return case.ask_until_told(deal.method, deal.request)


def _leave_alone(case: Case, deal: Deal, cell: Cell) -> None:
    """Check that the service comes to an end by itself, and what it comes to is right."""
    if deal.method is None and not cell.may_be_refused and case.kept_back != "hold":
        _wait_done(case, deal)
    case.books_now().wait_settled()
    if not case.kept_back:
        case.books().check()


def _wait_done(case: Case, deal: Deal) -> None:
    wait_until(lambda: bool(deal.times()), "nobody does it", seconds=case.patience_seconds)


def check_told(case: Case, answer: Answer | None, done: int, cell: Cell) -> None:
    """Check that whatever the caller was told is true, and always was the same."""
    assert done <= 1 or cell.scenario.again, f"it was done {done} times"
    if answer is None:
        assert done or cell.may_be_refused or case.kept_back == "hold", "it was never done"
        return
    assert not answer.is_refusal or cell.may_be_refused, f"it is refused: {answer}"
    assert bool(done) is not answer.is_refusal, f"it was done {done} times, and told: {answer}"
    assert all(each.raw == answer.raw for each in case.told), f"told otherwise before: {case.told}"
