"""Many facts show the same period: what they say of it together, and the order of all signals."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from boxoffice_server.domain.signals import (
    GraceStarted,
    PeriodSeen,
    Rank,
    RetryStarted,
    Signal,
    Telling,
)

_LAST = datetime.max.replace(tzinfo=UTC)


def merge_periods(signals: Iterable[Signal]) -> list[Signal]:
    """Put the signals in the vendor's order, with one for each period.

    Its place and its kind come from the surest telling, its values from the newest.
    """
    seen: defaultdict[str, list[PeriodSeen]] = defaultdict(list)
    others: list[Signal] = []
    for signal in signals:
        if isinstance(signal, PeriodSeen):
            seen[signal.period.key].append(signal)
        else:
            others.append(signal)
    merged = sorted(
        (_merge(each) for each in seen.values()),
        key=lambda each: (each.period.start_time, each.order),
    )
    _put_after_failures(merged, _failures(others), seen)
    _put_before_followers(merged)
    return sorted(chain(merged, others), key=_place)


def _place(signal: Signal) -> tuple[datetime, Rank, datetime, str, str]:
    # Of periods that were signed at once the one that begins first comes first.
    start = signal.period.start_time if isinstance(signal, PeriodSeen) else _LAST
    return (signal.order.time, signal.order.rank, start, signal.order.tie, signal.fact_id)


def _merge(seen: Sequence[PeriodSeen]) -> PeriodSeen:
    surest = max(each.telling for each in seen)
    first_told = min((each for each in seen if each.telling is surest), key=lambda each: each.order)
    newest = max(seen, key=lambda each: (each.shown_time, each.fact_id))
    # Whatever shows a period was signed when it was there, also before it was announced.
    time = min(first_told.order.time, _shown_first(seen))
    return replace(
        first_told,
        order=replace(first_told.order, time=time),
        period=newest.period,
        shown_time=newest.shown_time,
    )


def _shown_first(seen: Sequence[PeriodSeen]) -> datetime:
    return min(each.shown_time for each in seen)


def _failures(signals: Iterable[Signal]) -> dict[str, datetime]:
    """Tell when it was last said of each period that the next one could not be paid."""
    failed: dict[str, datetime] = {}
    for signal in signals:
        if isinstance(signal, GraceStarted | RetryStarted):
            known = failed.get(signal.period_key, signal.order.time)
            failed[signal.period_key] = max(known, signal.order.time)
    return failed


def _put_after_failures(
    periods: list[PeriodSeen],
    failures: Mapping[str, datetime],
    seen: Mapping[str, Sequence[PeriodSeen]],
) -> None:
    """Move periods that nobody announced behind the failures to buy them.

    One that was paid for late begins, by its date, before its payment first failed.
    """
    for index in range(1, len(periods)):
        period, before = periods[index], periods[index - 1]
        failed = failures.get(before.period.key)
        if failed is None or period.telling is Telling.ANNOUNCED:
            continue
        if period.order.time <= failed < _shown_first(seen[period.period.key]):
            order = replace(period.order, time=failed, rank=Rank.EXPIRY)
            periods[index] = replace(period, order=order)


def _put_before_followers(periods: list[PeriodSeen]) -> None:
    """Move periods that were announced late before those that had followed them by then."""
    for index in range(len(periods) - 2, -1, -1):
        period, after = periods[index], periods[index + 1]
        if after.period.start_time <= period.order.time and after.order < period.order:
            order = replace(period.order, time=after.order.time, rank=after.order.rank)
            periods[index] = replace(period, order=order)
