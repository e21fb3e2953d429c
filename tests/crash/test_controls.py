"""A service that is wrong is caught: each of these fails a cell of the matrix that others pass."""

import re

import pytest

from tests.crash.lab import Lab
from tests.crash.matrix import cells
from tests.crash.trial import run
from tests.support.sabotage import WRONGS

# What is wrong, the cell that it fails, and how that is noticed.
CAUGHT = {
    "random_keys": ("intent-on-session-C2-reset_after_once-sqlite-again", "it was done 2 times"),
    "unkept_notifications": ("charge-user-W1-error-sqlite-never", "notifications: "),
    "events_of_nothing": ("cancel-payment-W3-reverse-sqlite-never", "changes of pay_"),
    "unknown_told_as_failure": ("refund-C2-reset_after-sqlite-again", "it is refused"),
    "nobody_takes_up": ("capture-C6-crash-sqlite-never", "operations are left open"),
    "blind_resend": ("refund-part-C15-crash_after-sqlite-never", "refunds: "),
}


def test_every_wrong_is_tried() -> None:
    """Nothing in `sabotage.py` goes unnoticed because nobody looks."""
    assert CAUGHT.keys() == WRONGS.keys()


@pytest.mark.parametrize("wrong", CAUGHT)
def test_wrong_service_is_caught(lab: Lab, wrong: str) -> None:
    """The cell fails for what is wrong, and passes where nothing is."""
    name, noticed = CAUGHT[wrong]
    (cell,) = [each for each in cells() if str(each) == name]
    with pytest.raises(AssertionError, match=re.escape(noticed)):
        run(cell, lab, sabotage=wrong, patience_seconds=3)
    run(cell, lab)
