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
# How often a replica looks whether it is its turn: what could not be read is tried again then, and
# another goes on where one has died.
LOOK_EVERY = timedelta(minutes=1)
# Renewed with every page.
LEASE = timedelta(minutes=2)
# Apple's last attempt is 154 hours after the first
# (https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications),
# and only then does it count a notification as failed for good.
OVERLAP = timedelta(days=7)


class CatchUp:
    """Reads at the start, unless another replica has since, and every hour after that; one does.

    What was heard before is heard again without an effect. `owner` is who has the duty: processes
    that can't run beside each other share a name, so that none waits for one that has died.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        intake: Intake,
        vendors: Mapping[Source, SubscriptionVendor],
        owner: str,
        every: timedelta = EVERY,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake
        self._vendors = vendors
        self._owner = owner
        self._every = every
        self._look_every = look_every.total_seconds()
        self._started = clock.now()
        self._stirred = asyncio.Event()
        self._log = structlog.get_logger(part="catch-up")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what was sent while nobody listened."""
        self._started = self._clock.now()
        if self._vendors:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what was read so far is kept, and another replica may go on at once."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._store.write(self._leave)
        except BoxofficeError as error:
            self._log.info("the duty ends with its lease", reason=error.reason)

    def stir(self) -> None:
        """Look at once: business time has moved, and what was still to come may have been sent."""
        self._stirred.set()

    def _leave(self, repo: Repository) -> None:
        for source in self._vendors:
            repo.duties.leave(_duty(source), self._owner)

    async def _run(self) -> None:
        while True:
            self._stirred.clear()
            for source in self._vendors:
                try:
                    await self.catch_up(source)
                except BoxofficeError as error:
                    self._log.warning("history can't be read", source=source, reason=error.reason)
                except Exception as error:  # noqa: BLE001 -- told in the log, and tried again
                    self._log.error("catching up failed", source=source, exc_info=error)
            try:
                async with asyncio.timeout(self._look_every):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def catch_up(self, source: Source) -> int:
        """Take in what did not reach us since last time, if it is our turn; answers how many."""
        began = self._clock.now()

        def take(repo: Repository) -> tuple[bool, datetime | None]:
            done = repo.duties.done(_duty(source))
            return self._is_due(done, began) and self._take(repo, source), done

        is_mine, done = await self._store.write(take)
        if not is_mine:
            return 0
        taken = 0
        # The first time there is nothing before: who has just begun to listen has missed nothing.
        if done is not None:
            taken = await self._read(source, done - OVERLAP, began)
        await self._store.write(lambda repo: repo.duties.mark_done(_duty(source), began))
        return taken

    def _is_due(self, done: datetime | None, now: datetime) -> bool:
        return done is None or done < self._started or now - done >= self._every

    def _take(self, repo: Repository, source: Source) -> bool:
        now = self._clock.real_now()
        return repo.duties.take(_duty(source), self._owner, now=now, lease=LEASE)

    async def _read(self, source: Source, since: datetime, until: datetime) -> int:
        taken = 0
        pages = self._vendors[source].notifications(
            since, until, now=self._clock.now(), only_failures=True
        )
        async for page in pages:
            for notification in page:
                delivered = await self._intake.take(notification)
                taken += not delivered.duplicate
            await self._store.write(lambda repo: self._take(repo, source))
        if taken:
            self._log.warning("notifications had been missed", source=source, taken=taken)
        return taken


def _duty(source: Source) -> str:
    return f"catch-up {source}"
