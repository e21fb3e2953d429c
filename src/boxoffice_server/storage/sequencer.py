"""Numbers the log of a PostgreSQL store.

Transactions commit their records without a position, so that writers share no lock. Here the
records are numbered once they are visible, in batches, by every process that has the store open.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg
import structlog

CHANNEL = "boxoffice_log"
BATCH = 500
# A burst of commits is numbered together, at the price of this delay at most.
PAUSE_SECONDS = 0.005
# What other processes committed before they died is found at this interval.
POLL_SECONDS = 0.1
ALARM_SECONDS = 1.0
ALARM_BATCHES = 10

# Any number, as long as nothing else in the database locks by it.
_LOCK = 0x626F786F66666963
# The lock is taken by a statement of its own, so that the next one sees all that was committed by
# then; both of these are sent at once.
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_LOCK})"

# Whole transactions only, in the order of the last record of each, and within each in the order of
# its records. Take two transactions that lock the same subject: the second has that lock, and then
# takes a number for its record, only after the first has committed; so its last number is higher
# than all of the first one's. Its first number may be lower: it may have begun with other subjects.
#
# A transaction that reaches beyond the batch waits for the next one: its last record has a higher
# number than everything in this batch.
_NUMBER = """
WITH unnumbered AS MATERIALIZED (
    SELECT append_id, group_label, create_time
    FROM log WHERE position IS NULL ORDER BY append_id LIMIT $1
), whole AS (
    SELECT group_label, max(append_id) AS place
    FROM unnumbered
    GROUP BY group_label
    HAVING (SELECT count(*) FROM unnumbered) < $1 OR NOT EXISTS (
        SELECT FROM log AS later
        WHERE later.position IS NULL
        AND later.group_label = unnumbered.group_label
        AND later.append_id > (SELECT max(append_id) FROM unnumbered)
    )
), numbered AS (
    SELECT
        append_id,
        log_meta.head + row_number() OVER line AS position,
        greatest(log_meta.high_time, max(create_time) OVER line) AS high_time
    FROM unnumbered JOIN whole USING (group_label) CROSS JOIN log_meta
    WINDOW line AS (ORDER BY place, append_id ROWS UNBOUNDED PRECEDING)
), placed AS (
    UPDATE log SET position = numbered.position, high_time = numbered.high_time
    FROM numbered WHERE log.append_id = numbered.append_id
    RETURNING log.position, log.high_time
), line AS MATERIALIZED (
    SELECT
        count(*) AS numbered,
        min(position) AS first,
        max(position) AS last,
        max(high_time) AS high_time
    FROM placed
), moved AS (
    UPDATE log_meta SET head = line.last, high_time = line.high_time
    FROM line WHERE log_meta.head = line.first - 1
    RETURNING pg_notify('boxoffice_log', log_meta.head::text)
)
SELECT
    (SELECT count(*) FROM unnumbered) AS found,
    (SELECT head FROM log_meta) AS head,
    (SELECT coalesce(max(position), 0) FROM log) AS last_before,
    (SELECT count(*) FROM moved) AS moved,
    numbered,
    first,
    last
FROM line
"""

_IS_UNNUMBERED = "SELECT EXISTS (SELECT FROM log WHERE position IS NULL)"


class NumberingBroken(Exception):  # noqa: N818 -- named for the state it tells of
    """The log's numbers are not what they must be. Nothing is numbered until people have looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one batch came to: how many records it looked at, and how many of them it numbered."""

    found: int
    numbered: int


async def number_batch(connection: asyncpg.Connection, *, limit: int, sql: str = _NUMBER) -> Batch:
    """Number at most `limit` records, oldest first; fewer where a transaction reaches beyond."""
    try:
        await connection.execute(_BEGIN)
        batch = _checked(await connection.fetchrow(sql, limit))
        await connection.execute("COMMIT")
    except BaseException:
        await _roll_back(connection)
        raise
    return batch


async def _roll_back(connection: asyncpg.Connection) -> None:
    """Roll back, or let the connection go where that can't be done: its server does it then."""
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()


def _checked(row: asyncpg.Record | None) -> Batch:
    """Raise NumberingBroken unless the records were given the very next numbers."""
    if row is None:
        raise NumberingBroken("the records can't be counted")
    if row["head"] != row["last_before"]:
        raise NumberingBroken(f"head is {row['head']}, the last is {row['last_before']}")
    if row["numbered"]:
        if (row["first"], row["last"]) != (row["head"] + 1, row["head"] + row["numbered"]):
            raise NumberingBroken(f"{row['first']} to {row['last']} after {row['head']}")
        if row["moved"] != 1:
            raise NumberingBroken("another process numbers without the lock")
    return Batch(found=row["found"], numbered=row["numbered"])


class Sequencer:
    """Numbers records over one connection, whenever it is nudged and every so often."""

    def __init__(
        self, *, numbered: Callable[[], None], log: structlog.stdlib.BoundLogger, batch: int = BATCH
    ) -> None:
        self._tell_numbered = numbered
        self._log = log
        self._batch = batch
        self._nudged = asyncio.Event()
        self._waiting_since: float | None = None

    def nudge(self) -> None:
        """Say that this process has committed records."""
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        self._nudged.set()

    async def run(self, connection: asyncpg.Connection) -> None:
        """Number for ever. What the connection raises ends it; nothing is lost by that."""
        while True:
            nudged = await set_within(self._nudged, POLL_SECONDS)
            self._nudged.clear()
            if nudged or await connection.fetchval(_IS_UNNUMBERED):
                await self._number_all(connection)
            self._waiting_since = None
            await asyncio.sleep(PAUSE_SECONDS)

    async def _number_all(self, connection: asyncpg.Connection) -> None:
        limit, full = self._batch, 0
        while True:
            batch = await number_batch(connection, limit=limit)
            self._alarm_if_late()
            if batch.numbered:
                self._tell_numbered()
            if batch.found < limit:
                return
            if not batch.numbered:
                # One transaction alone is larger than the batch.
                limit *= 2
                continue
            limit, full = self._batch, full + 1
            if full % ALARM_BATCHES == 0:
                self._log.error("store.numbering_behind", full_batches=full)

    def _alarm_if_late(self) -> None:
        if self._waiting_since is None:
            return
        waited = time.monotonic() - self._waiting_since
        if waited > ALARM_SECONDS:
            self._log.error("store.numbering_late", seconds=round(waited, 3))


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than this; tell whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
