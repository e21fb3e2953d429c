"""From signals to what happened and how it stands: pure, in the vendor's order of things.

`tell` looks at all signals of one lineage at once and at nothing else, so neither the order in
which they came nor how often can matter. It runs the clock to its end: what would happen if nothing
more were heard is part of the story, and whoever asks at some moment takes what lies before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from boxoffice_server.domain.facets import (
    Deadline,
    Facets,
    deadline,
    renewed_type,
    started_type,
)
from boxoffice_server.domain.periods import merge_periods
from boxoffice_server.domain.signals import (
    Cause,
    ClockRules,
    Expired,
    GraceStarted,
    LossUndone,
    Lost,
    PeriodSeen,
    PriceAsked,
    RenewalSet,
    RetryStarted,
    Signal,
    Snapshot,
    SwitchAsked,
    Telling,
    TimeAdded,
)
from boxoffice_server.domain.story import Illegal, Line, Notes, Occurrence, Story
from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from boxoffice_server.domain.transitions import Verdict, loss_prevails, verdict

# These events tell when access ends, beside those that add time (vendor-mapping §1.2).
_TELLS_EXPIRY = {SubscriptionEventType.REFUNDED, SubscriptionEventType.REFUNDED_FOR_ISSUE}


def tell(signals: Iterable[Signal], rules: ClockRules) -> Story:
    """Tell the story of a lineage from its signals."""
    ordered = merge_periods(signals)
    fold = _Fold(ordered, rules)
    for number, signal in enumerate(ordered):
        fold.run_clock(number, until=signal.order.time)
        fold.hear(signal)
    fold.run_clock(len(ordered), until=None)
    return fold.story()


class _Fold:
    """The story while it is told."""

    def __init__(self, signals: Sequence[Signal], rules: ClockRules) -> None:
        self._rules = rules
        self._signals = signals
        self._lines: dict[str, Line] = {}
        self._notes = Notes()
        self._illegal: list[Illegal] = []
        self._current: PeriodSeen | None = None
        self._has_started = False

    def story(self) -> Story:
        return Story(
            occurrences=tuple(self._notes.occurrences),
            steps={each.product: tuple(each.steps) for each in self._lines.values() if each.steps},
            illegal=tuple(self._illegal),
        )

    def run_clock(self, number: int, *, until: datetime | None) -> None:
        """Let time pass up to this moment, for ever if None, before signal `number` is heard."""
        for line in self._lines.values():
            while (due := self._due(line, until)) is not None:
                if self._is_contradicted(due, number):
                    break
                line.step(due.time, due.facets, self._note_clock(line, due))

    def _due(self, line: Line, until: datetime | None) -> Deadline | None:
        due = deadline(line.facets, self._rules) if line.facets is not None else None
        return None if due is None or (until is not None and due.time >= until) else due

    def _note_clock(self, line: Line, due: Deadline) -> int | None:
        if due.type is None:
            return None
        return self._notes.take(
            Occurrence(
                type=due.type,
                product=line.product,
                event_time=due.time,
                effective_time=due.time,
                fact_ref=due.facets.period_key,
                by_clock=True,
            )
        )

    def _is_contradicted(self, due: Deadline, number: int) -> bool:
        """Tell whether a signal still to come knows better than the clock.

        Time that was bought without a gap does; so does the vendor's own word on how the period
        ended, and on what silence would be taken for.
        """
        key, start = due.facets.period_key, due.facets.start_time
        for signal in self._signals[number:]:
            match signal:
                case PeriodSeen(period=period) if start < period.start_time <= due.time:
                    return True
                case GraceStarted(period_key=of, until=end) if of == key and due.type is None:
                    if end > due.time:
                        return True
                case Expired(period_key=of, status=status, time=time) if of == key:
                    if due.type is None and time <= due.time:
                        return True
                    if due.facets.terminal not in {None, status}:
                        return True
                case _:
                    pass
        return False

    def hear(self, signal: Signal) -> None:
        """Hear one signal, in the vendor's order."""
        match signal:
            case PeriodSeen():
                self._hear_period(signal)
            case RenewalSet() | SwitchAsked() | PriceAsked():
                self._hear_toggle(signal)
            case GraceStarted() | RetryStarted() | Expired() | Lost() | LossUndone() | TimeAdded():
                self._hear_of_period(signal)
            case Snapshot():
                self._hear_snapshot(signal)
            case _:
                assert_never(signal)

    # Periods

    def _hear_period(self, signal: PeriodSeen) -> None:
        period, line, newest = signal.period, self._line(signal.period.product), self._current
        is_old = newest is not None and period.start_time < newest.period.start_time
        is_first = signal.first and not self._has_started and line.facets is None
        self._has_started = self._has_started or is_first
        if newest is not None and not is_old and newest.period.product != period.product:
            self._switch(newest.period.product, signal)
        effective = period.start_time
        if line.facets is not None and line.facets.is_open:
            # The same product goes on: it only gets longer, and does so at once.
            effective = min(signal.order.time, effective)
        occurrence = None
        if signal.telling is not Telling.MENTIONED:
            occurrence = self._note(
                line,
                signal,
                started_type(period.base) if is_first else renewed_type(period.base),
                time=period.start_time,
                effective_time=effective,
                fact_ref=period.key,
                expire_time=period.expire_time,
                promotion_reference=period.promotion_reference,
            )
        if not is_old:
            self._current = signal
            line.step(effective, Facets.of(period), occurrence)

    def _switch(self, product: str, new: PeriodSeen) -> None:
        """End the product that another one of the same lineage follows."""
        line, time = self._line(product), new.period.start_time
        facets, type_ = line.facets, SubscriptionEventType.SWITCHED_PRODUCT
        if facets is None or verdict(line.status, type_) is not Verdict.MOVES:
            return
        occurrence = self._note(
            line,
            new,
            type_,
            time=time,
            fact_ref=facets.period_key,
            new_product=new.period.product,
        )
        ended = replace(
            facets,
            terminal=EntitlementStatus.SWITCHED_PRODUCT,
            expire_time=min(facets.expire_time, time),
            new_product=new.period.product,
        )
        line.step(time, ended, occurrence)

    # Toggles

    def _hear_toggle(self, signal: RenewalSet | SwitchAsked | PriceAsked) -> None:
        facets = self._line(signal.product).facets
        if facets is None:
            return
        match signal:
            case RenewalSet(cause=Cause.PREFERENCE) if not facets.pending_product:
                pass
            case RenewalSet(cause=Cause.PRICE) if not facets.price_pending:
                pass
            case RenewalSet(enabled=True):
                self._toggle(signal, SubscriptionEventType.RENEWAL_ENABLED, cause=signal.cause)
            case RenewalSet():
                self._toggle(signal, SubscriptionEventType.RENEWAL_DISABLED)
            case SwitchAsked():
                asked = SubscriptionEventType.SWITCHING_PRODUCT
                self._toggle(signal, asked, new_product=signal.new_product)
            case PriceAsked():
                self._toggle(signal, SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED)
            case _:
                assert_never(signal)

    def _toggle(
        self,
        signal: RenewalSet | SwitchAsked | PriceAsked | Snapshot,
        type_: SubscriptionEventType,
        *,
        new_product: str = "",
        cause: Cause = Cause.PLAIN,
    ) -> None:
        line = self._line(signal.product)
        facets = line.facets
        if facets is None:
            return
        adjusted = signal.expire_time if isinstance(signal, RenewalSet) else None
        occurrence = self._note(
            line,
            signal,
            type_,
            fact_ref=signal.fact_id,
            expire_time=adjusted,
            new_product=new_product,
        )
        changed = facets.toggled(type_, new_product=new_product, cause=cause)
        if adjusted is not None and facets.is_open:
            changed = replace(changed, expire_time=adjusted, end_time=adjusted)
        # What leaves the status as it was did not put it there.
        stays = changed.status is facets.status
        line.step(signal.time, changed, line.steps[-1].occurrence if stays else occurrence)

    def _hear_snapshot(self, signal: Snapshot) -> None:
        """Rule R: where the vendor's snapshot disagrees, a notification was lost. Make it up."""
        line = self._line(signal.product)
        if signal.lost is False and line.facets is not None:
            self._undo(line, line.facets, signal)
        facets = line.facets
        if facets is None or not facets.is_open or signal.order.time >= facets.expire_time:
            return
        if signal.auto_renew is False:
            if facets.auto_renew:
                self._toggle(signal, SubscriptionEventType.RENEWAL_DISABLED)
            return
        if signal.auto_renew is True and not facets.auto_renew:
            self._toggle(signal, SubscriptionEventType.RENEWAL_ENABLED)
        enabled, pending = SubscriptionEventType.RENEWAL_ENABLED, signal.pending_product
        if pending and pending != facets.pending_product:
            self._toggle(signal, SubscriptionEventType.SWITCHING_PRODUCT, new_product=pending)
        elif pending == "" and facets.pending_product:
            self._toggle(signal, enabled, cause=Cause.PREFERENCE)
        if signal.price_pending is True and not facets.price_pending:
            self._toggle(signal, SubscriptionEventType.PRICE_CHANGE_CONFIRMATION_REQUESTED)
        elif signal.price_agreed is True and facets.price_pending:
            self._toggle(signal, enabled, cause=Cause.PRICE)

    # What becomes of one period

    def _hear_of_period(
        self, signal: GraceStarted | RetryStarted | Expired | Lost | LossUndone | TimeAdded
    ) -> None:
        """Hear what became of a period; of an older one it is of no account any more."""
        line = self._line(signal.product)
        facets = line.facets
        if facets is None or facets.period_key != signal.period_key:
            return
        match signal:
            case GraceStarted():
                self._start_grace(line, facets, signal)
            case RetryStarted():
                self._start_retry(line, facets, signal)
            case Expired():
                self._expire(line, facets, signal)
            case Lost():
                self._lose(line, facets, signal)
            case LossUndone():
                self._undo(line, facets, signal)
            case TimeAdded():
                self._give(line, facets, signal, max(signal.expire_time, facets.expire_time))
            case _:
                assert_never(signal)

    def _start_grace(self, line: Line, facets: Facets, signal: GraceStarted) -> None:
        type_ = SubscriptionEventType.GRACE_PERIOD_STARTED
        if self._refuses(line, signal, type_):
            return
        occurrence = self._note(
            line, signal, type_, fact_ref=facets.period_key, expire_time=signal.until
        )
        if facets.terminal is None:
            changed = replace(
                facets, grace_until=signal.until, expire_time=signal.until, silent=False
            )
            line.step(signal.time, changed, occurrence)

    def _start_retry(self, line: Line, facets: Facets, signal: RetryStarted) -> None:
        type_ = SubscriptionEventType.BILLING_RETRY_STARTED
        occurrence = self._note(line, signal, type_, fact_ref=facets.period_key)
        if facets.terminal is None and not facets.retry:
            changed = replace(facets, retry=True, grace_until=None, silent=False)
            line.step(signal.time, changed, occurrence)

    def _expire(self, line: Line, facets: Facets, signal: Expired) -> None:
        time = signal.time
        if facets.retry:
            time = signal.order.time
        elif facets.grace_until is not None:
            time = facets.grace_until
        type_ = SubscriptionEventType(signal.status.value)
        occurrence = self._note(line, signal, type_, time=time, fact_ref=facets.period_key)
        if facets.terminal is None:
            line.step(time, replace(facets, terminal=signal.status), occurrence)

    def _lose(self, line: Line, facets: Facets, signal: Lost) -> None:
        type_ = SubscriptionEventType(signal.status.value)
        # A period that was given back before it began ends as it begins.
        time = max(signal.time, facets.start_time)
        expire_time = min(facets.expire_time, time)
        prevails = loss_prevails(facets.terminal, signal.status)
        if prevails:
            line.cut(time)
        occurrence = self._note(
            line,
            signal,
            type_,
            effective_time=time,
            fact_ref=facets.period_key,
            expire_time=expire_time if type_ in _TELLS_EXPIRY else None,
        )
        if prevails:
            lost = replace(
                facets,
                terminal=signal.status,
                expire_time=expire_time,
                before_loss=facets.before_loss or facets,
            )
            line.step(time, lost, occurrence)

    def _undo(self, line: Line, facets: Facets, signal: LossUndone | Snapshot) -> None:
        """Give back what was lost, if it still runs; otherwise it stands as if never lost."""
        before = facets.before_loss
        if before is None or facets.period_key != signal.period_key:
            return
        end = signal.expire_time if isinstance(signal, LossUndone) else before.expire_time
        if signal.order.time < end:
            self._give(line, before, signal, end)
            return
        while (due := deadline(before, self._rules)) is not None and due.time < signal.order.time:
            before = due.facets
        line.step(signal.order.time, before, None)

    def _give(
        self,
        line: Line,
        facets: Facets,
        signal: LossUndone | Snapshot | TimeAdded,
        expire_time: datetime,
    ) -> None:
        """Let a period run until this time, all its other facets cleared."""
        given = facets.fresh(expire_time=expire_time)
        occurrence = self._note(
            line,
            signal,
            renewed_type(given.base),
            fact_ref=signal.fact_id,
            expire_time=expire_time,
            promotion_reference=given.promotion_reference,
        )
        line.step(signal.time, given, occurrence)

    # What all of them need

    def _line(self, product: str) -> Line:
        line = self._lines.get(product)
        if line is None:
            line = self._lines[product] = Line(product)
        return line

    def _refuses(self, line: Line, signal: Signal, type_: SubscriptionEventType) -> bool:
        """Keep out what is never legal (vendor-mapping §5), and say so."""
        if verdict(line.status, type_) is not Verdict.ILLEGAL:
            return False
        self._illegal.append(Illegal(signal=signal, status=line.status, type=type_))
        return True

    def _note(
        self,
        line: Line,
        signal: Signal,
        type_: SubscriptionEventType,
        *,
        fact_ref: str,
        time: datetime | None = None,
        effective_time: datetime | None = None,
        expire_time: datetime | None = None,
        new_product: str = "",
        promotion_reference: str = "",
    ) -> int:
        time = time or signal.time
        effective_time = effective_time or time
        if line.steps:
            effective_time = max(effective_time, line.steps[-1].time)
        return self._notes.take(
            Occurrence(
                type=type_,
                product=line.product,
                event_time=time,
                effective_time=effective_time,
                fact_ref=fact_ref,
                fact_id=signal.fact_id,
                expire_time=expire_time,
                new_product=new_product,
                promotion_reference=promotion_reference,
            )
        )
