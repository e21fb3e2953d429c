"""The inbox, and what was asked for: each once, found by what it is about, taken up by one."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from boxoffice_server.domain.notification import Notification, NotificationState, Source
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


async def test_notifications_are_found_by_their_ids(store: Store) -> None:
    """Several at once; one that is not there is left out."""
    first, second, third = (a_notification(number) for number in (1, 2, 3))
    await keep(store, first, second, third)
    wanted = {first.id, third.id, "ntf_none"}
    found = await store.read(lambda repo: repo.notifications.named(wanted))
    assert sorted(found, key=lambda each: each.id) == [first, third]
    assert await store.read(lambda repo: repo.notifications.named(())) == []


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


# -- what notifications are about -----------------------------------------------------------------


async def test_notifications_about_one_object_come_oldest_first(store: Store) -> None:
    """Whatever their type and state is; another object's are left out."""
    about = [
        a_notification(1, resource_id="pi_1"),
        a_notification(3, resource_id="pi_1", type_="x", state=NotificationState.PARKED),
    ]
    await keep(store, about[1], a_notification(2, resource_id="pi_2"), about[0])
    assert await store.read(lambda repo: repo.notifications.about("pi_1")) == about
    assert await store.read(lambda repo: repo.notifications.about("pi_3")) == []


async def test_only_what_was_unrelated_is_released(store: Store) -> None:
    """It waits from then on, once; what was applied or parked stays so."""
    states = [state for state in NotificationState if state is not NotificationState.WAITING]
    kept = [
        a_notification(number, state=state, related_id="pi_1")
        for number, state in enumerate(states, start=1)
    ]
    other = a_notification(9, state=NotificationState.UNRELATED, related_id="pi_2")
    await keep(store, *kept, other)
    assert await released(store, "pi_3") == []
    (found,) = await released(store, "pi_3", "pi_1")
    (unrelated,) = (each for each in kept if each.state is NotificationState.UNRELATED)
    assert found == replace(unrelated, state=NotificationState.WAITING)
    assert await store.read(lambda repo: repo.notifications.get(other.id)) == other
    await store.write(lambda repo: repo.notifications.update(unrelated))

    def again(repo: Repository) -> None:
        repo.notifications.release("pi_1")
        repo.notifications.update(replace(unrelated, state=NotificationState.APPLIED))
        repo.notifications.release("pi_1")

    await store.write(again)
    assert await released(store, "pi_1") == []


async def released(store: Store, *related_ids: str) -> list[Notification]:
    """Release what speaks of these, and answer all that wait then."""
    await store.write(lambda repo: repo.notifications.release(*related_ids))
    waiting = NotificationFilter(state=NotificationState.WAITING)
    return await store.read(lambda repo: repo.notifications.find(waiting, before_id="", limit=9))


# -- operations that were left --------------------------------------------------------------------


def left(number: int, *, owner: str = "", lease: int | None = None) -> Operation:
    """An operation that is not settled, held by nobody unless it says by whom and how long."""
    return replace(
        an_operation(f"r-{number}", owner=owner),
        lease_time=None if lease is None else at(lease),
        create_time=at(number),
    )


async def test_operation_keeps_what_it_learns(store: Store) -> None:
    """Everything that may change does; when and as what it was asked for stays."""
    first = left(1)
    await keep(store, first)
    changed = replace(
        first,
        resource_id="prd_2",
        details={"amount": "400", "source": "src_ü"},
        answer=b"\x00",
        failed=True,
        settled=True,
        owner="other",
        lease_time=at(9),
        tries=3,
        attempt=2,
        key_spent=True,
    )
    other = replace(changed, id="opn_other", fingerprint=b"other", create_time=at(99))
    await store.write(lambda repo: repo.operations.update(other))
    assert await store.read(lambda repo: repo.operations.get(first.key)) == changed


async def test_vendor_key_changes_with_the_attempt_alone() -> None:
    """Whoever goes on with an operation sends the same key, until that one is spent."""
    first = left(1)
    assert first.vendor_key == "boxoffice-opn_shop_r-1-1"
    assert replace(first, tries=9, owner="other", key_spent=True).vendor_key == first.vendor_key
    assert replace(first, attempt=2).vendor_key == "boxoffice-opn_shop_r-1-2"


async def test_unsettled_operations_are_found_by_what_they_are_about(store: Store) -> None:
    """Held ones too; those that are settled or answered are over."""
    mine, held = left(1), left(2, owner="other", lease=30)
    settled, answered = replace(left(3), settled=True), replace(left(4), answer=b"")
    other = replace(left(5), resource_id="prd_other")
    await keep(store, mine, held, settled, answered, other)
    found = await store.read(lambda repo: repo.operations.unsettled_on("prd_000001"))
    assert sorted(each.id for each in found) == [mine.id, held.id]
    assert await store.read(lambda repo: repo.operations.unsettled_on("prd_none")) == []


CLAIMS: list[tuple[bool, int, list[int]]] = [
    # Another's lease counts, and the time after which one that was let go of may be tried again.
    (False, 9, [1, 4]),
    (False, 10, [1, 2, 4]),
    (False, 20, [1, 2, 3, 4, 5]),
    (False, 40, [1, 2, 3, 4, 5, 6]),
    # One that is alone waits for its own leases only.
    (True, 9, [1, 3, 4, 5]),
    (True, 10, [1, 2, 3, 4, 5]),
    (True, 40, [1, 2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize(("alone", "second", "expected"), CLAIMS)
async def test_operations_are_claimed_when_nobody_holds_them(
    store: Store, *, alone: bool, second: int, expected: list[int]
) -> None:
    """Oldest first; a lease has run out at its very moment."""
    await keep(
        store,
        left(6, owner="me", lease=40),
        left(5, owner="other", lease=20),
        left(4, owner="other"),
        left(3, owner="other", lease=20),
        left(2, lease=10),
        left(1),
        replace(left(7), settled=True),
        replace(left(8), answer=b"told"),
    )

    def claim(repo: Repository, limit: int) -> list[int]:
        found = repo.operations.claim(owner="me", now=at(second), alone=alone, limit=limit)
        return [int(each.key.request_id[2:]) for each in found]

    assert await store.write(lambda repo: claim(repo, 9)) == expected
    assert await store.write(lambda repo: claim(repo, 2)) == expected[:2]


async def test_operation_is_never_claimed_twice(store: Store) -> None:
    """Many janitors at once: each operation is taken up by one of them, and none is left."""
    await keep(store, *(left(number) for number in range(40)))

    def body(repo: Repository, owner: str) -> list[str]:
        claimed = repo.operations.claim(owner=owner, now=at(0), alone=False, limit=3)
        for each in claimed:
            repo.operations.update(replace(each, owner=owner, lease_time=at(30)))
        return [each.id for each in claimed]

    async def work(owner: str) -> list[str]:
        mine: list[str] = []
        open_ = True
        while open_:
            mine += await store.write(partial(body, owner=owner))
            # What others hold is passed over, so an empty claim is not the end.
            left_ = await store.read(lambda repo: repo.operations.unsettled_on("prd_000001"))
            open_ = any(not each.owner for each in left_)
        return mine

    claimed = await asyncio.gather(*(work(f"janitor-{number}") for number in range(8)))
    ids = [each for mine in claimed for each in mine]
    assert len(ids) == len(set(ids)) == 40


async def test_operation_that_a_transaction_holds_is_passed_over(postgres_database: str) -> None:
    """A caller is at it: the janitor takes the others and waits for nobody."""
    async with interleaved(postgres_database) as database, opened_store(postgres_database) as store:
        await keep(store, left(1), left(2))
        caller = await database.begin()
        await caller.execute("SELECT FROM operations WHERE request_id = 'r-1' FOR UPDATE")

        def claim(repo: Repository) -> list[str]:
            found = repo.operations.claim(owner="me", now=at(0), alone=False, limit=9)
            return [each.key.request_id for each in found]

        async with asyncio.timeout(5):
            assert await store.write(claim) == ["r-2"]
        await caller.commit()
        assert await store.write(claim) == ["r-1", "r-2"]
