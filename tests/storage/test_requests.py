"""The inbox, and what was asked for: each once, found by what it is about, taken up by one."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from boxoffice_server.domain.notification import NotificationState, Source
from boxoffice_server.ports import NotificationFilter, Operation, Repository, Store
from tests.storage.interleaving import interleaved
from tests.storage.samples import a_notification, an_operation, at, keep
from tests.support.stores import opened_store


async def test_notification_is_kept_once(store: Store) -> None:
    """The same vendor event, under whatever id of ours, changes nothing."""
    first = a_notification(1)
    assert await store.write(lambda repo: repo.notifications.insert(first))
    again = a_notification(2, vendor_event=1)
    assert not await store.write(lambda repo: repo.notifications.insert(again))
    assert await store.read(lambda repo: repo.notifications.get(again.id)) is None
    found = await store.read(
        lambda repo: repo.notifications.by_vendor_event(Source.STRIPE, "evt_1")
    )
    assert found == first
    changed = replace(first, state=NotificationState.PARKED, order_id="ord_000001")
    await store.write(lambda repo: repo.notifications.update(changed))
    assert await store.write(lambda repo: repo.notifications.get(first.id, lock=True)) == changed


NOTIFICATION_FILTERS: list[tuple[NotificationFilter, list[int]]] = [
    (NotificationFilter(), [3, 2, 1]),
    (NotificationFilter(source=Source.STRIPE), [3, 2, 1]),
    (NotificationFilter(state=NotificationState.PARKED), [2]),
    (NotificationFilter(type="charge.failed"), [3]),
    (NotificationFilter(type="charge.failed", state=NotificationState.PARKED), []),
]


async def test_notifications_are_found_by_every_filter(store: Store) -> None:
    """Each filter finds its notifications, newest first."""
    await keep(
        store,
        a_notification(1),
        a_notification(2, state=NotificationState.PARKED),
        a_notification(3, type_="charge.failed"),
    )

    def body(repo: Repository) -> list[list[int]]:
        found = [
            repo.notifications.find(wanted, before_id="", limit=9)
            for wanted, _ in NOTIFICATION_FILTERS
        ]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await store.read(body) == [expected for _, expected in NOTIFICATION_FILTERS]


async def test_operation_is_kept_once_per_caller(store: Store) -> None:
    """The same request id counts anew for another caller; the answer reaches the right one."""
    first, other = an_operation(), an_operation(caller="till")
    assert await store.write(lambda repo: repo.operations.insert(first))
    assert await store.write(lambda repo: repo.operations.insert(other))
    again = replace(first, fingerprint=b"other")
    assert not await store.write(lambda repo: repo.operations.insert(again))
    answered = replace(first, answer=b"\x00\xfe", failed=True, owner="", lease_time=None)
    await store.write(lambda repo: repo.operations.update(answered))
    assert await store.write(lambda repo: repo.operations.get(first.key, lock=True)) == answered
    assert await store.read(lambda repo: repo.operations.get(other.key)) == other
    assert await store.read(lambda repo: repo.operations.get(an_operation("r-2").key)) is None


