"""How times are kept: whole microseconds since 1970 in UTC.

SQLite has no type for times, so integers are what both stores keep, compare and index alike.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(time: datetime) -> int:
    """Write an aware time as it is kept."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """Read a time as it is kept."""
    return _EPOCH + timedelta(microseconds=number)


def to_microseconds_or_none(time: datetime | None) -> int | None:
    """Write an aware time that may be missing."""
    return None if time is None else to_microseconds(time)


def from_microseconds_or_none(number: int | None) -> datetime | None:
    """Read a time that may be missing."""
    return None if number is None else from_microseconds(number)
