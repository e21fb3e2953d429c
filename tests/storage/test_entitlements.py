"""Subscription events and entitlements: kept as they were, found by all that is asked for."""

from dataclasses import replace

import pytest

from boxoffice_server.domain.stream import LogFilter, LogRecord, RecordKind, Token
from boxoffice_server.domain.subscription import (
    Entitlement,
    EntitlementChange,
    EntitlementStatus,
    Environment,
    SubscriptionEventType,
    SubscriptionSource,
)
from boxoffice_server.ports import (
    EntitlementFilter,
    Repository,
    Store,
    SubscriptionEventFilter,
)
from tests.support.stores import position_of, whole_log
from tests.support.subscriptions import (
    ACTIVE,
    EXPIRED,
    TRIAL,
    a_band,
    a_key,
    a_subscription_event,
    a_subscription_product,
    an_entitlement,
    on,
    three_bands,
)

LIVE = Environment.PRODUCTION
SANDBOX = Environment.SANDBOX
MANUAL = SubscriptionSource.MANUAL


# -- events ---------------------------------------------------------------------------------------


async def test_event_is_kept_once_as_it_was(store: Store) -> None:
    """Every field survives, and what comes again changes nothing."""
    full = a_subscription_event(1)
    bare = replace(
        a_subscription_event(2),
        expire_time=None,
        new_product_id="",
        new_vendor_product_id="",
        promotion_reference="",
        fact_id="",
        notification_id="",
        superseded=True,
    )
    again = replace(full, user_id="thief")

    def body(repo: Repository) -> list[bool]:
        return [repo.subscription_events.insert_if_absent(each) for each in (full, bare, again)]

    assert await store.write(body) == [True, True, False]
    assert await store.read(lambda repo: repo.subscription_events.get(full.id)) == full
    assert await store.read(lambda repo: repo.subscription_events.get(bare.id)) == bare
    assert await store.read(lambda repo: repo.subscription_events.get("evt_none")) is None


async def test_event_can_be_superseded_and_stand_again(store: Store) -> None:
    """It stays among its lineage's, oldest first."""
    events = [a_subscription_event(number) for number in (2, 1)]
    other = a_subscription_event(3, key=a_key(2))

    def body(repo: Repository) -> None:
        for each in (*events, other):
            repo.subscription_events.insert_if_absent(each)
        repo.subscription_events.update(replace(events[0], superseded=True))

    await store.write(body)
    found = await store.read(lambda repo: repo.subscription_events.of_lineage(a_key().id))
    assert found == [events[1], replace(events[0], superseded=True)]
    await store.write(lambda repo: repo.subscription_events.update(events[0]))
    assert await store.read(lambda repo: repo.subscription_events.get("evt_000002")) == events[0]


EVENT_FILTERS: list[tuple[SubscriptionEventFilter, list[int]]] = [
    (SubscriptionEventFilter(environment=LIVE), [4, 3, 2, 1]),
    (SubscriptionEventFilter(environment=SANDBOX), [5]),
    (SubscriptionEventFilter(environment=LIVE, superseded=True), [6, 4, 3, 2, 1]),
    (SubscriptionEventFilter(environment=LIVE, user_id="user-2"), [2]),
    (SubscriptionEventFilter(environment=LIVE, lineage_id=a_key(3).id), [3]),
    (SubscriptionEventFilter(environment=LIVE, entitlement_id="ent_000009"), [1]),
    (SubscriptionEventFilter(environment=LIVE, group="basic"), [3]),
    (SubscriptionEventFilter(environment=LIVE, source=MANUAL), [4]),
    (
        SubscriptionEventFilter(
            environment=LIVE,
            types=(SubscriptionEventType.STARTED, SubscriptionEventType.REVOKED),
        ),
        [2],
    ),
    (SubscriptionEventFilter(environment=LIVE, from_time=on(2), until_time=on(4)), [3, 2]),
    (SubscriptionEventFilter(environment=LIVE, user_id="user-2", group="basic"), []),
]


@pytest.mark.parametrize(("wanted", "expected"), EVENT_FILTERS)
async def test_events_are_found_by_every_filter(
    store: Store, wanted: SubscriptionEventFilter, expected: list[int]
) -> None:
    """Each finds its events, the newest of the vendor's moments first."""
    sandbox = a_key(environment=SANDBOX)
    events = [
        replace(a_subscription_event(1), entitlement_id="ent_000009"),
        a_subscription_event(2, user_id="user-2", type_=SubscriptionEventType.STARTED),
        a_subscription_event(3, key=a_key(3), group="basic"),
        a_subscription_event(4, key=a_key(4, source=MANUAL)),
        a_subscription_event(5, key=sandbox),
        replace(a_subscription_event(6), superseded=True),
    ]

    def body(repo: Repository) -> list[int]:
        for each in events:
            repo.subscription_events.insert_if_absent(each)
        found = repo.subscription_events.find(wanted, before_id="", limit=9)
        return [int(each.id[4:]) for each in found]

    assert await store.write(body) == expected


async def test_events_of_one_moment_are_paged_through_by_their_ids(store: Store) -> None:
    """No page repeats or leaves out one of them."""
    days = {1: 7, 2: 5, 3: 7, 4: 7, 5: 6, 6: 1}

    def body(repo: Repository) -> list[list[int]]:
        for number, day in days.items():
            repo.subscription_events.insert_if_absent(a_subscription_event(number, day=day))
        wanted = SubscriptionEventFilter(environment=LIVE)
        found: list[list[int]] = []
        before = ""
        while page := repo.subscription_events.find(wanted, before_id=before, limit=2):
            found.append([int(each.id[4:]) for each in page])
            before = page[-1].id
        return found

    assert await store.write(body) == [[4, 3], [1, 5], [2, 6]]


# -- entitlements ---------------------------------------------------------------------------------


async def keep_entitlements(store: Store, *entitlements: Entitlement) -> None:
    """Keeps entitlements whose bands are those they know of."""

    def body(repo: Repository) -> None:
        for each in entitlements:
            repo.entitlements.upsert(each, (each.now, *each.later))

    await store.write(body)


async def test_entitlement_comes_back_as_it_was(store: Store) -> None:
    """Every field survives, what follows included, before and after a change."""
    trial, active, expired = three_bands()
    pending = replace(
        active,
        new_product_id="spr_000002",
        new_vendor_product_id="com.example.2",
        event_type=None,
        event_id="",
        fact_id="",
        notification_id="",
    )
    first = replace(an_entitlement(1), now=trial, later=(pending, expired))
    await keep_entitlements(store, first)
    assert await store.read(lambda repo: repo.entitlements.get(first.id)) == first
    second = replace(first, now=expired, later=(), version=2, rank=None, user_id="user-2")
    await store.write(lambda repo: repo.entitlements.upsert(second, (trial, pending, expired)))
    assert await store.read(lambda repo: repo.entitlements.get(first.id)) == second
    bands = await store.read(lambda repo: repo.entitlements.bands([first.id, "ent_none"]))
    assert bands == {first.id: (trial, pending, expired)}
    assert await store.read(lambda repo: repo.entitlements.get("ent_none")) is None


async def test_removed_entitlement_is_found_no_more(store: Store) -> None:
    """Its version goes on, so that what comes back is newer than what was removed."""
    gone, stays = an_entitlement(1), an_entitlement(2, key=a_key(1))
    product = a_subscription_product()
    await keep_entitlements(store, gone, stays)

    def remove(repo: Repository) -> None:
        assert repo.subscription_products.insert(product)
        repo.entitlements.remove(gone.id, 2)

    await store.write(remove)

    def found(repo: Repository) -> list[list[Entitlement]]:
        every = EntitlementFilter(environment=LIVE)
        return [
            repo.entitlements.of_lineage(a_key(1).id),
            repo.entitlements.of_user("user-1"),
            repo.entitlements.of_users(["user-1"], ["premium"], LIVE),
            [*repo.entitlements.standing("user-1", "premium", LIVE).entitlements],
            repo.entitlements.find(every, before_id="", limit=9),
        ]

    assert await store.read(found) == [[stays]] * 5
    assert await store.read(lambda repo: repo.entitlements.get(gone.id)) is None
    assert await store.read(lambda repo: repo.entitlements.bands([gone.id])) == {}
    versions = await store.read(lambda repo: repo.entitlements.versions(a_key(1).id))
    assert versions == {gone.id: 2, stays.id: 1}
    back = replace(gone, version=3)
    await keep_entitlements(store, back)
    assert await store.read(lambda repo: repo.entitlements.get(gone.id)) == back


async def test_standing_holds_the_group_and_what_the_user_has_of_it(store: Store) -> None:
    """Of this environment; a group without products has no tiers."""
    gold = a_subscription_product(1)
    silver = a_subscription_product(2, tier="silver", rank=1)
    basic = a_subscription_product(3, group="basic", tier="all", rank=None)
    mine = [an_entitlement(1, product=gold), an_entitlement(2, product=silver)]
    others = [
        an_entitlement(3, product=gold, user_id="user-2"),
        an_entitlement(4, product=basic),
        an_entitlement(5, product=gold, key=a_key(5, environment=SANDBOX)),
    ]
    await keep_entitlements(store, *mine, *others)

    def body(repo: Repository) -> None:
        for product in (gold, silver, basic):
            repo.subscription_products.insert(product)
        standing = repo.entitlements.standing("user-1", "premium", LIVE)
        assert standing.tiers == {"gold": 2, "silver": 1}
        assert sorted(standing.entitlements, key=lambda each: each.id) == mine
        standing = repo.entitlements.standing("user-1", "premium", SANDBOX)
        assert standing.entitlements == [others[2]]
        standing = repo.entitlements.standing("nobody", "basic", LIVE)
        assert (standing.tiers, standing.entitlements) == ({"all": None}, [])
        standing = repo.entitlements.standing("user-1", "none", LIVE)
        assert (standing.tiers, standing.entitlements) == ({}, [])

    await store.write(body)


async def test_entitlements_of_many_users_are_found_at_once(store: Store) -> None:
    """Of the groups and the environment that are asked for."""
    basic = a_subscription_product(3, group="basic")
    await keep_entitlements(
        store,
        an_entitlement(1),
        an_entitlement(2, user_id="user-2", product=basic),
        an_entitlement(3, user_id="user-3"),
        an_entitlement(4, product=a_subscription_product(4, group="other")),
        an_entitlement(5, key=a_key(5, environment=SANDBOX)),
    )
    found = await store.read(
        lambda repo: repo.entitlements.of_users(["user-1", "user-2"], ["premium", "basic"], LIVE)
    )
    assert [int(each.id[4:]) for each in found] == [2, 1]


ENTITLEMENT_FILTERS: list[tuple[EntitlementFilter, list[int]]] = [
    (EntitlementFilter(environment=LIVE), [4, 3, 2, 1]),
    (EntitlementFilter(environment=SANDBOX), [5]),
    (EntitlementFilter(environment=LIVE, user_id="user-2"), [2]),
    (EntitlementFilter(environment=LIVE, lineage_id=a_key(3).id), [3]),
    (EntitlementFilter(environment=LIVE, groups=("basic", "none")), [3]),
    (EntitlementFilter(environment=LIVE, groups=("basic", "premium")), [4, 3, 2, 1]),
    (EntitlementFilter(environment=LIVE, source=MANUAL), [4]),
    (EntitlementFilter(environment=LIVE, statuses=(TRIAL,)), [1]),
    (EntitlementFilter(environment=LIVE, statuses=(TRIAL,), time=on(29)), [1]),
    (EntitlementFilter(environment=LIVE, statuses=(EXPIRED,), time=on(29)), []),
    # The row does not tell what follows the trial.
    (EntitlementFilter(environment=LIVE, statuses=(ACTIVE,), time=on(30)), [4, 3, 2, 1]),
    (EntitlementFilter(environment=LIVE, statuses=(EXPIRED,), time=on(30)), [1]),
]


@pytest.mark.parametrize(("wanted", "expected"), ENTITLEMENT_FILTERS)
async def test_entitlements_are_found_by_every_filter(
    store: Store, wanted: EntitlementFilter, expected: list[int]
) -> None:
    """Each finds its entitlements, newest first."""
    trial, active, expired = three_bands()
    await keep_entitlements(
        store,
        an_entitlement(1, now=trial, later=(active, expired)),
        an_entitlement(2, user_id="user-2", now=a_band(ACTIVE, 0, None)),
        an_entitlement(3, product=a_subscription_product(3, group="basic")),
        an_entitlement(4, key=a_key(4, source=MANUAL)),
        an_entitlement(5, key=a_key(5, environment=SANDBOX)),
    )
    found = await store.read(lambda repo: repo.entitlements.find(wanted, before_id="", limit=9))
    assert [int(each.id[4:]) for each in found] == expected


async def test_entitlements_of_one_moment_are_paged_through_by_their_ids(store: Store) -> None:
    """One that is removed meanwhile is no gap."""
    days = {1: 7, 2: 5, 3: 7, 4: 7, 5: 6, 6: 1}
    await keep_entitlements(store, *(an_entitlement(n, day=day) for n, day in days.items()))

    def body(repo: Repository) -> list[list[int]]:
        wanted = EntitlementFilter(environment=LIVE, user_id="user-1")
        found: list[list[int]] = []
        before = ""
        while page := repo.entitlements.find(wanted, before_id=before, limit=2):
            found.append([int(each.id[4:]) for each in page])
            before = page[-1].id
            repo.entitlements.remove(before, 2)
        return found

    assert await store.write(body) == [[4, 3], [1, 5], [2, 6]]


@pytest.mark.parametrize("status", EntitlementStatus)
async def test_every_status_can_be_kept(store: Store, status: EntitlementStatus) -> None:
    """As what is now, and as what follows."""
    band = a_band(status, 0, 1)
    kept = an_entitlement(now=band, later=(replace(band, from_time=on(1), until_time=None),))
    await keep_entitlements(store, kept)
    assert await store.read(lambda repo: repo.entitlements.get(kept.id)) == kept


# -- the log --------------------------------------------------------------------------------------


async def test_records_hold_what_watchers_of_subscriptions_ask_for(store: Store) -> None:
    """An event and an entitlement are found by source, environment and group, and by each alone."""
    event = a_subscription_event(1)
    change = EntitlementChange(entitlement=an_entitlement(2, version=7), create_time=on(3))
    other = EntitlementChange(
        entitlement=an_entitlement(3, key=a_key(3, environment=SANDBOX)), create_time=on(3)
    )

    def body(repo: Repository) -> Token:
        for each in (event, change, other):
            repo.log.append(each)
        token = repo.log.here()
        # A version is told once.
        repo.log.append(change)
        assert repo.log.here() == token
        return token

    await position_of(store, await store.write(body))
    first, second, third = await whole_log(store)
    assert first == LogRecord(
        position=1,
        group=first.group,
        event_id=event.id,
        kind=RecordKind.SUBSCRIPTION_EVENT,
        subject_id="ent_000001",
        user_id="user-1",
        product_id="spr_000001",
        status="renewed",
        create_time=event.create_time,
        payload=b"evt_000001 renewed",
        scope="appStore/production",
        subscription_group="premium",
    )
    assert (second.kind, second.subject_id, second.status, second.scope) == (
        RecordKind.ENTITLEMENT,
        "ent_000002",
        "active_with_renewal",
        "appStore/production",
    )
    wanted = {
        LogFilter(kind=RecordKind.ENTITLEMENT): [2, 3],
        LogFilter(kind=RecordKind.ENTITLEMENT, scopes=frozenset({"appStore/sandbox"})): [3],
        LogFilter(kind=RecordKind.ENTITLEMENT, scopes=frozenset({"manual/sandbox"})): [],
        LogFilter(
            kind=RecordKind.ENTITLEMENT,
            scopes=frozenset({"manual/production", "appStore/production"}),
            subscription_groups=frozenset({"premium", "basic"}),
        ): [2],
        LogFilter(kind=RecordKind.SUBSCRIPTION_EVENT, subscription_groups=frozenset({"premium"})): [
            1
        ],
        LogFilter(kind=RecordKind.SUBSCRIPTION_EVENT, subscription_groups=frozenset({"basic"})): [],
    }
    for each, expected in wanted.items():
        found, _ = await store.read(
            lambda repo, each=each: repo.log.read(after=0, limit=9, wanted=each)  # type: ignore[misc]
        )
        assert [record.position for record in found] == expected
        assert found == [record for record in (first, second, third) if each.matches(record)]
