"""What only the store on SQLite has to promise: one process, and nothing lost by a kill."""

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import created
from boxoffice_server.ports import Repository
from boxoffice_server.storage import StoreLocked, create_store, migrate
from tests.storage.samples import an_order
from tests.support.stores import opened_store, plain_encode, sqlite_url, whole_log

# Writes for ever, and says after each commit which order's event is in the log.
WRITER = """
import asyncio, sys
from boxoffice_server.domain.order import created
from boxoffice_server.storage import create_store
from tests.storage.samples import an_order
from tests.support.stores import plain_encode

async def write(store, start):
    for number in range(start, sys.maxsize, 4):
        await store.write(lambda repo: repo.log.append(created(an_order(number))))
        print(an_order(number).id, flush=True)

async def main():
    store = create_store(sys.argv[1], encode=plain_encode)
    await store.open()
    await asyncio.gather(*(write(store, int(sys.argv[2]) + start) for start in range(4)))

asyncio.run(main())
"""


async def test_second_process_is_refused(sqlite_database: str) -> None:
    """A second store on the same file is refused, and so is a migration; both say who holds it."""
    async with opened_store(sqlite_database):
        second = create_store(sqlite_database, encode=plain_encode)
        with pytest.raises(StoreLocked, match=rf"boxoffice\.db is in use by process {os.getpid()}"):
            await second.open()
        with pytest.raises(StoreLocked):
            migrate(sqlite_database)
    async with opened_store(sqlite_database) as third:
        await third.read(lambda repo: repo.log.bounds())


async def test_kill_loses_nothing_that_was_acknowledged(sqlite_database: str) -> None:
    """After each kill -9 in mid-write all acknowledged events are there, once, densely numbered."""
    acknowledged: set[str] = set()
    for first in (100_000, 200_000, 300_000):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WRITER, sqlite_database, str(first)),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        told = [await process.stdout.readline() for _ in range(200)]
        process.kill()
        # What was told before the kill and not read yet counts as well, but for a broken last line.
        told += (await process.communicate())[0].splitlines(keepends=True)
        acknowledged |= {line.decode().strip() for line in told if line.endswith(b"\n")}
        async with opened_store(sqlite_database) as store:
            records = await whole_log(store)
        assert [record.position for record in records] == list(range(1, len(records) + 1))
        subjects = [record.subject_id for record in records]
        assert len(set(subjects)) == len(subjects)
        assert acknowledged <= set(subjects)
    assert len(acknowledged) >= 600


async def test_transaction_in_progress_outlives_its_caller(sqlite_database: str) -> None:
    """A caller that is cancelled in the middle of its transaction does not undo it."""
    started, release = threading.Event(), threading.Event()

    def body(repo: Repository) -> None:
        repo.log.append(created(an_order()))
        started.set()
        assert release.wait(10)

    async with opened_store(sqlite_database) as store:
        caller = asyncio.get_running_loop().create_task(store.write(body))
        await asyncio.to_thread(started.wait, 10)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        release.set()
        # The next write has its turn after that one.
        await store.write(lambda repo: repo.log.append(created(an_order(2))))
        assert [record.subject_id for record in await whole_log(store)] == [
            "ord_000001",
            "ord_000002",
        ]


async def test_reader_sees_one_moment(sqlite_database: str) -> None:
    """What is committed while a transaction reads is not seen by it."""
    begun, committed = threading.Event(), threading.Event()

    def body(repo: Repository) -> tuple[int, int]:
        before = repo.log.bounds().head
        begun.set()
        assert committed.wait(10)
        return before, repo.log.bounds().head

    async with opened_store(sqlite_database) as store:
        reading = asyncio.get_running_loop().create_task(store.read(body))
        await asyncio.to_thread(begun.wait, 10)
        await store.write(lambda repo: repo.log.append(created(an_order())))
        committed.set()
        assert await reading == (0, 0)


async def test_file_locked_by_a_stranger_is_unavailable(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that holds SQLite's own lock for too long makes the store unavailable, no more."""
    monkeypatch.setattr("boxoffice_server.storage.sqlite.BUSY_MILLISECONDS", 10)
    path = sqlite_database.removeprefix("sqlite:///")
    async with opened_store(sqlite_database) as store:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(BoxofficeError) as caught:
            await store.write(lambda repo: repo.log.append(created(an_order())))
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        assert await store.read(lambda repo: repo.log.bounds().head) == 0
        stranger.execute("COMMIT")
        stranger.close()
        await store.write(lambda repo: repo.log.append(created(an_order())))


async def test_file_is_as_durable_as_money_asks(sqlite_database: str) -> None:
    """The journal is a write-ahead log, and every commit is on disk before it is answered."""

    def pragma(name: str) -> Callable[[Repository], int | str]:
        def body(repo: Repository) -> int | str:
            connection = repo.log._session.connection  # type: ignore[attr-defined] # no port shows it
            value: int | str = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            return value

        return body

    async with opened_store(sqlite_database) as store:
        assert await store.write(pragma("journal_mode")) == "wal"
        assert await store.write(pragma("synchronous")) == 2
        assert await store.write(pragma("foreign_keys")) == 1


def test_address_must_name_a_file(tmp_path: Path) -> None:
    """A database in memory would be another one for every thread, so it is refused."""
    for url in ("sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://x/y"):
        with pytest.raises(ValueError, match="address"):
            create_store(url, encode=plain_encode)
    create_store(sqlite_url(tmp_path), encode=plain_encode)
    assert not list(tmp_path.iterdir())
