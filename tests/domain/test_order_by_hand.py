"""Where an order stands when its money went back, or a person has said where it should."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.order import ManualStatus, OrderStatus, derive_status
from boxoffice_server.domain.payment import PaymentFact, PaymentSignal
from tests.domain.facts import START, arrivals, fact

CAPTURED = fact(PaymentSignal.CAPTURED, second=5, id_="evt_captured")


def at(second: float) -> datetime:
    """A time, this many seconds after the start."""
    return START + timedelta(seconds=second)


def word(status: OrderStatus, second: float = 10, reason: str = "because") -> ManualStatus:
    """What a person has decided."""
    return ManualStatus(status=status, reason=reason, actor="kim", create_time=at(second))


def status_of(
    *facts: PaymentFact,
    words: tuple[ManualStatus, ...] = (),
    refunded: float | None = None,
    started: object = False,
) -> OrderStatus:
    """Tell the status; `refunded` is the second in which all the money had gone back."""
    time = None if refunded is None else at(refunded)
    return derive_status(facts, task_started=started is True, manual=words, refund_time=time)


def test_an_order_whose_money_went_back_is_refunded() -> None:
    """Whether its task was started or not; when the refund fails it is what it was."""
    assert status_of(CAPTURED, refunded=9) is OrderStatus.REFUNDED
    assert status_of(CAPTURED, refunded=9, started=True) is OrderStatus.REFUNDED
    assert status_of(CAPTURED) is OrderStatus.PAID
    assert status_of(CAPTURED, started=True) is OrderStatus.TASK_STARTED


@pytest.mark.parametrize("status", list(OrderStatus))
def test_what_a_person_says_holds_over_what_was_heard_before(status: OrderStatus) -> None:
    """Over money that was taken or went back, a payment given up, and over nothing at all."""
    words = (word(status),)
    cancelled = fact(PaymentSignal.CANCELLED, second=9, id_="evt_cancelled")
    assert status_of(words=words) is status
    assert status_of(CAPTURED, words=words) is status
    assert status_of(CAPTURED, words=words, refunded=9) is status
    assert status_of(cancelled, words=words) is status


@pytest.mark.parametrize("status", list(OrderStatus))
def test_money_that_is_heard_of_later_holds_over_a_person(status: OrderStatus) -> None:
    """Taken it makes the order paid, gone back it makes it refunded, whatever was said before."""
    words = (word(status, 4),)
    assert status_of(CAPTURED, words=words) is OrderStatus.PAID
    assert status_of(CAPTURED, words=words, started=True) is OrderStatus.TASK_STARTED
    assert status_of(CAPTURED, words=words, refunded=9) is OrderStatus.REFUNDED
    assert status_of(CAPTURED, words=(word(status, 7),), refunded=9) is OrderStatus.REFUNDED


@pytest.mark.parametrize("status", list(OrderStatus))
def test_a_payment_that_is_given_up_later_holds_over_a_person(status: OrderStatus) -> None:
    """The order is cancelled, unless money was heard of later still."""
    words = (word(status, 4),)
    cancelled = fact(PaymentSignal.CANCELLED, second=5, id_="evt_cancelled")
    assert status_of(cancelled, words=words) is OrderStatus.CANCELLED
    assert status_of(cancelled, CAPTURED, words=words) is OrderStatus.PAID


UNDECIDED = set(PaymentSignal) - {PaymentSignal.CAPTURED, PaymentSignal.CANCELLED}


@pytest.mark.parametrize("signal", sorted(UNDECIDED))
@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {OrderStatus.PAID}))
def test_a_person_holds_over_what_decides_nothing(
    signal: PaymentSignal, status: OrderStatus
) -> None:
    """A decline, a customer who is asked for, money that is held or on its way: all heard later."""
    later = fact(signal, second=20, id_="evt_later")
    for started in (False, True):
        assert status_of(later, words=(word(status),), started=started) is status
        assert status_of(later, CAPTURED, words=(word(status),), started=started) is status


def test_an_order_that_is_paid_by_hand_is_started_by_its_task() -> None:
    """As one that money paid is."""
    words = (word(OrderStatus.PAID),)
    assert status_of(words=words) is OrderStatus.PAID
    assert status_of(words=words, started=True) is OrderStatus.TASK_STARTED


def test_what_is_heard_of_in_the_moment_of_the_word_is_not_later() -> None:
    """The person saw it, or may have."""
    words = (word(OrderStatus.CREATED, 5),)
    assert status_of(CAPTURED, words=words) is OrderStatus.CREATED
    assert status_of(words=words, refunded=5) is OrderStatus.CREATED


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {OrderStatus.PAID}))
def test_of_the_moment_of_the_word_what_the_person_was_not_told_is_later(
    status: OrderStatus,
) -> None:
    """Money that comes in that very second is not hidden; what was known is the past."""
    said = word(status, 5.7)
    unpaid, paid, refunded = (
        replace(said, over=over)
        for over in (OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)
    )
    cancelled = fact(PaymentSignal.CANCELLED, second=5, id_="evt_cancelled")
    assert status_of(CAPTURED, words=(unpaid,)) is OrderStatus.PAID
    assert status_of(CAPTURED, words=(paid,)) is status
    assert status_of(cancelled, words=(unpaid,)) is OrderStatus.CANCELLED
    assert status_of(CAPTURED, words=(paid,), refunded=5) is OrderStatus.REFUNDED
    assert status_of(CAPTURED, words=(refunded,), refunded=5) is status
    earlier = fact(PaymentSignal.CAPTURED, second=4, id_="evt_earlier")
    assert status_of(earlier, words=(unpaid,)) is status


def test_the_last_word_holds_in_whatever_order_words_come() -> None:
    """Of one moment the same one always; facts that came between two words are the past."""
    said = [
        word(OrderStatus.FAILED, 1),
        word(OrderStatus.REFUNDED, 8),
        word(OrderStatus.CREATED, 8, "a"),
        word(OrderStatus.REFUNDED, 8, "z"),
    ]
    for words in permutations(said):
        assert status_of(CAPTURED, words=words) is OrderStatus.REFUNDED
    assert status_of(CAPTURED, words=(word(OrderStatus.FAILED, 1),)) is OrderStatus.PAID


@given(
    both=arrivals(),
    words=st.lists(
        st.builds(
            word,
            st.sampled_from(OrderStatus),
            st.integers(min_value=0, max_value=3),
            st.sampled_from(["a", "b"]),
        ),
        max_size=3,
    ),
    refunded=st.none() | st.integers(min_value=0, max_value=3),
    started=st.booleans(),
    data=st.data(),
)
def test_words_and_money_have_one_status_for_any_arrival(
    both: tuple[list[PaymentFact], list[PaymentFact]],
    words: list[ManualStatus],
    refunded: int | None,
    started: object,
    data: st.DataObject,
) -> None:
    """It is a function of the sets of facts and words, of the refund's time and of the task."""
    history, again = both
    shuffled = data.draw(st.permutations(words))
    assert status_of(
        *again, words=tuple(shuffled), refunded=refunded, started=started
    ) is status_of(*history, words=tuple(words), refunded=refunded, started=started)
