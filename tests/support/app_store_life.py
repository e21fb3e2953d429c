"""A life of a subscription in which nearly everything happens, and what a service made of it."""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boxoffice.common.v1 import streams_pb2
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice.entitlements.v1.entitlements_pb2_grpc import EntitlementsServiceStub
from tests.support.app_store import AppStore
from tests.support.entitled import entitlements_caught_up
from tests.support.readings import events, held, published, status_name

EARLIEST = {"start_position": streams_pb2.START_POSITION_EARLIEST}
CHEAP, BETTER = "basic_weekly", "better_weekly"

STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("renew", {}),
    ("fail", {"grace_days": 6}),
    ("recover", {}),
    ("change", {"product": BETTER}),
    ("change", {"product": CHEAP}),
    ("refund", {"reason": 1}),
    ("reverse", {}),
    ("cancel", {}),
    ("skip", {}),
)
"""What happens after the trial has begun."""

TOLD = (
    (CHEAP, "started_with_free_trial"),
    (CHEAP, "renewed"),
    (CHEAP, "grace_period_started"),
    (CHEAP, "renewed"),
    (CHEAP, "switched_product"),
    (BETTER, "renewed"),
    (BETTER, "switching_product"),
    (BETTER, "refunded_for_issue"),
    (BETTER, "renewed"),
    (BETTER, "switching_product"),
    (BETTER, "renewal_disabled"),
    (BETTER, "expired_voluntarily"),
)
"""What is to be told of it, in the end."""

STANDS = {CHEAP: "switched_product", BETTER: "expired_voluntarily"}
"""How it stands in the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Whose it was, and the UUIDs of all that Apple signed of it, oldest first."""

    user_id: str
    signed: tuple[str, ...]

    def shuffled(self, seed: int) -> list[str]:
        """The UUIDs in an order that the seed makes."""
        return random.Random(seed).sample(self.signed, len(self.signed))


def live(apple: AppStore, *, after: Callable[[], object] = lambda: None) -> Life:
    """Live it, with something to be done after every step."""
    user = str(uuid.uuid4())
    apple.offer_weekly()
    subscription = apple.buy(CHEAP, offer="trial", app_account_token=user)
    after()
    for action, given in STEPS:
        apple.act(subscription, action, **given)
        after()
    return Life(user_id=user, signed=tuple(apple.told(subscription)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a service makes of a user's subscriptions, without what is its own, such as versions."""

    events: tuple[tuple[object, ...], ...]
    entitlements: tuple[tuple[object, ...], ...]

    @property
    def told(self) -> set[tuple[object, ...]]:
        """The products with what is told of them."""
        return {each[1:3] for each in self.events}


def read(stub: EntitlementsServiceStub, user_id: str) -> Reading:
    """Read it as it is now."""
    return Reading(
        events=tuple(sorted(_event(each) for each in events(stub, user_id))),
        entitlements=tuple(sorted(_entitlement(each) for each in held(stub, user_id))),
    )


def check(reading: Reading) -> None:
    """See that it is what is to be told of the life."""
    told = [(each[1], each[2]) for each in reading.events]
    assert sorted(told) == sorted(TOLD)
    assert {each[1]: each[2] for each in reading.entitlements} == STANDS


def check_streams(stub: EntitlementsServiceStub, user_id: str) -> None:
    """See that what was published holds every canonical event once, and a copy is right."""
    told = published(stub, user_id)
    ids = [each.id for each in told]
    assert len(ids) == len(set(ids))
    canonical = {each.id for each in events(stub, user_id)}
    superseded = {each.id for each in events(stub, user_id, superseded=True) if each.superseded}
    assert set(ids) == canonical | superseded
    assert not canonical & superseded
    copy = copied(stub, user_id=user_id, **EARLIEST)
    assert copy == {each.id: _standing(each) for each in held(stub, user_id)}
    assert copy == copied(stub, user_id=user_id)


def copied(stub: EntitlementsServiceStub, **request: object) -> dict[str, tuple[object, ...]]:
    """Keep the greatest version of each entitlement that a watch tells of."""
    newest: dict[str, subscriptions_pb2.EntitlementEvent] = {}
    for frame in entitlements_caught_up(stub, **request):
        for each in frame.events:
            known = newest.get(each.entitlement.id)
            if known is None or known.entitlement.version <= each.entitlement.version:
                newest[each.entitlement.id] = each
    return {id_: _standing(each.entitlement) for id_, each in newest.items() if not each.removed}


def order_of(told: Sequence[subscriptions_pb2.SubscriptionEvent]) -> list[tuple[str, str]]:
    """The products with what was told of them, in the order in which it was."""
    return [(each.vendor_product_id, _type(each)) for each in told]


def _event(event: subscriptions_pb2.SubscriptionEvent) -> tuple[object, ...]:
    return (
        event.id,
        event.vendor_product_id,
        _type(event),
        event.event_time.ToNanoseconds(),
        event.expire_time.ToNanoseconds(),
        event.new_vendor_product_id,
        event.subscription_tier,
        event.entitlement_id,
        event.lineage_id,
    )


def _type(event: subscriptions_pb2.SubscriptionEvent) -> str:
    return event.published_type.removeprefix("payments.subscriptions.")


def _entitlement(entitlement: subscriptions_pb2.Entitlement) -> tuple[object, ...]:
    return (
        entitlement.id,
        entitlement.vendor_product_id,
        status_name(entitlement),
        entitlement.expire_time.ToNanoseconds(),
        entitlement.access_until.ToNanoseconds(),
        entitlement.from_time.ToNanoseconds(),
        entitlement.new_vendor_product_id,
        entitlement.origin.event_id,
        entitlement.origin.event_type,
    )


def _standing(entitlement: subscriptions_pb2.Entitlement) -> tuple[object, ...]:
    return (*_entitlement(entitlement), entitlement.version)
