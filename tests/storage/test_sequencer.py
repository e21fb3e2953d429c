"""How records get their numbers on PostgreSQL."""

import asyncio
from typing import Any, cast

import asyncpg
import pytest
import structlog
import structlog.testing

from boxoffice_server.domain.stream import LogRecord
from boxoffice_server.storage import sequencer
from boxoffice_server.storage.sequencer import (
    CHANNEL,
    Batch,
    NumberingBroken,
    Sequencer,
    number_batch,
)
from tests.storage.interleaving import Database, interleaved
from tests.storage.samples import an_order, events_of

ONE, TWO = "ord_000001", "ord_000002"


def versions(records: list[LogRecord], order_id: str) -> list[int]:
    """The versions of an order, in the order of the log."""
    return [int(each.payload.split()[1]) for each in records if each.subject_id == order_id]


async def overlap(database: Database) -> None:
    """A long transaction changes one order; a short one changes another; then the long one that."""
    await database.keep(an_order(1), an_order(2))
    long, short = await database.begin(), await database.begin()
    await long.change(ONE, "long")
    await short.change(TWO, "short")
    await short.commit()
    await long.change(TWO, "long")
    await long.commit()


async def test_events_of_one_subject_keep_commit_order(postgres_database: str) -> None:
    """The long transaction comes second, though its first record is the lower one."""
    async with interleaved(postgres_database) as database:
        await overlap(database)
        await number_batch(await database.connect(), limit=500)
        records = await database.log()
    assert versions(records, TWO) == [2, 3]
    assert [record.subject_id for record in records] == [TWO, ONE, TWO]


async def test_order_by_lowest_id_is_caught_inverting(postgres_database: str) -> None:
    """The same with the lowest id of each transaction, a control: one order's changes swap."""
    broken = sequencer._NUMBER.replace("max(append_id) AS place", "min(append_id) AS place")
    assert broken != sequencer._NUMBER
    async with interleaved(postgres_database) as database:
        await overlap(database)
        await number_batch(await database.connect(), limit=500, sql=broken)
        assert versions(await database.log(), TWO) == [3, 2]


async def test_order_by_row_is_caught_tearing_a_transaction_apart(postgres_database: str) -> None:
    """The same row by row, a control: another transaction's record stands in between."""
    broken = sequencer._NUMBER.replace("ORDER BY place, append_id", "ORDER BY append_id")
    assert broken != sequencer._NUMBER
    async with interleaved(postgres_database) as database:
        await overlap(database)
        await number_batch(await database.connect(), limit=500, sql=broken)
        groups = [record.group for record in await database.log()]
    assert groups[0] == groups[2] != groups[1]


async def test_transaction_beyond_the_batch_waits_for_the_next(postgres_database: str) -> None:
    """A batch ends within a transaction's records: they are numbered together, and later."""
    async with interleaved(postgres_database) as database:
        long, short = await database.begin(), await database.begin()
        first, second, third = events_of(an_order(1), 3)
        await long.append(first)
        for event in events_of(an_order(2), 2):
            await short.append(event)
        await long.append(second)
        await long.append(third)
        await long.commit()
        await short.commit()
        connection = await database.connect()
        assert await number_batch(connection, limit=4) == Batch(found=4, numbered=2)
        assert await number_batch(connection, limit=4) == Batch(found=3, numbered=3)
        assert await number_batch(connection, limit=4) == Batch(found=0, numbered=0)
        records = await database.log()
    assert [record.subject_id for record in records] == [TWO, TWO, ONE, ONE, ONE]
    assert [record.position for record in records] == [1, 2, 3, 4, 5]


async def test_transaction_larger_than_a_batch_is_numbered(postgres_database: str) -> None:
    """A batch grows until a transaction fits in."""
    async with interleaved(postgres_database) as database:
        big = await database.begin()
        for event in events_of(an_order(), 9):
            await big.append(event)
        await big.commit()
        assert await alarms(database, batch=2, head=9) == []
        assert versions(await database.log(), ONE) == list(range(1, 10))


async def alarms(database: Database, *, batch: int, head: int, late: float = 0) -> list[str]:
    """Runs a sequencer, nudged so long ago, until the log has this head; answers what it logs."""
    capture = structlog.testing.LogCapture()
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[capture])
    advanced = asyncio.Event()
    worker = Sequencer(numbered=advanced.set, log=log, batch=batch)
    worker.nudge()
    assert worker._waiting_since is not None
    worker._waiting_since -= late
    running = asyncio.get_running_loop().create_task(worker.run(await database.connect()))
    async with asyncio.timeout(10):
        while len(await database.log()) < head:
            await advanced.wait()
            advanced.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [str(entry["event"]) for entry in capture.entries]


async def test_late_numbering_raises_an_alarm(postgres_database: str) -> None:
    """Records that wait for longer than a second are worth an error in the log."""
    async with interleaved(postgres_database) as database:
        await overlap(database)
        assert await alarms(database, batch=500, head=3, late=2) == ["store.numbering_late"]


async def test_numbering_that_falls_behind_raises_an_alarm(postgres_database: str) -> None:
    """Ten full batches on end say that writers are faster."""
    async with interleaved(postgres_database) as database:
        for number in range(12):
            transaction = await database.begin()
            await transaction.append(events_of(an_order(number), 1)[0])
            await transaction.commit()
        assert await alarms(database, batch=1, head=12) == ["store.numbering_behind"]


async def test_batch_tells_the_head_once(postgres_database: str) -> None:
    """However many records a batch holds, whoever listens is told once, and how far."""
    async with interleaved(postgres_database) as database:
        told: asyncio.Queue[str] = asyncio.Queue()
        listener = await database.connect()
        await listener.add_listener(CHANNEL, lambda *said: told.put_nowait(cast("str", said[3])))
        connection = await database.connect()
        for number in (1, 2):
            transaction = await database.begin()
            for event in events_of(an_order(number), 3):
                await transaction.append(event)
            await transaction.commit()
            await number_batch(connection, limit=500)
        async with asyncio.timeout(10):
            assert [await told.get(), await told.get()] == ["3", "6"]
        assert told.empty()


class DiesBeforeCommit:
    """A connection whose server process is killed once the records have their numbers."""

    def __init__(self, connection: asyncpg.Connection, killer: asyncpg.Connection) -> None:
        self._connection = connection
        self._killer = killer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever a connection has
        return getattr(self._connection, name)

    async def fetchrow(self, query: str, *arguments: object) -> object:
        """Numbers, and is killed then."""
        answer: object = await self._connection.fetchrow(query, *arguments)
        process = self._connection.get_server_pid()
        await self._killer.execute("SELECT pg_terminate_backend($1)", process)
        return answer


async def test_death_before_the_commit_leaves_no_gap(postgres_database: str) -> None:
    """What a dying process had numbered is numbered again by the next one, the same."""
    async with interleaved(postgres_database) as database:
        await overlap(database)
        healthy = await database.connect()
        dying = DiesBeforeCommit(await database.connect(), healthy)
        # Which one depends on how much of its end the driver has noticed.
        death = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        with pytest.raises(death):
            await number_batch(cast("asyncpg.Connection", dying), limit=500)
        assert await database.log() == []
        assert await number_batch(healthy, limit=500) == Batch(found=3, numbered=3)
        assert [record.position for record in await database.log()] == [1, 2, 3]


@pytest.mark.parametrize("drift", [1, -1])
async def test_broken_head_stops_the_numbering(postgres_database: str, drift: int) -> None:
    """A head that is not the last record's position is a fault for people, never papered over."""
    async with interleaved(postgres_database) as database:
        await overlap(database)
        connection = await database.connect()
        await number_batch(connection, limit=500)
        await connection.execute("UPDATE log_meta SET head = head + $1", drift)
        late = await database.begin()
        await late.append(events_of(an_order(9), 1)[0])
        await late.commit()
        with pytest.raises((NumberingBroken, asyncpg.UniqueViolationError)):
            await number_batch(connection, limit=500)
        waiting = await connection.fetchval("SELECT count(*) FROM log WHERE position IS NULL")
        assert waiting == 1


async def test_process_that_hangs_while_numbering_raises_an_alarm(postgres_database: str) -> None:
    """Others don't wait for it in silence: PostgreSQL ends their wait, with an error to log."""
    async with interleaved(postgres_database) as database:
        hanging, other = await database.connect(), await database.connect()
        await other.execute("SET lock_timeout = '50ms'")
        await hanging.execute("SELECT pg_advisory_lock($1)", sequencer._LOCK)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await number_batch(other, limit=500)
        await hanging.execute("SELECT pg_advisory_unlock($1)", sequencer._LOCK)
        assert await number_batch(other, limit=500) == Batch(found=0, numbered=0)
