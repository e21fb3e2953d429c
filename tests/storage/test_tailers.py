"""Readers that are known to lose events are caught losing them; ours, on the same races, is not.

Each race is written down step by step. The detector compares what was committed with what a reader
has seen, so a reader that passes has passed a test that is known to fail for others.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from boxoffice_server.domain.order import OrderEvent, created
from boxoffice_server.storage.sequencer import number_batch
from tests.storage.interleaving import Database, interleaved
from tests.storage.samples import an_order


class Tailer(ABC):
    """Something that reads the log on and on."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.last = 0
        self.seen: list[str] = []

    @abstractmethod
    async def poll(self) -> None:
        """Reads on from where it stands."""


class ById(Tailer):
    """BROKEN: an id that is lower than another's may become visible after it."""

    async def poll(self) -> None:
        query = "SELECT append_id, event_id FROM log WHERE append_id > $1 ORDER BY append_id"
        for append_id, event_id in await self.connection.fetch(query, self.last):
            self.seen.append(event_id)
            self.last = append_id


class GapTimer(Tailer):
    """BROKEN: waits a while at a gap between ids, then takes it for a rollback."""

    patience = 2
    waited = 0

    async def poll(self) -> None:
        query = "SELECT append_id, event_id FROM log WHERE append_id > $1 ORDER BY append_id"
        for append_id, event_id in await self.connection.fetch(query, self.last):
            if append_id > self.last + 1 and self.waited < self.patience:
                self.waited += 1
                return
            self.waited = 0
            self.seen.append(event_id)
            self.last = append_id


class BelowXmin(Tailer):
    """BROKEN: reads only what lies below all running transactions, but moves on by id."""

    async def poll(self) -> None:
        query = """
            SELECT append_id, event_id FROM log
            WHERE append_id > $1
            AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            ORDER BY append_id
        """
        for append_id, event_id in await self.connection.fetch(query, self.last):
            self.seen.append(event_id)
            self.last = append_id


class ByPosition(Tailer):
    """Ours: records are numbered once they are visible, and read by number."""

    async def poll(self) -> None:
        await number_batch(self.connection, limit=500)
        query = "SELECT position, event_id FROM log WHERE position > $1 ORDER BY position"
        for position, event_id in await self.connection.fetch(query, self.last):
            assert position == self.last + 1
            self.seen.append(event_id)
            self.last = position


BEFORE, SLOW, FAST, AFTER = (created(an_order(number)) for number in range(1, 5))

Poll = Callable[[], Awaitable[None]]
Race = Callable[[Database, Poll], Awaitable[None]]


async def append_alone(database: Database, event: OrderEvent) -> None:
    """Appends an event in a transaction of its own."""
    transaction = await database.begin()
    await transaction.append(event)
    await transaction.commit()


async def slow_commit(database: Database, poll: Poll) -> None:
    """One transaction appends, a second appends and commits, then the first commits."""
    slow = await database.begin()
    await slow.append(SLOW)
    await append_alone(database, FAST)
    for _ in range(4):
        await poll()
    await slow.commit()


async def slow_insert(database: Database, poll: Poll) -> None:
    """One transaction has its id, but not its xid yet, while a second appends and commits."""
    slow = await database.begin()
    append_id = await slow.take_append_id()
    await append_alone(database, FAST)
    await poll()
    await slow.append_as(SLOW, append_id)
    await poll()
    await slow.commit()


async def early_xid(database: Database, poll: Poll) -> None:
    """One transaction got its xid by writing something else, long before it appends."""
    fast = await database.begin()
    await fast.write_something_else()
    slow = await database.begin()
    await slow.append(SLOW)
    await fast.append(FAST)
    await fast.commit()
    await poll()
    await slow.commit()


async def events_lost(database: Database, race: Race, kind: type[Tailer]) -> set[str]:
    """Runs a race before a reader's eyes; answers what it lost. Nothing may be seen twice."""
    tailer = kind(await database.connect())
    await append_alone(database, BEFORE)
    await tailer.poll()
    await race(database, tailer.poll)
    await append_alone(database, AFTER)
    for _ in range(4):
        await tailer.poll()
    committed = {row["event_id"] for row in await tailer.connection.fetch("SELECT * FROM log")}
    assert committed == {BEFORE.id, SLOW.id, FAST.id, AFTER.id}
    assert max(Counter(tailer.seen).values()) == 1
    return committed - set(tailer.seen)


@pytest.mark.parametrize(
    ("tailer", "race"),
    [
        (ById, slow_commit),
        (ById, slow_insert),
        (ById, early_xid),
        (GapTimer, slow_commit),
        (BelowXmin, slow_insert),
        (BelowXmin, early_xid),
    ],
)
async def test_broken_tailer_is_caught_losing_an_event(
    postgres_database: str, tailer: type[Tailer], race: Race
) -> None:
    """The detector notices that the slow transaction's event never comes."""
    async with interleaved(postgres_database) as database:
        assert await events_lost(database, race, tailer) == {SLOW.id}


async def test_xmin_filter_looks_right_on_the_plain_race(postgres_database: str) -> None:
    """Why the filter passes reviews: it does survive the race that everybody knows."""
    async with interleaved(postgres_database) as database:
        assert await events_lost(database, slow_commit, BelowXmin) == set()


@pytest.mark.parametrize("race", [slow_commit, slow_insert, early_xid])
async def test_our_tailer_loses_nothing(postgres_database: str, race: Race) -> None:
    """Numbers given after the commit leave no event behind, on the same races."""
    async with interleaved(postgres_database) as database:
        assert await events_lost(database, race, ByPosition) == set()
