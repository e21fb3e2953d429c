"""A long story of one user, told to the engine as the App Store and people of ours tell it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.subscription import (
    Environment,
    LineageKey,
    SubscriptionProduct,
    SubscriptionSource,
)
from boxoffice_server.ports import Repository, Store, SubscriptionReader
from boxoffice_server.subscriptions.engine import Subscriptions
from boxoffice_server.subscriptions.granting import Granting, ManualVendor
from boxoffice_server.subscriptions.linking import Linking
from boxoffice_server.vendors.app_store.reader import AppStoreReader
from tests.subscriptions.desk import OTHER_USER, Desk, StillClock, sold_product
from tests.vendors.app_store.payloads import OTHER_PRODUCT, PRODUCT, ms, told_fact

USER = "0c9f5a0e-6d0a-4f0e-8a54-0e1e6f0d7c11"
NOW = datetime(2026, 11, 25, 18, 20, tzinfo=UTC)
DAY = timedelta(days=1)
HOSTILE = "Gold <script>alert('x')</script> & “more”"
MOVED = "2000000100000009"
UNKNOWN = "com.example.not.in.the.catalogue"


def desk_of(store: Store, time: datetime) -> Desk:
    """The engine over a store, with a clock of its own."""
    clock = StillClock(time)
    readers: dict[SubscriptionSource, SubscriptionReader] = {
        SubscriptionSource.APP_STORE: AppStoreReader(),
        SubscriptionSource.MANUAL: ManualVendor(),
    }
    subscriptions = Subscriptions(clock=clock, readers=readers)
    return Desk(
        store=store,
        clock=clock,
        subscriptions=subscriptions,
        linking=Linking(clock=clock, subscriptions=subscriptions),
        granting=Granting(clock=clock, subscriptions=subscriptions),
    )


def _gift(time: datetime) -> SubscriptionProduct:
    return replace(
        sold_product(3),
        id="spr_gift",
        source=SubscriptionSource.MANUAL,
        app="",
        vendor_product_id="",
        name=HOSTILE,
        group="extras",
        tier="sound",
        rank=1,
        create_time=time,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells the story of a lineage whose days are counted from its beginning."""

    desk: Desk
    start: datetime
    lineage: str
    environment: Environment = Environment.PRODUCTION
    token: str = USER

    def on(self, day: float) -> datetime:
        """The moment that is so many days after the beginning."""
        return self.start + day * DAY

    async def tell(
        self,
        day: float,
        type_: str,
        subtype: str = "",
        *,
        period: tuple[float, float],
        product: str = PRODUCT,
        tx: Mapping[str, object] | None = None,
        ri: Mapping[str, object] | None = None,
        arrives: float | None = None,
    ) -> SubscriptionFact:
        """Have a notification come in, with a period from one day until another."""
        number = f"{self.lineage}-{round(period[0] * 24)}"
        told = {
            "originalTransactionId": self.lineage,
            "originalPurchaseDate": ms(self.start),
            "appAccountToken": self.token,
            "productId": product,
            "webOrderLineItemId": f"w{number}",
            "transactionId": f"t{number}",
            "purchaseDate": ms(self.on(period[0])),
            "expiresDate": ms(self.on(period[1])),
            **(tx or {}),
        }
        renews = {
            "originalTransactionId": self.lineage,
            "productId": product,
            "autoRenewProductId": product,
            **(ri or {}),
        }
        time, arrival = self.on(day), self.on(arrives or day) + timedelta(seconds=2)
        name = f"{self.lineage}-{type_}-{subtype}-{day:g}"
        fact = told_fact(type_, subtype, tx=told, ri=renews, signed=time)
        fact = replace(
            fact,
            lineage=replace(fact.lineage, environment=self.environment),
            vendor_id=name,
            notification_id=f"ntf_{name}",
            record_time=arrival,
        )
        await self.desk.store.write(_keep(fact, arrival))
        state = await self.desk.hear(fact, at=arrival)
        if state is NotificationState.PARKED:
            await self.desk.store.write(_park(fact.notification_id))
        return fact


def _keep(fact: SubscriptionFact, time: datetime) -> Callable[[Repository], object]:
    kept = Notification(
        id=fact.notification_id,
        source=Source.STRIPE,
        vendor_event_id=fact.vendor_id,
        type=fact.type,
        resource_id=fact.lineage.lineage,
        event_time=fact.sign_time,
        receive_time=time,
        state=NotificationState.APPLIED,
        order_id="",
        payment_id="",
        related_id="",
        body=b"{}",
    )
    return lambda repo: repo.notifications.insert(kept)


def _park(notification_id: str) -> Callable[[Repository], None]:
    def body(repo: Repository) -> None:
        kept = repo.notifications.get(notification_id, lock=True)
        assert kept is not None
        repo.notifications.update(replace(kept, state=NotificationState.PARKED))

    return body


async def tell_everything(store: Store, now: datetime) -> None:
    """Tell the story of a user who has had about everything, up to this moment."""
    start = (now - 230 * DAY).replace(minute=0, second=0, microsecond=0)
    desk = desk_of(store, start)
    monthly = replace(sold_product(), name="Pro, monthly", create_time=start)
    yearly = sold_product(2, vendor_product_id=OTHER_PRODUCT, tier="platinum")
    for product in (monthly, replace(yearly, name="Pro Platinum, yearly"), _gift(start)):
        await desk.sell(product)
    await _first_lineage(Teller(desk=desk, start=start, lineage="2000000100000001"))
    await _give(desk, start + 60 * DAY, until=now + 75 * DAY)
    await _second_lineage(desk, now)
    await _parked_lineage(desk, now)
    await _catch_up(desk, now)


async def _first_lineage(lineage: Teller) -> None:
    """Trial, renewals, trouble with the bank, an upgrade, and its refund."""
    trial = {"offerType": 1, "offerDiscountType": "FREE_TRIAL"}
    first = await lineage.tell(0, "SUBSCRIBED", "INITIAL_BUY", period=(0, 14), tx=trial)
    await lineage.tell(13.9, "DID_RENEW", period=(14, 44))
    await lineage.tell(43.9, "DID_RENEW", period=(44, 74))
    grace = {"gracePeriodExpiresDate": ms(lineage.on(80)), "isInBillingRetryPeriod": True}
    await lineage.tell(74.1, "DID_FAIL_TO_RENEW", "GRACE_PERIOD", period=(44, 74), ri=grace)
    retry = {"isInBillingRetryPeriod": True}
    await lineage.tell(80.1, "GRACE_PERIOD_EXPIRED", period=(44, 74), ri=retry)
    await lineage.tell(95, "DID_RENEW", "BILLING_RECOVERY", period=(95, 125))
    await lineage.tell(
        101,
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        period=(95, 125),
        ri={"autoRenewStatus": 0},
    )
    # What is late makes the clock say what was not so.
    await lineage.desk.look(at=lineage.on(127), key=first.lineage)
    await lineage.tell(
        112, "DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED", period=(95, 125), arrives=127.5
    )
    await lineage.tell(124.9, "DID_RENEW", period=(125, 155), arrives=128)
    await lineage.tell(
        140, "DID_CHANGE_RENEWAL_PREF", "UPGRADE", period=(140, 505), product=OTHER_PRODUCT
    )
    lost = {"revocationDate": ms(lineage.on(171)), "revocationReason": 0}
    await lineage.tell(171, "REFUND", period=(140, 505), product=OTHER_PRODUCT, tx=lost)


async def _second_lineage(desk: Desk, now: datetime) -> None:
    """A sandbox purchase that was another's first, moved by hand, and now about to end."""
    start = now - 100 * DAY
    lineage = Teller(
        desk=desk, start=start, lineage=MOVED, environment=Environment.SANDBOX, token=OTHER_USER
    )
    first = await lineage.tell(0, "SUBSCRIBED", "INITIAL_BUY", period=(0, 30))
    await lineage.tell(29.9, "DID_RENEW", period=(30, 60))
    await desk.link(first, user=USER, at=start + 40 * DAY, reassign=True)
    await lineage.tell(59.9, "DID_RENEW", period=(60, 90))
    await lineage.tell(89.9, "DID_RENEW", period=(90, 120))
    await lineage.tell(
        97,
        "DID_CHANGE_RENEWAL_STATUS",
        "AUTO_RENEW_DISABLED",
        period=(90, 120),
        ri={"autoRenewStatus": 0},
    )


async def _parked_lineage(desk: Desk, now: datetime) -> None:
    lineage = Teller(desk=desk, start=now - 20 * DAY, lineage="2000000100000012")
    await lineage.tell(0, "SUBSCRIBED", "INITIAL_BUY", period=(0, 30), product=UNKNOWN)


async def _give(desk: Desk, time: datetime, *, until: datetime) -> None:
    grant = Grant(
        id="grt_thanks",
        product_id="spr_gift",
        user_id=USER,
        environment=Environment.PRODUCTION,
        from_time=time,
        until_time=until,
        reason="<b>thanks</b> for waiting",
        actor="support",
        create_time=time,
    )
    desk.clock.time = time
    await desk.store.write(lambda repo: desk.granting.grant(repo, grant))


async def _catch_up(desk: Desk, now: datetime) -> None:
    def keys(repo: Repository) -> list[LineageKey]:
        return [each.key for each in repo.lineages.page(after_id="", limit=100)]

    for key in await desk.store.read(keys):
        await desk.look(at=now, key=key)
