"""Where a payment stands, from all that was said about it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment import (
    PaymentEventType,
    PaymentFact,
    PaymentMethodType,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    Reuse,
    authentication_time,
    authorised_amount,
    captured_amount,
    change,
    created,
    derive_state,
    latest,
)
from boxoffice_server.domain.payment_rules import (
    check_cancellable,
    check_capturable,
    check_currency,
    check_refundable,
    check_reusable,
)
from boxoffice_server.domain.refund import Refund, RefundStatus
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


@pytest.mark.parametrize("reuse", list(Reuse))
def test_only_cards_can_be_saved(reuse: Reuse) -> None:
    """A redirect method sends the customer away at every payment."""
    check_reusable(PaymentMethodType.CARD, reuse)
    for method_type in set(PaymentMethodType) - {PaymentMethodType.CARD}:
        with pytest.raises(BoxofficeError) as caught:
            check_reusable(method_type, reuse)
        assert caught.value.reason is Reason.PAYMENT_METHOD_NOT_REUSABLE
        assert caught.value.metadata == {"payment_method_type": method_type.value}


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


# -- what may be done with it ---------------------------------------------------------------------


HELD = replace(
    PAYMENT, state=PaymentState(status=PaymentStatus.REQUIRES_CAPTURE), authorised=900, captured=0
)


def in_status(status: PaymentStatus, reason: PendingReason | None = None) -> PaymentState:
    """A state."""
    return PaymentState(status=status, pending_reason=reason)


def test_held_money_can_be_captured_up_to_what_is_held() -> None:
    """All of it where no amount is named."""
    for amount in (None, 1, 900):
        check_capturable(HELD, amount)
    with pytest.raises(BoxofficeError) as caught:
        check_capturable(HELD, 901)
    assert caught.value.reason is Reason.AMOUNT_EXCEEDS_AUTHORISATION
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "authorised": "900"}


@pytest.mark.parametrize("status", set(PaymentStatus) - {PaymentStatus.REQUIRES_CAPTURE})
def test_nothing_else_can_be_captured(status: PaymentStatus) -> None:
    """The refusal says where the payment stands."""
    with pytest.raises(BoxofficeError) as caught:
        check_capturable(replace(HELD, state=in_status(status)), None)
    assert caught.value.reason is Reason.PAYMENT_NOT_CAPTURABLE
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "status": status.value}


@pytest.mark.parametrize(
    ("state", "can"),
    [
        (in_status(PaymentStatus.REQUIRES_PAYMENT_METHOD), True),
        (in_status(PaymentStatus.REQUIRES_CONFIRMATION), True),
        (in_status(PaymentStatus.REQUIRES_ACTION), True),
        (in_status(PaymentStatus.REQUIRES_CAPTURE), True),
        (UNKNOWN, True),
        (PROCESSING, False),
        (in_status(PaymentStatus.CANCELLED), False),
        (in_status(PaymentStatus.COMPLETE), False),
    ],
)
def test_a_payment_can_be_cancelled_until_money_is_on_its_way(
    state: PaymentState, *, can: bool
) -> None:
    """What has ended has ended, and what is on its way can't be called back."""
    if can:
        check_cancellable(replace(PAYMENT, state=state))
        return
    with pytest.raises(BoxofficeError) as caught:
        check_cancellable(replace(PAYMENT, state=state))
    assert caught.value.reason is Reason.PAYMENT_NOT_CANCELLABLE
    assert caught.value.metadata["status"] == state.status


def test_a_payment_that_took_nothing_has_nothing_to_refund() -> None:
    """Whatever it holds."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(HELD, [], None)
    assert caught.value.reason is Reason.PAYMENT_NOT_REFUNDABLE


@pytest.mark.parametrize("amount", [0, -1, 301])
def test_more_than_is_left_is_not_refunded(amount: int) -> None:
    """Nor nothing; the refusal says how much could be."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(replace(PAYMENT, captured=1000), [a_refund(1, amount=700)], amount)
    assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
    assert caught.value.metadata == {"payment_id": PAYMENT.id, "refundable": "300"}


def test_a_payment_that_is_refunded_has_nothing_left() -> None:
    """Asked for all that is left, it refuses too."""
    with pytest.raises(BoxofficeError) as caught:
        check_refundable(PAYMENT, [a_refund(1, amount=1250)], None)
    assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
    assert caught.value.metadata["refundable"] == "0"


@given(
    captured=st.integers(min_value=1, max_value=50),
    asked=st.lists(
        st.tuples(
            st.none() | st.integers(min_value=-1, max_value=60), st.sampled_from(RefundStatus)
        )
    ),
)
def test_refunds_never_exceed_what_was_taken(
    captured: int, asked: list[tuple[int | None, RefundStatus]]
) -> None:
    """However they are asked for; what failed or was given up is free to be given back again."""
    payment = replace(PAYMENT, captured=captured)
    refunds: list[Refund] = []
    for amount, becomes in asked:
        on_its_way = sum(each.amount.amount for each in refunds if each.counts)
        left = captured - on_its_way
        wanted = left if amount is None else amount
        if not 1 <= wanted <= left:
            with pytest.raises(BoxofficeError) as caught:
                check_refundable(payment, refunds, amount)
            assert caught.value.reason is Reason.REFUND_EXCEEDS_PAYMENT
            assert caught.value.metadata["refundable"] == str(left)
            continue
        assert check_refundable(payment, refunds, amount) == wanted
        refunds.append(a_refund(len(refunds), amount=wanted, status=becomes))
    assert 0 <= sum(each.amount.amount for each in refunds if each.counts) <= captured


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
    cancelled = replace(PAYMENT, state=in_status(PaymentStatus.CANCELLED))
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
