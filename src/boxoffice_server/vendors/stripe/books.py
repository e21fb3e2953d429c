"""Stripe's books: all that it has, whoever made it (https://docs.stripe.com/api/pagination/auto)."""

import json
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import TypeVar

import structlog
from stripe.params import (
    ChargeListParams,
    DisputeListParams,
    EventListParams,
    PaymentIntentListParams,
    RefundListParams,
)

from boxoffice_server.domain.notification import VerifiedNotification
from boxoffice_server.domain.payment import derive_state
from boxoffice_server.domain.refund import DisputeNews, RefundNews
from boxoffice_server.ports import BookEntry
from boxoffice_server.vendors.json_object import JsonObject, MalformedObjectError
from boxoffice_server.vendors.stripe import metadata as keys
from boxoffice_server.vendors.stripe.answers import book_intent_answer, charge_answer
from boxoffice_server.vendors.stripe.client import Listing, StripeConnection, page_after
from boxoffice_server.vendors.stripe.news import dispute_news, gives_money_back, refund_news
from boxoffice_server.vendors.stripe.notifications import HANDLED_TYPES, read_event

T = TypeVar("T")


class StripeBooks:
    """Reads Stripe's books.

    An entry that can't be read is left out, and told in the log: it must not hide all others.
    """

    def __init__(self, connection: StripeConnection) -> None:
        self._stripe = connection
        self._log = structlog.get_logger(part="stripe")

    async def payments(self, since: datetime) -> AsyncGenerator[list[BookEntry]]:
        intents: PaymentIntentListParams = {
            "created": {"gte": int(since.timestamp())},
            "expand": ["data.latest_charge"],
        }
        listing = Listing(
            name="list_intents",
            about={},
            send=lambda after: self._stripe.v1.payment_intents.list_async(
                page_after(intents, after)
            ),
        )
        async for page in self._read(listing, _intent_entry):
            yield page
        charges: ChargeListParams = {"created": {"gte": int(since.timestamp())}}
        listing = Listing(
            name="list_charges",
            about={},
            send=lambda after: self._stripe.v1.charges.list_async(page_after(charges, after)),
        )
        async for page in self._read(listing, _charge_entry):
            yield page

    async def refunds(self, since: datetime) -> AsyncGenerator[list[RefundNews]]:
        params: RefundListParams = {"created": {"gte": int(since.timestamp())}}
        listing = Listing(
            name="list_refunds",
            about={},
            send=lambda after: self._stripe.v1.refunds.list_async(page_after(params, after)),
        )

        def read(refund: JsonObject) -> RefundNews | None:
            return refund_news(refund) if gives_money_back(refund) else None

        async for page in self._read(listing, read):
            yield page

    async def disputes(self, since: datetime) -> AsyncGenerator[list[DisputeNews]]:
        params: DisputeListParams = {"created": {"gte": int(since.timestamp())}}
        listing = Listing(
            name="list_disputes",
            about={},
            send=lambda after: self._stripe.v1.disputes.list_async(page_after(params, after)),
        )
        async for page in self._read(listing, dispute_news):
            yield page

    async def missed(self, since: datetime) -> AsyncGenerator[list[VerifiedNotification]]:
        params: EventListParams = {
            "created": {"gte": int(since.timestamp())},
            "delivery_success": False,
        }
        listing = Listing(
            name="list_events",
            about={},
            send=lambda after: self._stripe.v1.events.list_async(page_after(params, after)),
        )
        async for page in self._read(listing, _missed):
            yield page

    async def _read(
        self, listing: Listing, read: Callable[[JsonObject], T | None]
    ) -> AsyncGenerator[list[T]]:
        async for page in self._stripe.pages(listing):
            entries = (self._entry(listing, each, read) for each in page)
            yield [entry for entry in entries if entry is not None]

    def _entry(
        self, listing: Listing, told: JsonObject, read: Callable[[JsonObject], T | None]
    ) -> T | None:
        try:
            return read(told)
        except MalformedObjectError:
            self._log.exception(
                "an entry of stripe's books can't be read and is left out",
                call=listing.name,
                stripe_id=str(told.fields.get("id")),
            )
            return None


def _intent_entry(intent: JsonObject) -> BookEntry:
    answer = book_intent_answer(intent)
    return BookEntry(
        stripe_id=answer.stripe_payment_intent_id,
        payment_id=intent.child("metadata").text(keys.PAYMENT_ID),
        amount=intent.money(),
        captured=intent.count("amount_received") or 0,
        refunded=_given_back(intent.child("latest_charge")),
        status=derive_state([answer.fact]).status,
        create_time=answer.fact.event_time,
        answer=answer,
    )


def _charge_entry(charge: JsonObject) -> BookEntry | None:
    """Read a legacy charge; that of an intent is told by the intent."""
    if charge.reference("payment_intent"):
        return None
    answer = charge_answer(charge)
    return BookEntry(
        stripe_id=answer.stripe_charge_id,
        payment_id=charge.child("metadata").text(keys.PAYMENT_ID),
        amount=charge.money(),
        captured=charge.count("amount_captured") or 0,
        refunded=_given_back(charge),
        status=derive_state([answer.fact]).status,
        create_time=answer.fact.event_time,
        answer=answer,
    )


def _given_back(charge: JsonObject) -> int:
    """Tell how much of the money that a charge took has gone back.

    What was held and let go of is no refund since 2025-03-31.basil
    (https://docs.stripe.com/changelog/basil).
    """
    return charge.count("amount_refunded") or 0 if charge.fields else 0


def _missed(event: JsonObject) -> VerifiedNotification | None:
    if event.text("type") not in HANDLED_TYPES:
        return None
    return read_event(event, json.dumps(event.fields).encode())
