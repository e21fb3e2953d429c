"""A local copy of entitlements is right, whatever is cut, restarted or changed meanwhile."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from boxoffice_client import ResumeImpossible, open_channel, watch_entitlements
from boxoffice_server.api import entitlement_streams
from boxoffice_server.api.entitlement_streams import SnapshotThenTail
from boxoffice_server.domain.stream import Token, TokenKind
from boxoffice_server.domain.subscription import Entitlement, EntitlementChange
from boxoffice_server.ports import Repository
from boxoffice_server.storage import renew_log
from tests.client.keeping import PRODUCT, Keeper, keeping, newer, some
from tests.client.proxy import proxy_to
from tests.streaming.reading import eventually
from tests.support.entitled import keep, number, remove, write
from tests.support.service import ServiceThread, service_settings

ANYWHERE = "127.0.0.1:0"
CUTS = 20
RESTARTS = 3
CHANGES_EACH = 6


@asynccontextmanager
async def serving(database_url: str, address: str = ANYWHERE) -> AsyncIterator[ServiceThread]:
    """Run a service at an address, while the test's own loop goes on."""
    service = ServiceThread(service_settings(database_url, BOXOFFICE_GRPC_ADDRESS=address))
    await asyncio.to_thread(service.start)
    try:
        yield service
    finally:
        await asyncio.to_thread(service.stop)


class World:
    """What is true: every change is made here and at the service."""

    def __init__(self) -> None:
        self.there: list[Entitlement] = []
        self._gone: list[Entitlement] = []

    def change(self, service: ServiceThread) -> None:
        """Let something begin, go on, never have been, or be again."""
        match random.choice(("new", "newer", "newer", "gone", "back")):
            case "newer" if self.there:
                self._keep(service, newer(self._pick(self.there)))
            case "gone" if self.there:
                gone = newer(self._pick(self.there))
                remove(service, gone)
                self._gone.append(gone)
            case "back" if self._gone:
                self._keep(service, newer(self._pick(self._gone)))
            case _:
                self._keep(service, *some(random.choice((1, 1, 3))))

    def _keep(self, service: ServiceThread, *entitlements: Entitlement) -> None:
        keep(service, *entitlements)
        self.there += entitlements

    def _pick(self, among: list[Entitlement]) -> Entitlement:
        return among.pop(random.randrange(len(among)))


async def changed(world: World, service: ServiceThread) -> None:
    """Change a few things."""
    for _ in range(CHANGES_EACH):
        await asyncio.to_thread(world.change, service)


async def test_copy_is_right_over_connections_that_are_cut(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of whatever is said, the snapshot or what follows it."""
    monkeypatch.setattr(entitlement_streams, "SNAPSHOT_ITEMS", 3)
    world = World()
    async with (
        serving(database_url) as service,
        proxy_to(service.grpc_address) as proxy,
    ):
        await changed(world, service)
        async with keeping(proxy.address) as keeper:
            while proxy.cuts < CUTS:
                changing = asyncio.create_task(changed(world, service))
                before = len(keeper.wholes)
                await asyncio.sleep(random.uniform(0, 0.02))
                proxy.cut()
                await changing
                await eventually(lambda before=before: len(keeper.wholes) > before)  # type: ignore[misc]
            await keeper.has(*world.there)
    assert keeper.snapshots == 1
    ids = [event.id for whole in keeper.wholes if not whole.snapshot for event in whole.events]
    assert len(set(ids)) == len(ids)


async def test_copy_is_right_over_restarts_of_the_service(database_url: str) -> None:
    """And whatever changes before the watch is back; there is no second snapshot."""
    world = World()
    keeper = Keeper()
    async with AsyncExitStack() as stack:
        address = ANYWHERE
        for _ in range(RESTARTS + 1):
            async with serving(database_url, address) as service:
                await changed(world, service)
                if address == ANYWHERE:
                    address = service.grpc_address
                    await stack.enter_async_context(keeping(address, keeper=keeper))
                await keeper.has(*world.there)
                await changed(world, service)
    kept = keeper.wholes[-1].resume_token
    async with (
        serving(database_url) as service,
        keeping(service.grpc_address, keeper=keeper, resume_token=kept),
    ):
        await keeper.has(*world.there)
    assert keeper.snapshots == 1


async def test_copy_is_right_whatever_changes_while_the_snapshot_is_read_and_cut(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page of it sees a change; it is cut in its middle, and nothing of that is handed out."""
    monkeypatch.setattr(entitlement_streams, "SNAPSHOT_ITEMS", 2)
    (passing, *kept, new) = some(8)
    # What happens once a page was read: to what was read, to what will be, and to what has come and
    # gone when its page is read. The first is of the snapshot that is cut.
    steps: list[list[tuple[Entitlement, bool]]] = [
        [(newer(kept[4]), True)],
        [
            (newer(kept[5]), False),
            (newer(kept[0]), False),
            (newer(kept[1]), True),
            (passing, False),
            (newer(passing), True),
        ],
        [(new, False)],
    ]
    keeper = Keeper()
    loop = asyncio.get_running_loop()
    read = SnapshotThenTail._read

    async with serving(database_url) as service, proxy_to(service.grpc_address) as proxy:
        number(service, keep(service, PRODUCT, *kept))

        async def cut() -> None:
            await eventually(lambda: len(keeper.frames) == 1)
            proxy.cut()

        async def read_and_change(self: SnapshotThenTail, before: str) -> list[Entitlement]:
            found = await read(self, before)
            if before and not proxy.cuts:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(cut(), loop))
                # Until the service notices that the caller is gone.
                await asyncio.Event().wait()
            for entitlement, removed in steps.pop(0):
                await self._store.write(changing(entitlement, removed=removed))
            return found

        monkeypatch.setattr(SnapshotThenTail, "_read", read_and_change)
        async with keeping(proxy.address, keeper=keeper):
            await keeper.has(newer(kept[5]), newer(kept[0]), kept[2], kept[3], new)
        assert proxy.cuts == 1
    assert not steps
    assert [frame.more for frame in keeper.frames if frame.snapshot] == [True, True, False]
    assert keeper.snapshots == 1


def changing(entitlement: Entitlement, *, removed: bool) -> Callable[[Repository], None]:
    """Make the transaction that changes an entitlement, or takes it back."""

    def body(repo: Repository) -> None:
        if removed:
            repo.entitlements.remove(entitlement.id, entitlement.version)
        else:
            repo.entitlements.upsert(entitlement, (entitlement.now,))
        change = EntitlementChange(
            entitlement=entitlement, create_time=datetime.now(UTC), removed=removed
        )
        repo.log.append(change)

    return body


async def test_other_log_begins_with_another_snapshot(database_url: str) -> None:
    """As after a backup was restored, which knows nothing of what was told last."""
    first, second, third = some(3)

    def restore(repo: Repository) -> str:
        repo.entitlements.remove(second.id, second.version)
        repo.entitlements.upsert(first, (first.now,))
        return ""

    async with AsyncExitStack() as stack:
        async with serving(database_url) as service:
            address = service.grpc_address
            await asyncio.to_thread(keep, service, PRODUCT, newer(first), second)
            keeper = await stack.enter_async_context(keeping(address))
            await keeper.has(newer(first), second)
            # Nothing tells the log of it.
            await asyncio.to_thread(write, service, restore)
        await asyncio.to_thread(renew_log, database_url)
        async with serving(database_url) as elsewhere:
            # The logs differ in their length too.
            await asyncio.to_thread(keep, elsewhere, third)
        async with serving(database_url, address) as service:
            await keeper.has(first, third)
            await asyncio.to_thread(keep, service, newer(newer(first)))
            await keeper.has(newer(newer(first)), third)
    assert keeper.snapshots == 2


async def test_token_that_is_of_no_use_any_more_begins_with_a_snapshot(database_url: str) -> None:
    """One that was compacted away, one of another log, and one from the future."""
    (first,) = some(1)
    last = newer(newer(first))
    async with serving(database_url) as service:
        old = number(service, keep(service, first))
        number(service, keep(service, newer(first)))
        number(service, keep(service, last))
        bounds = service.run(lambda app: app._store.read(lambda repo: repo.log.bounds()))
        ahead = replace(bounds.head_token(), number=bounds.head + 1000).encode()
        foreign = Token(log_id=uuid.uuid4(), kind=TokenKind.POSITION, number=0).encode()
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        service.run(lambda app: app._store.write(lambda repo: repo.log.compact(before=tomorrow)))
        for token in (old, foreign, ahead):
            async with keeping(service.grpc_address, resume_token=token) as keeper:
                await keeper.has(last)
            assert [whole.snapshot for whole in keeper.wholes] == [True]


async def test_token_that_was_not_kept_as_it_was_is_told(database_url: str) -> None:
    """For that is a bug, and another snapshot would hide it."""
    async with (
        serving(database_url) as service,
        open_channel(service.grpc_address) as channel,
        watch_entitlements(channel, resume_token="mangled") as watch,
    ):
        with pytest.raises(ResumeImpossible) as caught:
            await anext(aiter(watch))
        assert caught.value.reason == "RESUME_TOKEN_INVALID"
