"""All that is known of a user is read, with its why, on both stores."""

from datetime import timedelta

import pytest

from boxoffice_server.console import history
from boxoffice_server.console.history import Happened, History, load
from boxoffice_server.console.recent import recent_changes
from boxoffice_server.console.words import Cause
from boxoffice_server.domain.lineage import Parked
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.subscription import Environment, SubscriptionEventType
from boxoffice_server.ports import Store
from tests.console.tale import HOSTILE, MOVED, NOW, UNKNOWN, USER
from tests.subscriptions.desk import OTHER_USER
from tests.support.stores import until


async def loaded(store: Store, user_id: str = USER) -> History:
    """What is read of a user."""
    return await store.read(lambda repo: load(repo, user_id))


def only(known: History, type_: SubscriptionEventType) -> list[Happened]:
    """The events of one type."""
    return [each for each in known.events if each.event.type is type_]


async def test_every_entitlement_has_its_lane(told: Store) -> None:
    """By environment, group and beginning, with the name of its product."""
    known = await loaded(told)
    lanes = [(each.entitlement.environment, each.name) for each in known.held]
    assert lanes == [
        (Environment.PRODUCTION, HOSTILE),
        (Environment.PRODUCTION, "Pro, monthly"),
        (Environment.PRODUCTION, "Pro Platinum, yearly"),
        (Environment.SANDBOX, "Pro, monthly"),
    ]
    assert known.tiers == {"extras": {"sound": 1}, "pro": {"gold": 1, "platinum": 2}}
    assert [each.status.value for each in known.held[1].bands] == [
        "using_free_trial",
        "active_with_renewal",
        "active_with_renewal",
        "in_grace_period",
        "in_billing_retry",
        "active_with_renewal",
        "active_without_renewal",
        "active_with_renewal",
        "active_with_renewal",
        "switched_product",
    ]


async def test_events_are_told_with_their_why(told: Store) -> None:
    """The newest first: the vendor's with their notification, and those that nobody told."""
    known = await loaded(told)
    times = [each.event.event_time for each in known.events]
    assert times == sorted(times, reverse=True)
    (refund,) = only(known, SubscriptionEventType.REFUNDED)
    assert refund.cause is Cause.NOTIFICATION
    assert refund.fact is not None
    assert refund.notification is not None
    assert (refund.notification.id, refund.notification.type) == (
        refund.event.notification_id,
        "REFUND",
    )
    assert refund.notification.state is NotificationState.APPLIED
    (gift,) = only(known, SubscriptionEventType.STARTED_WITH_PROMOTION)
    assert (gift.cause, gift.notification) == (Cause.GRANT, None)
    (gone,) = only(known, SubscriptionEventType.EXPIRED_VOLUNTARILY)
    assert (gone.cause, gone.event.superseded) == (Cause.CLOCK, True)
    moved = [each for each in known.events if each.cause is Cause.LINK]
    assert [each.event.type for each in moved] == [SubscriptionEventType.RENEWED]


async def test_who_held_what_is_told_of_every_lineage(told: Store) -> None:
    """The other holder's time too, and the link by which it ended."""
    known = await loaded(told)
    (moved,) = (each for each in known.owned if each.lineage.key.lineage == MOVED)
    assert [each.user_id for each in moved.held] == [OTHER_USER, USER]
    assert moved.held[0].end == moved.held[1].start == moved.links[moved.held[1].ref].time
    other = await loaded(told, OTHER_USER)
    (revoked,) = only(other, SubscriptionEventType.REVOKED)
    assert revoked.cause is Cause.LINK


async def test_what_waits_for_its_product_is_told(told: Store) -> None:
    """Though it has made nothing yet."""
    (waiting,) = (await loaded(told)).parked
    assert waiting.lineage.parked is Parked.UNKNOWN_PRODUCT
    assert [each.vendor_product_id for each in waiting.facts] == [UNKNOWN]


async def test_of_an_unknown_user_nothing_is_known(told: Store) -> None:
    """And that is no fault."""
    assert (await loaded(told, "nobody")).is_empty


async def test_what_is_too_much_is_left_out_and_counted(
    told: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay."""
    everything = await loaded(told)
    for name, most in (("MOST_LANES", 2), ("MOST_EVENTS", 3), ("MOST_LINEAGES", 1)):
        monkeypatch.setattr(history, name, most)
    known = await loaded(told)
    assert known.events == everything.events[:3]
    assert (len(known.held), len(known.owned)) == (2, 1)
    assert (known.lanes_left_out, known.lineages_left_out, known.events_left_out) == (2, 3, True)


async def test_users_are_listed_by_their_newest_change(told: Store) -> None:
    """Each once, with what became of it."""

    async def numbered() -> bool:
        return len(await told.read(recent_changes)) == 2

    await until(numbered)
    found = await told.read(recent_changes)
    assert [(each.user_id, each.status.value) for each in found] == [
        (USER, "active_without_renewal"),
        (OTHER_USER, "revoked"),
    ]
    assert NOW - timedelta(days=4) < found[0].time < NOW
    assert (found[0].group, found[0].scope) == ("pro", "appStore/sandbox")
