"""The vendors, as far as the service needs them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from boxoffice_server.domain.errors import BoxofficeError
from boxoffice_server.domain.facts import SubscriptionFact
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import (
    Notification,
    NotificationState,
    Tidings,
    VerifiedNotification,
)
from boxoffice_server.domain.payment import (
    Customer,
    Payment,
    PaymentFact,
    PaymentMethodType,
    PaymentStatus,
    Reuse,
)
from boxoffice_server.domain.payment_method import MethodNews
from boxoffice_server.domain.refund import (
    DisputeNews,
    Refund,
    RefundNews,
)
from boxoffice_server.domain.signals import ClockRules, Signal
from boxoffice_server.domain.subscription import LineageKey
from boxoffice_server.ports.store import Repository


class KeySpentError(BoxofficeError):
    """OUTCOME_UNKNOWN, and the vendor will answer the same failure to this key for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRequest:
    """What a payment intent is to be made for.

    With a saved method an intent that is `off_session` is confirmed at once.
    """

    payment: Payment
    stripe_customer_id: str
    stripe_payment_method_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentAnswer:
    """What the vendor said about an intent. The client secret is never stored or logged."""

    stripe_payment_intent_id: str
    client_secret: str
    stripe_charge_id: str
    fact: PaymentFact


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """What a Source is to be charged for: the payment's own amount.

    `operation_id` leads back to the attempt, for one payment may take several.
    """

    payment: Payment
    operation_id: str
    stripe_source_id: str
    stripe_customer_id: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeAnswer:
    """What the vendor said about a legacy charge."""

    stripe_charge_id: str
    fact: PaymentFact


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """A Source as the vendor has it; its metadata is a customer's device's word."""

    stripe_source_id: str
    stripe_customer_id: str
    status: str
    amount: Money | None
    order_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRequest:
    """What a setup intent is to be made for."""

    user_id: str
    stripe_customer_id: str
    method_type: PaymentMethodType
    reuse: Reuse
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupAnswer:
    """A setup intent. The client secret is never stored or logged."""

    stripe_setup_intent_id: str
    client_secret: str


class PaymentGateway(Protocol):
    """Stripe, as far as money is moved. No transaction is open during any call.

    Errors of all methods: VENDOR_REFUSED when the vendor says no for good; VENDOR_UNAVAILABLE when
    nothing happened there; OUTCOME_UNKNOWN when something may have, as KeySpentError where asking
    again under the same key is pointless. A call with the same key may be repeated after any of the
    last three and never does its work twice. What a decline leaves behind is an answer, no error.
    """

    async def create_customer(self, customer: Customer, *, key: str) -> str:
        """Make the vendor's customer and answer its id."""
        ...

    async def find_customer(self, customer: Customer, *, since: datetime) -> str | None:
        """Find the vendor's customer that was made for ours; answers its id."""
        ...

    async def create_intent(self, request: IntentRequest) -> IntentAnswer:
        """Make the payment's intent, and confirm it where the request says so."""
        ...

    async def read_intent(self, stripe_payment_intent_id: str) -> IntentAnswer:
        """Read an intent as it is now."""
        ...

    async def find_intent(
        self, payment: Payment, stripe_customer_id: str, *, since: datetime
    ) -> IntentAnswer | None:
        """Find the intent that was made for a payment, by reading all of its customer's."""
        ...

    async def capture_intent(
        self, payment: Payment, *, amount: int | None, key: str
    ) -> IntentAnswer:
        """Capture this much of what the payment's intent holds, all if None; release the rest."""
        ...

    async def cancel_intent(self, payment: Payment, *, key: str) -> IntentAnswer:
        """Cancel the payment's intent."""
        ...

    async def create_refund(self, refund: Refund, payment: Payment, *, key: str) -> RefundNews:
        """Give money of the payment's intent or charge back."""
        ...

    async def find_refund(self, refund: Refund, payment: Payment) -> RefundNews | None:
        """Find the refund that was made for ours, by reading all of its payment's."""
        ...

    async def read_source(self, stripe_source_id: str) -> SourceAnswer:
        """Read a Source as it is now."""
        ...

    async def create_charge(self, request: ChargeRequest) -> ChargeAnswer:
        """Charge a Source."""
        ...

    async def find_charge(
        self, payment: Payment, *, operation_id: str, since: datetime
    ) -> ChargeAnswer | None:
        """Find the legacy charge that one attempt to charge a payment has made."""
        ...


class MethodGateway(Protocol):
    """Stripe, as far as payment methods are saved. Errors as for PaymentGateway."""

    async def create_setup_intent(self, request: SetupRequest) -> SetupAnswer:
        """Make a setup intent."""
        ...

    async def read_setup_intent(self, stripe_setup_intent_id: str) -> SetupAnswer:
        """Read a setup intent as it is now."""
        ...

    async def read_method(self, stripe_payment_method_id: str) -> MethodNews:
        """Read a method as it is now."""
        ...

    async def attach_method(
        self, stripe_payment_method_id: str, stripe_customer_id: str, *, key: str
    ) -> MethodNews:
        """Attach a method to a customer."""
        ...

    async def detach_method(
        self, stripe_payment_method_id: str, *, key: str, now: datetime
    ) -> MethodNews:
        """Detach a method from its customer, for good. The answer's time is `now`, in seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """A payment as the vendor's books have it.

    `payment_id` is ours, from its metadata, and empty for one that was not made here. `captured`
    and `refunded` are in the minor unit of `amount`'s currency; `status` is in our words.
    """

    stripe_id: str
    payment_id: str
    amount: Money
    captured: int
    refunded: int
    status: PaymentStatus
    create_time: datetime
    answer: IntentAnswer | ChargeAnswer


class VendorBooks(Protocol):
    """The vendor's books, read page by page, newest first. Errors: VENDOR_UNAVAILABLE."""

    def payments(self, since: datetime) -> AsyncIterator[list[BookEntry]]:
        """Read the intents, and the charges without one, that were made at or after this time."""
        ...

    def refunds(self, since: datetime) -> AsyncIterator[list[RefundNews]]:
        """Read the refunds that were made at or after this time."""
        ...

    def disputes(self, since: datetime) -> AsyncIterator[list[DisputeNews]]:
        """Read the disputes that were made at or after this time."""
        ...

    def missed(self, since: datetime) -> AsyncIterator[list[VerifiedNotification]]:
        """Read the notifications since then that were not delivered; the vendor keeps 30 days."""
        ...


class SubscriptionFacts(Protocol):
    """Where verified facts about subscriptions go."""

    def hear(self, repo: Repository, fact: SubscriptionFact) -> NotificationState:
        """Keep a fact with all that follows from it; tells what became of its notification.

        A fact that was heard before changes nothing. Runs inside a transaction, maybe twice.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedPurchase:
    """A purchase that was handed in, by one of three: the others are empty.

    `signed_transaction` is as the device has it; `receipt` is in base64, and only older apps have
    one.
    """

    signed_transaction: str = ""
    transaction_id: str = ""
    receipt: str = ""


class SubmittedPurchases(Protocol):
    """A vendor whose purchases can be handed in."""

    async def read(self, purchase: SubmittedPurchase, *, now: datetime) -> SubscriptionFact:
        """Verify a purchase, or ask the vendor for it; answers what it tells of a subscription.

        Raises TRANSACTION_INVALID, TRANSACTION_NOT_FOUND, VENDOR_UNAVAILABLE, VENDOR_REFUSED, or
        SOURCE_NOT_CONFIGURED where the vendor must be asked and there is no key to it.
        """
        ...


class SubscriptionVendor(Protocol):
    """A vendor that can be asked about subscriptions. Errors as for SubmittedPurchases."""

    async def statuses(self, lineage: LineageKey, *, now: datetime) -> list[SubscriptionFact]:
        """Read how all subscriptions of a lineage's customer stand now."""
        ...

    def history(
        self, lineage: LineageKey, *, now: datetime
    ) -> AsyncIterator[list[SubscriptionFact]]:
        """Read every period of a lineage's customer, page by page, oldest first."""
        ...

    def notifications(
        self, since: datetime, until: datetime, *, now: datetime, only_failures: bool = False
    ) -> AsyncIterator[list[VerifiedNotification]]:
        """Read the notifications that were sent between two times, as they were then.

        With `only_failures`, those alone that did not reach us.
        """
        ...


class NotificationSource(Protocol):
    """A vendor that sends notifications."""

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> VerifiedNotification:
        """Check who sent it and when, over the raw bytes. Header names come in any case.

        Raises SIGNATURE_INVALID, TIMESTAMP_OUT_OF_TOLERANCE, NOTIFICATION_MALFORMED,
        LIVEMODE_MISMATCH, or VENDOR_UNAVAILABLE where the vendor must be asked and does not answer.
        """
        ...

    def tidings(self, notification: VerifiedNotification | Notification) -> Tidings | None:
        """Read what it says; None if this release does not understand its type, or it says nothing.

        Raises NOTIFICATION_MALFORMED for a known type whose object is not what it must be.
        """
        ...

    def clock_offset(self, notification: VerifiedNotification) -> int | None:
        """Read the offset of business time, in seconds, from a sandbox's notice that it moved.

        None for every other notification, and always where the key is not a sandbox's.
        """
        ...


class SubscriptionReader(Protocol):
    """What is known of a source of subscriptions without asking it. Pure."""

    @property
    def rules(self) -> ClockRules:
        """What the passing of time does to its subscriptions."""
        ...

    def signals(self, fact: SubscriptionFact) -> list[Signal]:
        """Tell what one of its facts says."""
        ...
