"""Histories for tests of what is drawn and written, made without a store."""

from boxoffice_server.console.history import Happened, Held, History
from boxoffice_server.console.words import Cause
from boxoffice_server.domain.subscription import Band, SubscriptionEventType
from tests.support.subscriptions import a_subscription_event, an_entitlement, on

NOW = on(45)


def held(*bands: Band, number: int = 1, name: str = "Gold") -> Held:
    """An entitlement with these bands."""
    return Held(entitlement=an_entitlement(number, now=bands[0]), bands=bands, name=name)


def happened(
    number: int = 1,
    *,
    day: float = 30,
    type_: SubscriptionEventType = SubscriptionEventType.RENEWED,
    cause: Cause = Cause.CLOCK,
) -> Happened:
    """An event of the first entitlement."""
    return Happened(event=a_subscription_event(number, day=day, type_=type_), cause=cause)


def history(*having: Held, events: tuple[Happened, ...] = (), user_id: str = "user-1") -> History:
    """What is known of a user whose only group has two tiers."""
    tiers: dict[str, dict[str, int | None]] = {"premium": {"gold": 2, "platinum": 3}}
    return History(user_id=user_id, held=having, events=events, tiers=tiers)
