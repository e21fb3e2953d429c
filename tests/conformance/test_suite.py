"""The conformance suite itself: it passes a server that keeps the contract, and no other."""

import pytest

from tests.conformance import clauses
from tests.conformance.checker import Violation
from tests.conformance.fake import FakeServer, serving
from tests.conformance.faults import PLANTED

CLAUSES = [
    clauses.one_order,
    clauses.provable_completeness,
    clauses.exactly_once,
    clauses.atomic,
    clauses.start_anywhere,
    clauses.bounded_silence,
    clauses.phases,
    clauses.never_skips,
    clauses.slow_callers_pay_alone,
    clauses.polite_endings,
]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
async def test_server_that_keeps_the_contract_passes(clause: clauses.Clause) -> None:
    """Every clause, at a server without a fault."""
    async with serving(FakeServer()) as server:
        await clauses.check(server, clause)


@pytest.mark.parametrize(
    ("fault", "clause", "violation"), PLANTED, ids=lambda each: getattr(each, "__name__", None)
)
async def test_planted_fault_is_named(
    fault: type[FakeServer], clause: clauses.Clause, violation: type[Violation]
) -> None:
    """A server with one fault is caught, by the clause it breaks and under that clause's name."""
    async with serving(fault()) as server:
        with pytest.raises(violation):
            await clauses.check(server, clause)


def test_every_clause_has_a_planted_fault() -> None:
    """So none of them passes whatever it is shown."""
    assert {clause for _, clause, _ in PLANTED} == set(CLAUSES)
    assert len({fault for fault, _, _ in PLANTED}) == len(PLANTED) >= 24
