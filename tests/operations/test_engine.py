"""The engine: who is woken by what is scheduled, and when."""

import asyncio
from datetime import UTC, datetime

from boxoffice_server.api.writes import encode_error
from boxoffice_server.clock import BusinessClock
from boxoffice_server.operations.engine import OWN_CALLER, Operations
from boxoffice_server.ports import Operation, OperationKey, Store
from tests.support.stores import opened_store

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CANCELLATION = Operation(
    id="opn_1",
    key=OperationKey(caller=OWN_CALLER, operation="CancelPayment", request_id="pay_1"),
    fingerprint=b"",
    resource_id="pay_1",
    answer=None,
    create_time=NOW,
)


def make_operations(store: Store) -> Operations:
    """Compose an engine on a store."""
    return Operations(
        store=store,
        clock=BusinessClock(),
        instance="me",
        is_alone=True,
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
