"""Where everything stands on the drawing: times become places from left to right. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from boxoffice_server.console.history import Happened, Held, History
from boxoffice_server.console.moments import (
    DAY,
    Asked,
    Span,
    Tick,
    check_span,
    is_for_good,
    shifted,
    ticks,
)
from boxoffice_server.console.words import SHORT, spoken
from boxoffice_server.domain.subscription import Band, SubscriptionEventType

WIDTH = 1200.0
LEFT, RIGHT = 12.0, WIDTH - 12.0

MOST_BANDS = 1500

# How wide a letter of a label is, on average and in a wide font, and what is left free around one.
_LETTER, _BOLD_LETTER, _PADDING = 6.4, 7.3, 8.0
_EVENT_ROWS, _STATUS_ROWS = 5, 2
_STEM = 1.0
_LEAST_WIDTH = 1.5

# However long the future is said to be, the past stays readable.
_LEAST_FUTURE = 400 * DAY

# How much is drawn where only one end was asked for, and it lies beyond all that there is.
_ELSEWHERE = 90 * DAY

_ORDINARY = frozenset({SubscriptionEventType.RENEWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From times to places."""

    span: Span
    left: float = LEFT
    right: float = RIGHT

    def x(self, time: datetime) -> float:
        """Tell the place of a time; one outside the span is at its nearer end."""
        share = (time - self.span.start) / self.span.length
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text in one of the rows above or below a lane's bands, `row` 0 being the nearest."""

    text: str
    x: float
    row: int
    anchor: str = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a band, all of it either known or to come.

    `label` is empty where it has no room inside; `outside` then, if there is room below.
    """

    x: float
    width: float
    band: Band
    is_future: bool
    label: str = ""
    outside: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where an event stands, with its label if there is room for one."""

    x: float
    happened: Happened
    label: Label | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One entitlement: its bands, its events, and `notes`, the notifications behind these."""

    held: Held
    blocks: tuple[Block, ...]
    marks: tuple[Mark, ...]
    notes: tuple[Mark, ...]

    @property
    def rows_above(self) -> int:
        """Tell how many rows of labels the events need."""
        return max((each.label.row + 1 for each in self.marks if each.label), default=0)

    @property
    def rows_below(self) -> int:
        """Tell how many rows of labels the bands need that have none inside."""
        return max((each.outside.row + 1 for each in self.blocks if each.outside), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """All lanes on one axis. A line is None where its time is not in the span."""

    scale: Scale
    ticks: tuple[tuple[float, Tick], ...]
    now: datetime
    now_x: float | None
    as_of_x: float | None
    lanes: tuple[Lane, ...]
    bands_left_out: int = 0


def draw(history: History, asked: Asked, now: datetime) -> Drawing:
    """Find the places of all that is shown of a user. Raises BadQuestionError."""
    span = find_span(history, asked, now)
    scale = Scale(span=span)
    lanes, room = [], MOST_BANDS
    left_out = 0
    for held in history.held:
        visible = [each for each in held.bands if _is_visible(each, span)]
        # The newest say most.
        shown = visible[-room:] if room else []
        left_out += len(visible) - len(shown)
        room -= len(shown)
        lanes.append(_lane(held, shown, history.events, scale, now))
    return Drawing(
        scale=scale,
        ticks=tuple((scale.x(each.time), each) for each in ticks(span)),
        now=now,
        now_x=scale.x(now) if span.holds(now) else None,
        as_of_x=scale.x(asked.as_of) if asked.as_of and span.holds(asked.as_of) else None,
        lanes=tuple(lanes),
        bands_left_out=left_out,
    )


def find_span(history: History, asked: Asked, now: datetime) -> Span:
    """Find the span that all lanes fit into, but for what was asked for instead."""
    times = [now] if asked.as_of is None else [now, asked.as_of]
    for held in history.held:
        for band in held.bands:
            times += [band.from_time, band.until_time or _known_end(band)]
    times += [each.event.event_time for each in history.events]
    first, last = min(times), max(times)
    # What is asked for is shown however far away it is.
    furthest = max(shifted(now, max(now - first, _LEAST_FUTURE)), asked.as_of or now)
    last = min(last, furthest)
    margin = max((last - first) / 40, timedelta(hours=6))
    start = asked.from_time or shifted(first, -margin)
    end = asked.until_time or shifted(last, 2 * margin)
    if start >= end and asked.from_time is None:
        start = shifted(end, -_ELSEWHERE)
    elif start >= end and asked.until_time is None:
        end = shifted(start, _ELSEWHERE)
    check_span(start, end)
    return Span(start=start, end=end)


def _known_end(band: Band) -> datetime:
    """Tell how far the last band of all is worth drawing."""
    if band.status.category.grants_access and not is_for_good(band.access_until):
        return max(band.from_time, band.access_until)
    return band.from_time


def _is_visible(band: Band, span: Span) -> bool:
    return band.from_time < span.end and (band.until_time is None or band.until_time > span.start)


def _lane(
    held: Held, bands: Sequence[Band], events: Iterable[Happened], scale: Scale, now: datetime
) -> Lane:
    mine = [
        each
        for each in events
        if each.event.entitlement_id == held.entitlement.id
        and scale.span.holds(each.event.event_time)
    ]
    notes = {
        each.notification.id: Mark(
            x=scale.x(each.notification.receive_time), happened=each, label=None
        )
        for each in mine
        if each.notification is not None and scale.span.holds(each.notification.receive_time)
    }
    return Lane(
        held=held,
        blocks=_blocks(bands, scale, now),
        marks=_marks(mine, scale),
        notes=tuple(notes.values()),
    )


def _blocks(bands: Sequence[Band], scale: Scale, now: datetime) -> tuple[Block, ...]:
    """Cut the bands in pieces at this moment, and label each band once."""
    rows = _Rows(_STATUS_ROWS)
    found: list[Block] = []
    # The newest first, since they say most.
    for band in reversed(bands):
        found += reversed(_labelled(_pieces(band, scale, now), rows))
    return tuple(reversed(found))


def _pieces(band: Band, scale: Scale, now: datetime) -> list[Block]:
    start, end = scale.x(band.from_time), scale.x(band.until_time or scale.span.end)
    cut = min(max(scale.x(now), start), end)
    pieces = [
        Block(x=left, width=max(right - left, _LEAST_WIDTH), band=band, is_future=is_future)
        for left, right, is_future in ((start, cut, False), (cut, end, True))
        if right > left
    ]
    # One too short to be seen is drawn all the same.
    return pieces or [Block(x=start, width=_LEAST_WIDTH, band=band, is_future=band.from_time > now)]


def _labelled(pieces: list[Block], rows: "_Rows") -> list[Block]:
    """Label the first piece of a band that has room for it, or the place below."""
    status = pieces[0].band.status
    for text in (spoken(status), SHORT[status]):
        for number, piece in enumerate(pieces):
            if _width(text, letter=_BOLD_LETTER) <= piece.width:
                labelled = replace(piece, label=text)
                return [*pieces[:number], labelled, *pieces[number + 1 :]]
    middle = (pieces[0].x + pieces[-1].x + pieces[-1].width) / 2
    outside = rows.place(SHORT[status], middle, "middle")
    return [replace(pieces[0], outside=outside), *pieces[1:]]


def _marks(events: Sequence[Happened], scale: Scale) -> tuple[Mark, ...]:
    """Label the events for which there is room: rarer ones first, and newer ones."""
    rare = [scale.x(each.event.event_time) for each in events if not any(_plainness(each))]
    rows = _Rows(_EVENT_ROWS, stems=rare)
    labels = {}
    for each in sorted(events, key=_plainness):
        x = scale.x(each.event.event_time)
        labels[each.event.id] = rows.place(spoken(each.event.type), x, "start", "end")
    return tuple(
        Mark(x=scale.x(each.event.event_time), happened=each, label=labels[each.event.id])
        for each in reversed(events)
    )


def _plainness(happened: Happened) -> tuple[bool, bool]:
    return (happened.event.superseded, happened.event.type in _ORDINARY)


class _Rows:
    """Rows of labels that touch neither each other nor the stems of those above them.

    A label to the left of its place leaves those `stems` free that are still to come there.
    """

    def __init__(self, count: int, *, stems: Sequence[float] = ()) -> None:
        self._stems = stems
        self._taken: list[list[tuple[float, float]]] = [[] for _ in range(count)]

    def place(self, text: str, x: float, *anchors: str) -> Label | None:
        """Find a place for a label, the nearest row first; None where there is none left."""
        stem = (x - _STEM, x + _STEM)
        for row in range(len(self._taken)):
            for anchor in anchors:
                start, end = _extent(text, x, anchor)
                if start < LEFT or end > RIGHT or not self._is_free(row, (start, end)):
                    continue
                if anchor == "end" and any(start < each < x - _STEM for each in self._stems):
                    continue
                self._taken[row].append((start, end))
                for lower in self._taken[:row]:
                    lower.append(stem)
                middle = (start + end) / 2
                return Label(
                    text=text, x=middle if anchor == "middle" else x, row=row, anchor=anchor
                )
            if not self._is_free(row, stem):
                return None
        return None

    def _is_free(self, row: int, place: tuple[float, float]) -> bool:
        start, end = place
        return all(end <= left or right <= start for left, right in self._taken[row])


def _extent(text: str, x: float, anchor: str) -> tuple[float, float]:
    """Tell from where to where a label goes; one that is centred stays within the drawing."""
    width = _width(text)
    match anchor:
        case "start":
            start = x
        case "end":
            start = x - width
        case _:
            start = min(max(x - width / 2, LEFT), RIGHT - width)
    return (start, start + width)


def _width(text: str, *, letter: float = _LETTER) -> float:
    return len(text) * letter + _PADDING
