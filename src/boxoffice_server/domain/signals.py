"""What facts say about a subscription, in words that all vendors share.

A vendor's folder turns each verified fact into signals, looking at that fact alone; what follows
from all of them together is decided in lifecycle.py. A new vendor needs no new signal.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from boxoffice_server.domain.subscription import Base, EntitlementStatus


class Rank(IntEnum):
    """What comes first among signals of the same time."""

    PERIOD = 0
    TOGGLE = 1
    FAILURE = 2
    EXPIRY = 3
    LOSS = 4
    SNAPSHOT = 5


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Order:
    """Where a signal stands among all signals of its lineage, whenever it arrived.

    `time` is the vendor's order key (Apple: when the fact was signed), `tie` the fact's own id.
    """

    time: datetime
    rank: Rank
    tie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One interval that was bought, or given. `key` stays the same in every fact about it."""

    key: str
    product: str
    start_time: datetime
    expire_time: datetime
    base: Base
    promotion_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signal:
    """What all signals have: their place, the vendor's moment, and the fact they come from.

    `product` is the vendor's product id.
    """

    order: Order
    time: datetime
    fact_id: str
    product: str


class Telling(IntEnum):
    """How surely a fact says that a period began with the first purchase of its lineage.

    The vendor's own word for it goes before what dates suggest.
    """

    MENTIONED = 0
    DATED = 1
    ANNOUNCED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSeen(_Signal):
    """A fact shows a period. Several facts show the same: its newest values count.

    ANNOUNCED: the vendor announced it (a purchase, a renewal). DATED: it was read in the vendor's
    history, or handed in, and its dates alone tell whether it was the first. MENTIONED: a fact
    about something else carries it; that makes no event (the announcement was lost, and is read
    from the vendor's history). `shown_time` is when the values were true.
    """

    period: Period
    telling: Telling
    first: bool
    shown_time: datetime


class Cause(StrEnum):
    """Why renewal was enabled again, where it was not by the plain switch."""

    PLAIN = "plain"
    PREFERENCE = "preference"
    PRICE = "price"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalSet(_Signal):
    """Renewal was switched on or off. With a cause it counts only where that was pending."""

    enabled: bool
    cause: Cause = Cause.PLAIN
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAsked(_Signal):
    """At the end of the period another product is to follow."""

    new_product: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAsked(_Signal):
    """The price changes, and the user is asked to agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceStarted(_Signal):
    """Renewal failed; access goes on until `until`."""

    period_key: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryStarted(_Signal):
    """Renewal failed or a grace period ended; the vendor goes on trying."""

    period_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(_Signal):
    """The vendor says that the subscription is over. `status` is one of the three expiries."""

    period_key: str
    status: EntitlementStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(_Signal):
    """A period was refunded or revoked. It counts where that is the current one."""

    period_key: str
    status: EntitlementStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class LossUndone(_Signal):
    """What was lost is given back: a refund reversed."""

    period_key: str
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAdded(_Signal):
    """A period was made longer."""

    period_key: str
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(_Signal):
    """How the vendor says things stood when it signed: rule R compares. None: it does not say.

    `pending_product` is empty where the same product goes on. `lost` tells whether the newest
    period is marked as refunded or revoked.
    """

    period_key: str
    auto_renew: bool | None = None
    pending_product: str | None = None
    price_pending: bool | None = None
    price_agreed: bool | None = None
    lost: bool | None = None


Signal = (
    PeriodSeen
    | RenewalSet
    | SwitchAsked
    | PriceAsked
    | GraceStarted
    | RetryStarted
    | Expired
    | Lost
    | LossUndone
    | TimeAdded
    | Snapshot
)
"""Anything that facts say about a subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRules:
    """What the passing of time does to a vendor's subscriptions.

    `leeway`: for so long after its expiry a renewing subscription nobody spoke of still grants.
    `retry_limit`: so long after the expiry of its last period the vendor stops trying; None: it
    tells. `ends_by_itself`: its end is known from the start and is no news from the vendor.
    """

    leeway: timedelta
    retry_limit: timedelta | None
    ends_by_itself: bool = False
