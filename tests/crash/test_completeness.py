"""The matrix has a cell for whatever the code can do, or says here why it has none."""

from collections.abc import Mapping
from pathlib import Path

from boxoffice_server.app import Application
from boxoffice_server.fail_points import FailPoint
from tests.crash.catalogue import SCENARIOS
from tests.crash.matrix import DEEDS, ROWS, STORES
from tests.crash.pairwise import covered
from tests.crash.selection import CHOSEN, EVERY
from tests.support.service import service_settings
from tests.support.stores import sqlite_url

NAMES = [scenario.name for scenario in SCENARIOS]
BY_ITSELF = [scenario.name for scenario in SCENARIOS if not scenario.by_caller]
FAILS_AT_STRIPE = {"C2", "C3", "C4", "C5", "C10"}
TELLS = {"C14", "C16", "W1", "W2", "W3", "W4"}

# Which rows have no cell for which scenarios.
EXCUSED: Mapping[str, tuple[set[str], list[str]]] = {
    "nobody calls for it": ({"C10", "C12"}, BY_ITSELF),
    "it is read, under no key": ({"C15"}, ["learn"]),
    "all but what Stripe is asked first is as for any intent": (
        {row.name for row in ROWS} - FAILS_AT_STRIPE,
        ["intent-of-new-customer"],
    ),
    "the service asks for nothing": (
        {row.name for row in ROWS} - TELLS,
        ["payment-by-customer"],
    ),
}

# Which rows don't come about by which kinds of deed.
UNDONE: Mapping[str, tuple[set[str], set[str]]] = {
    "Stripe's words are errors, and nothing of the service's": (
        {"C2", "C3", "C4", "C5"},
        {"fault", "hang"},
    ),
    "to leave is no deed of the service's": ({"C12"}, {"fault", "hang"}),
    "a store that is away is an error, and what hangs meanwhile is woken": (
        {"C13"},
        {"fault", "hang"},
    ),
    "only a service that is gone is away for a day": ({"C15"}, {"error", "fault", "hang"}),
    "what a lost line does is an error; the others are done before and after": (
        {"C16"},
        {"crash", "fault", "hang"},
    ),
    "the order of webhooks is Stripe's": ({"W3"}, {"crash", "fault", "hang"}),
}


def without_scenario(operations: frozenset[str]) -> set[str]:
    """List the operations that no scenario asks for."""
    return set(operations) - {scenario.operation for scenario in SCENARIOS}


async def test_every_operation_has_a_scenario(tmp_path: Path) -> None:
    """Whatever the service asks Stripe for, as it is composed; and no scenario is for nothing."""
    operations = Application(service_settings(sqlite_url(tmp_path))).operations
    assert not without_scenario(operations)
    assert {scenario.operation for scenario in SCENARIOS} - {""} == operations


def test_a_new_operation_is_missed() -> None:
    """One that nobody has made a scenario for is named."""
    assert without_scenario(frozenset({"ChargeUser", "ChargeTwice"})) == {"ChargeTwice"}


def test_every_fail_point_is_struck() -> None:
    """On each store, by each deed."""
    struck = {(point, cell.store, cell.way.kind) for cell in EVERY for point in cell.way.points}
    missing = {
        (point, store, deed) for point in FailPoint for store in STORES for deed in DEEDS
    } - struck
    assert not missing


def test_every_row_is_there() -> None:
    """The rows of the matrix are those of the design."""
    names = [f"C{number}" for number in range(17)] + [f"W{number}" for number in range(1, 5)]
    assert [row.name for row in ROWS] == names


def test_every_scenario_meets_every_row() -> None:
    """On each store; except for those that are excused, none of which has a cell after all."""
    met = {(cell.row.name, cell.scenario.name, cell.store) for cell in EVERY}
    wanted = {(row.name, name, store) for row in ROWS for name in NAMES for store in STORES}
    excused = {
        (row, name, store)
        for rows, names in EXCUSED.values()
        for row in rows
        for name in names
        for store in STORES
    }
    # What the service does by itself is overtaken by another instance only: SQLite has none.
    excused |= {("C11", name, "sqlite") for name in BY_ITSELF}
    assert wanted - met == excused


def test_every_row_comes_about_by_every_deed() -> None:
    """By those that it can."""
    done = {(cell.row.name, str(cell.way.kind)) for cell in EVERY}
    wanted = {(row.name, str(deed)) for row in ROWS for deed in DEEDS}
    excused = {(row, deed) for rows, deeds in UNDONE.values() for row in rows for deed in deeds}
    assert wanted - done == excused


def test_callers_come_back_and_do_not() -> None:
    """In every row, wherever somebody calls at all."""
    both = {(cell.row.name, cell.comes_back) for cell in EVERY}
    assert both == {(row.name, comes_back) for row in ROWS for comes_back in (True, False)}


def test_what_is_chosen_covers_the_matrix() -> None:
    """Whatever can come together in a crash does so in the tests of every day, in 300 cases."""
    assert len(CHOSEN) >= 300
    assert covered(CHOSEN) == covered(EVERY)
