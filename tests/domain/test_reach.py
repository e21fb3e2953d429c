"""Every status and every event is one that facts can bring about: by which trace."""

from functools import lru_cache

import pytest

from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from tests.domain.test_traces import TRACES
from tests.support.apple import facts
from tests.support.telling import outcome
from tests.support.trace import told
from tests.support.trace_run import lineages


@lru_cache
def ways() -> dict[object, str]:
    """Tell by which trace each status and each event comes about."""
    found: dict[object, str] = {}
    for trace in TRACES:
        written = facts(told(trace))
        for lineage in lineages(written):
            now = outcome(written, lineage)
            reached: list[object] = [each.type for each in now.occurrences]
            reached += [band.status for holding in now.holdings for band in holding.bands]
            for each in reached:
                found.setdefault(each, trace.id)
    return found


@pytest.mark.parametrize("status", EntitlementStatus)
def test_a_status_is_reached(status: EntitlementStatus) -> None:
    """By some trace."""
    assert ways().get(status), f"no trace comes to {status}"


@pytest.mark.parametrize("event", SubscriptionEventType)
def test_an_event_is_reached(event: SubscriptionEventType) -> None:
    """By some trace."""
    assert ways().get(event), f"no trace tells of {event}"
