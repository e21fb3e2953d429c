"""After an outage: the notifications that a vendor could not deliver are read from its history."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.notification import Source
from boxoffice_server.intake import Intake
from boxoffice_server.ports import Clock, Repository, Store, SubscriptionVendor

EVERY = timedelta(hours=1)
# What could not be read is tried again after so long.
AGAIN = timedelta(minutes=1)
LEASE = timedelta(minutes=10)
# Apple's last attempt is 154 hours after the first
# (https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications),
# and only then does it count a notification as failed for good.
OVERLAP = timedelta(days=7)


class CatchUp:
    """Reads at the start, and every hour after that; one replica does.

    What was heard before is heard again without an effect.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        intake: Intake,
        vendors: Mapping[Source, SubscriptionVendor],
        instance: str,
        every: timedelta = EVERY,
    ) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake
        self._vendors = vendors
        self._instance = instance
        self._every = every
        self._log = structlog.get_logger(part="catch-up")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what was sent while nobody listened."""
        if self._vendors:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what was read so far is kept."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            pause = self._every
            for source in self._vendors:
                try:
                    await self.catch_up(source)
                except BoxofficeError as error:
                    pause = AGAIN
                    self._log.warning("history can't be read", source=source, reason=error.reason)
                except Exception as error:  # noqa: BLE001 -- told in the log, and tried again
                    pause = AGAIN
                    self._log.error("catching up failed", source=source, exc_info=error)
            await asyncio.sleep(pause.total_seconds())

    async def catch_up(self, source: Source) -> int:
        """Take in what did not reach us since last time; answers how many that were."""
        duty, real_now = f"catch-up {source}", self._clock.real_now()
        began = self._clock.now()

        def take(repo: Repository) -> tuple[bool, datetime | None]:
            mine = repo.duties.take(duty, self._instance, now=real_now, lease=LEASE)
            return mine, repo.duties.done(duty)

        is_mine, done = await self._store.write(take)
        if not is_mine:
            return 0
        taken = 0
        if done is not None:
            taken = await self._read(source, done - OVERLAP, began)
        await self._store.write(lambda repo: repo.duties.mark_done(duty, began))
        return taken

    async def _read(self, source: Source, since: datetime, until: datetime) -> int:
        taken = 0
        pages = self._vendors[source].notifications(
            since, until, now=self._clock.now(), only_failures=True
        )
        async for page in pages:
            for notification in page:
                delivered = await self._intake.take(notification)
                taken += not delivered.duplicate
        if taken:
            self._log.warning("notifications had been missed", source=source, taken=taken)
        return taken
