"""Notifications: what vendors tell us, kept as they came."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import PaymentFact
from boxoffice_server.domain.payment_method import MethodNews
from boxoffice_server.domain.refund import DisputeNews, RefundNews


class Source(StrEnum):
    """A vendor that sends notifications."""

    STRIPE = "stripe"
    APP_STORE = "app_store"


class NotificationState(StrEnum):
    """What became of a notification.

    WAITING: it was unrelated, and what it speaks of has become known since. QUARANTINED: its
    vendor signed it for somebody else.
    """

    APPLIED = "applied"
    UNRELATED = "unrelated"
    PARKED = "parked"
    WAITING = "waiting"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedNotification:
    """A notification whose signature held. `resource_id` may be empty.

    `body` is as it came, but for client secrets, which are never kept.
    """

    source: Source
    vendor_event_id: str
    type: str
    resource_id: str
    event_time: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification as it is kept, with the order and the payment of ours it belongs to, if any.

    `related_id` is the vendor's id by which its payment was looked for in vain.
    """

    id: str
    source: Source
    vendor_event_id: str
    type: str
    resource_id: str
    event_time: datetime
    receive_time: datetime
    state: NotificationState
    order_id: str
    payment_id: str
    related_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTidings:
    """What a notification says about a payment, and by what the payment can be found.

    `stripe_payment_intent_id` is the surest, then the charge's; `payment_id` and `order_id` stand
    in the object's metadata. Metadata of a Source is written by a customer's device, so what it
    names counts only where `amount` agrees with the order's price and `user_id` with its payer; for
    these `untrusted` is True (DESIGN, "Metadata is believed as far as its writer").
    `chargeable_source_id` names a Source that waits to be charged.
    """

    fact: PaymentFact
    stripe_payment_intent_id: str
    payment_id: str
    order_id: str
    user_id: str
    amount: Money | None
    untrusted: bool
    stripe_charge_id: str = ""
    chargeable_source_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """The vendor signed the notification, but not for us; `why` is for people."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """The notification is understood and speaks of nothing that is kept here."""


Tidings = (
    PaymentTidings | RefundNews | DisputeNews | MethodNews | SubscriptionFact | Quarantine | Nothing
)
"""What a notification says, in the words of the domain."""
