"""Many facts show the same period: what they say of it together, and the order of all signals."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from boxoffice_server.domain.signals import PeriodSeen, Signal


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
    merged = [_merge(each) for each in seen.values()]
    return sorted(chain(merged, others), key=lambda each: (each.order, each.fact_id))


def _merge(seen: list[PeriodSeen]) -> PeriodSeen:
    surest = max(each.telling for each in seen)
    first_told = min((each for each in seen if each.telling is surest), key=lambda each: each.order)
    newest = max(seen, key=lambda each: (each.shown_time, each.fact_id))
    return replace(first_told, period=newest.period, shown_time=newest.shown_time)
