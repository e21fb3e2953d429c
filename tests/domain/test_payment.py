"""Where a payment stands, from all that was said about it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.payment import (
    PaymentEventType,
    PaymentFact,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    authentication_time,
    authorised_amount,
    captured_amount,
    change,
    created,
    derive_state,
    latest,
)
from tests.domain.facts import DECLINED, START, arrivals, fact, histories
from tests.domain.money_back import PAYMENT, a_dispute, a_refund

LATER = START + timedelta(minutes=1)
UNKNOWN = PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.OUTCOME_UNKNOWN)
PROCESSING = PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.PROCESSING)


def test_a_payment_begins_with_an_unknown_outcome() -> None:
    """As long as the vendor has said nothing, anything may have happened."""
    assert derive_state([]) == UNKNOWN


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (PaymentSignal.RECORDED, UNKNOWN),
        (
            PaymentSignal.REQUIRES_PAYMENT_METHOD,
            PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD),
        ),
        (
            PaymentSignal.REQUIRES_CONFIRMATION,
            PaymentState(status=PaymentStatus.REQUIRES_CONFIRMATION),
        ),
        (PaymentSignal.REQUIRES_ACTION, PaymentState(status=PaymentStatus.REQUIRES_ACTION)),
        (PaymentSignal.PROCESSING, PROCESSING),
        (PaymentSignal.LEGACY_CHARGE_PENDING, PROCESSING),
        (
            PaymentSignal.ATTEMPT_FAILED,
            PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD, last_failure=DECLINED),
        ),
        (
            PaymentSignal.AUTHENTICATION_REQUIRED,
            PaymentState(status=PaymentStatus.REQUIRES_ACTION, last_failure=DECLINED),
        ),
        (PaymentSignal.AUTHORISED, PaymentState(status=PaymentStatus.REQUIRES_CAPTURE)),
        (
            PaymentSignal.REFUSED,
            PaymentState(status=PaymentStatus.CANCELLED, last_failure=DECLINED),
        ),
        (PaymentSignal.CANCELLED, PaymentState(status=PaymentStatus.CANCELLED)),
        (PaymentSignal.CAPTURED, PaymentState(status=PaymentStatus.COMPLETE)),
    ],
)
def test_each_signal_leaves_a_payment_in_one_state(
    signal: PaymentSignal, state: PaymentState
) -> None:
    """A signal that is all there is."""
    assert derive_state([fact(signal)]) == state


def test_every_signal_is_in_the_table() -> None:
    """A new signal needs a row above."""
    assert len(PaymentSignal) == 12


@given(arrivals())
def test_the_order_of_arrival_changes_nothing(
    both: tuple[list[PaymentFact], list[PaymentFact]],
) -> None:
    """Any order, any duplicates: the same state and the same latest fact."""
    history, again = both
    assert derive_state(again) == derive_state(history)
    assert latest(again) == latest(history)


@given(history=histories(), second=st.integers(min_value=0, max_value=3))
def test_money_that_was_taken_stays_taken(history: list[PaymentFact], second: int) -> None:
    """Whatever is said before, after or in the same second."""
    captured = fact(PaymentSignal.CAPTURED, second=second, id_="evt_captured")
    assert derive_state([*history, captured]).status is PaymentStatus.COMPLETE


@given(history=histories(), second=st.integers(min_value=0, max_value=3))
def test_a_cancelled_payment_comes_back_only_with_money(
    history: list[PaymentFact], second: int
) -> None:
    """A cancelled intent is over for Stripe; a charge that was taken all the same is taken."""
    cancelled = fact(PaymentSignal.CANCELLED, second=second, id_="evt_cancelled")
    captured = any(each.signal is PaymentSignal.CAPTURED for each in history)
    expected = PaymentStatus.COMPLETE if captured else PaymentStatus.CANCELLED
    assert derive_state([*history, cancelled]).status is expected


@given(histories())
def test_a_pending_reason_belongs_to_pending_alone(history: list[PaymentFact]) -> None:
    """One is there exactly where the other is."""
    state = derive_state(history)
    assert (state.pending_reason is not None) == (state.status is PaymentStatus.PENDING)


def test_a_later_attempt_replaces_an_earlier_failure() -> None:
    """A customer tries again: what they were told before is over."""
    failed = fact(PaymentSignal.ATTEMPT_FAILED, second=1, id_="evt_1")
    again = fact(PaymentSignal.REQUIRES_ACTION, second=2, id_="evt_2")
    assert derive_state([again, failed]) == PaymentState(status=PaymentStatus.REQUIRES_ACTION)


def test_a_later_failure_replaces_an_earlier_attempt() -> None:
    """Also when the earlier word comes last."""
    tried = fact(PaymentSignal.AUTHORISED, second=1, id_="evt_1")
    failed = fact(PaymentSignal.ATTEMPT_FAILED, second=2, id_="evt_2")
    assert derive_state([failed, tried]).last_failure == DECLINED


def test_facts_of_one_second_are_told_apart_by_how_far_they_are() -> None:
    """Stripe's clock counts seconds; an attempt goes on from action to processing to its end."""
    steps = [
        PaymentSignal.REQUIRES_PAYMENT_METHOD,
        PaymentSignal.REQUIRES_CONFIRMATION,
        PaymentSignal.REQUIRES_ACTION,
        PaymentSignal.PROCESSING,
        PaymentSignal.ATTEMPT_FAILED,
    ]
    for earlier, later in pairwise(steps):
        last = latest([fact(later, id_="evt_1"), fact(earlier, id_="evt_2")])
        assert last is not None
        assert last.signal is later


def test_a_recorded_fact_says_nothing_of_the_state() -> None:
    """However late it is."""
    asked = fact(PaymentSignal.REQUIRES_ACTION, second=0, id_="evt_1")
    recorded = fact(PaymentSignal.RECORDED, second=9, id_="evt_2")
    assert latest([asked, recorded]) == asked
    assert latest([recorded]) is None


# -- how much, and until when ---------------------------------------------------------------------


@given(arrivals())
def test_amounts_and_times_are_the_same_for_any_arrival(
    both: tuple[list[PaymentFact], list[PaymentFact]],
) -> None:
    """What is held, what was taken, and when the bank first asked for the customer."""
    history, again = both
    assert captured_amount(again, 1250) == captured_amount(history, 1250)
    assert authorised_amount(again, 1250) == authorised_amount(history, 1250)
    assert authentication_time(again) == authentication_time(history)


def test_what_was_taken_is_what_the_vendor_says() -> None:
    """Part of what was asked for; all of it where no amount is told; nothing before."""
    part = fact(PaymentSignal.CAPTURED, amount=400)
    silent = fact(PaymentSignal.CAPTURED, id_="evt_2", second=9)
    assert captured_amount([fact(PaymentSignal.AUTHORISED, amount=1250)], 1250) == 0
    assert captured_amount([silent], 1250) == 1250
    assert captured_amount([part], 1250) == 400
    assert captured_amount([silent, part], 1250) == 400


def test_money_is_held_until_something_else_is_said() -> None:
    """It is taken, or let go of; until then it is as much as the vendor says."""
    held = fact(PaymentSignal.AUTHORISED, second=1, amount=900)
    assert authorised_amount([], 1250) == 0
    assert authorised_amount([held], 1250) == 900
    assert authorised_amount([replace(held, amount=None)], 1250) == 1250
    for signal in (PaymentSignal.CAPTURED, PaymentSignal.CANCELLED, PaymentSignal.ATTEMPT_FAILED):
        assert authorised_amount([fact(signal, second=2, id_="evt_2"), held], 1250) == 0


@given(histories())
def test_held_money_belongs_to_requires_capture_alone(history: list[PaymentFact]) -> None:
    """And taken money to a complete payment; a payment never shows both."""
    status = derive_state(history).status
    captured = captured_amount(history, 1250)
    assert (captured > 0) == (status is PaymentStatus.COMPLETE)
    if status is PaymentStatus.REQUIRES_CAPTURE:
        assert authorised_amount(history, 1250) > 0


def test_a_bank_that_asks_again_does_not_prolong_the_time() -> None:
    """The customer's time runs from the first word on; a customer who is there has no such time."""
    asked = [
        fact(PaymentSignal.AUTHENTICATION_REQUIRED, second=second, id_=f"evt_{second}")
        for second in (9, 4, 7)
    ]
    assert authentication_time(asked) == START + timedelta(seconds=4)
    assert authentication_time([fact(PaymentSignal.REQUIRES_ACTION)]) is None


def test_an_absent_customer_is_waited_for_over_the_decline_of_the_same_second() -> None:
    """Stripe tells of the failed attempt too; the payment can still be finished."""
    declined = fact(PaymentSignal.ATTEMPT_FAILED, id_="evt_2")
    asked = fact(PaymentSignal.AUTHENTICATION_REQUIRED, id_="evt_1")
    assert derive_state([asked, declined]).status is PaymentStatus.REQUIRES_ACTION


# -- its events -----------------------------------------------------------------------------------


def test_a_new_payment_is_an_event() -> None:
    """It has no status before."""
    event = created(PAYMENT)
    assert (event.type, event.previous_status) == (PaymentEventType.CREATED, None)
    assert (event.payment, event.create_time) == (PAYMENT, PAYMENT.create_time)


def test_what_changes_nothing_is_no_event() -> None:
    """The same payment again."""
    assert change(PAYMENT, PAYMENT, now=LATER) is None


def test_the_weightiest_change_names_the_event() -> None:
    """Its status before its refund or dispute, and these before all else."""
    cancelled = replace(PAYMENT, state=PaymentState(status=PaymentStatus.CANCELLED))
    refund, dispute = a_refund(1), a_dispute()
    wanted = [
        (change(PAYMENT, cancelled, now=LATER, refund=refund), PaymentEventType.STATUS_CHANGED),
        (change(PAYMENT, PAYMENT, now=LATER, refund=refund), PaymentEventType.REFUND_CHANGED),
        (change(PAYMENT, PAYMENT, now=LATER, dispute=dispute), PaymentEventType.DISPUTE_CHANGED),
        (change(PAYMENT, replace(PAYMENT, disputed=True), now=LATER), PaymentEventType.UPDATED),
    ]
    for event, type_ in wanted:
        assert event is not None
        assert event.type is type_
        assert event.previous_status is PAYMENT.state.status
        assert (event.payment.version, event.payment.update_time) == (2, LATER)
        assert event.id != created(PAYMENT).id
    assert len({event.id for event, _ in wanted if event is not None}) == 1
