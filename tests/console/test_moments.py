"""Times as people write them, and ticks that they can count in."""

from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_server.console.moments import (
    Asked,
    BadQuestionError,
    Span,
    iso,
    read_asked,
    ticks,
    written,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01",
        "2026-01-01T00:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T02:00+02:00",
        "2026-01-01T02:00 02:00",
        " 2026-01-01 00:00 ",
    ],
)
def test_a_time_can_be_written_in_many_ways(text: str) -> None:
    """Without a zone it is UTC; a plus that became a blank on the way is one again."""
    assert read_asked({"from": text}).from_time == NEW_YEAR


def test_an_empty_field_asks_for_nothing() -> None:
    """As a form sends it."""
    assert read_asked({"from": "", "until": " ", "as_of": ""}) == Asked()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": "yesterday"}, "from must be a day"),
        ({"until": "2026-13-01"}, "until must be a day"),
        ({"as_of": "0001-01-01T00:00+05:00"}, "as_of must be a day"),
        ({"as_of": "9999-12-31"}, "as_of must lie between"),
        ({"from": "1066-10-14"}, "from must lie between"),
        ({"from": "2026-01-02", "until": "2026-01-01"}, "at least a minute after"),
        ({"from": "2026-01-02", "until": "2026-01-02"}, "at least a minute after"),
    ],
)
def test_what_makes_no_sense_is_said_in_words(query: dict[str, str], words: str) -> None:
    """The parameter is named."""
    with pytest.raises(BadQuestionError, match=words):
        read_asked(query)


@pytest.mark.parametrize(
    "length",
    [timedelta(minutes=1), timedelta(minutes=50), timedelta(hours=5), timedelta(hours=30)]
    + [days * DAY for days in (3, 10, 25, 60, 200, 364, 366, 900, 4000, 20_000, 90_000, 2_500_000)],
)
@pytest.mark.parametrize("start", [NEW_YEAR, datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC)])
def test_an_axis_has_a_few_even_ticks(start: datetime, length: timedelta) -> None:
    """From minutes to centuries: neither none nor a crowd, in order, and within the span."""
    span = Span(start=start, end=start + length)
    found = ticks(span)
    assert 1 <= len(found) <= 25
    times = [each.time for each in found]
    assert times == sorted(set(times))
    assert all(span.holds(each) for each in times)
    assert all(each.label for each in found)


def test_ticks_say_where_a_longer_unit_begins() -> None:
    """Midnight among hours, the year among months."""
    hours = ticks(Span(start=NEW_YEAR - DAY / 2, end=NEW_YEAR + DAY / 4))
    assert [each.label for each in hours if each.major] == ["1 Jan"]
    assert "18:00" in [each.label for each in hours]
    months = ticks(Span(start=NEW_YEAR - 90 * DAY, end=NEW_YEAR + 90 * DAY))
    assert [each.label for each in months if each.major] == ["2026"]
    assert {"Dec", "Feb"} <= {each.label for each in months}


def test_times_are_written_for_people_and_for_programs() -> None:
    """A time that never comes is said not to come."""
    assert written(NEW_YEAR) == "1 Jan 2026"
    assert written(NEW_YEAR + timedelta(hours=9)) == "1 Jan 2026, 09:00"
    assert written(datetime(9999, 12, 31, tzinfo=UTC)) == "never"
    assert iso(NEW_YEAR) == "2026-01-01T00:00:00Z"
