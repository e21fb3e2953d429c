"""Whatever befalls the service while it asks Stripe for something: it happens once, and is told so.

`make crash` runs every cell of the matrix, and `make test` a choice that is the same each time.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.crash.lab import Lab
from tests.crash.matrix import Cell, cells
from tests.crash.pairwise import choose
from tests.crash.trial import run

AT_ONCE = 4
LEAST = 320
SEED = 20260825
# Set by `make crash`.
EVERYTHING = "BOXOFFICE_TESTS_WHOLE_CRASH_MATRIX"

EVERY = cells()
CHOSEN = EVERY if os.environ.get(EVERYTHING) else choose(EVERY, least=LEAST, seed=SEED)


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
    """What was asked for is done once, whoever was told of it was told the truth, and it is kept."""
    outcomes[cell].result()
