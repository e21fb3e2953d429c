"""From signals to what happened and how it stands: pure, in the vendor's order of things.

`tell` looks at all signals of one lineage at once and at nothing else, so neither the order in
which they came nor how often can matter. It runs the clock to its end: what would happen if nothing
more were heard is part of the story, and whoever asks at some moment takes what lies before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from boxoffice_server.domain.ahead import Ahead, Word
from boxoffice_server.domain.facets import (
    Deadline,
    Facets,
    deadline,
    renewed_type,
    started_type,
)
from boxoffice_server.domain.missed import missed
from boxoffice_server.domain.periods import merge_periods
from boxoffice_server.domain.signals import (
    Cause,
    ClockRules,
    Expired,
    GraceStarted,
    LossUndone,
    Lost,
    Period,
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
from boxoffice_server.domain.story import Illegal, Line, Notes, Story
from boxoffice_server.domain.subscription import EntitlementStatus, SubscriptionEventType
from boxoffice_server.domain.transitions import Verdict, loss_prevails, verdict

# These events tell when access ends, beside those that add time.
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
        self._ahead = Ahead(signals)
        self._lines: dict[str, Line] = {}
        self._notes = Notes()
        self._illegal: list[Illegal] = []
        self._current: PeriodSeen | None = None
        self._has_started = False
        # When the last loss of each product was signed, and which toggle was the last.
        self._lost: dict[str, datetime] = {}
        self._toggled: dict[str, Signal] = {}
        # How often each period was given back: it can be lost once more.
        self._given_back: defaultdict[str, int] = defaultdict(int)

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
                word = self._ahead.word(due, number)
                if word is Word.GOES_ON:
                    break
                if word is Word.OTHERWISE:
                    line.step(due.time, replace(due.facets, silent=True), None)
                    break
                line.step(due.time, due.then, self._notes.pass_by(line, due))

    def _due(self, line: Line, until: datetime | None) -> Deadline | None:
        due = deadline(line.facets, self._rules) if line.facets is not None else None
        return None if due is None or (until is not None and due.time >= until) else due

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
        is_old = newest is not None and _has_passed(period, newest.period, signal.order.time)
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
            occurrence = self._notes.hear(
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
        occurrence = self._notes.hear(
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
            silent=False,
            expire_time=min(facets.expire_time, time),
            new_product=new.period.product,
        )
        line.step(time, ended, occurrence)

    # Toggles

    def _hear_toggle(self, signal: RenewalSet | SwitchAsked | PriceAsked) -> None:
        facets = self._line(signal.product).facets
        if facets is None:
            return
        self._toggled[signal.product] = signal
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
        occurrence = self._notes.hear(
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
        line.step(signal.time, changed, line.occurrence if stays else occurrence)

    def _hear_snapshot(self, signal: Snapshot) -> None:
        """Rule R: where the vendor's snapshot disagrees, a notification was lost. Make it up."""
        line = self._line(signal.product)
        lost_time = self._lost.get(signal.product)
        is_newer = lost_time is not None and lost_time < signal.order.time
        if signal.lost is False and is_newer and line.facets is not None:
            self._undo(line, line.facets, signal)
        # Of what was lost too: it may be given back.
        facets = line.standing
        if facets is None or not facets.is_open or signal.order.time >= facets.expire_time:
            return
        toggled = self._toggled.get(signal.product)
        if toggled is not None and _is_no_newer(signal, toggled):
            return
        for each in missed(signal, facets):
            if line.facets is facets:
                self._toggle(signal, each.type, new_product=each.new_product, cause=each.cause)
            elif line.facets is not None:
                # Who has lost it needn't hear what it would be; it matters if it is given back.
                kept = line.facets.toggled(
                    each.type, new_product=each.new_product, cause=each.cause
                )
                line.step(signal.time, kept, line.occurrence)
            facets = line.standing

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
        occurrence = self._notes.hear(
            line, signal, type_, fact_ref=facets.period_key, expire_time=signal.until
        )
        if facets.terminal is None:
            changed = replace(
                facets, grace_until=signal.until, expire_time=signal.until, silent=False
            )
            line.step(signal.time, changed, occurrence)

    def _start_retry(self, line: Line, facets: Facets, signal: RetryStarted) -> None:
        type_ = SubscriptionEventType.BILLING_RETRY_STARTED
        occurrence = self._notes.hear(line, signal, type_, fact_ref=facets.period_key)
        if facets.terminal is None and not facets.retry:
            changed = replace(facets, retry=True, grace_until=None, silent=False)
            line.step(signal.time, changed, occurrence)

    def _expire(self, line: Line, facets: Facets, signal: Expired) -> None:
        # Where the period was made longer, its own date may not tell.
        end = (facets.before_loss or facets).expire_time
        time = max(signal.time, min(end, signal.order.time))
        if facets.retry:
            time = signal.order.time
        elif facets.grace_until is not None:
            time = facets.grace_until
        type_ = SubscriptionEventType(signal.status.value)
        occurrence = self._notes.hear(line, signal, type_, time=time, fact_ref=facets.period_key)
        if facets.terminal is None:
            line.step(time, replace(facets, terminal=signal.status, silent=False), occurrence)
        elif facets.before_loss is not None and facets.before_loss.terminal is None:
            # Given back, it would be over all the same.
            over = replace(facets.before_loss, terminal=signal.status, silent=False)
            line.step(line.steps[-1].time, replace(facets, before_loss=over), line.occurrence)

    def _lose(self, line: Line, facets: Facets, signal: Lost) -> None:
        type_ = SubscriptionEventType(signal.status.value)
        self._lost[line.product] = signal.order.time
        # A period that was given back before it began ends as it begins.
        time = max(signal.time, facets.start_time)
        if line.steps[-1].time > time and facets.terminal is EntitlementStatus.SWITCHED_PRODUCT:
            # Another product was to follow, but had not begun.
            line.cut(time)
            facets = line.facets or facets
        expire_time, again = min(facets.expire_time, time), self._given_back[facets.period_key]
        prevails = loss_prevails(facets.terminal, signal.status)
        if prevails:
            line.cut(time)
        occurrence = self._notes.hear(
            line,
            signal,
            type_,
            effective_time=time,
            fact_ref=facets.period_key + (f":{again}" if again else ""),
            expire_time=expire_time if type_ in _TELLS_EXPIRY else None,
        )
        if prevails:
            if signal.time < time:
                # What came before it runs to its end.
                line.step(
                    signal.time, replace(facets, end_time=time, expire_time=time), line.occurrence
                )
            lost = replace(
                facets,
                terminal=signal.status,
                silent=False,
                expire_time=expire_time,
                before_loss=facets.before_loss or facets,
            )
            line.step(time, lost, occurrence)

    def _undo(self, line: Line, facets: Facets, signal: LossUndone | Snapshot) -> None:
        """Give back what was lost, if it still runs; otherwise it stands as if never lost."""
        before = facets.before_loss
        if before is None or facets.period_key != signal.period_key:
            return
        self._given_back[facets.period_key] += 1
        told = signal.expire_time if isinstance(signal, LossUndone) else before.end_time
        end = max(told, before.end_time)
        if signal.order.time < end:
            self._give(line, before, signal, end)
            return
        while (due := deadline(before, self._rules)) is not None and due.time < signal.order.time:
            before = due.then
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
        occurrence = self._notes.hear(
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
        """Keep out what is never legal, and say so."""
        if verdict(line.status, type_) is not Verdict.ILLEGAL:
            return False
        self._illegal.append(Illegal(signal=signal, status=line.status, type=type_))
        return True


def _has_passed(period: Period, newest: Period, time: datetime) -> bool:
    """Tell whether a period was over, for a later one, when it was told of.

    One that is bought between an early renewal and its begin takes the place of what was renewed.
    """
    return period.start_time < newest.start_time <= time


def _is_no_newer(snapshot: Snapshot, toggle: Signal) -> bool:
    """Tell whether a snapshot was signed together with a toggle, of which it need not know."""
    return snapshot.order.time == toggle.order.time and snapshot.fact_id != toggle.fact_id
