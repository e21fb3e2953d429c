"""The service keeps the stream contract, on both stores and by each Watch: one test per clause."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from boxoffice_server.api.watch import watch
from tests.conformance import clauses
from tests.conformance.checker import (
    watch_entitlements,
    watch_orders,
    watch_payments,
    watch_subscription_events,
)
from tests.conformance.clauses import check
from tests.conformance.service import ServiceSubject, serving_service

WATCHES = {
    "orders": watch_orders,
    "payments": watch_payments,
    "subscription events": watch_subscription_events,
    "entitlements": watch_entitlements,
}


@pytest.fixture(params=[*WATCHES.values()], ids=[*WATCHES])
async def service(request: pytest.FixtureRequest, database: str) -> AsyncIterator[ServiceSubject]:
    """A running service, watched by each of its Watch RPCs on each of the two stores."""
    async with serving_service(database, request.param) as subject:
        yield subject


async def test_clause_1_one_order(service: ServiceSubject) -> None:
    """Positions rise, and follow the order in which writes were acknowledged."""
    await check(service, clauses.one_order, service.rpc)


async def test_clause_2_provable_completeness(service: ServiceSubject) -> None:
    """Frames join without a gap, under a filter too."""
    await check(service, clauses.provable_completeness, service.rpc)


async def test_clause_3_exactly_once(service: ServiceSubject) -> None:
    """An event comes once on a stream, and is the same on every stream."""
    await check(service, clauses.exactly_once, service.rpc)


async def test_clause_4_atomic(service: ServiceSubject) -> None:
    """A transaction comes in one frame, or in fragments that say so."""
    await check(service, clauses.atomic, service.rpc)


async def test_clause_5_start_anywhere(service: ServiceSubject) -> None:
    """A stream starts after any token, at either end, or at a time."""
    await check(service, clauses.start_anywhere, service.rpc)


async def test_clause_6_bounded_silence(service: ServiceSubject) -> None:
    """A silent stream speaks in time, and covers what it hid."""
    await check(service, clauses.bounded_silence, service.rpc)


async def test_clause_7_phases(service: ServiceSubject) -> None:
    """A stream says once that it has caught up, and only when it has."""
    await check(service, clauses.phases, service.rpc)


async def test_clause_8_never_skips(service: ServiceSubject) -> None:
    """A start that can't be served is refused with its reason."""
    await check(service, clauses.never_skips, service.rpc)


async def test_clause_9_slow_callers_pay_alone(
    service: ServiceSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not read is sent away with SLOW_CONSUMER; who reads is not held up by it."""
    impatient = partial(watch, write_deadline=timedelta(seconds=0.3))
    for servicer in ("orders", "payment_reads", "entitlement_streams"):
        monkeypatch.setattr(f"boxoffice_server.api.{servicer}.watch", impatient)
    await check(service, clauses.slow_callers_pay_alone, service.rpc)


async def test_clause_10_polite_endings(service: ServiceSubject) -> None:
    """A drained stream ends with going_away and OK."""
    await check(service, clauses.polite_endings, service.rpc)
