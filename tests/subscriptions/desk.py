"""What tests of the engine have in common: facts come in, the clock moves, results are read."""

from dataclasses import dataclass
from datetime import datetime

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.stream import LogRecord
from boxoffice_server.domain.subscription import (
    Entitlement,
    LineageKey,
    SubscriptionEvent,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository, Store
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.granting import Granting
from boxoffice_server.subscriptions.linking import Linking
from tests.support.stores import until, whole_log
from tests.vendors.app_store.payloads import BUNDLE, JANUARY_1, OTHER_PRODUCT, PRODUCT, told_fact

KEY: LineageKey = told_fact("TEST").lineage
USER = "5f0b1c2d3e4f5a6b7c8d9e0f"
OTHER_USER = "6a0b1c2d3e4f5a6b7c8d9e0f"


class StillClock:
    """A clock that stands still until it is moved."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time

    def real_now(self) -> datetime:
        return self.time


def sold_product(
    number: int = 1, *, vendor_product_id: str = PRODUCT, tier: str = "gold"
) -> SubscriptionProduct:
    """A product of the App Store's in the catalogue."""
    return SubscriptionProduct(
        id=f"spr_{number:06}",
        source=SubscriptionSource.APP_STORE,
        app=BUNDLE,
        vendor_product_id=vendor_product_id,
        name=f"Pro {number}",
        group="pro",
        tier=tier,
        rank=number,
        create_time=JANUARY_1,
        update_time=JANUARY_1,
    )


OTHER = sold_product(2, vendor_product_id=OTHER_PRODUCT, tier="platinum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The engine with all that is around it."""

    store: Store
    clock: StillClock
    subscriptions: Subscriptions
    linking: Linking
    granting: Granting

    async def sell(self, product: SubscriptionProduct) -> None:
        """Put a product into the catalogue."""

        def write(repo: Repository) -> None:
            assert repo.subscription_products.insert(product)
            self.subscriptions.catalogue_changed(repo, product)

        await self.store.write(write)

    async def hear(self, fact: SubscriptionFact, *, at: datetime) -> NotificationState:
        """Have a fact come in at some time."""
        self.clock.time = at
        return await self.store.write(lambda repo: self.subscriptions.hear(repo, fact))

    async def look(self, *, at: datetime, key: LineageKey = KEY) -> None:
        """Let the clock change what it changes until some time."""
        self.clock.time = at
        await self.store.write(lambda repo: self.subscriptions.bring(repo, key))

    async def link(
        self, fact: SubscriptionFact, *, user: str = USER, at: datetime, reassign: bool = False
    ) -> None:
        """Hand a purchase in for a user."""
        self.clock.time = at
        await self.store.write(
            lambda repo: self.linking.hand_in(
                repo, [fact], user_id=user, reassign=reassign, actor="test"
            )
        )

    async def events(self, key: LineageKey = KEY) -> list[SubscriptionEvent]:
        """All events of a lineage, oldest first, the superseded ones too."""
        return await self.store.read(lambda repo: repo.subscription_events.of_lineage(key.id))

    async def told(self, key: LineageKey = KEY) -> list[str]:
        """The types of a lineage's canonical events, oldest first."""
        return [each.type.value for each in await self.events(key) if not each.superseded]

    async def entitlements(self, user: str = USER) -> list[Entitlement]:
        """What a user has."""
        return await self.store.read(lambda repo: repo.entitlements.of_user(user))

    async def entitlement(self, user: str = USER) -> Entitlement:
        """The only thing a user has."""
        (only,) = await self.entitlements(user)
        return only


async def records(store: Store, count: int) -> list[LogRecord]:
    """All records of a log that has so many, once they are numbered."""

    async def are_there() -> bool:
        return len(await whole_log(store)) >= count

    await until(are_there)
    found = await whole_log(store)
    assert len(found) == count
    return found
