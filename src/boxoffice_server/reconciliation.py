"""Compares our books of payments with the vendor's, and repairs ours when told to.

Reads both and moves no money.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import assert_never

from boxoffice_server.domain.books import (
    Comparison,
    Difference,
    DifferenceCause,
    DifferenceKind,
)
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
from boxoffice_server.settlement import Settlement, lock_payment

PAGE = 200
# How far each step has come when it ends; the vendor's payments are most of the work.
_PAYMENTS_DONE, _REFUNDS_DONE, _DISPUTES_DONE = 0.6, 0.7, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """A difference, how to see whether it is still there, and how to mend it."""

    difference: Difference
    differs: Callable[[Repository], bool]
    mend: Callable[[Repository], None]


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
        run = _Run(self, since=since, began=self._clock.now(), repair=repair)
        for step in (run.their_payments(), run.what_went_back(), run.our_payments()):
            async for _ in step:
                yield run.told
        run.told.progress, run.told.done = 1.0, True
        yield run.told

    # -- what differs -----------------------------------------------------------------------------

    async def payment(self, told: Comparison, entry: BookEntry) -> _Finding | None:
        """Compare an entry of the vendor's with our payment."""
        payment = await self._store.read(partial(_ours, entry=entry))
        if payment is None:
            if not entry.payment_id:
                told.foreign += 1
                return None
            told.add(_missing_here(entry))
            return None
        if not _differs(payment, entry):
            return None
        same_status = payment.state.status is entry.status
        difference = Difference(
            kind=DifferenceKind.AMOUNT if same_status else DifferenceKind.STATUS,
            cause=await self._cause(payment, entry.stripe_id, payment.stripe_charge_id),
            payment_id=payment.id,
            stripe_id=entry.stripe_id,
            ours=_told(payment.state.status, payment.captured),
            theirs=_told(entry.status, entry.captured),
        )
        return _Finding(
            difference=difference,
            differs=lambda repo: _differs(_read(repo, payment.id), entry),
            mend=lambda repo: self._settle(repo, payment.id, entry),
        )

    def _settle(self, repo: Repository, payment_id: str, entry: BookEntry) -> None:
        """Record what the vendor's books say about a payment of ours, as of now."""
        payment, now = _read(repo, payment_id), self._now()
        read = f"{entry.answer.fact.id}:{int(now.timestamp())}"
        fact = replace(entry.answer.fact, id=read, event_time=now)
        match entry.answer:
            case IntentAnswer():
                answer = replace(entry.answer, fact=fact)
                settle_intent(self._settlement, repo, payment, answer)
            case ChargeAnswer():
                charge = replace(entry.answer, fact=fact)
                settle_charge(self._settlement, repo, payment, charge)
            case _:
                assert_never(entry.answer)

    async def went_back(self, told: Comparison, news: RefundNews | DisputeNews) -> _Finding | None:
        """Compare a refund or a dispute of the vendor's with ours."""
        payment, ours = await self._store.read(
            lambda repo: (_payment_of(repo, news), _known_status(repo, news))
        )
        if payment is None:
            told.foreign += 1
            return None
        if ours == news.status:
            return None
        stripe_id = _stripe_id(news)
        difference = Difference(
            kind=DifferenceKind.STATUS if ours else DifferenceKind.UNKNOWN_HERE,
            cause=await self._cause(payment, stripe_id),
            payment_id=payment.id,
            stripe_id=stripe_id,
            ours=ours or f"no such {'refund' if isinstance(news, RefundNews) else 'dispute'}",
            theirs=f"{news.status} {news.amount.amount}",
        )
        return _Finding(
            difference=difference,
            differs=lambda repo: _known_status(repo, news) != news.status,
            mend=lambda repo: self._hear(repo, payment.id, news),
        )

    def _hear(self, repo: Repository, payment_id: str, news: RefundNews | DisputeNews) -> None:
        """Record what the vendor's books say about a refund or a dispute, as of now."""
        locked = lock_payment(repo, _read(repo, payment_id))
        match news:
            case RefundNews():
                read = replace(news, event_time=self._now())
                self._settlement.hear_refund(repo, locked, read)
            case DisputeNews():
                told = replace(news, event_time=self._now())
                self._settlement.hear_dispute(repo, locked, told)
            case _:
                assert_never(news)

    async def _cause(self, payment: Payment, *stripe_ids: str) -> DifferenceCause:
        """Tell where a difference about a payment comes from."""
        if payment.state.pending_reason is PendingReason.OUTCOME_UNKNOWN:
            return DifferenceCause.OUTCOME_UNKNOWN

        def look(repo: Repository) -> DifferenceCause:
            if repo.operations.unsettled_on(payment.id):
                return DifferenceCause.OUTCOME_UNKNOWN
            states = {
                each.state
                for stripe_id in filter(None, stripe_ids)
                for each in repo.notifications.about(stripe_id)
            }
            if states & {NotificationState.PARKED, NotificationState.UNRELATED}:
                return DifferenceCause.NOTIFICATION_NOT_APPLIED
            return DifferenceCause.NOTIFICATION_MISSED

        return await self._store.read(look)

    # -- repairs ----------------------------------------------------------------------------------

    async def mend(self, finding: _Finding) -> Difference:
        """Mend a difference, if it is still there; answers it, and whether it is gone."""
        if await self._store.read(finding.differs):
            await self._store.write(finding.mend)
        gone = not await self._store.read(finding.differs)
        return replace(finding.difference, repaired=gone)

    async def take_missed(self, since: datetime) -> None:
        """Take in the notifications that the vendor could not deliver."""
        async for page in self._books.missed(since):
            for notification in page:
                await self._intake.take(notification)

    def _now(self) -> datetime:
        """Tell the time as the vendor does, in whole seconds."""
        return self._clock.now().replace(microsecond=0)

    @property
    def books(self) -> VendorBooks:
        """The vendor's books."""
        return self._books

    async def our_page(self, wanted: PaymentFilter, before_id: str) -> list[Payment]:
        """Read a page of our payments."""
        return await self._store.read(
            lambda repo: repo.payments.find(wanted, before_id=before_id, limit=PAGE)
        )


class _Run:
    """One comparison under way. Each step is a generator that yields after every page."""

    def __init__(
        self, books: Reconciliation, *, since: datetime, began: datetime, repair: bool
    ) -> None:
        self.told = Comparison()
        self._all = books
        self._since = since
        self._began = began
        self._repair = repair
        self._took_missed = False
        self._seen: dict[str, BookEntry] = {}

    async def their_payments(self) -> AsyncIterator[None]:
        """Compare the vendor's payments with ours."""
        async for entries in self._all.books.payments(self._since):
            for entry in entries:
                self._seen[entry.stripe_id] = entry
                self.told.compared += 1
                finding = await self._all.payment(self.told, entry)
                if finding is not None:
                    # Our payment may not know yet what it is called there.
                    self._seen[finding.difference.payment_id] = entry
                await self._add(finding)
            share = _share(entries, self._since, self._began) * _PAYMENTS_DONE
            self.told.progress = max(self.told.progress, share)
            yield
        self.told.progress = _PAYMENTS_DONE

    async def what_went_back(self) -> AsyncIterator[None]:
        """Compare refunds and disputes."""
        async for refunds in self._all.books.refunds(self._since):
            for news in refunds:
                self.told.compared += 1
                await self._add(await self._all.went_back(self.told, news))
            yield
        self.told.progress = _REFUNDS_DONE
        async for disputes in self._all.books.disputes(self._since):
            for each in disputes:
                self.told.compared += 1
                await self._add(await self._all.went_back(self.told, each))
            yield
        self.told.progress = _DISPUTES_DONE

    async def our_payments(self) -> AsyncIterator[None]:
        """Look for what only we have, and add up both books over the payments of ours."""
        wanted = PaymentFilter(from_time=self._since, until_time=self._began)
        page = await self._all.our_page(wanted, "")
        while page:
            for payment in page:
                self._count(payment)
            yield
            page = await self._all.our_page(wanted, page[-1].id)

    def _count(self, payment: Payment) -> None:
        self.told.compared += 1
        named = payment.stripe_payment_intent_id or payment.stripe_charge_id
        entry = self._seen.get(named or payment.id)
        sums = self.told.sums[payment.amount.currency]
        sums.our_captured += payment.captured
        sums.our_refunded += payment.refunded
        if entry is not None:
            sums.stripe_captured += entry.captured
            sums.stripe_refunded += entry.refunded
        elif named or payment.state.pending_reason is PendingReason.OUTCOME_UNKNOWN:
            self.told.add(_missing_at_stripe(payment, named))

    async def _add(self, finding: _Finding | None) -> None:
        if finding is None:
            return
        if not self._repair:
            self.told.add(finding.difference)
            return
        if not self._took_missed:
            # They may mend this and much else, with all that happened in between.
            await self._all.take_missed(self._since)
            self._took_missed = True
        self.told.add(await self._all.mend(finding))


def _read(repo: Repository, payment_id: str) -> Payment:
    payment = repo.payments.get(payment_id)
    if payment is None:
        raise AssertionError(f"payment {payment_id} is gone")
    return payment


def _ours(repo: Repository, *, entry: BookEntry) -> Payment | None:
    payment = repo.payments.by_intent(entry.stripe_id) or repo.payments.by_charge(entry.stripe_id)
    if payment is None and entry.payment_id:
        payment = repo.payments.get(entry.payment_id)
    return payment if payment is not None and payment.amount == entry.amount else None


def _payment_of(repo: Repository, news: RefundNews | DisputeNews) -> Payment | None:
    payment = None
    if news.stripe_payment_intent_id:
        payment = repo.payments.by_intent(news.stripe_payment_intent_id)
    if payment is None and news.stripe_charge_id:
        payment = repo.payments.by_charge(news.stripe_charge_id)
    return payment


def _known_status(repo: Repository, news: RefundNews | DisputeNews) -> str:
    """Tell the status that we have of a refund or a dispute; empty where we know of none."""
    match news:
        case RefundNews():
            refund = repo.refunds.by_stripe_id(news.stripe_refund_id)
            return "" if refund is None else refund.status
        case DisputeNews():
            dispute = repo.disputes.get(hashed_id(Prefix.DISPUTE, news.stripe_dispute_id))
            return "" if dispute is None else dispute.status
        case _:
            assert_never(news)


def _stripe_id(news: RefundNews | DisputeNews) -> str:
    return news.stripe_refund_id if isinstance(news, RefundNews) else news.stripe_dispute_id


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


def _missing_here(entry: BookEntry) -> Difference:
    return Difference(
        kind=DifferenceKind.MISSING_HERE,
        cause=DifferenceCause.UNEXPLAINED,
        payment_id=entry.payment_id,
        stripe_id=entry.stripe_id,
        ours="no such payment",
        theirs=_told(entry.status, entry.captured),
    )


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
