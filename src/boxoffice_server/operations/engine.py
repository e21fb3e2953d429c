"""How a write that asks a vendor for something is done once, whatever breaks in between.

A first transaction records the operation and what it is about; the vendor is asked with no
transaction open, in a task that no caller can cancel; a second transaction records what it said and
what the caller is told. Whoever comes back to an operation that was left in between, its caller or
the janitor, reads the vendor before asking for anything again, and asks under the same key.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.fail_points import FailPoint, reach, reach_async
from boxoffice_server.operations.refusals import PASSING, expired, in_progress, request_id_reused
from boxoffice_server.operations.work import Answer, Begun, LoadedT, Record, Work
from boxoffice_server.own_tasks import OwnTasks
from boxoffice_server.ports import (
    Clock,
    KeySpentError,
    KeyTakenError,
    Operation,
    OperationKey,
    OvertakenError,
    Repository,
    Store,
)

T = TypeVar("T")

OWN_CALLER = "boxoffice"
"""The caller of what the service does by itself. No caller from outside has this name."""

# Who asks the vendor for something holds it this long. One who is slower may be overtaken, which
# does no harm: both send the same key to the vendor, and the first one's answer stands.
LEASE = timedelta(seconds=30)
# Stripe forgets a key after 24 hours at the earliest
# (https://docs.stripe.com/api/idempotent_requests). What is older is never sent again.
KEY_LIFETIME = timedelta(hours=23)
FIRST_PAUSE = timedelta(seconds=1)
MOST_PAUSE = timedelta(minutes=5)
# How many operations are at work at once for callers: of many more each would have begun before
# one ends. Stripe takes 100 requests a second (https://docs.stripe.com/rate-limits), each of which
# lasts for about one.
MOST_AT_WORK = 128
# How many operations that were left are gone on with at once.
MOST_LEFT = 16

# How often a call looks whether the other one with its request id has ended.
FIRST_LOOK_SECONDS = 0.05
MOST_LOOK_SECONDS = 1.0


class Operations:
    """Begins operations, goes on with them, and takes up those that were left.

    `instance` names this process among all that share the store; one that `is_alone` knows that
    whatever another instance holds was left by a crash. `encode_error` writes a refusal as callers
    get it.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        instance: str,
        is_alone: bool,
        encode_error: Callable[[BoxofficeError], bytes],
        lease: timedelta = LEASE,
        first_pause: timedelta = FIRST_PAUSE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._instance = instance
        self._is_alone = is_alone
        self._encode_error = encode_error
        self._lease = lease
        self._first_pause = first_pause
        self._works: Mapping[str, Work[Any]] = {}
        self._log = structlog.get_logger(part="operations")
        self._own = OwnTasks(self._tell_unheard, most=MOST_AT_WORK)
        self._stirred = asyncio.Event()
        # Set inside transactions, which may run in other threads.
        self._scheduled = False
        # What this process is at work on, and how many calls are just about to be.
        self._running: set[OperationKey] = set()
        self._starting: Counter[OperationKey] = Counter()
        self._left = 0

    def know(self, works: Mapping[str, Work[Any]]) -> None:
        """Learn how each kind of operation is done, by its name."""
        self._works = works

    @property
    def names(self) -> frozenset[str]:
        """Name all kinds of operations."""
        return frozenset(self._works)

    async def close(self) -> None:
        """Wait for everything that was asked of the vendor."""
        await self._own.finish()

    def _tell_unheard(self, error: BaseException) -> None:
        self._log.warning("a call failed after its caller had left", exc_info=error)

    async def run(
        self,
        started: Operation,
        record: Callable[[Repository, Operation], object],
        answer: Answer,
        *,
        wait_seconds: float,
    ) -> Operation:
        """Do an operation, or find what became of it; answers it as it has ended.

        All of it runs in a task of the service's own, which goes on when the caller has left; while
        too many are at work it waits, and does not begin at all if the caller leaves by then.
        Raises REQUEST_ID_REUSED, IN_PROGRESS where another call is at work on it for longer than
        the wait, and what `record` raises, after which nothing is kept; and what leaves it open:
        VENDOR_UNAVAILABLE, OUTCOME_UNKNOWN, STORE_UNAVAILABLE, or a fault.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait_seconds
        pause = FIRST_LOOK_SECONDS
        while True:
            ended = await self._own.run(lambda: self._do(started, record, answer))
            if ended is not None:
                return ended
            if loop.time() + pause > give_up:
                raise in_progress(started.key)
            # It waits for another call without being in anybody's way.
            await asyncio.sleep(pause)
            pause = min(pause * 2, MOST_LOOK_SECONDS)

    async def _do(
        self,
        started: Operation,
        record: Callable[[Repository, Operation], object],
        answer: Answer,
    ) -> Operation | None:
        """Do an operation, or find how it has ended; None while another call is at work on it."""
        held = replace(
            started, owner=self._instance, lease_time=self._clock.real_now() + self._lease
        )
        begun = await self._begin_here(held, record)
        if begun.operation.answer is not None:
            return begun.operation
        return await self._go_on(begun, answer) if begun.mine else None

    # -- the first transaction --------------------------------------------------------------------

    async def _begin_here(
        self, started: Operation, record: Callable[[Repository, Operation], LoadedT]
    ) -> Begun[LoadedT]:
        self._starting[started.key] += 1
        try:
            begun = await self._record_or_find(started, record)
            if begun.mine:
                self._running.add(started.key)
            return begun
        finally:
            self._starting[started.key] -= 1
            if not self._starting[started.key]:
                del self._starting[started.key]

    async def _record_or_find(
        self, started: Operation, record: Callable[[Repository, Operation], LoadedT]
    ) -> Begun[LoadedT]:
        """Record an operation as if it were new, as nearly all are; else find the one it is.

        One that was recorded before has its own answer, whatever a new one would be refused for.
        """
        try:
            return await self._store.write(partial(self._record, started=started, record=record))
        except (KeyTakenError, BoxofficeError) as error:
            if isinstance(error, BoxofficeError) and error.reason is Reason.STORE_UNAVAILABLE:
                raise
            begun = await self._store.write(partial(self._find, started=started))
            if begun is None:
                raise
            return begun

    def _record(
        self,
        repo: Repository,
        *,
        started: Operation,
        record: Callable[[Repository, Operation], LoadedT],
    ) -> Begun[LoadedT]:
        repo.operations.record(started)
        loaded = record(repo, started)
        reach(FailPoint.RECORDING, started.key.operation)
        return Begun(operation=started, mine=True, loaded=loaded)

    def _find(self, repo: Repository, *, started: Operation) -> Begun[Any] | None:
        known = repo.operations.get(started.key, lock=True)
        if known is None:
            return None
        if known.fingerprint != started.fingerprint:
            raise request_id_reused(started.key)
        if known.answer is not None or not self._is_free(known):
            return Begun(operation=known, mine=False, loaded=None)
        return self._take_up(repo, known)

    def _is_free(self, operation: Operation) -> bool:
        if not operation.owner or _ran_out(operation, self._clock):
            return True
        if operation.owner != self._instance:
            return self._is_alone
        # Where nobody here is at work on it, the store has failed whoever was.
        key = operation.key
        return key not in self._running and self._starting[key] == 1

    def _take_up(self, repo: Repository, operation: Operation) -> Begun[Any]:
        """Go on with what an earlier call began."""
        mine = self._hold(repo, operation)
        work = self._works[mine.key.operation]
        return Begun(operation=mine, mine=True, loaded=work.load(repo, mine))

    def _hold(self, repo: Repository, operation: Operation) -> Operation:
        mine = replace(
            operation,
            owner=self._instance,
            lease_time=self._clock.real_now() + self._lease,
            tries=operation.tries + 1,
        )
        repo.operations.update(mine)
        return mine

    def schedule(self, repo: Repository, operation: Operation) -> bool:
        """Record an operation of the service's own, for the janitor; False if it was before.

        Whoever owns the transaction calls `stir` once it is committed.
        """
        is_new = repo.operations.insert(operation)
        self._scheduled = self._scheduled or is_new
        reach(FailPoint.RECORDING, operation.key.operation)
        return is_new

    # -- the vendor, and the second transaction ---------------------------------------------------

    async def _go_on(self, begun: Begun[Any], answer: Answer | None) -> Operation:
        """Ask the vendor and record what it said; answers the operation as it has ended.

        Without an `answer` only what became of it is recorded, for whoever asks again.
        """
        try:
            await reach_async(FailPoint.RECORDED, begun.operation.key.operation)
            return await self._ask_and_finish(begun, answer)
        finally:
            self._running.discard(begun.operation.key)

    async def _ask_and_finish(self, begun: Begun[Any], answer: Answer | None) -> Operation:
        operation = begun.operation
        name = operation.key.operation
        work = self._works[name]
        refusal: BoxofficeError | None = None
        try:
            record = _nothing if operation.settled else await work.ask(operation, begun.loaded)
        except BoxofficeError as error:
            if error.reason in PASSING:
                await self._let_go(operation, error)
                raise
            refusal = error
            record = partial(_refuse, work=work, error=error)
        except Exception as error:
            await self._let_go(operation, error)
            raise
        await reach_async(FailPoint.ASKED, name)
        finish = partial(
            self._finish, operation=operation, record=record, answer=answer, refusal=refusal
        )
        try:
            finished = await self._store.write(finish)
        except OvertakenError:
            finished = await self._ended_elsewhere(operation)
        await reach_async(FailPoint.SETTLED, name)
        return finished

    def _finish(
        self,
        repo: Repository,
        *,
        operation: Operation,
        record: Record,
        answer: Answer | None,
        refusal: BoxofficeError | None,
    ) -> Operation:
        told = record(repo, operation)
        raw: bytes | None = None
        failed = False
        if refusal is not None:
            raw, failed = self._encode_error(refusal), True
        elif answer is not None:
            raw, failed = answer(repo, told)
        finished = replace(told, answer=raw, failed=failed, settled=True, owner="", lease_time=None)
        # Whoever took up what was refused here may get through with it.
        if_tries = None if refusal is None else operation.tries
        repo.operations.end(finished, if_tries=if_tries)
        reach(FailPoint.SETTLING, operation.key.operation)
        return finished

    async def _ended_elsewhere(self, operation: Operation) -> Operation:
        """Read how an operation has ended that another instance took up; its answer counts."""
        current = await self._store.read(lambda repo: repo.operations.get(operation.key))
        if current is None:
            raise AssertionError("an operation that is there can be read")
        if current.answer is None:
            raise in_progress(operation.key)
        return current

    async def _let_go(self, operation: Operation, error: Exception) -> None:
        """Let the caller take the operation up again at once, and the janitor in a while."""
        pause = min(self._first_pause * (1 << min(operation.tries, 20)), MOST_PAUSE)
        spent = isinstance(error, KeySpentError)

        def free(repo: Repository) -> None:
            current = repo.operations.get(operation.key, lock=True)
            mine = current is not None and current.tries == operation.tries
            if current is not None and mine and not current.settled:
                repo.operations.update(
                    replace(
                        current,
                        owner="",
                        lease_time=self._clock.real_now() + pause,
                        tries=max(current.tries, 1),
                        key_spent=current.key_spent or spent,
                    )
                )

        await self._store.write(free)

    async def once(
        self,
        operation: Operation,
        *,
        find: Callable[[], Awaitable[T | None]],
        send: Callable[[str], Awaitable[T]],
        never_expires: bool = False,
    ) -> T:
        """Send a request under the operation's key, unless the vendor has done it already.

        `find` reads whether it has, and is asked only where an earlier try may have got through. A
        key that is spent is replaced once nothing was found; one that the vendor may have forgotten
        is not used again: then REQUEST_EXPIRED says that nothing happened and nothing will. What
        `never_expires` is harmless to do twice, and still wanted however late: it gets a new key.
        """
        if operation.tries:
            found = await find()
            if found is not None:
                return found
            is_old = self._clock.now() - operation.create_time > KEY_LIFETIME
            if is_old and not never_expires:
                raise expired(operation.key)
            if operation.key_spent or is_old:
                operation = await self._next_attempt(operation)
        return await send(operation.vendor_key)

    async def _next_attempt(self, operation: Operation) -> Operation:
        """Keep a new key before it is used."""

        def renew(repo: Repository) -> Operation:
            current = repo.operations.get(operation.key, lock=True)
            if current is None or current.attempt != operation.attempt:
                raise in_progress(operation.key)
            renewed = replace(current, attempt=current.attempt + 1, key_spent=False)
            repo.operations.update(renewed)
            return renewed

        return await self._store.write(renew)

    # -- what was left ----------------------------------------------------------------------------

    def stir(self) -> None:
        """Have the janitor look at once, if anything was scheduled."""
        if self._scheduled:
            self._scheduled = False
            self._stirred.set()

    async def stirred(self) -> None:
        """Wait until an operation was scheduled, and that is committed."""
        await self._stirred.wait()
        self._stirred.clear()

    async def take_up_left(self) -> None:
        """Begin to go on with operations that nobody holds, a few at a time.

        A silent vendor keeps one of them, and nobody else, waiting.
        """
        room = MOST_LEFT - self._left
        if room <= 0:
            return

        def claim(repo: Repository) -> list[Operation]:
            left = repo.operations.claim(
                owner=self._instance,
                now=self._clock.real_now(),
                alone=self._is_alone,
                limit=room,
            )
            return [self._hold(repo, each) for each in left]

        for operation in await self._store.write(claim):
            self._running.add(operation.key)
            self._left += 1
            self._own.start(self._go_on_alone(operation))

    async def _go_on_alone(self, operation: Operation) -> None:
        log = self._log.bind(
            operation=operation.key.operation,
            operation_id=operation.id,
            resource_id=operation.resource_id,
            tries=operation.tries,
        )
        try:
            work = self._works[operation.key.operation]
            loaded = await self._store.write(lambda repo: work.load(repo, operation))
            begun = Begun(operation=operation, mine=True, loaded=loaded)
            finished = await self._go_on(begun, None)
        except BoxofficeError as error:
            log.warning("an operation is still open", reason=error.reason)
        except Exception:
            # A fault of ours: told in the log, and tried again after a while.
            log.exception("an operation can't be settled")
        else:
            log.info("an operation that was left is settled", failed=finished.failed)
        finally:
            self._running.discard(operation.key)
            self._left -= 1


def _ran_out(operation: Operation, clock: Clock) -> bool:
    return operation.lease_time is None or operation.lease_time <= clock.real_now()


def _nothing(repo: Repository, operation: Operation) -> Operation:
    del repo
    return operation


def _refuse(
    repo: Repository, operation: Operation, *, work: Work[Any], error: BoxofficeError
) -> Operation:
    return work.refuse(repo, operation, error)
