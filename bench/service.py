"""The service, whole and as it is served, with a writer on its store that can be set going.

The writer is inside, because a SQLite file belongs to one process.
"""

import asyncio
import time
from functools import partial

from bench.child import Answer, obey
from bench.sample import new_order, next_event
from boxoffice_server.app import Application
from boxoffice_server.domain.order import created
from boxoffice_server.log import configure_log
from boxoffice_server.ports import Repository, Store
from boxoffice_server.runtime import run, spare_what_stays
from boxoffice_server.settings import read_settings

# More than are written to at the same time, so that no write waits for another one's order.
ORDERS = 64


class Service:
    """A service and its writer."""

    def __init__(self) -> None:
        self._application: Application | None = None
        self._order_ids: list[str] = []

    @property
    def _store(self) -> Store:
        assert self._application is not None
        return self._application._store  # noqa: SLF001 -- no one else may open a SQLite file

    async def start(self, *, database: str, stripe: str) -> Answer:
        """Start serving."""
        environment = {
            "BOXOFFICE_GRPC_ADDRESS": "127.0.0.1:0",
            "BOXOFFICE_HTTP_ADDRESS": "127.0.0.1:0",
            "BOXOFFICE_DATABASE_URL": database,
            # As it is with Stripe itself: the sandbox's keys have the service do more.
            "BOXOFFICE_STRIPE_API_KEY": "sk_test_bench",
            "BOXOFFICE_STRIPE_WEBHOOK_SECRETS": "whsec_bench",
            "BOXOFFICE_STRIPE_API_BASE": stripe,
        }
        self._application = Application(read_settings(environment, sandbox=False))
        doors = await self._application.start()
        spare_what_stays()
        return {"address": str(doors.grpc)}

    async def stop(self) -> None:
        """Drain, if it was started."""
        if self._application is not None:
            await self._application.stop()

    async def used(self) -> Answer:
        """Tell how much CPU this process has used."""
        return {"seconds": time.process_time()}

    async def make_orders(self) -> Answer:
        """Make the orders that are written to."""

        def insert(repo: Repository) -> list[str]:
            made = [new_order(number) for number in range(ORDERS)]
            for order in made:
                repo.orders.insert(order)
                repo.log.append(created(order))
            return [order.id for order in made]

        self._order_ids = await self._store.write(insert)
        return {}

    async def write(self, *, events: int, rate: float) -> Answer:
        """Write events, each in a transaction, at a rate that waits for none of them.

        Answers when each was acknowledged.
        """
        loop = asyncio.get_running_loop()
        locks = [asyncio.Lock() for _ in self._order_ids]
        acknowledged: dict[str, float] = {}

        async def write_one(index: int) -> None:
            async with locks[index]:
                event_id = await self._store.write(
                    partial(_change, order_id=self._order_ids[index])
                )
                acknowledged[event_id] = time.monotonic()

        begin = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(events):
                if (wait := begin + number / rate - loop.time()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(write_one(number % len(self._order_ids)))
        return {"acknowledged": acknowledged, "seconds": loop.time() - begin}


def _change(repo: Repository, *, order_id: str) -> str:
    order = repo.orders.get(order_id, lock=True)
    assert order is not None
    event = next_event(order)
    repo.orders.update(event.order)
    repo.log.append(event)
    return event.id


async def main() -> None:
    """Serve once told to, until standard input ends."""
    configure_log()
    service = Service()
    await obey(
        {
            "start": service.start,
            "used": service.used,
            "make_orders": service.make_orders,
            "write": service.write,
        }
    )
    await service.stop()


if __name__ == "__main__":
    run(main())
