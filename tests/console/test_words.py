"""Everything that can be shown has a name and a look."""

import re
from pathlib import Path

import pytest

from boxoffice_server.console import page
from boxoffice_server.console.words import (
    MEANING,
    SHORT,
    Cause,
    cause_of,
    parked_words,
    shop,
    spoken,
    style_of,
)
from boxoffice_server.domain.facts import FactKind
from boxoffice_server.domain.lineage import Parked
from boxoffice_server.domain.subscription import (
    EntitlementStatus,
    StatusCategory,
    SubscriptionSource,
)

STYLE = (Path(page.__file__).parent / "console.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("status", EntitlementStatus)
def test_every_status_has_a_label_and_a_colour(status: EntitlementStatus) -> None:
    """A long one, a short one for narrow bands, and that of its category."""
    assert "_" not in spoken(status)
    assert 0 < len(SHORT[status]) <= 14
    style = style_of(status.category)
    line = "rail" if status.category is StatusCategory.LOST else f"c-{style} .area"
    assert re.search(rf"\.{line} {{[^}}]*stroke: var\(--[\w-]+\)", STYLE)


def test_every_colour_is_chosen_for_light_and_for_dark() -> None:
    """Those that are used, and those that are named."""
    light, dark = re.findall(r":root {[^}]*?(--paper[^}]*)}", STYLE)
    named = set(re.findall(r"(--[\w-]+):", light))
    assert named == set(re.findall(r"(--[\w-]+):", dark))
    assert set(re.findall(r"var\((--[\w-]+)\)", STYLE)) == named


def test_everything_else_has_words() -> None:
    """Categories, causes, sources, and why something waits."""
    assert set(MEANING) == set(StatusCategory)
    assert all(each.words for each in Cause)
    assert len({cause_of(each) for each in FactKind}) == len(FactKind)
    assert all(shop(each) for each in SubscriptionSource)
    assert all(parked_words(each) for each in Parked)
