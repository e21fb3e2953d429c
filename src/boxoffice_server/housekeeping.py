"""What has to be done now and then, whoever calls: the log is kept short."""

import asyncio
from datetime import timedelta

import structlog

from boxoffice_server.ports import Clock, Store

# How long a stream may stay away and still resume.
RETENTION = timedelta(days=90)
EVERY = timedelta(hours=1)


class Housekeeping:
    """Drops log records that are older than the retention.

    Goes by real time: a sandbox that moves business time ahead must not drop what was just told.
    """

    def __init__(self, *, store: Store, clock: Clock, every: timedelta = EVERY) -> None:
        self._store = store
        self._clock = clock
        self._every = every
        self._log = structlog.get_logger(part="housekeeping")
        self._task: asyncio.Task[None] | None = None
        self._earliest = 1

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; a round that runs is finished by the store."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.clean()
            except Exception as error:  # noqa: BLE001 -- told in the log, and tried again
                self._log.error("housekeeping failed", exc_info=error)
            await asyncio.sleep(self._every.total_seconds())

    async def clean(self) -> None:
        """Drop what is too old."""
        before = self._clock.real_now() - RETENTION
        earliest = await self._store.write(lambda repo: repo.log.compact(before=before))
        if earliest != self._earliest:
            self._log.info("log compacted", earliest=earliest)
            self._earliest = earliest
