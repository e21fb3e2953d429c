"""Compares our books of payments with the vendor's, and repairs ours when told to.

Reads both and moves no money. What differs is compared once more under the payment's lock before it
is told, for both books go on while they are read.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import assert_never

from boxoffice_server.domain.ids import Prefix, hashed_id
from boxoffice_server.domain.notification import NotificationState
from boxoffice_server.domain.payment import ENDED, Payment, PaymentStatus, PendingReason
from boxoffice_server.domain.refund import DisputeNews, RefundNews
from boxoffice_server.intake import Intake
from boxoffice_server.operations.charges import settle_charge
from boxoffice_server.operations.intents import settle_intent
from boxoffice_server.ports import (
    BookEntry,
    ChargeAnswer,
    Clock,
    IntentAnswer,
    PaymentFilter,
    Repository,
    Store,
    VendorBooks,
)
from boxoffice_server.settlement import Settlement, lock

PAGE = 200


class DifferenceKind(StrEnum):
    """What differs."""

    MISSING_HERE = "missing_here"
    MISSING_AT_STRIPE = "missing_at_stripe"
    STATUS = "status"
    AMOUNT = "amount"
    UNKNOWN_HERE = "unknown_here"


class DifferenceCause(StrEnum):
    """Where a difference comes from."""

    NOTIFICATION_MISSED = "notification_missed"
    NOTIFICATION_NOT_APPLIED = "notification_not_applied"
    OUTCOME_UNKNOWN = "outcome_unknown"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing about which the two books say different things."""

    kind: DifferenceKind
    cause: DifferenceCause
    payment_id: str
    stripe_id: str
    ours: str
    theirs: str
    repaired: bool = False


@dataclass(slots=True)
class Sums:
    """What both books have in one currency, in its minor unit."""

    our_captured: int = 0
    stripe_captured: int = 0
    our_refunded: int = 0
    stripe_refunded: int = 0


@dataclass(slots=True)
class Comparison:
    """How far a comparison is, and what it has found. `differences` are those since last told."""

    differences: list[Difference] = field(default_factory=list)
    compared: int = 0
    foreign: int = 0
    found: int = 0
    repaired: int = 0
    progress: float = 0.0
    sums: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    done: bool = False

    def add(self, difference: Difference) -> None:
        """Note a difference."""
        self.differences.append(difference)
        self.found += 1
        self.repaired += difference.repaired


class Reconciliation:
    """Compares the books from a time on."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        books: VendorBooks,
        intake: Intake,
        settlement: Settlement,
    ) -> None:
        self._store = store
        self._clock = clock
        self._books = books
        self._intake = intake
        self._settlement = settlement

    async def compare(self, since: datetime, *, repair: bool) -> AsyncIterator[Comparison]:
        """Compare page by page; what is yielded is the same object, each time a step further.

        Whoever reads it takes the differences out. The last one is `done` and has the sums.
        """
        told = Comparison()
        began = self._clock.now()
        seen: dict[str, BookEntry] = {}
        steps = (
            self._take_missed(since) if repair else None,
            self._their_payments(told, since, began, seen, repair=repair),
            self._what_went_back(told, since, repair=repair),
            self._our_payments(told, since, began, seen),
        )
        for step in steps:
            if step is not None:
                async for _ in step:
                    yield told
        told.progress, told.done = 1.0, True
        yield told

    async def _take_missed(self, since: datetime) -> AsyncIterator[None]:
        """Take in the notifications that the vendor could not deliver."""
        async for page in self._books.missed(since):
            for notification in page:
                await self._intake.take(notification)
            yield

    async def _their_payments(
        self,
        told: Comparison,
        since: datetime,
        began: datetime,
        seen: dict[str, BookEntry],
        *,
        repair: bool,
    ) -> AsyncIterator[None]:
        """Compare what the vendor has with ours."""
        async for entries in self._books.payments(since):
            for entry in entries:
                seen[entry.stripe_id] = entry
                await self._compare_payment(told, entry, repair=repair)
            # The payments are most of the work.
            told.progress = _share(entries, since, began) * 0.6
            yield

    async def _what_went_back(
        self, told: Comparison, since: datetime, *, repair: bool
    ) -> AsyncIterator[None]:
        """Compare refunds and disputes."""
        async for refunds in self._books.refunds(since):
            for news in refunds:
                await self._compare_refund(told, news, repair=repair)
            yield
        told.progress = 0.7
        async for disputes in self._books.disputes(since):
            for each in disputes:
                await self._compare_dispute(told, each, repair=repair)
            yield
        told.progress = 0.8

    async def _compare_payment(self, told: Comparison, entry: BookEntry, *, repair: bool) -> None:
        told.compared += 1
        payment = await self._store.read(lambda repo: _ours(repo, entry))
        if payment is None:
            if not entry.payment_id:
                told.foreign += 1
                return
            told.add(
                Difference(
                    kind=DifferenceKind.MISSING_HERE,
                    cause=DifferenceCause.UNEXPLAINED,
                    payment_id=entry.payment_id,
                    stripe_id=entry.stripe_id,
                    ours="no such payment",
                    theirs=_told(entry.status, entry.captured),
                )
            )
            return
        if not _differs(payment, entry):
            return
        cause = await self._cause(payment, entry.stripe_id, payment.stripe_charge_id)
        repaired = False
        if repair:
            await self._store.write(lambda repo: self._settle(repo, payment.id, entry))
            mended = await self._store.read(lambda repo: repo.payments.get(payment.id))
            repaired = mended is not None and not _differs(mended, entry)
        amounts = payment.captured != entry.captured
        told.add(
            Difference(
                kind=DifferenceKind.AMOUNT
                if amounts and payment.state.status is entry.status
                else DifferenceKind.STATUS,
                cause=cause,
                payment_id=payment.id,
                stripe_id=entry.stripe_id,
                ours=_told(payment.state.status, payment.captured),
                theirs=_told(entry.status, entry.captured),
                repaired=repaired,
            )
        )

    def _settle(self, repo: Repository, payment_id: str, entry: BookEntry) -> None:
        """Record what the vendor's books say about a payment of ours, as of now."""
        now = self._clock.now().replace(microsecond=0)
        read = f"{entry.answer.fact.id}:{int(now.timestamp())}"
        fact = replace(entry.answer.fact, id=read, event_time=now)
        match entry.answer:
            case IntentAnswer():
                answer = replace(entry.answer, fact=fact)
                settle_intent(self._settlement, repo, payment_id, answer)
            case ChargeAnswer():
                charge = replace(entry.answer, fact=fact)
                settle_charge(self._settlement, repo, payment_id, charge)
            case _:
                assert_never(entry.answer)

    async def _compare_refund(self, told: Comparison, news: RefundNews, *, repair: bool) -> None:
        told.compared += 1

        def look(repo: Repository) -> tuple[Payment | None, str]:
            payment = _of(repo, news)
            known = repo.refunds.by_stripe_id(news.stripe_refund_id)
            return payment, "" if known is None else known.status

        payment, ours = await self._store.read(look)
        if payment is None:
            told.foreign += 1
            return
        if ours == news.status:
            return
        cause = await self._cause(payment, news.stripe_refund_id)

        def hear(repo: Repository) -> None:
            locked = lock(repo, payment.id)
            if locked is not None:
                now = self._clock.now().replace(microsecond=0)
                self._settlement.hear_refund(repo, locked, replace(news, event_time=now))

        repaired = False
        if repair:
            await self._store.write(hear)
            repaired = (await self._store.read(look))[1] == news.status
        told.add(
            Difference(
                kind=DifferenceKind.STATUS if ours else DifferenceKind.UNKNOWN_HERE,
                cause=cause,
                payment_id=payment.id,
                stripe_id=news.stripe_refund_id,
                ours=ours or "no such refund",
                theirs=f"{news.status} {news.amount.amount}",
                repaired=repaired,
            )
        )

    async def _compare_dispute(self, told: Comparison, news: DisputeNews, *, repair: bool) -> None:
        told.compared += 1
        dispute_id = hashed_id(Prefix.DISPUTE, news.stripe_dispute_id)

        def look(repo: Repository) -> tuple[Payment | None, str]:
            known = repo.disputes.get(dispute_id)
            return _of(repo, news), "" if known is None else known.status

        payment, ours = await self._store.read(look)
        if payment is None:
            told.foreign += 1
            return
        if ours == news.status:
            return
        cause = await self._cause(payment, news.stripe_dispute_id)

        def hear(repo: Repository) -> None:
            locked = lock(repo, payment.id)
            if locked is not None:
                now = self._clock.now().replace(microsecond=0)
                self._settlement.hear_dispute(repo, locked, replace(news, event_time=now))

        repaired = False
        if repair:
            await self._store.write(hear)
            repaired = (await self._store.read(look))[1] == news.status
        told.add(
            Difference(
                kind=DifferenceKind.STATUS if ours else DifferenceKind.UNKNOWN_HERE,
                cause=cause,
                payment_id=payment.id,
                stripe_id=news.stripe_dispute_id,
                ours=ours or "no such dispute",
                theirs=f"{news.status} {news.amount.amount}",
                repaired=repaired,
            )
        )

    async def _our_payments(
        self, told: Comparison, since: datetime, began: datetime, seen: dict[str, BookEntry]
    ) -> AsyncIterator[None]:
        """Look for what only we have, and add up both books over the payments of ours."""
        wanted = PaymentFilter(from_time=since, until_time=began)
        before = ""
        while True:
            page = await self._store.read(partial(_page, wanted=wanted, before=before))
            for payment in page:
                told.compared += 1
                named = payment.stripe_payment_intent_id or payment.stripe_charge_id
                entry = seen.get(named) if named else None
                sums = told.sums[payment.amount.currency]
                sums.our_captured += payment.captured
                sums.our_refunded += payment.refunded
                if entry is not None:
                    sums.stripe_captured += entry.captured
                    sums.stripe_refunded += entry.refunded
                elif named or payment.state.pending_reason is PendingReason.OUTCOME_UNKNOWN:
                    told.add(_missing_at_stripe(payment, named))
            yield
            if len(page) < PAGE:
                return
            before = page[-1].id

    async def _cause(self, payment: Payment, *stripe_ids: str) -> DifferenceCause:
        """Tell where a difference about a payment comes from."""
        if payment.state.pending_reason is PendingReason.OUTCOME_UNKNOWN:
            return DifferenceCause.OUTCOME_UNKNOWN

        def look(repo: Repository) -> DifferenceCause:
            if repo.operations.unsettled_on(payment.id):
                return DifferenceCause.OUTCOME_UNKNOWN
            states = [
                each.state
                for stripe_id in filter(None, stripe_ids)
                for each in repo.notifications.about(stripe_id)
            ]
            left = {NotificationState.PARKED, NotificationState.UNRELATED}
            if left & set(states):
                return DifferenceCause.NOTIFICATION_NOT_APPLIED
            return DifferenceCause.NOTIFICATION_MISSED

        return await self._store.read(look)


def _page(repo: Repository, *, wanted: PaymentFilter, before: str) -> list[Payment]:
    return repo.payments.find(wanted, before_id=before, limit=PAGE)


def _ours(repo: Repository, entry: BookEntry) -> Payment | None:
    payment = repo.payments.by_intent(entry.stripe_id) or repo.payments.by_charge(entry.stripe_id)
    if payment is None and entry.payment_id:
        payment = repo.payments.get(entry.payment_id)
    return payment if payment is not None and payment.amount == entry.amount else None


def _of(repo: Repository, news: RefundNews | DisputeNews) -> Payment | None:
    payment = None
    if news.stripe_payment_intent_id:
        payment = repo.payments.by_intent(news.stripe_payment_intent_id)
    if payment is None and news.stripe_charge_id:
        payment = repo.payments.by_charge(news.stripe_charge_id)
    return payment


def _differs(payment: Payment, entry: BookEntry) -> bool:
    """Tell whether a payment is not what the vendor's books say.

    A failed attempt leaves both waiting for another, in words of their own.
    """
    failed = entry.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    if failed and isinstance(entry.answer, ChargeAnswer):
        # One attempt of several: each legacy charge is an object of its own.
        return False
    waiting = {PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_ACTION}
    ours, theirs = payment.state.status, entry.status
    same = ours is theirs or (ours in waiting and theirs in waiting)
    known = bool(payment.stripe_payment_intent_id or payment.stripe_charge_id)
    return not same or payment.captured != entry.captured or not known


def _missing_at_stripe(payment: Payment, named: str) -> Difference:
    unknown = payment.state.pending_reason is PendingReason.OUTCOME_UNKNOWN
    return Difference(
        kind=DifferenceKind.MISSING_AT_STRIPE,
        cause=DifferenceCause.OUTCOME_UNKNOWN if unknown else DifferenceCause.UNEXPLAINED,
        payment_id=payment.id,
        stripe_id=named,
        ours=_told(payment.state.status, payment.captured),
        theirs="no such payment",
    )


def _told(status: PaymentStatus, captured: int) -> str:
    return f"{status} {captured}" if captured or status in ENDED else status


def _share(entries: Iterable[BookEntry], since: datetime, began: datetime) -> float:
    """Tell how far back a page reaches, as a share of the whole time."""
    oldest = min((each.create_time for each in entries), default=since)
    whole = (began - since).total_seconds()
    return min(max((began - oldest).total_seconds() / whole, 0.0), 1.0) if whole > 0 else 1.0
