"""What the App Store posts: kept with what becomes of it, and answered so that nothing is lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from boxoffice_server.api.writes import encode_error
from boxoffice_server.clock import BusinessClock
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.http import HttpPort
from boxoffice_server.intake import Intake
from boxoffice_server.operations.engine import Operations
from boxoffice_server.ports import NotificationFilter, Repository, Store, SubscriptionFacts
from boxoffice_server.settings import Address
from boxoffice_server.settlement import Settlement
from boxoffice_server.vendors.app_store.notifications import AppStoreNotificationSource
from boxoffice_server.vendors.app_store.online import OnlineChecks
from boxoffice_server.vendors.app_store.recipients import SANDBOX
from tests.support.stores import opened_store
from tests.vendors.app_store.notices import NOW, body_of, signed_payload, verification
from tests.vendors.app_store.payloads import UUID, ms, notification
from tests.vendors.app_store.signing import make_apple, the_apple


@dataclass
class Ears:
    """Hears facts, and remembers those of its last transaction."""

    heard: list[SubscriptionFact] = field(default_factory=list)

    def hear(self, repo: Repository, fact: SubscriptionFact) -> NotificationState:
        """Say that every fact was applied."""
        assert repo.notifications.get(fact.notification_id) is not None
        self.heard[:] = [fact]
        return NotificationState.APPLIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """A service that takes what the App Store posts."""

    store: Store
    intake: Intake
    ears: Ears
    http: Address

    async def post(self, body: bytes, path: str = "/webhooks/app-store") -> int:
        """Post something; answers the status."""
        url = f"http://{self.http}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
            return answer.status

    async def kept(self) -> list[Notification]:
        """All that is kept."""
        return await self.store.read(
            lambda repo: repo.notifications.find(NotificationFilter(), before_id="", limit=100)
        )

    async def replay(self, notification: Notification) -> NotificationState:
        """Apply a kept notification again."""
        delivered = await self.store.write(lambda repo: self.intake.reapply(repo, notification))
        return delivered.notification.state


def compose(
    store: Store,
    sources: dict[Source, AppStoreNotificationSource],
    subscriptions: SubscriptionFacts | None,
) -> Intake:
    """Compose an intake whose business time is that of the payloads."""
    clock = BusinessClock()
    clock.set_offset(int((NOW - datetime.now(NOW.tzinfo)).total_seconds()))
    return Intake(
        store=store,
        clock=clock,
        sources=sources,
        settlement=Settlement(clock=clock),
        operations=Operations(
            store=store, clock=clock, instance="me", is_alone=True, encode_error=encode_error
        ),
        subscriptions=subscriptions,
    )


@pytest.fixture
async def inbox(database: str) -> AsyncIterator[Inbox]:
    """A service with an App Store, on each store in turn."""
    verifying, ears = verification(), Ears()
    async with opened_store(database) as store:
        intake = compose(store, {Source.APP_STORE: AppStoreNotificationSource(verifying)}, ears)
        http = HttpPort(
            address=Address(host="127.0.0.1", port=0),
            intake=intake,
            registry=CollectorRegistry(),
            is_serving=lambda: True,
        )
        yield Inbox(store=store, intake=intake, ears=ears, http=await http.start())
        await http.stop()
        await verifying.close()


async def test_a_fact_is_heard_with_the_notification_that_brought_it(inbox: Inbox) -> None:
    """In its transaction, under its id, at the time at which it was kept."""
    assert await inbox.post(body_of(signed_payload("DID_RENEW"))) == 200
    (kept,), (fact,) = await inbox.kept(), inbox.ears.heard
    assert kept.state is NotificationState.APPLIED
    assert (kept.vendor_event_id, kept.type) == (UUID, "DID_RENEW")
    assert (fact.notification_id, fact.record_time) == (kept.id, kept.receive_time)


async def test_the_same_notification_is_heard_once(inbox: Inbox) -> None:
    """A retry has the same id, and is acknowledged."""
    body = body_of(signed_payload("DID_RENEW"))
    assert await inbox.post(body) == 200
    inbox.ears.heard.clear()
    assert await inbox.post(body) == 200
    assert inbox.ears.heard == []
    assert len(await inbox.kept()) == 1


async def test_what_is_not_for_us_is_kept_and_not_heard(inbox: Inbox) -> None:
    """Acknowledged, for Apple would send it again for ever; and replayed in vain."""
    assert await inbox.post(body_of(signed_payload(data={"bundleId": "com.example.other"}))) == 200
    (kept,) = await inbox.kept()
    assert kept.state is NotificationState.QUARANTINED
    assert await inbox.replay(kept) is NotificationState.QUARANTINED
    assert inbox.ears.heard == []


async def test_a_test_is_kept_and_speaks_of_nothing(inbox: Inbox) -> None:
    """What App Store Connect sends when its button is pressed."""
    assert await inbox.post(body_of(the_apple().sign(notification("TEST")))) == 200
    (kept,) = await inbox.kept()
    assert kept.state is NotificationState.UNRELATED


@pytest.mark.parametrize(
    "signed",
    [
        lambda: the_apple().sign(notification("NEVER_HEARD_OF")),
        lambda: signed_payload(tx={"purchaseDate": "today"}),
    ],
    ids=["an unknown type", "an unreadable transaction"],
)
async def test_what_cannot_be_read_is_parked(inbox: Inbox, signed: object) -> None:
    """A release that understands it may replay it."""
    assert callable(signed)
    assert await inbox.post(body_of(signed())) == 200
    (kept,) = await inbox.kept()
    assert kept.state is NotificationState.PARKED
    assert inbox.ears.heard == []


async def test_what_is_not_apples_is_a_400_and_leaves_no_row(inbox: Inbox) -> None:
    """Forged, far ahead of the clock, or no notification at all."""
    ahead = notification("TEST", signedDate=ms(NOW + timedelta(hours=1)))
    for body in (
        body_of(signed_payload(apple=make_apple())),
        body_of(the_apple().sign(ahead)),
        b"{}",
        b"",
    ):
        assert await inbox.post(body) == 400
    assert await inbox.kept() == []


async def test_a_body_is_at_most_256_kib(inbox: Inbox) -> None:
    """Apple's notifications have some 10 KiB."""
    assert await inbox.post(b"x" * (256 * 1024 + 1)) == 413
    assert await inbox.kept() == []


async def test_a_vendor_that_is_not_set_up_is_not_there(inbox: Inbox) -> None:
    """Here it is Stripe."""
    assert await inbox.post(b"{}", "/webhooks/stripe") == 404


async def test_trouble_with_asking_apple_is_a_503_and_leaves_no_row(database: str) -> None:
    """Never a 400, after which Apple was seen to give up: nobody answers the online check."""
    apple = make_apple()
    verifying = verification(apple, online=frozenset({SANDBOX}), checks=OnlineChecks())
    async with opened_store(database) as store:
        intake = compose(store, {Source.APP_STORE: AppStoreNotificationSource(verifying)}, Ears())
        http = HttpPort(
            address=Address(host="127.0.0.1", port=0),
            intake=intake,
            registry=CollectorRegistry(),
            is_serving=lambda: True,
        )
        inbox = Inbox(store=store, intake=intake, ears=Ears(), http=await http.start())
        assert await inbox.post(body_of(signed_payload(apple=apple))) == 503
        assert await inbox.kept() == []
        await http.stop()
        await verifying.close()


async def test_without_anyone_to_hear_facts_are_parked(database: str) -> None:
    """Kept, and replayed once there is someone."""
    verifying, ears = verification(), Ears()
    source = {Source.APP_STORE: AppStoreNotificationSource(verifying)}
    async with opened_store(database) as store:
        delivered = await compose(store, source, None).deliver(
            Source.APP_STORE, {}, body_of(signed_payload())
        )
        assert delivered.notification.state is NotificationState.PARKED
        hearing = compose(store, source, ears)
        again = await store.write(lambda repo: hearing.reapply(repo, delivered.notification))
        assert again.notification.state is NotificationState.APPLIED
        assert len(ears.heard) == 1
    await verifying.close()
