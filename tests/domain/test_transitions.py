"""Which event may follow which status: the code against the table, for every pair there is."""

from itertools import product

import pytest

from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from boxoffice_server.domain.transitions import Verdict, verdict
from tests.domain.legal import CELLS, COLUMNS, cell

PAIRS = list(product([None, *EntitlementStatus], SubscriptionEventType))


def test_the_table_has_a_cell_for_every_pair() -> None:
    """Of 17 statuses, none among them, and 21 events."""
    assert len(PAIRS) == 17 * 21
    assert set(CELLS) == set(SubscriptionEventType)
    assert all(set(row) == set(COLUMNS) for row in CELLS.values())


@pytest.mark.parametrize("event", SubscriptionEventType)
def test_a_verdict_is_what_the_table_says(event: SubscriptionEventType) -> None:
    """After each status: it moves, or stays, or can never be."""
    for status in [None, *EntitlementStatus]:
        match cell(status, event):
            case "X":
                expected = Verdict.ILLEGAL
            case "-":
                expected = Verdict.STAYS
            case _:
                expected = Verdict.MOVES
        assert verdict(status, event) is expected, (status, event)
