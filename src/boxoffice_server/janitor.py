"""What nobody else finishes: operations that were left, deadlines that passed, words lost.

Every replica has a janitor; what one holds the others pass over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.intake import Intake
from boxoffice_server.operations.engine import OWN_CALLER, Operations
from boxoffice_server.ports import Clock, Operation, OperationKey, Repository, Store, VendorBooks

LOOK_EVERY = timedelta(seconds=1)
SWEEP_EVERY = timedelta(minutes=10)
# Stripe tries to deliver for three days, and lists events for thirty
# (https://docs.stripe.com/webhooks, https://docs.stripe.com/api/events).
DELIVERY_TIME = timedelta(days=4)
LISTED_TIME = timedelta(days=30)
MOST_OVERDUE = 50
CANCEL_PAYMENT = "CancelPayment"


class Janitor:
    """Looks now and then, and at once when it is stirred."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        operations: Operations,
        intake: Intake,
        books: VendorBooks,
        look_every: timedelta = LOOK_EVERY,
        sweep_every: timedelta = SWEEP_EVERY,
    ) -> None:
        self._store = store
        self._clock = clock
        self._operations = operations
        self._intake = intake
        self._books = books
        self._look_every = look_every.total_seconds()
        self._sweep_every = sweep_every.total_seconds()
        self._swept: datetime | None = None
        self._log = structlog.get_logger(part="janitor")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin: with what was left by a crash, at once."""
        self._tasks = [
            asyncio.create_task(self._looking()),
            asyncio.create_task(self._sweeping()),
        ]

    async def stop(self) -> None:
        """End. What is being asked of the vendor goes on in the operations' own tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _looking(self) -> None:
        while True:
            await self._try("look", self.look)
            try:
                async with asyncio.timeout(self._look_every):
                    await self._operations.stirred()
            except TimeoutError:
                continue

    async def _sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            await self._try("sweep", self.sweep)

    async def _try(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 -- told in the log, and tried again
            self._log.error("the janitor failed", what=what, exc_info=error)

    async def look(self) -> None:
        """Settle operations that nobody holds, apply what waits, cancel what is overdue."""
        await self._cancel_overdue()
        await self._operations.take_up_left()
        await self._intake.apply_waiting()

    async def _cancel_overdue(self) -> None:
        """Have payments cancelled whose customer did not authenticate them in time."""
        now = self._clock.now()
        overdue = await self._store.read(
            lambda repo: repo.payments.overdue(now, limit=MOST_OVERDUE)
        )
        if not overdue:
            return

        def schedule(repo: Repository) -> list[str]:
            return [
                payment.id
                for payment in overdue
                if self._operations.schedule(repo, _cancellation(payment.id, now))
            ]

        for payment_id in await self._store.write(schedule):
            self._log.info("a payment was not authenticated in time", payment_id=payment_id)

    async def sweep(self) -> int:
        """Take in the notifications that the vendor could not deliver; answers how many.

        Reaches back as far as the vendor may still have been trying, and at first as far as it
        lists.
        """
        began = self._clock.now()
        since = began - LISTED_TIME if self._swept is None else self._swept - DELIVERY_TIME
        taken = 0
        async for page in self._books.missed(since):
            for notification in page:
                delivered = await self._intake.take(notification)
                taken += not delivered.duplicate
        self._swept = began
        if taken:
            self._log.warning("notifications had been missed", taken=taken)
        return taken


def _cancellation(payment_id: str, now: datetime) -> Operation:
    return Operation(
        id=new_id(Prefix.OPERATION, now),
        key=OperationKey(caller=OWN_CALLER, operation=CANCEL_PAYMENT, request_id=payment_id),
        fingerprint=b"",
        resource_id=payment_id,
        answer=None,
        create_time=now,
    )
