"""Where everything stands on the drawing."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from boxoffice_server.console.moments import Asked, BadQuestionError, Span
from boxoffice_server.console.timeline import (
    LEFT,
    MOST_BANDS,
    RIGHT,
    Block,
    Label,
    Scale,
    draw,
    find_span,
)
from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from tests.console.histories import NOW, happened, held, history
from tests.support.subscriptions import ACTIVE, EXPIRED, TRIAL, a_band, on, three_bands

DAY = timedelta(days=1)
WEEKS = Asked(from_time=on(0), until_time=on(100))


def test_a_time_has_its_place_and_what_lies_outside_has_an_end() -> None:
    """Evenly from left to right."""
    scale = Scale(span=Span(start=on(0), end=on(10)), left=0, right=100)
    assert [scale.x(on(day)) for day in (-5, 0, 2.5, 10, 11)] == [0, 0, 25, 100, 100]


def test_the_span_fits_all_that_was_and_is_to_come() -> None:
    """With a margin at both ends; a grant for good does not push the past aside."""
    span = find_span(history(held(*three_bands())), Asked(), NOW)
    assert on(-5) < span.start < on(0)
    assert on(60) < span.end < on(70)
    for_good = replace(a_band(ACTIVE, 0, None), access_until=on(0).replace(year=9999))
    span = find_span(history(held(for_good)), Asked(), NOW)
    assert NOW < span.end < on(50)
    long = (a_band(ACTIVE, 0, 40_000), a_band(EXPIRED, 40_000, None))
    assert find_span(history(held(*long)), Asked(), NOW).end < NOW + 450 * DAY


def test_the_span_is_what_was_asked_for() -> None:
    """One end alone leaves the other to the page; a moment that is asked for is in it."""
    known = history(held(*three_bands()))
    assert find_span(known, WEEKS, NOW) == Span(start=on(0), end=on(100))
    assert find_span(known, Asked(until_time=on(-400)), NOW).start == on(-490)
    assert find_span(known, Asked(from_time=on(4000)), NOW).end == on(4090)
    assert find_span(known, Asked(as_of=on(3000)), NOW).holds(on(3000))
    with pytest.raises(BadQuestionError):
        find_span(known, Asked(from_time=on(1), until_time=on(1)), NOW)


def test_bands_lie_end_to_end_and_are_cut_at_this_moment() -> None:
    """What is to come is told from what was; the last one goes on to the edge."""
    (lane,) = draw(history(held(*three_bands())), WEEKS, NOW).lanes
    told = [(each.band.status, each.is_future) for each in lane.blocks]
    assert told == [(TRIAL, False), (ACTIVE, False), (ACTIVE, True), (EXPIRED, True)]
    assert lane.blocks[0].x == LEFT
    for left, right in pairwise(lane.blocks):
        assert left.x + left.width == pytest.approx(right.x)
    assert lane.blocks[-1].x + lane.blocks[-1].width == pytest.approx(RIGHT)
    width = (RIGHT - LEFT) / 100
    assert [each.width for each in lane.blocks] == pytest.approx(
        [30 * width, 15 * width, 15 * width, 40 * width]
    )


def test_a_band_is_labelled_once_as_fully_as_there_is_room() -> None:
    """Inside in full, inside in short, or below."""

    def drawn(days: float) -> list[Block]:
        bands = (a_band(TRIAL, 0, days), a_band(EXPIRED, days, None))
        (lane,) = draw(history(held(*bands)), WEEKS, NOW).lanes
        return [each for each in lane.blocks if each.band.status is TRIAL]

    assert [each.label for each in drawn(30)] == ["using free trial"]
    assert [each.label for each in drawn(60)] == ["using free trial", ""]
    assert [each.label for each in drawn(6)] == ["trial"]
    (narrow,) = drawn(1)
    assert narrow.label == ""
    assert narrow.outside is not None
    assert narrow.outside.text == "trial"


def test_the_shortest_band_can_be_seen() -> None:
    """A second among years."""
    second = 1 / 86_400
    bands = (a_band(TRIAL, 10, 10 + second), a_band(EXPIRED, 10 + second, None))
    long = Asked(from_time=on(-4000), until_time=on(4000))
    (lane,) = draw(history(held(*bands)), long, NOW).lanes
    assert all(each.width >= 1 for each in lane.blocks)


def test_only_what_lies_in_the_span_is_drawn() -> None:
    """Bands, events and lines."""
    known = history(held(*three_bands()), events=(happened(day=30), happened(2, day=5)))
    drawing = draw(known, Asked(from_time=on(20), until_time=on(40), as_of=on(50)), NOW)
    (lane,) = drawing.lanes
    assert [each.band.status for each in lane.blocks] == [TRIAL, ACTIVE]
    assert [each.happened.event.event_time for each in lane.marks] == [on(30)]
    assert (drawing.now_x, drawing.as_of_x) == (None, None)
    drawing = draw(known, replace(WEEKS, as_of=on(50)), NOW)
    assert drawing.now_x is not None
    assert drawing.as_of_x == pytest.approx((LEFT + RIGHT) / 2)


def _extents(labels: list[Label]) -> list[tuple[int, float, float]]:
    width = {each.text: len(each.text) * 6.4 for each in labels}
    return [
        (each.row, each.x - width[each.text] * (each.anchor == "end"), width[each.text])
        for each in labels
    ]


def test_labels_never_touch() -> None:
    """However many events there are; those without room have none, and all have their marks."""
    types = list(SubscriptionEventType)
    events = tuple(
        happened(number, day=100 - number / 2, type_=types[number % len(types)])
        for number in range(1, 150)
    )
    (lane,) = draw(history(held(*three_bands()), events=events), WEEKS, NOW).lanes
    assert len(lane.marks) == 149
    labels = [each.label for each in lane.marks if each.label is not None]
    assert 5 < len(labels) < 149
    places = sorted(_extents(labels))
    for (row, x, width), (next_row, next_x, _) in pairwise(places):
        assert row != next_row or x + width <= next_x
    assert all(x >= LEFT and x + width <= RIGHT for _, x, width in places)


def test_a_long_life_is_drawn_from_its_newest_end() -> None:
    """What does not fit is counted."""
    bands = [a_band(ACTIVE, day, day + 1) for day in range(MOST_BANDS + 10)]
    drawing = draw(history(held(*bands)), Asked(), on(MOST_BANDS))
    (lane,) = drawing.lanes
    drawn = sorted({each.band.from_time for each in lane.blocks})
    assert drawn == [each.from_time for each in bands[10:]]
    assert drawing.bands_left_out == 10


@pytest.mark.parametrize("status", EntitlementStatus)
def test_every_status_can_be_drawn(status: EntitlementStatus) -> None:
    """And is labelled."""
    (lane,) = draw(history(held(a_band(status, 0, None))), WEEKS, NOW).lanes
    assert "".join(each.label for each in lane.blocks) == status.value.replace("_", " ")
