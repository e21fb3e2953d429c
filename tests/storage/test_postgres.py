"""What only the store on PostgreSQL has to promise: many processes, and a server that goes away."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import Order, change, created
from boxoffice_server.domain.stream import LogRecord
from boxoffice_server.ports import Repository, Store
from boxoffice_server.storage import create_store, migrate
from tests.storage.interleaving import interleaved, until_waiting
from tests.storage.samples import a_notification, an_order, at, keep
from tests.support.postgres import PostgresServer
from tests.support.stores import (
    appended,
    opened_store,
    plain_encode,
    plain_log,
    position_of,
    until,
    whole_log,
)

ORDERS = [an_order(number) for number in range(8)]


@dataclass
class Load:
    """Writers that change orders, several in one transaction, and what they were told."""

    stores: list[Store]
    acknowledged: set[str] = field(default_factory=set)
    attempts: Iterator[int] = field(default_factory=itertools.count)
    stopping: bool = False

    async def writer(self, store: Store) -> None:
        """Writes until it is told to stop; a store that is away is tried again."""
        while not self.stopping:
            order_ids = sorted(order.id for order in random.sample(ORDERS, random.randint(1, 3)))
            work = partial(self.body, order_ids=order_ids, tag=str(next(self.attempts)))
            try:
                self.acknowledged.update(await store.write(work))
            except BoxofficeError as error:
                if error.reason is not Reason.STORE_UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)

    def body(self, repo: Repository, order_ids: list[str], tag: str) -> list[str]:
        """Changes orders one by one: locks and appends take turns."""
        found = []
        for order_id in order_ids:
            order = repo.orders.get(order_id, lock=True)
            assert order is not None
            event = change(order, now=at(0), tags=(tag,))
            assert event is not None
            repo.orders.update(event.order)
            repo.log.append(event)
            found.append(event.id)
        return found

    async def until_acknowledged(self, more: int) -> None:
        """Waits until so many more events were acknowledged."""
        goal = len(self.acknowledged) + more

        async def reached() -> bool:
            return len(self.acknowledged) >= goal

        await until(reached, seconds=30)


@asynccontextmanager
async def under_load(stores: list[Store]) -> AsyncIterator[Load]:
    """Loads stores of one database with writers, which have stopped in the end."""
    await keep(stores[0], *ORDERS)
    load = Load(stores)
    async with asyncio.TaskGroup() as tasks:
        for store in stores:
            for _ in range(4):
                tasks.create_task(load.writer(store))
        yield load
        load.stopping = True


async def all_numbered(store: Store, url: str) -> list[LogRecord]:
    """Waits until no record is without a number, and reads the log."""
    connection = await asyncpg.connect(url)

    async def numbered() -> bool:
        query = "SELECT NOT EXISTS (SELECT FROM log WHERE position IS NULL)"
        return bool(await connection.fetchval(query))

    await until(numbered)
    await connection.close()
    return await whole_log(store)


async def check(load: Load, records: list[LogRecord], store: Store) -> None:
    """Checks that the log is dense, whole and in order, and misses nothing acknowledged."""
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    assert load.acknowledged <= {record.event_id for record in records}
    groups = [group for group, _ in itertools.groupby(record.group for record in records)]
    assert len(groups) == len(set(groups))
    versions: dict[str, list[int]] = defaultdict(list)
    for record in records:
        versions[record.subject_id].append(int(record.payload.split()[1]))
    for order in ORDERS:
        kept = await store.read(partial(version, order=order))
        # Each change of an order is there once, and in its order.
        assert versions[order.id] == list(range(2, kept + 1))


def version(repo: Repository, order: Order) -> int:
    """The version an order has now."""
    found = repo.orders.get(order.id)
    assert found is not None
    return found.version


async def test_two_processes_number_one_log(postgres_database: str) -> None:
    """Two stores that write and number at once: dense, whole, in order, nothing missing."""
    async with (
        opened_store(postgres_database) as one,
        opened_store(postgres_database) as two,
    ):
        async with under_load([one, two]) as load:
            await load.until_acknowledged(1500)
        await check(load, await all_numbered(one, postgres_database), one)


async def test_crash_of_the_server_loses_nothing_that_was_acknowledged() -> None:
    """PostgreSQL is stopped at once under load, three times, and the connections are killed."""
    with PostgresServer() as server:
        url = server.create_database()
        await asyncio.to_thread(migrate, url)
        async with AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(opened_store(url)) for _ in range(2)]
            async with under_load(stores) as load:
                for _ in range(3):
                    await load.until_acknowledged(200)
                    await asyncio.to_thread(server.restart, "immediate")
                    await load.until_acknowledged(200)
                    await asyncio.to_thread(kill_connections, server)
                await load.until_acknowledged(200)
            await check(load, await all_numbered(stores[0], url), stores[0])


def kill_connections(server: PostgresServer, *, query: str = "%") -> None:
    """Kills the connections whose last statement was like this."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 -- our own words
        f"WHERE application_name = 'boxoffice' AND query LIKE '{query}'"
    )


async def test_server_that_is_away_makes_the_store_unavailable() -> None:
    """Reads and writes are refused by name while PostgreSQL is down, and work once it is back."""
    with PostgresServer() as server:
        url = server.create_database()
        await asyncio.to_thread(migrate, url)
        async with opened_store(url) as store:
            await store.write(lambda repo: repo.log.append(created(an_order())))
            await asyncio.to_thread(server.stop, "immediate")
            for _ in range(3):
                with pytest.raises(BoxofficeError) as caught:
                    await store.write(lambda repo: repo.log.append(created(an_order(2))))
                assert caught.value.reason is Reason.STORE_UNAVAILABLE
                assert caught.value.message == "the store can't be reached right now"
                with pytest.raises(BoxofficeError) as caught:
                    await store.read(lambda repo: repo.log.bounds())
                assert caught.value.reason is Reason.STORE_UNAVAILABLE
            second = create_store(url, encode=plain_encode, log=plain_log())
            with pytest.raises(BoxofficeError) as caught:
                await second.open()
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
            await asyncio.to_thread(server.start)
            token = await store.write(lambda repo: appended(repo, created(an_order(3))))
            assert await position_of(store, token) == 2


async def test_database_that_takes_no_connections_makes_the_store_unavailable(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """It is as if the server were away: refused by name, and no fault; then all goes on."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    async with opened_store(postgres_database) as store:
        closing = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'
        await asyncio.to_thread(postgres_server.execute, closing)
        await asyncio.to_thread(kill_connections, postgres_server)
        for _ in range(3):
            with pytest.raises(BoxofficeError) as caught:
                await store.write(lambda repo: repo.log.append(created(an_order())))
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
        opening = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'
        await asyncio.to_thread(postgres_server.execute, opening)
        token = await store.write(lambda repo: appended(repo, created(an_order())))
        assert await position_of(store, token) == 1


async def test_foreign_transaction_does_not_delay_delivery(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """A stranger's write transaction in this database and one in another stay open meanwhile."""
    async with interleaved(postgres_database) as database, opened_store(postgres_database) as store:
        stranger = await database.begin()
        await stranger.write_something_else()
        elsewhere = await asyncpg.connect(postgres_server.url("postgres"))
        async with elsewhere.transaction():
            await elsewhere.execute("CREATE TABLE of_a_stranger ()")
            async with asyncio.timeout(2):
                token = await store.write(lambda repo: appended(repo, created(an_order())))
                assert await position_of(store, token) == 1
            await elsewhere.execute("DROP TABLE of_a_stranger")
        await elsewhere.close()


async def test_delivery_survives_the_loss_of_the_listener(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """What is numbered while nobody listens is readable, and listening begins anew."""
    async with opened_store(postgres_database) as store, opened_store(postgres_database) as other:
        await asyncio.to_thread(kill_connections, postgres_server, query="LISTEN%")
        token = await other.write(lambda repo: appended(repo, created(an_order())))
        assert await position_of(store, token) == 1
        heard = asyncio.Event()
        store.on_advance(heard.set)

        async def heard_by_notice() -> bool:
            heard.clear()
            await asyncio.to_thread(
                partial(postgres_server.execute, "NOTIFY boxoffice_log", url=postgres_database)
            )
            return heard.is_set()

        await until(heard_by_notice)
        # A notice that tells nothing new, or the same thing again, does no harm.
        assert len(await whole_log(store)) == 1


def append(repo: Repository, number: int) -> None:
    """Appends an event."""
    repo.log.append(created(an_order(number)))


async def test_notice_reaches_other_processes(postgres_database: str) -> None:
    """A process that wrote nothing hears of what another one wrote."""
    async with opened_store(postgres_database) as store, opened_store(postgres_database) as other:
        heard = asyncio.Event()
        store.on_advance(heard.set)
        for number in itertools.count(1):
            await other.write(partial(append, number=number))
            await asyncio.sleep(0)
            if heard.is_set():
                break
        assert heard.is_set()


async def test_records_of_a_dead_process_are_numbered(postgres_database: str) -> None:
    """What was committed by a process that died before numbering is numbered by the next one."""
    async with interleaved(postgres_database) as database:
        dead = await database.begin()
        await dead.append(created(an_order()))
        await dead.commit()
    async with opened_store(postgres_database) as store:
        assert len(await all_numbered(store, postgres_database)) == 1


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
async def test_insert_waits_for_a_concurrent_one(postgres_database: str, ending: str) -> None:
    """The outcome of a transaction that keeps the same notification decides, either way."""
    async with interleaved(postgres_database) as database, opened_store(postgres_database) as store:
        first = await database.begin()
        await first.execute(
            "INSERT INTO notifications VALUES "
            "('ntf_first', 'stripe', 'evt_1', '', '', 0, 0, 'applied', '', '', '', '')"
        )
        second = asyncio.get_running_loop().create_task(
            store.write(lambda repo: repo.notifications.insert(a_notification(1)))
        )
        await until_waiting(postgres_database)
        assert not second.done()
        await first.execute(ending)
        assert await second is (ending == "ROLLBACK")


async def test_transaction_in_progress_outlives_its_caller(postgres_database: str) -> None:
    """A caller that is cancelled while its transaction waits for a lock does not undo it."""
    async with interleaved(postgres_database) as database, opened_store(postgres_database) as store:
        await database.keep(an_order())
        holder = await database.begin()
        await holder.change("ord_000001", "held")

        def body(repo: Repository) -> None:
            order = repo.orders.get("ord_000001", lock=True)
            assert order is not None
            event = change(order, now=at(1), tags=("outlived",))
            assert event is not None
            repo.orders.update(event.order)
            repo.log.append(event)

        caller = asyncio.get_running_loop().create_task(store.write(body))
        await until_waiting(postgres_database)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await holder.commit()
        await until(lambda: has_records(store, 2))
        order = await store.read(lambda repo: repo.orders.get("ord_000001"))
        assert order is not None
        assert order.tags == ("outlived",)


async def has_records(store: Store, count: int) -> bool:
    """Tells whether the log holds this many."""
    return len(await whole_log(store)) == count


async def test_deadlock_is_run_again(postgres_database: str) -> None:
    """Of two transactions that wait for each other, the one PostgreSQL ends is run once more."""
    runs: list[str] = []
    async with interleaved(postgres_database) as database, opened_store(postgres_database) as store:
        await database.keep(an_order(1), an_order(2))
        stranger = await database.begin()
        await stranger.execute("SET LOCAL deadlock_timeout = '1h'")
        await stranger.change("ord_000002", "stranger")

        def body(repo: Repository) -> None:
            runs.append("run")
            assert repo.orders.get("ord_000001", lock=True)
            assert repo.orders.get("ord_000002", lock=True)

        writing = asyncio.get_running_loop().create_task(store.write(body))
        await until_waiting(postgres_database)
        await stranger.change("ord_000001", "stranger")
        await stranger.commit()
        await writing
    assert runs == ["run", "run"]
