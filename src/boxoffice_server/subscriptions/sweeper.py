"""What time alone brings about: clock transitions become events, silent vendors are asked.

Reads never wait for it: they are right at every instant by themselves. One replica sweeps at a
time, and another goes on where it stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.lineage import Lineage
from boxoffice_server.domain.subscription import SubscriptionSource
from boxoffice_server.ports import Clock, Repository, Store, SubscriptionVendor
from boxoffice_server.subscriptions.asking import ask
from boxoffice_server.subscriptions.engine import FIRST_ASK, LAST_ASK, Subscriptions

SWEEP = "sweep"
LOOK_EVERY = timedelta(seconds=1)
LEASE = timedelta(seconds=15)
MOST_DUE = 50
# Asked one after the other, and no more than these in a round: a vendor is never stampeded.
MOST_ASKED = 10
# What can't be brought in line now is tried again then, and keeps nobody else waiting.
SET_ASIDE = timedelta(hours=1)


class Sweeper:
    """Looks every second, and at once when it is stirred.

    `owner` is who has the duty: processes that can't run beside each other share a name, so that
    none waits for one that has died.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        subscriptions: Subscriptions,
        vendors: Mapping[SubscriptionSource, SubscriptionVendor],
        owner: str,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        self._store = store
        self._clock = clock
        self._subscriptions = subscriptions
        self._vendors = vendors
        self._owner = owner
        self._look_every = look_every.total_seconds()
        self._stirred = {"sweep": asyncio.Event(), "ask": asyncio.Event()}
        self._log = structlog.get_logger(part="sweeper")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, with what came due while nobody looked."""
        self._tasks = [
            asyncio.create_task(self._repeat("sweep", self.sweep)),
            asyncio.create_task(self._repeat("ask", self.ask)),
        ]

    async def stop(self) -> None:
        """End, and let another replica sweep at once; the store finishes what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._store.write(lambda repo: repo.duties.leave(SWEEP, self._owner))
        except BoxofficeError as error:
            self._log.info("the duty ends with its lease", reason=error.reason)

    def stir(self) -> None:
        """Look at once: business time has moved."""
        for each in self._stirred.values():
            each.set()

    async def _repeat(self, what: str, work: Callable[[], Awaitable[int]]) -> None:
        stirred = self._stirred[what]
        while True:
            # Whoever stirs while it works has it look once more: it may have read the time before.
            stirred.clear()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 -- told in the log, and tried again
                self._log.error("the sweeper failed", what=what, exc_info=error)
            try:
                async with asyncio.timeout(self._look_every):
                    await stirred.wait()
            except TimeoutError:
                continue

    async def sweep(self) -> int:
        """Make events of what the clock has changed; answers how many lineages it looked at."""
        swept = 0
        while (due := await self._due()) and await self._is_mine():
            for lineage in due:
                await self._bring(lineage)
            swept += len(due)
        return swept

    async def _due(self) -> list[Lineage]:
        now = self._clock.now()
        return await self._store.read(lambda repo: repo.lineages.due(now, limit=MOST_DUE))

    async def _bring(self, lineage: Lineage) -> None:
        try:
            await self._store.write(lambda repo: self._subscriptions.bring(repo, lineage.key))
        except BoxofficeError:
            # The store is away: all of them can wait.
            raise
        except Exception:  # noqa: BLE001 -- told in the log; it must not hold up all behind it
            self._log.exception("a lineage can't be swept", lineage_id=lineage.key.id)
            await self._set_aside(lineage)

    async def _set_aside(self, lineage: Lineage) -> None:
        later = self._clock.now() + SET_ASIDE

        def write(repo: Repository) -> None:
            kept = repo.lineages.lock(lineage.key)
            repo.lineages.update(replace(kept, next_time=later))

        await self._store.write(write)

    async def ask(self) -> int:
        """Ask vendors about subscriptions of which they should have spoken; answers how many."""
        now = self._clock.now()
        silent = await self._store.read(lambda repo: repo.lineages.silent(now, limit=MOST_ASKED))
        if not silent or not await self._is_mine():
            return 0
        for lineage in silent:
            await self._ask(lineage)
        return len(silent)

    async def _ask(self, lineage: Lineage) -> None:
        vendor = self._vendors.get(lineage.key.source)
        found: Sequence[SubscriptionFact] = ()
        if vendor is not None:
            try:
                found = await ask(vendor, lineage.key, now=self._clock.now())
            except BoxofficeError as error:
                self._log.warning(
                    "a silent subscription could not be asked about",
                    lineage_id=lineage.key.id,
                    reason=error.reason,
                )
        now = self._clock.now()

        def write(repo: Repository) -> None:
            brought = self._subscriptions.learn(repo, lineage.key, found)
            silent_time = brought.picture.silent_time
            if silent_time is not None and silent_time <= now:
                later = _ask_again(silent_time, now)
                repo.lineages.update(replace(brought.lineage, poll_time=later))

        await self._store.write(write)

    async def _is_mine(self) -> bool:
        now = self._clock.real_now()
        return await self._store.write(
            lambda repo: repo.duties.take(SWEEP, self._owner, now=now, lease=LEASE)
        )


def _ask_again(since: datetime, now: datetime) -> datetime:
    """Tell when to ask again: the longer it is silent, the more seldom."""
    return now + min(max(now - since, FIRST_ASK), LAST_ASK)
