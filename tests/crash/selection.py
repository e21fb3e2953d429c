"""Which cells of the matrix are run: all of them by `make crash`, else a choice."""

import os

from tests.crash.matrix import cells
from tests.crash.pairwise import choose

LEAST = 320
SEED = 20260825
# Set by `make crash`.
EVERYTHING = "BOXOFFICE_TESTS_WHOLE_CRASH_MATRIX"

IS_WHOLE = bool(os.environ.get(EVERYTHING))
EVERY = cells()
CHOSEN = EVERY if IS_WHOLE else choose(EVERY, least=LEAST, seed=SEED)
