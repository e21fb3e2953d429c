"""Watching entitlements: a snapshot of them all, and every change after it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from boxoffice.entitlements.v1 import subscriptions_pb2 as words
from boxoffice_client import Whole
from boxoffice_server.api import entitlement_streams
from boxoffice_server.domain.subscription import Entitlement, Environment, SubscriptionSource
from tests.client.keeping import PRODUCT, keeping, newer, open_keepers, some
from tests.support.entitled import a_new_product, around, entitled, keep, number, remove
from tests.support.service import ServiceThread, running_service
from tests.support.subscriptions import ACTIVE


@pytest.fixture
def service(database_url: str) -> Iterator[ServiceThread]:
    """A running service on each of the two stores."""
    with running_service(database_url) as service:
        yield service


async def test_snapshot_comes_as_one_whole_and_every_change_after_it(
    service: ServiceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many frames it takes; what changes, what is taken back and what comes again."""
    monkeypatch.setattr(entitlement_streams, "SNAPSHOT_ITEMS", 2)
    first, second, third = some(3)
    number(service, keep(service, PRODUCT, first, second, third))
    async with keeping(service.grpc_address) as keeper:
        await keeper.has(first, second, third)
        keep(service, newer(first))
        remove(service, newer(second))
        await keeper.has(newer(first), third)
        keep(service, newer(newer(second)))
        await keeper.has(newer(first), newer(newer(second)), third)
    assert [len(frame.events) for frame in keeper.frames if frame.snapshot] == [2, 1]
    snapshot, *changes = keeper.wholes
    assert snapshot.snapshot
    assert len(snapshot.events) == 3
    assert not any(whole.snapshot for whole in changes)
    assert [event.removed for whole in changes for event in whole.events] == [False, True, False]
    assert keeper.copy.entitlements[third.id] == next(
        event.entitlement for event in snapshot.events if event.entitlement.id == third.id
    )


async def test_changes_of_one_transaction_come_together(service: ServiceThread) -> None:
    """So a copy that is kept elsewhere can be kept in transactions of its own."""
    kept = some(3)
    async with keeping(service.grpc_address) as keeper:
        await keeper.has()
        keep(service, PRODUCT, *kept)
        await keeper.has(*kept)
    assert [len(whole.events) for whole in keeper.wholes] == [0, 3]


async def test_empty_snapshot_is_told(service: ServiceThread) -> None:
    """With a token that is good to go on from."""
    async with keeping(service.grpc_address, user_id="user-0") as keeper:
        await keeper.has()
    (snapshot,) = keeper.wholes
    assert snapshot.snapshot
    assert not snapshot.events
    (first,) = some(1)
    keep(service, PRODUCT, first)
    async with keeping(service.grpc_address, resume_token=snapshot.resume_token) as keeper:
        await keeper.has(first)
    assert keeper.snapshots == 0


async def test_watch_goes_on_from_the_token_that_was_kept(service: ServiceThread) -> None:
    """Without a snapshot, wherever the token was told, and nothing after it is left out."""
    (first,) = some(1)
    versions = [first, newer(first), newer(newer(first))]

    def events(wholes: Sequence[Whole[words.EntitlementEvent]]) -> list[words.EntitlementEvent]:
        return [event for whole in wholes for event in whole.events]

    async with keeping(service.grpc_address) as keeper:
        await keeper.has()
        for each in versions:
            keep(service, each)
            await keeper.has(each)
    for told, whole in enumerate(keeper.wholes[:-1]):
        async with keeping(service.grpc_address, resume_token=whole.resume_token) as resumed:
            await resumed.has(versions[-1])
        assert events(resumed.wholes) == events(keeper.wholes[told + 1 :])
        assert resumed.snapshots == 0
    async with keeping(service.grpc_address, resume_token="") as anew:
        await anew.has(versions[-1])
    assert anew.snapshots == 1


async def test_watch_tells_what_its_filters_want_and_nothing_else(service: ServiceThread) -> None:
    """By user, group, source and environment, in the snapshot as in what follows it."""
    basic = a_new_product(group="basic")
    first, second, manual, production = some(4)
    other = entitled("user-0", basic, around(ACTIVE, -1, 9))
    manual = replace(manual, source=SubscriptionSource.MANUAL)
    production = replace(production, environment=Environment.PRODUCTION)
    kept = (first, second, other, manual, production)
    number(service, keep(service, PRODUCT, basic, *kept))
    choices: list[tuple[dict[str, Any], tuple[Entitlement, ...]]] = [
        ({}, (first, second, other, manual)),
        ({"user_id": "user-0"}, (first, other)),
        ({"subscription_groups": ["basic", "none"]}, (other,)),
        ({"source": words.SUBSCRIPTION_SOURCE_MANUAL}, (manual,)),
        ({"environment": words.ENVIRONMENT_PRODUCTION}, (production,)),
        ({"user_id": "user-0", "subscription_groups": ["premium"]}, (first,)),
        ({"user_id": "nobody"}, ()),
    ]
    async with open_keepers(service.grpc_address, [wanted for wanted, _ in choices]) as keepers:
        for keeper, (_, expected) in zip(keepers, choices, strict=True):
            await keeper.has(*expected)
        keep(service, *(newer(each) for each in kept))
        for keeper, (_, expected) in zip(keepers, choices, strict=True):
            await keeper.has(*(newer(each) for each in expected))
