"""Waiting for the log: on PostgreSQL an event gets its number a little after its transaction."""

import asyncio
from contextlib import suppress

from boxoffice_server.ports import Store

MOST_SECONDS = 30.0
POLL_SECONDS = 0.05


async def until_numbered(store: Store, head: int) -> None:
    """Wait until the log has reached this position."""
    advanced = asyncio.Event()
    stop = store.on_advance(advanced.set)
    try:
        async with asyncio.timeout(MOST_SECONDS):
            while await store.read(lambda repo: repo.log.bounds().head) < head:
                # The hint may have come before we listened.
                with suppress(TimeoutError):
                    await asyncio.wait_for(advanced.wait(), POLL_SECONDS)
                advanced.clear()
    finally:
        stop()
