"""Keeps a local copy of entitlements, as a caller does, and makes entitlements to be kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from boxoffice.entitlements.v1 import entitlements_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice_client import BackOff, EntitlementCopy, Whole, open_channel, watch_entitlements
from boxoffice_server.domain.subscription import Entitlement
from tests.streaming.reading import eventually
from tests.support.entitled import a_new_product, around, entitled
from tests.support.subscriptions import ACTIVE

QUICK = BackOff(first=timedelta(milliseconds=5), most=timedelta(milliseconds=100))
# A channel that comes back as quickly as a test cuts it.
OPTIONS = {"grpc.initial_reconnect_backoff_ms": 50, "grpc.min_reconnect_backoff_ms": 50}
PRODUCT = a_new_product(group="premium")


def some(count: int) -> list[Entitlement]:
    """Entitlements of as many users."""
    return [entitled(f"user-{index}", PRODUCT, around(ACTIVE, -1, 9)) for index in range(count)]


def newer(entitlement: Entitlement) -> Entitlement:
    """The next version of it."""
    return replace(entitlement, version=entitlement.version + 1)


class Keeper:
    """Keeps a local copy, as a caller does, and remembers how it was told."""

    def __init__(self) -> None:
        self.copy = EntitlementCopy()
        self.wholes: list[Whole[words.EntitlementEvent]] = []
        self.frames: list[pb.WatchEntitlementsResponse] = []

    async def run(self, address: str, **wanted: Any) -> None:  # noqa: ANN401 -- as the watch's
        """Watch for ever."""
        async with (
            open_channel(address, options=OPTIONS) as channel,
            watch_entitlements(
                channel, back_off=QUICK, on_frame=self.frames.append, **wanted
            ) as watch,
        ):
            async for whole in watch:
                assert watch.resume_token == whole.resume_token
                self.copy.take(whole)
                self.wholes.append(whole)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each entitlement in the copy."""
        return {id_: each.version for id_, each in self.copy.entitlements.items()}

    @property
    def snapshots(self) -> int:
        """How many snapshots were told."""
        return sum(whole.snapshot for whole in self.wholes)

    async def has(self, *entitlements: Entitlement) -> None:
        """Wait until the copy has just these."""
        expected = {each.id: each.version for each in entitlements}
        await eventually(lambda: bool(self.wholes) and self.versions == expected)


@asynccontextmanager
async def keeping(
    address: str,
    *,
    keeper: Keeper | None = None,
    **wanted: Any,  # noqa: ANN401 -- as the watch's
) -> AsyncIterator[Keeper]:
    """Keep a local copy as long as the block runs."""
    keeper = keeper or Keeper()
    running = asyncio.create_task(keeper.run(address, **wanted))
    try:
        yield keeper
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def open_keepers(address: str, choices: list[dict[str, Any]]) -> AsyncIterator[list[Keeper]]:
    """Keep a copy for each choice of filters."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(keeping(address, **wanted)) for wanted in choices]
