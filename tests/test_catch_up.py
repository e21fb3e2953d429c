"""After an outage a vendor's history is read: by one replica, at each start and every hour."""

from datetime import timedelta

import pytest

from boxoffice_server.api.writes import encode_error
from boxoffice_server.catch_up import EVERY, LEASE, OVERLAP, CatchUp
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.notification import Source
from boxoffice_server.intake import Intake
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import Store
from boxoffice_server.settlement import Settlement
from tests.subscriptions.apple import Apple
from tests.subscriptions.desk import StillClock
from tests.support.stores import opened_store
from tests.vendors.app_store.payloads import JANUARY_1

MINUTE = timedelta(minutes=1)


def replica(store: Store, clock: StillClock, apple: Apple, *, owner: str = "one") -> CatchUp:
    """A process that has just started, whose intake has nothing to take in."""
    business = BusinessClock()
    operations = Operations(
        store=store, clock=business, instance=owner, is_alone=False, encode_error=encode_error
    )
    settlement = Settlement(clock=business, authentication_limit=timedelta(hours=1))
    intake = Intake(
        store=store, clock=business, sources={}, settlement=settlement, operations=operations
    )
    return CatchUp(
        store=store,
        clock=clock,
        intake=intake,
        vendors={Source.APP_STORE: apple},
        owner=owner,
    )


async def test_the_first_start_has_missed_nothing_and_the_next_may_have(database: str) -> None:
    """However soon it comes: what was sent since the last time is asked for, and what was tried."""
    clock, apple = StillClock(JANUARY_1), Apple()
    async with opened_store(database) as store:
        await replica(store, clock, apple).catch_up(Source.APP_STORE)
        assert apple.spans == []
        clock.time += MINUTE
        await replica(store, clock, apple).catch_up(Source.APP_STORE)
        assert apple.spans == [(JANUARY_1 - OVERLAP, clock.time)]


async def test_one_that_runs_reads_every_hour(database: str) -> None:
    """And not in between."""
    clock, apple = StillClock(JANUARY_1), Apple()
    async with opened_store(database) as store:
        running = replica(store, clock, apple)
        for _ in range(2 * int(EVERY / MINUTE) + 1):
            await running.catch_up(Source.APP_STORE)
            clock.time += MINUTE
        assert [until for _, until in apple.spans] == [JANUARY_1 + EVERY, JANUARY_1 + 2 * EVERY]


async def test_of_two_replicas_one_reads(database: str) -> None:
    """Also where both start after an outage, and where the one is killed: then the other does."""
    clock, apple = StillClock(JANUARY_1), Apple()
    async with opened_store(database) as store:
        await replica(store, clock, apple, owner="before").catch_up(Source.APP_STORE)
        clock.time += timedelta(days=1)
        one, other = (replica(store, clock, apple, owner=name) for name in ("one", "other"))
        for _ in range(3):
            clock.time += MINUTE
            await one.catch_up(Source.APP_STORE)
            await other.catch_up(Source.APP_STORE)
        assert len(apple.spans) == 1
        clock.time += EVERY
        await other.catch_up(Source.APP_STORE)
        assert len(apple.spans) == 2


async def test_what_could_not_be_read_is_read_by_whoever_comes_next(database: str) -> None:
    """From the same time on; a replica that died holds nobody up for longer than its lease."""
    clock, apple = StillClock(JANUARY_1), Apple()
    async with opened_store(database) as store:
        await replica(store, clock, apple).catch_up(Source.APP_STORE)
        clock.time += EVERY
        apple.sent = BoxofficeError(Reason.VENDOR_UNAVAILABLE, "the App Store is down")
        with pytest.raises(BoxofficeError):
            await replica(store, clock, apple, owner="one").catch_up(Source.APP_STORE)
        apple.sent = ()
        other = replica(store, clock, apple, owner="other")
        await other.catch_up(Source.APP_STORE)
        assert len(apple.spans) == 1
        clock.time += LEASE
        await other.catch_up(Source.APP_STORE)
        assert [since for since, _ in apple.spans] == [JANUARY_1 - OVERLAP] * 2


async def test_one_that_ends_lets_the_next_go_on_at_once(database: str) -> None:
    """Its lease ends with it."""
    clock, apple = StillClock(JANUARY_1), Apple()
    async with opened_store(database) as store:
        ending = replica(store, clock, apple, owner="one")
        await ending.catch_up(Source.APP_STORE)
        ending.start()
        await ending.stop()
        clock.time += MINUTE
        await replica(store, clock, apple, owner="other").catch_up(Source.APP_STORE)
        assert len(apple.spans) == 1
