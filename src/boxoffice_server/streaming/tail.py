"""The one reader of a process that follows the head of the log."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import structlog

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.stream import LogFilter, LogRecord
from boxoffice_server.ports import Repository, Store

PAGE = 500
LONGEST_BACK_OFF = 5.0

_LOG_IS_ANOTHER = {Reason.LOG_CHANGED, Reason.POSITION_COMPACTED, Reason.POSITION_AHEAD}

Listener = Callable[[Sequence[LogRecord]], None]


class Tail:
    """Follows the log: after every `poll`, and on the store's hints while somebody follows it.

    Everything up to `head` has been given to the listeners: whole transactions, in log order. While
    there is none, nothing but the log's head is read.
    `generation` rises when the log is not the one that was followed, or has lost what was not read
    yet: whoever follows the tail then goes back to the log itself.
    """

    def __init__(self, store: Store, *, poll: timedelta) -> None:
        self.log_id = uuid.UUID(int=0)
        self.head = 0
        self.generation = 0
        self._store = store
        self._poll = poll.total_seconds()
        self._log = structlog.get_logger(part="tail")
        self._listeners: Counter[Listener] = Counter()
        self._on_reset: list[Callable[[], None]] = []
        self._hint = asyncio.Event()
        self._followers = 0
        self._stop_hints: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go to the head of the log, and follow it from there."""
        bounds = await self._store.read(lambda repo: repo.log.bounds())
        self.log_id, self.head = bounds.log_id, bounds.head
        self._task = asyncio.create_task(self._follow(), name="log tail")

    async def stop(self) -> None:
        """Stop following. Nobody waits for it any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call back with all records from now on, each after `poll` at the latest.

        Answers how to stop it.
        """
        self._listeners[listener] += 1

        def stop() -> None:
            self._listeners[listener] -= 1
            if not self._listeners[listener]:
                del self._listeners[listener]

        return stop

    @contextmanager
    def follow(self, listener: Listener) -> Iterator[None]:
        """Call back with all records in the time of the block, as soon as the store tells of them.

        A listener is called once however often it follows.
        """
        stop = self.listen(listener)
        if not self._followers:
            self._stop_hints = self._store.on_advance(self._hint.set)
            # What would have been hinted before.
            self._hint.set()
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._stop_hints()
            stop()

    def on_reset(self, callback: Callable[[], None]) -> None:
        """Call back when the generation rises."""
        self._on_reset.append(callback)

    def nudge(self) -> None:
        """Look at the log now."""
        self._hint.set()

    async def _follow(self) -> None:
        failures = 0
        while True:
            self._hint.clear()
            try:
                await self._advance()
                failures = 0
            except Exception:  # noqa: BLE001 -- logged
                # Whatever it was, the streams of this process depend on the tail going on.
                failures += 1
                self._log.exception("the log can't be followed", failures=failures, head=self.head)
            if failures:
                await asyncio.sleep(min(self._poll * 2 ** min(failures, 10), LONGEST_BACK_OFF))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._hint.wait()

    async def _advance(self) -> None:
        """Read all that is new, and hand it on by whole transactions."""
        held: list[LogRecord] = []
        if not self._listeners and await self._skip():
            return
        after = self.head
        while True:
            try:
                records, through = await self._store.read_once(
                    checked_page(self.log_id, after, PAGE)
                )
            except BoxofficeError as error:
                if error.reason not in _LOG_IS_ANOTHER:
                    raise
                await self._reset(error)
                return
            held += records
            full = len(records) >= PAGE
            whole = _whole(held) if full else len(held)
            if whole or not full:
                self._publish(held[:whole], None if full else through)
                del held[:whole]
            if not full:
                return
            after = records[-1].position

    async def _skip(self) -> bool:
        """Go to the head of the log, unless that is another one, or somebody listens by then."""
        bounds = await self._store.read_once(lambda repo: repo.log.bounds())
        if self._listeners or bounds.log_id != self.log_id:
            return False
        self.head = max(self.head, bounds.head)
        return True

    def _publish(self, records: list[LogRecord], through: int | None) -> None:
        if records:
            self.head = records[-1].position
        if through is not None:
            self.head = max(self.head, through)
        if not records:
            return
        for listener in tuple(self._listeners):
            try:
                listener(records)
            except Exception:  # noqa: BLE001 -- logged
                # One listener's fault must not keep the log from the others.
                self._log.exception("a listener of the log failed", head=self.head)

    async def _reset(self, error: BoxofficeError) -> None:
        self._log.error("the log has changed under the tail", reason=error.reason, head=self.head)
        bounds = await self._store.read(lambda repo: repo.log.bounds())
        self.log_id, self.head = bounds.log_id, bounds.head
        self.generation += 1
        for callback in self._on_reset:
            callback()


def checked_page(
    log_id: uuid.UUID, after: int, limit: int, wanted: LogFilter | None = None
) -> Callable[[Repository], tuple[list[LogRecord], int]]:
    """Make a transaction that reads on from a position; it raises where something would be missing.

    It sees the bounds and the rows of one moment, as every transaction that only reads does.
    """

    def body(repo: Repository) -> tuple[list[LogRecord], int]:
        return repo.log.read(after=after, limit=limit, wanted=wanted, log_id=log_id)

    return body


def _whole(records: list[LogRecord]) -> int:
    """Count the records that belong to transactions known to be whole: all but the last one's."""
    last = records[-1].group
    count = len(records)
    while count and records[count - 1].group == last:
        count -= 1
    return count
