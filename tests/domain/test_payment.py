"""Where a payment stands, from all that was said about it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import (
    PaymentFact,
    PaymentMethodType,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    check_currency,
    derive_state,
    latest,
)
from tests.domain.facts import DECLINED, arrivals, fact, histories

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
    assert len(PaymentSignal) == 11


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


@pytest.mark.parametrize("method_type", list(PaymentMethodType))
def test_every_method_pays_in_euros(method_type: PaymentMethodType) -> None:
    """The default currency is everyone's."""
    check_currency(method_type, "eur")


def test_a_card_pays_in_any_currency() -> None:
    """Which ones there are is Stripe's to say."""
    check_currency(PaymentMethodType.CARD, "usd")


@pytest.mark.parametrize(
    "method_type",
    [PaymentMethodType.BANCONTACT, PaymentMethodType.GIROPAY, PaymentMethodType.IDEAL],
)
def test_a_redirect_method_pays_in_euros_only(method_type: PaymentMethodType) -> None:
    """Refused before Stripe is asked."""
    with pytest.raises(BoxofficeError) as caught:
        check_currency(method_type, "usd")
    assert caught.value.reason is Reason.CURRENCY_NOT_SUPPORTED
    assert caught.value.metadata == {
        "payment_method_type": method_type.value,
        "currency_code": "usd",
    }
