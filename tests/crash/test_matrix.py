"""Whatever befalls the service while it asks Stripe for something: it happens once, and is told so.

`make crash` runs every cell of the matrix, and `make test` a choice that is the same each time.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.crash.lab import Lab
from tests.crash.matrix import Cell
from tests.crash.selection import CHOSEN
from tests.crash.trial import run

AT_ONCE = 4


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, lab: Lab) -> Iterator[dict[Cell, Future[None]]]:
    """The outcomes of the cells, as far as they were selected: several run at once.

    A case mostly waits, and the tests only wait for it in turn.
    """
    asked = [
        item.callspec.params.get("cell")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
        if "outcomes" in item.fixturenames
    ]
    selected = [cell for cell in asked if isinstance(cell, Cell)]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {cell: pool.submit(run, cell, lab) for cell in selected}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("cell", CHOSEN, ids=str)
def test_it_happens_once(cell: Cell, outcomes: dict[Cell, Future[None]]) -> None:
    """What was asked for is done once, and kept, and whoever was told of it was told the truth."""
    outcomes[cell].result()
