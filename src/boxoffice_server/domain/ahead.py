"""What signals that are still to come know better than the clock.

The clock does what nobody has spoken against. Told from all that is known, some of what it did
turns out to have been wrong: a renewal was signed late, or a notification was lost.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum, auto

from boxoffice_server.domain.facets import Deadline
from boxoffice_server.domain.signals import (
    Expired,
    GraceStarted,
    PeriodSeen,
    RetryStarted,
    Signal,
)
from boxoffice_server.domain.subscription import EntitlementStatus

# The clock takes these from a toggle; a failure to renew says that the toggle was undone.
_CHOICES = {
    EntitlementStatus.EXPIRED_VOLUNTARILY,
    EntitlementStatus.FAILED_TO_CONFIRM_PRICE_CHANGE,
}


class Word(Enum):
    """What is said against a deadline.

    GOES_ON: it did not end then, or how it ended is told for a time before. OTHERWISE: it ended
    then, and the vendor tells later in which other way.
    """

    NOTHING = auto()
    GOES_ON = auto()
    OTHERWISE = auto()


class Ahead:
    """The signals of a lineage in their order, to be asked about the future."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        starts: list[tuple[datetime, int]] = []
        self._fates: defaultdict[str, list[tuple[int, GraceStarted | RetryStarted | Expired]]]
        self._fates = defaultdict(list)
        for number, signal in enumerate(signals):
            if isinstance(signal, PeriodSeen):
                starts.append((signal.period.start_time, number))
            elif isinstance(signal, GraceStarted | RetryStarted | Expired):
                self._fates[signal.period_key].append((number, signal))
        starts.sort()
        self._starts = [start for start, _ in starts]
        self._numbers: Sequence[int] = [number for _, number in starts]

    def word(self, due: Deadline, number: int) -> Word:
        """Tell what the signals from this number on say against a deadline."""
        if self._is_bought(due, number):
            return Word.GOES_ON
        fates = self._fates.get(due.facets.period_key, ())
        words = {_word(signal, due) for at, signal in fates if at >= number}
        if Word.GOES_ON in words:
            return Word.GOES_ON
        return Word.OTHERWISE if Word.OTHERWISE in words else Word.NOTHING

    def _is_bought(self, due: Deadline, number: int) -> bool:
        """Tell whether time was bought that begins before the deadline: there was no gap."""
        first = bisect_right(self._starts, due.facets.start_time)
        last = bisect_right(self._starts, due.time)
        return any(self._numbers[index] >= number for index in range(first, last))


def _is_guess(due: Deadline) -> bool:
    return due.type is None or due.ends in _CHOICES


def _word(signal: GraceStarted | RetryStarted | Expired, due: Deadline) -> Word:
    ends = due.ends
    match signal:
        case GraceStarted(until=until) if until > due.time and _is_guess(due):
            return Word.GOES_ON
        case RetryStarted() if ends in _CHOICES:
            return Word.OTHERWISE
        case Expired(time=time) if ends is None and time <= due.time:
            return Word.GOES_ON
        case Expired(status=status) if ends not in {None, status}:
            return Word.OTHERWISE
        case _:
            return Word.NOTHING
