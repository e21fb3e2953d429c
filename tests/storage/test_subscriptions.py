"""Subscriptions: catalogue, facts, lineages, links, tokens and grants, on both stores."""

import asyncio
from dataclasses import replace

import pytest

from boxoffice_server.domain.facts import FactKind
from boxoffice_server.domain.lineage import Lineage, Parked
from boxoffice_server.domain.subscription import (
    Environment,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository, Store, SubscriptionProductFilter
from tests.support.subscriptions import (
    APP,
    a_grant,
    a_key,
    a_link,
    a_subscription_fact,
    a_subscription_product,
    a_token,
    an_entitlement,
    on,
)

MANUAL = SubscriptionSource.MANUAL
APP_STORE = SubscriptionSource.APP_STORE
MANY = 20


async def sell(store: Store, *products: SubscriptionProduct) -> None:
    """Keeps products in the catalogue."""

    def body(repo: Repository) -> None:
        for product in products:
            assert repo.subscription_products.insert(product)

    await store.write(body)


# -- the catalogue --------------------------------------------------------------------------------


async def test_subscription_product_comes_back_as_it_was(store: Store) -> None:
    """Every field survives, before and after a change; one without a rank or a vendor's id too."""
    bare = a_subscription_product(2, source=MANUAL, rank=None)
    await sell(store, a_subscription_product(1), bare)
    found = await store.read(lambda repo: repo.subscription_products.get("spr_000001"))
    assert found == a_subscription_product(1)
    assert await store.read(lambda repo: repo.subscription_products.get("spr_000002")) == bare
    changed = replace(bare, name="Other", rank=-3, update_time=on(9))
    await store.write(lambda repo: repo.subscription_products.update(changed))
    found = await store.write(lambda repo: repo.subscription_products.get("spr_000002", lock=True))
    assert found == changed
    assert await store.read(lambda repo: repo.subscription_products.get("spr_none")) is None


async def test_vendors_product_means_one_thing(store: Store) -> None:
    """A second product for the same vendor's id is refused; another app's is another product."""
    await sell(store, a_subscription_product(1))
    twin = replace(a_subscription_product(2), vendor_product_id="com.example.1")
    assert not await store.write(lambda repo: repo.subscription_products.insert(twin))
    assert await store.read(lambda repo: repo.subscription_products.get("spr_000002")) is None
    await sell(store, replace(twin, app="com.example.other"))
    by_hand = [a_subscription_product(number, source=MANUAL) for number in (3, 4)]
    await sell(store, *by_hand)

    def body(repo: Repository) -> list[SubscriptionProduct | None]:
        catalogue = repo.subscription_products
        return [
            catalogue.by_vendor(APP_STORE, APP, "com.example.1"),
            catalogue.by_vendor(APP_STORE, "com.example.other", "com.example.1"),
            catalogue.by_vendor(APP_STORE, APP, "com.example.2"),
            catalogue.by_vendor(MANUAL, "", ""),
        ]

    first = a_subscription_product(1)
    assert await store.read(body) == [first, replace(twin, app="com.example.other"), None, None]


async def test_subscription_products_are_found_by_every_filter(store: Store) -> None:
    """Newest first, and page by page."""
    await sell(
        store,
        a_subscription_product(1),
        a_subscription_product(2, group="basic", tier="silver"),
        a_subscription_product(3, source=MANUAL),
        replace(a_subscription_product(4), app="com.example.other"),
    )
    wanted = {
        SubscriptionProductFilter(): [4, 3, 2, 1],
        SubscriptionProductFilter(source=APP_STORE): [4, 2, 1],
        SubscriptionProductFilter(source=MANUAL): [3],
        SubscriptionProductFilter(app=APP): [2, 1],
        SubscriptionProductFilter(group="premium"): [4, 3, 1],
        SubscriptionProductFilter(source=APP_STORE, app=APP, group="premium"): [1],
        SubscriptionProductFilter(group="none"): [],
        SubscriptionProductFilter(tier="silver"): [2],
    }

    def find(repo: Repository, before: str = "", limit: int = 9) -> list[list[int]]:
        return [
            [
                int(each.id[4:])
                for each in repo.subscription_products.find(one, before_id=before, limit=limit)
            ]
            for one in wanted
        ]

    assert await store.read(find) == list(wanted.values())
    assert (await store.read(lambda repo: find(repo, "spr_000004", 2)))[0] == [3, 2]


async def test_tiers_are_told_with_their_ranks(store: Store) -> None:
    """Of the groups that are asked for and have products."""
    await sell(
        store,
        a_subscription_product(1, tier="gold", rank=2),
        a_subscription_product(2, tier="gold", rank=2),
        a_subscription_product(3, tier="silver", rank=1),
        a_subscription_product(4, tier="odd", rank=None),
        a_subscription_product(5, group="basic", tier="all", rank=0),
        a_subscription_product(6, group="other"),
    )
    found = await store.read(
        lambda repo: repo.subscription_products.tiers(["premium", "basic", "none"])
    )
    assert found == {
        "premium": {"gold": 2, "silver": 1, "odd": None},
        "basic": {"all": 0},
    }


async def test_product_is_used_once_anything_speaks_of_it(store: Store) -> None:
    """A fact, a grant or an entitlement does; those of another product don't."""
    by_hand = a_subscription_product(3, source=MANUAL)
    products = [a_subscription_product(1), a_subscription_product(2), by_hand]
    await sell(store, *products)

    def used(repo: Repository) -> list[bool]:
        return [repo.subscription_products.used(product) for product in products]

    assert await store.read(used) == [False, False, False]
    await store.write(
        lambda repo: repo.subscription_facts.insert_if_absent(a_subscription_fact(product=2))
    )
    assert await store.read(used) == [False, True, False]
    await store.write(lambda repo: repo.grants.insert(replace(a_grant(), product_id="spr_000003")))
    assert await store.read(used) == [False, True, True]
    await store.write(lambda repo: repo.entitlements.upsert(an_entitlement(), ()))
    assert await store.read(used) == [True, True, True]


async def test_deleted_subscription_product_is_gone(store: Store) -> None:
    """And its vendor's id is free for another."""
    await sell(store, a_subscription_product(1))
    await store.write(lambda repo: repo.subscription_products.delete("spr_000001"))
    assert await store.read(lambda repo: repo.subscription_products.get("spr_000001")) is None
    await sell(store, replace(a_subscription_product(2), vendor_product_id="com.example.1"))


async def test_who_holds_a_group_is_waited_for(store: Store) -> None:
    """Of many that look at a group's tiers and add one if there is none, one adds it."""

    async def add(number: int) -> bool:
        def body(repo: Repository) -> bool:
            repo.subscription_products.hold("premium")
            if repo.subscription_products.tiers(["premium"]):
                return False
            return repo.subscription_products.insert(a_subscription_product(number))

        return await store.write(body)

    answers = await asyncio.gather(*(add(number) for number in range(MANY)))
    assert answers.count(True) == 1


# -- facts ----------------------------------------------------------------------------------------


async def test_fact_is_kept_once_as_it_was(store: Store) -> None:
    """Every field survives, and what arrives again changes nothing."""
    full = a_subscription_fact(1, token="f47ac10b-58cc-4372-a567-0e02b2c3d479")
    bare = replace(a_subscription_fact(2), kind=FactKind.READ, notification_id="")
    again = replace(full, type="OTHER", payload=b"{}")

    def body(repo: Repository) -> list[bool]:
        return [repo.subscription_facts.insert_if_absent(fact) for fact in (full, bare, again)]

    assert await store.write(body) == [True, True, False]
    assert await store.read(lambda repo: repo.subscription_facts.get(full.id)) == full
    assert await store.read(lambda repo: repo.subscription_facts.get(bare.id)) == bare
    assert await store.read(lambda repo: repo.subscription_facts.get("fct_none")) is None


async def test_facts_of_a_lineage_come_as_they_were_signed(store: Store) -> None:
    """Whatever order they arrived in; those of another lineage stay out."""
    other = a_subscription_fact(9, key=a_key(2))
    mine = [a_subscription_fact(number) for number in (3, 1, 2)]

    def body(repo: Repository) -> None:
        for fact in (*mine, other):
            repo.subscription_facts.insert_if_absent(fact)

    await store.write(body)
    found = await store.read(lambda repo: repo.subscription_facts.of_lineage(a_key().id))
    assert found == [mine[1], mine[2], mine[0]]
    assert await store.read(lambda repo: repo.subscription_facts.of_lineage("lin_none")) == []


async def test_lineages_are_found_by_what_their_facts_speak_of(store: Store) -> None:
    """By product and by token, each lineage once, with its whole key."""
    keys = [a_key(number) for number in (1, 2, 3)]
    sandbox = a_key(1, environment=Environment.SANDBOX)
    facts = [
        a_subscription_fact(1, key=keys[0], token="t-1"),
        a_subscription_fact(2, key=keys[0], token="t-1"),
        a_subscription_fact(3, key=keys[1], token="t-1"),
        a_subscription_fact(4, key=keys[2], product=2),
        a_subscription_fact(5, key=sandbox),
    ]

    def body(repo: Repository) -> None:
        for fact in facts:
            repo.subscription_facts.insert_if_absent(fact)

    await store.write(body)

    def by_id(*found: object) -> list[object]:
        return sorted(found, key=lambda key: getattr(key, "id", ""))

    def of_product(repo: Repository, app: str = APP) -> list[object]:
        return [*repo.subscription_facts.lineages_of_product(APP_STORE, app, "com.example.1")]

    assert await store.read(of_product) == by_id(keys[0], keys[1], sandbox)
    assert await store.read(lambda repo: of_product(repo, "com.example.other")) == []
    found = await store.read(lambda repo: repo.subscription_facts.lineages_of_token("t-1"))
    assert found == by_id(keys[0], keys[1])


# -- lineages -------------------------------------------------------------------------------------


async def test_lineage_is_made_where_it_is_new(store: Store) -> None:
    """Locked again it is as it was left."""
    assert await store.write(lambda repo: repo.lineages.lock(a_key())) == Lineage(key=a_key())
    changed = Lineage(
        key=a_key(),
        user_id="user-1",
        next_time=on(1),
        poll_time=on(2),
        parked=Parked.UNKNOWN_PRODUCT,
    )
    await store.write(lambda repo: repo.lineages.update(changed))
    assert await store.write(lambda repo: repo.lineages.lock(a_key())) == changed
    assert await store.read(lambda repo: repo.lineages.get(a_key().id)) == changed
    assert await store.read(lambda repo: repo.lineages.get("lin_none")) is None


async def test_one_at_a_time_has_the_lock_of_a_lineage(store: Store) -> None:
    """Of many that read it and write it back, none loses what another has written."""

    async def step() -> None:
        def body(repo: Repository) -> None:
            lineage = repo.lineages.lock(a_key())
            known = lineage.next_time or on(0)
            repo.lineages.update(replace(lineage, next_time=known + (on(1) - on(0))))

        await store.write(body)

    await asyncio.gather(*(step() for _ in range(MANY)))
    lineage = await store.read(lambda repo: repo.lineages.get(a_key().id))
    assert lineage == Lineage(key=a_key(), next_time=on(MANY))


async def keep_lineages(store: Store, *lineages: Lineage) -> None:
    """Keeps lineages."""

    def body(repo: Repository) -> None:
        for lineage in lineages:
            repo.lineages.lock(lineage.key)
            repo.lineages.update(lineage)

    await store.write(body)


async def test_lineages_are_due_when_their_time_has_come(store: Store) -> None:
    """The longest overdue first; those without a time never."""
    assert await store.read(lambda repo: repo.lineages.next_due()) is None
    times = {1: 3, 2: 1, 3: 2, 4: 9}
    known = {
        number: Lineage(key=a_key(number), next_time=on(day), poll_time=on(day + 10))
        for number, day in times.items()
    }
    await keep_lineages(store, *known.values(), Lineage(key=a_key(5)))
    due = await store.read(lambda repo: repo.lineages.due(on(3), limit=9))
    assert due == [known[2], known[3], known[1]]
    assert await store.read(lambda repo: repo.lineages.due(on(3), limit=1)) == [known[2]]
    assert await store.read(lambda repo: repo.lineages.due(on(0), limit=9)) == []
    assert await store.read(lambda repo: repo.lineages.next_due()) == on(1)
    silent = await store.read(lambda repo: repo.lineages.silent(on(12), limit=9))
    assert silent == [known[2], known[3]]


async def test_lineages_are_listed_by_user_and_all_of_them(store: Store) -> None:
    """By id, page by page."""
    lineages = [
        Lineage(key=a_key(number), user_id="user-1" if number % 2 else "user-2")
        for number in range(1, 8)
    ]
    await keep_lineages(store, *lineages)
    ordered = sorted(lineages, key=lambda each: each.key.id)
    mine = [each for each in ordered if each.user_id == "user-1"]
    assert await store.read(lambda repo: repo.lineages.of_user("user-1")) == mine
    found: list[Lineage] = []
    after = ""
    while page := await store.read(
        lambda repo, after=after: repo.lineages.page(after_id=after, limit=3)  # type: ignore[misc]
    ):
        found += page
        after = page[-1].key.id
    assert found == ordered


# -- whose they are -------------------------------------------------------------------------------


async def test_links_of_a_lineage_come_in_the_order_of_their_times(store: Store) -> None:
    """Each is kept once, as it was."""
    links = [a_link(3), a_link(1, user_id=""), replace(a_link(2), time=on(3)), a_link(4, lineage=2)]

    def body(repo: Repository) -> list[bool]:
        return [repo.links.insert(link) for link in (*links, replace(links[0], user_id="thief"))]

    assert await store.write(body) == [True, True, True, True, False]
    found = await store.read(lambda repo: repo.links.of_lineage(a_key().id))
    assert found == [links[1], links[2], links[0]]


async def test_tokens_link_until_they_end(store: Store) -> None:
    """Those of the user end, once; those of others go on."""
    tokens = [a_token(1), a_token(2), a_token(3, user_id="user-2")]

    def body(repo: Repository) -> list[bool]:
        return [repo.account_tokens.insert(token) for token in (*tokens, tokens[0])]

    assert await store.write(body) == [True, True, True, False]
    assert await store.write(lambda repo: repo.account_tokens.end("user-1", on(7))) == 2
    assert await store.write(lambda repo: repo.account_tokens.end("user-1", on(8))) == 0
    ended = [replace(token, end_time=on(7)) for token in tokens[:2]]
    assert await store.read(lambda repo: repo.account_tokens.of_user("user-1")) == ended
    assert await store.read(lambda repo: repo.account_tokens.get(tokens[2].token)) == tokens[2]
    assert await store.read(lambda repo: repo.account_tokens.get("none")) is None


async def test_grant_comes_back_as_it_was(store: Store) -> None:
    """Every field survives, before and after it is revoked."""
    grants = [a_grant(1), a_grant(2), a_grant(3, user_id="user-2")]

    def body(repo: Repository) -> None:
        for grant in grants:
            repo.grants.insert(grant)

    await store.write(body)
    revoked = replace(
        grants[1],
        until_time=on(30),
        revoke_time=on(9),
        revoke_reason="By mistake.",
        revoke_actor="chief",
    )
    await store.write(lambda repo: repo.grants.update(revoked))
    assert await store.write(lambda repo: repo.grants.get("grt_000002", lock=True)) == revoked
    assert await store.read(lambda repo: repo.grants.of_user("user-1")) == [grants[0], revoked]
    assert await store.read(lambda repo: repo.grants.get("grt_none")) is None


def test_every_grant_is_a_lineage_of_its_own() -> None:
    """With no app, for it comes from no vendor."""
    key = a_grant(4).lineage
    assert (key.source, key.app, key.lineage) == (MANUAL, "", "grt_000004")
    assert key.environment is Environment.PRODUCTION
    assert key.id != a_grant(5).lineage.id


@pytest.mark.parametrize("reason", [None, *Parked])
async def test_lineage_says_why_it_is_parked(store: Store, reason: Parked | None) -> None:
    """Or that it is not."""
    lineage = Lineage(key=a_key(), parked=reason)
    await keep_lineages(store, lineage)
    assert await store.read(lambda repo: repo.lineages.get(a_key().id)) == lineage
