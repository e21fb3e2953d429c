"""Subscriptions for tests: what is kept of them, each told from the next by its number."""

from datetime import UTC, datetime, timedelta

from boxoffice_server.domain.facts import AccountToken, FactKind, Link, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.subscription import (
    Band,
    Entitlement,
    EntitlementStatus,
    Environment,
    LineageKey,
    SubscriptionEvent,
    SubscriptionEventType,
    SubscriptionProduct,
    SubscriptionSource,
)

START = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
APP = "com.example.app"


def on(day: float) -> datetime:
    """A time, this many days after the start."""
    return START + day * DAY


def a_key(
    number: int = 1,
    *,
    source: SubscriptionSource = SubscriptionSource.APP_STORE,
    environment: Environment = Environment.PRODUCTION,
) -> LineageKey:
    """A lineage of the app's, or a grant's."""
    app = APP if source is SubscriptionSource.APP_STORE else ""
    return LineageKey(source=source, environment=environment, app=app, lineage=f"{number:06}")


def a_subscription_product(
    number: int = 1,
    *,
    source: SubscriptionSource = SubscriptionSource.APP_STORE,
    group: str = "premium",
    tier: str = "gold",
    rank: int | None = 2,
) -> SubscriptionProduct:
    """A product of the app's; one that is granted by hand has no vendor's id."""
    sold = source is SubscriptionSource.APP_STORE
    return SubscriptionProduct(
        id=f"spr_{number:06}",
        source=source,
        app=APP if sold else "",
        vendor_product_id=f"com.example.{number}" if sold else "",
        name=f"Gold {number} — Zürich",
        group=group,
        tier=tier,
        rank=rank,
        create_time=on(number),
        update_time=on(number),
    )


def a_subscription_fact(
    number: int = 1, *, key: LineageKey | None = None, product: int = 1, token: str = ""
) -> SubscriptionFact:
    """A fact that a notification brought."""
    return SubscriptionFact(
        lineage=key or a_key(),
        kind=FactKind.NOTIFICATION,
        vendor_id=f"uuid-{number}",
        type="DID_RENEW",
        sign_time=on(number),
        record_time=on(number + 1),
        notification_id=f"ntf_{number:06}",
        account_token=token,
        token_time=on(number) if token else None,
        vendor_product_id=f"com.example.{product}",
        payload=b'{"\x00\xff":1}',
    )


def a_link(number: int = 1, *, lineage: int = 1, user_id: str = "user-1") -> Link:
    """A link of a lineage to a user."""
    return Link(
        id=f"lnk_{number:06}",
        lineage_id=a_key(lineage).id,
        user_id=user_id,
        time=on(number),
        record_time=on(number + 1),
        actor="shop",
    )


def a_token(number: int = 1, *, user_id: str = "user-1") -> AccountToken:
    """An account token that has not ended."""
    return AccountToken(
        token=f"00000000-0000-4000-8000-{number:012}", user_id=user_id, create_time=on(number)
    )


def a_grant(number: int = 1, *, user_id: str = "user-1") -> Grant:
    """A grant without an end."""
    return Grant(
        id=f"grt_{number:06}",
        product_id="spr_000001",
        user_id=user_id,
        environment=Environment.PRODUCTION,
        from_time=on(number),
        until_time=None,
        reason="A prize — “first”.",
        actor="support",
        create_time=on(number),
    )


def a_subscription_event(
    number: int = 1,
    *,
    key: LineageKey | None = None,
    user_id: str = "user-1",
    group: str = "premium",
    type_: SubscriptionEventType = SubscriptionEventType.RENEWED,
    day: float | None = None,
) -> SubscriptionEvent:
    """An event that uses every field."""
    key = key or a_key()
    return SubscriptionEvent(
        id=f"evt_{number:06}",
        lineage_id=key.id,
        entitlement_id="ent_000001",
        user_id=user_id,
        source=key.source,
        environment=key.environment,
        source_product_id="spr_000001",
        vendor_product_id="com.example.1",
        subscription_group=group,
        subscription_tier="gold",
        type=type_,
        event_time=on(number if day is None else day),
        create_time=on(number + 1),
        expire_time=on(number + 30),
        new_product_id="spr_000002",
        new_vendor_product_id="com.example.2",
        promotion_reference="SUMMER",
        fact_id=f"fct_{number:06}",
        notification_id=f"ntf_{number:06}",
    )


def a_band(
    status: EntitlementStatus, begin: float, end: float | None, *, expire: float | None = None
) -> Band:
    """How an entitlement stands between two days; one that grants access ends with the band."""
    over = on(begin if end is None else end)
    return Band(
        from_time=on(begin),
        until_time=None if end is None else on(end),
        status=status,
        expire_time=over if expire is None else on(expire),
        access_until=over if expire is None else on(expire),
        event_type=SubscriptionEventType.RENEWED,
        event_id=f"evt_{begin}",
        fact_id=f"fct_{begin}",
        notification_id=f"ntf_{begin}",
    )


ACTIVE = EntitlementStatus.ACTIVE_WITH_RENEWAL
TRIAL = EntitlementStatus.USING_FREE_TRIAL
EXPIRED = EntitlementStatus.EXPIRED_VOLUNTARILY


def three_bands(begin: float = 0, *, length: float = 30) -> tuple[Band, Band, Band]:
    """A trial of so many days, as many paid ones after it, and the end."""
    middle, end = begin + length, begin + 2 * length
    return (
        a_band(TRIAL, begin, middle),
        a_band(ACTIVE, middle, end),
        a_band(EXPIRED, end, None),
    )


def an_entitlement(
    number: int = 1,
    *,
    key: LineageKey | None = None,
    user_id: str = "user-1",
    product: SubscriptionProduct | None = None,
    now: Band | None = None,
    later: tuple[Band, ...] = (),
    day: float | None = None,
    version: int = 1,
) -> Entitlement:
    """An entitlement by the first product, in its paid days unless told otherwise."""
    key = key or a_key(number)
    product = product or a_subscription_product()
    return Entitlement(
        id=f"ent_{number:06}",
        lineage_id=key.id,
        user_id=user_id,
        source=key.source,
        environment=key.environment,
        source_product_id=product.id,
        vendor_product_id=product.vendor_product_id,
        subscription_group=product.group,
        subscription_tier=product.tier,
        rank=product.rank,
        version=version,
        create_time=on(number if day is None else day),
        now=now or three_bands()[1],
        later=later,
    )
