"""A long life is told in no time: the work grows as the facts do, and not as their square."""

import time
from datetime import UTC, datetime, timedelta

from boxoffice_server.domain.lifecycle import tell
from boxoffice_server.domain.ownership import share_out
from boxoffice_server.domain.signals import Signal
from boxoffice_server.vendors.app_store.signals import signals
from tests.support.apple import Bought, Told, facts
from tests.support.telling import APPLE, MINE, outcome_of_signals

BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
WEEK, DAY = timedelta(weeks=1), timedelta(days=1)
TOGGLES = ("AUTO_RENEW_DISABLED", "AUTO_RENEW_ENABLED")


def weeks(count: int, *, late: timedelta) -> list[Signal]:
    """So many weeks, in each of which renewal is switched off and on again."""
    told = []
    for number in range(count):
        start = BEGIN + number * WEEK
        bought = Bought(key=f"w{number}", product="A", start=start, end=start + WEEK)
        type_ = "DID_RENEW" if number else "SUBSCRIBED/INITIAL_BUY"
        told.append(Told(type=type_, signed=start + late, arrived=start, bought=bought))
        told += [
            Told(
                type=f"DID_CHANGE_RENEWAL_STATUS/{toggle}",
                signed=start + (2 + day) * DAY,
                arrived=start,
            )
            for day, toggle in enumerate(TOGGLES)
        ]
    return [signal for fact in facts(told) for signal in signals(fact)]


def _seconds(said: list[Signal]) -> float:
    began = time.process_time()
    story = tell(said, APPLE)
    share_out(story, [MINE], outcome_of_signals([], APPLE).key, APPLE)
    return time.process_time() - began


def test_twenty_five_years_of_weeks_take_a_moment() -> None:
    """Five years take some 20 ms. What looks at every pair of facts would take a minute."""
    for late in (timedelta(hours=-8), timedelta(days=1)):
        said = weeks(1300, late=late)
        assert len(tell(said, APPLE).occurrences) == 3 * 1300
        assert _seconds(said) < 2
