"""Times as people write and read them, and the ticks of a time axis. All are UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHORTEST = MINUTE

# Beyond these years nothing is drawn: a grant for good ends in the last of all.
_FIRST_YEAR, _LAST_YEAR = 1900, 9000

_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)  # a Monday
_STEPS = (
    *(each * MINUTE for each in (1, 5, 15, 30)),
    *(each * HOUR for each in (1, 3, 6, 12)),
    *(each * DAY for each in (1, 2, 7, 14)),
)
_MONTH_NAMES = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 12_000)
_MONTH = 30.4 * DAY


class BadQuestionError(Exception):
    """A page was asked for in a way that makes no sense. The message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From a time until a later one."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """Tell how long it is."""
        return self.end - self.start

    def holds(self, time: datetime) -> bool:
        """Tell whether a time lies in it, its ends included."""
        return self.start <= time <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which times a page was asked for. None: the page finds what fits."""

    from_time: datetime | None = None
    until_time: datetime | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark of the axis; `major` where a longer unit begins."""

    time: datetime
    label: str
    major: bool


def read_asked(query: Mapping[str, str]) -> Asked:
    """Read `from`, `until` and `as_of`; an empty one is as good as none."""
    asked = Asked(
        from_time=_time(query, "from"),
        until_time=_time(query, "until"),
        as_of=_time(query, "as_of"),
    )
    if asked.from_time is not None and asked.until_time is not None:
        check_span(asked.from_time, asked.until_time)
    return asked


def check_span(start: datetime, end: datetime) -> None:
    """Raise where there is no time between the two that could be drawn."""
    if end - start < SHORTEST:
        raise BadQuestionError(
            f"until ({written(end)}) must be at least a minute after from ({written(start)})"
        )


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        # A plus sign that was not written as %2B has become a blank.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuestionError(
            f"{name} must be a day such as 2026-11-21 or a time such as 2026-11-21T12:00Z; "
            f"it is {text!r}"
        ) from None
    if not _FIRST_YEAR <= time.year < _LAST_YEAR:
        raise BadQuestionError(f"{name} must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return time


def is_for_good(time: datetime) -> bool:
    """Tell whether a time stands for never."""
    return time.year >= _LAST_YEAR


def written(time: datetime) -> str:
    """Write a time for people."""
    if is_for_good(time):
        return "never"
    day = f"{_day(time)} {time.year}"
    return day if _is_midnight(time) else f"{day}, {time.hour:02}:{time.minute:02}"


def _day(time: datetime) -> str:
    # A page has thousands of times, and strftime takes its time.
    return f"{time.day} {_MONTH_NAMES[time.month - 1]}"


def _is_midnight(time: datetime) -> bool:
    return not (time.hour or time.minute or time.second or time.microsecond)


def iso(time: datetime) -> str:
    """Write a time for programs."""
    return time.isoformat().replace("+00:00", "Z")


def shifted(time: datetime, by: timedelta) -> datetime:
    """Move a time, but not out of the years that are drawn."""
    least = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    most = datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)
    return min(max(time, least) + by, most) if time < most else most


def ticks(span: Span, *, most: int = 12) -> list[Tick]:
    """Find the ticks of a span: even steps that people count in, at most so many."""
    for step in _STEPS:
        if span.length <= most * step:
            return [_tick(time, step) for time in _even(span, step)]
    for months in _MONTHS:
        if span.length <= most * months * _MONTH or months == _MONTHS[-1]:
            return [_month_tick(time, months) for time in _monthly(span, months)]
    raise AssertionError("the last step fits any span")


def _even(span: Span, step: timedelta) -> Iterator[datetime]:
    time = span.start - (span.start - _EPOCH) % step
    while time <= span.end:
        if time >= span.start:
            yield time
        time += step


def _tick(time: datetime, step: timedelta) -> Tick:
    day = _day(time)
    if step < DAY:
        hour = f"{time.hour:02}:{time.minute:02}"
        return Tick(time=time, label=day if _is_midnight(time) else hour, major=_is_midnight(time))
    is_new = time.day <= step.days and time.month == 1
    return Tick(time=time, label=f"{day} {time.year}" if is_new else day, major=is_new)


def _monthly(span: Span, months: int) -> Iterator[datetime]:
    number = (span.start.year * 12 + span.start.month - 1) // months * months
    while (time := datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)) <= span.end:
        if time >= span.start:
            yield time
        number += months


def _month_tick(time: datetime, months: int) -> Tick:
    if time.month == 1:
        return Tick(time=time, label=str(time.year), major=months < 12)  # noqa: PLR2004 -- a year
    return Tick(time=time, label=_MONTH_NAMES[time.month - 1], major=False)
