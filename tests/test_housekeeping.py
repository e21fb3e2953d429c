"""What is done now and then: the log is kept short, and never shorter than it must be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.product import Product
from boxoffice_server.housekeeping import RETENTION, Housekeeping
from boxoffice_server.ports import Repository
from tests.support.stores import opened_store

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class TurnedClock:
    """A clock whose two times a test turns."""

    business: datetime = START
    real: datetime = START

    def now(self) -> datetime:
        return self.business

    def real_now(self) -> datetime:
        return self.real


def product(number: int, time: datetime) -> Product:
    """Make a product whose making is a record of the log."""
    return Product(
        id=f"prd_{number}",
        name="Wellness exam",
        prices=(Money(amount=1000, currency="eur"),),
        schema=(),
        task_function_name="",
        task_priority=0,
        tags=(),
        created_by="tests",
        version=1,
        create_time=time,
        update_time=time,
    )


def appends(*products: Product) -> Callable[[Repository], None]:
    """Make a transaction that appends the making of these."""

    def body(repo: Repository) -> None:
        for each in products:
            repo.log.append(each)

    return body


async def test_records_past_the_retention_are_dropped_and_younger_ones_stay(
    sqlite_database: str,
) -> None:
    """Ninety days are kept, by real time."""
    clock = TurnedClock()
    async with opened_store(sqlite_database) as store:
        for number, days in enumerate((0, 1, 60)):
            await store.write(appends(product(number, START + timedelta(days=days))))
        clock.real = START + RETENTION + timedelta(hours=36)
        await Housekeeping(store=store, clock=clock).clean()
        bounds = await store.read(lambda repo: repo.log.bounds())
        assert (bounds.earliest, bounds.head) == (3, 3)


async def test_sandbox_that_moves_its_clock_drops_nothing(sqlite_database: str) -> None:
    """Business time may be years ahead; the retention goes by real time."""
    clock = TurnedClock(business=START + timedelta(days=1000))
    async with opened_store(sqlite_database) as store:
        await store.write(appends(product(1, START), product(2, START)))
        await Housekeeping(store=store, clock=clock).clean()
        bounds = await store.read(lambda repo: repo.log.bounds())
        assert (bounds.earliest, bounds.head) == (1, 2)


async def test_transaction_is_dropped_as_a_whole_or_not_at_all(sqlite_database: str) -> None:
    """The log never begins within a transaction, even if that is the one with the head."""
    clock = TurnedClock(real=START + RETENTION * 2)
    async with opened_store(sqlite_database) as store:
        await store.write(appends(product(1, START)))
        await store.write(appends(product(2, START), product(3, START), product(4, START)))
        await Housekeeping(store=store, clock=clock).clean()
        bounds = await store.read(lambda repo: repo.log.bounds())
        assert (bounds.earliest, bounds.head) == (2, 4)
