"""What is kept is what follows from the facts, and what is not is found and mended."""

from dataclasses import replace
from datetime import timedelta

from boxoffice_server.domain.subscription import EntitlementStatus
from boxoffice_server.ports import Repository
from boxoffice_server.subscriptions.rebuilding import Difference, Rebuilding, Rebuilt
from tests.subscriptions.desk import KEY, Desk, sold_product
from tests.vendors.app_store.payloads import FEBRUARY_1, JANUARY_1, JANUARY_10, told_fact

TOKEN = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
DAY = timedelta(days=1)
BOUGHT = told_fact("SUBSCRIBED", "INITIAL_BUY", tx={"appAccountToken": TOKEN}, signed=JANUARY_1)
OFF = replace(
    told_fact(
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        tx={"appAccountToken": TOKEN},
        ri={"autoRenewStatus": 0},
        signed=JANUARY_10,
    ),
    vendor_id="off",
)


async def _rebuild(desk: Desk, *, swap: bool = False) -> list[Difference]:
    rebuilding = Rebuilding(store=desk.store, clock=desk.clock, subscriptions=desk.subscriptions)
    found: list[Difference] = []
    rebuilt = Rebuilt()
    for lineage in await rebuilding.page(""):
        found += await rebuilding.rebuild(lineage, rebuilt, swap=swap)
    assert rebuilt.lineages == await rebuilding.count()
    return found


async def _story(desk: Desk) -> None:
    await desk.sell(sold_product())
    await desk.hear(BOUGHT, at=JANUARY_1)
    await desk.hear(OFF, at=JANUARY_10)


async def test_what_was_kept_follows_from_the_facts(desk: Desk) -> None:
    """Also while the clock's changes have come due and are not swept yet."""
    await _story(desk)
    assert await _rebuild(desk) == []
    desk.clock.time = FEBRUARY_1 + DAY
    assert await _rebuild(desk) == []
    await desk.look(at=FEBRUARY_1 + DAY)
    assert await _rebuild(desk) == []


async def test_an_entitlement_that_was_changed_is_found_and_mended(desk: Desk) -> None:
    """Mending makes it what its facts say, and afterwards nothing differs."""
    await _story(desk)
    entitlement = await desk.entitlement(TOKEN)
    wrong = replace(
        entitlement, now=replace(entitlement.now, status=EntitlementStatus.ACTIVE_WITH_RENEWAL)
    )

    def spoil(repo: Repository) -> None:
        bands = repo.entitlements.bands([entitlement.id])[entitlement.id]
        repo.entitlements.upsert(wrong, bands)

    await desk.store.write(spoil)
    (difference,) = await _rebuild(desk)
    assert difference == Difference(lineage_id=KEY.id, what=f"{entitlement.id} is kept otherwise")
    assert await _rebuild(desk, swap=True) == [difference]
    assert await _rebuild(desk) == []
    mended = await desk.entitlement(TOKEN)
    assert mended.now.status is EntitlementStatus.ACTIVE_WITHOUT_RENEWAL
    assert mended.version == entitlement.version + 1


async def test_events_that_are_marked_wrongly_are_found_and_mended(desk: Desk) -> None:
    """A canonical event that stands as superseded."""
    await _story(desk)
    event = (await desk.events())[0]
    await desk.store.write(
        lambda repo: repo.subscription_events.update(replace(event, superseded=True))
    )
    (difference,) = await _rebuild(desk, swap=True)
    assert difference.what == f"{event.id} is marked otherwise"
    assert await _rebuild(desk) == []
    assert not (await desk.events())[0].superseded


async def test_an_event_whose_values_were_changed_is_found_and_mended(desk: Desk) -> None:
    """It says again what its fact says."""
    await _story(desk)
    event = (await desk.events())[0]
    wrong = replace(event, promotion_reference="spring")
    await desk.store.write(lambda repo: repo.subscription_events.update(wrong))
    (difference,) = await _rebuild(desk, swap=True)
    assert difference.what == f"{event.id} is kept otherwise"
    assert (await desk.events())[0] == event


async def test_what_follows_from_no_fact_is_found_and_removed(desk: Desk) -> None:
    """An entitlement of a user who never had it."""
    await _story(desk)
    entitlement = await desk.entitlement(TOKEN)
    stranger = replace(entitlement, id="ent_stranger", user_id="stranger")
    await desk.store.write(lambda repo: repo.entitlements.upsert(stranger, [stranger.now]))
    (difference,) = await _rebuild(desk, swap=True)
    assert difference.what == "ent_stranger follows from no fact"
    assert await desk.entitlements("stranger") == []
