"""The engine: who is woken by what is scheduled, and who waits for whom."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from boxoffice_server.api.writes import encode_error
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.operations.engine import MOST_AT_WORK, OWN_CALLER, Operations
from boxoffice_server.operations.work import Record
from boxoffice_server.ports import Operation, OperationKey, Repository, Store
from tests.support.stores import opened_store, until

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CANCELLATION = Operation(
    id="opn_1",
    key=OperationKey(caller=OWN_CALLER, operation="CancelPayment", request_id="pay_1"),
    fingerprint=b"",
    resource_id="pay_1",
    answer=None,
    create_time=NOW,
)


class Asking:
    """A kind of operation that waits, and ends when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_end = asyncio.Event()

    def load(self, repo: Repository, operation: Operation) -> None:
        """Read nothing."""

    async def ask(self, operation: Operation, loaded: None) -> Record:
        """Ask nobody."""
        self.asked.append(operation.key.request_id)
        await self.may_end.wait()
        return lambda _repo, ended: ended

    def refuse(self, repo: Repository, operation: Operation, error: BoxofficeError) -> Operation:
        """Is never refused."""
        raise AssertionError(error)


def make_operations(store: Store, *, is_alone: bool = True) -> Operations:
    """Compose an engine on a store."""
    return Operations(
        store=store,
        clock=BusinessClock(),
        instance="me",
        is_alone=is_alone,
        encode_error=encode_error,
    )


async def is_stirred(operations: Operations) -> bool:
    """Whether the janitor would look at once."""
    try:
        async with asyncio.timeout(0):
            await operations.stirred()
    except TimeoutError:
        return False
    return True


async def test_janitor_is_woken_once_what_was_scheduled_is_committed(database: str) -> None:
    """Not before, when there is nothing to be seen yet; and once."""
    async with opened_store(database) as store:
        operations = make_operations(store)
        assert await store.write(lambda repo: operations.schedule(repo, CANCELLATION))
        assert not await is_stirred(operations)
        operations.stir()
        assert await is_stirred(operations)
        operations.stir()
        assert not await is_stirred(operations)


async def test_what_was_scheduled_before_wakes_nobody(database: str) -> None:
    """Else a payment that can't be cancelled would keep the janitor looking without a pause."""
    async with opened_store(database) as store:
        await store.write(lambda repo: repo.operations.insert(CANCELLATION))
        operations = make_operations(store)
        assert not await store.write(lambda repo: operations.schedule(repo, CANCELLATION))
        operations.stir()
        assert not await is_stirred(operations)


async def test_caller_who_leaves_before_its_turn_leaves_nothing(database: str) -> None:
    """What is at work goes on; what waits is not begun, and so can't be in anybody's way later."""
    async with opened_store(database) as store:
        operations, work = make_operations(store), Asking()
        operations.know({CANCELLATION.key.operation: work})

        at_work = [run(operations, str(number)) for number in range(MOST_AT_WORK)]
        left, patient = run(operations, "left"), run(operations, "patient")

        async def all_ask() -> bool:
            return len(work.asked) == MOST_AT_WORK

        await until(all_ask)
        left.cancel()
        await asyncio.wait([left])
        work.may_end.set()
        assert [each.answer for each in await asyncio.gather(*at_work)] == [
            str(number).encode() for number in range(MOST_AT_WORK)
        ]
        assert (await patient).answer == b"patient"
        key = replace(CANCELLATION.key, request_id="left")
        assert await store.read(lambda repo: repo.operations.get(key)) is None
        assert "left" not in work.asked


async def test_who_waits_for_another_is_in_nobodys_way(database: str) -> None:
    """An instance that was killed has left many, and all their callers come here."""
    async with opened_store(database) as store:
        operations, work = make_operations(store, is_alone=False), Asking()
        operations.know({CANCELLATION.key.operation: work})
        work.may_end.set()
        lease_time = datetime.now(UTC) + timedelta(hours=1)
        theirs = replace(started_as("theirs"), owner="another", lease_time=lease_time)
        await store.write(lambda repo: repo.operations.insert(theirs))
        waiting = [run(operations, "theirs") for _ in range(2 * MOST_AT_WORK)]
        assert (await run(operations, "mine")).answer == b"mine"
        assert not any(each.done() for each in waiting)
        ended = replace(theirs, answer=b"told", settled=True, owner="", lease_time=None)
        await store.write(lambda repo: repo.operations.update(ended))
        assert {each.answer for each in await asyncio.gather(*waiting)} == {b"told"}
        assert work.asked == ["mine"]


def run(operations: Operations, request_id: str) -> "asyncio.Task[Operation]":
    """Call for an operation under a request id, which is its answer too."""
    answer = partial(_answer, request_id=request_id)
    started = started_as(request_id)
    return asyncio.create_task(operations.run(started, lambda *_: None, answer, wait_seconds=60))


def started_as(request_id: str) -> Operation:
    """A new operation under a request id."""
    key = replace(CANCELLATION.key, request_id=request_id)
    return replace(CANCELLATION, id=f"opn_{request_id}", key=key)


def _answer(_repo: Repository, _operation: Operation, *, request_id: str) -> tuple[bytes, bool]:
    return request_id.encode(), False
