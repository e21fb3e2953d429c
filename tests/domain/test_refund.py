"""Refunds and disputes: where they end follows from what was said, and never from when it came."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.refund import (
    Dispute,
    DisputeNews,
    DisputeStatus,
    Refund,
    RefundNews,
    RefundStatus,
    full_refund_time,
    hear_dispute,
    hear_refund,
    new_dispute,
    refund_elsewhere,
    refunded_amount,
)
from tests.domain.facts import START
from tests.domain.money_back import PAYMENT, a_dispute, a_refund, dispute_news, refund_news

LATER = START + timedelta(minutes=1)
PENDING, SUCCEEDED, FAILED = RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED


def heard(news: Sequence[RefundNews], known: Refund | None = None) -> Refund:
    """Hear one thing after the other: about a refund of ours, or about one made elsewhere."""
    for each in news:
        if known is None:
            known = refund_elsewhere(each, payment_id="pay_1", user_id="user-1", now=LATER)
        else:
            known = hear_refund(known, each, LATER)
    assert known is not None
    return known


def disputed(news: Sequence[DisputeNews]) -> Dispute:
    """Hear one thing about a dispute after the other."""
    known = new_dispute(news[0], payment_id=PAYMENT.id, user_id=PAYMENT.user_id, now=LATER)
    for each in news[1:]:
        known = hear_dispute(known, each, LATER)
    return known


# -- refunds --------------------------------------------------------------------------------------


@st.composite
def refund_stories(draw: st.DrawFn) -> tuple[list[RefundNews], list[RefundNews]]:
    """Draw what is said about one refund, and another arrival of it: any order, duplicates."""
    story = draw(
        st.lists(
            st.builds(
                refund_news,
                st.sampled_from(RefundStatus),
                second=st.integers(min_value=0, max_value=2),
                amount=st.sampled_from([400, 1250]),
                failure_reason=st.sampled_from(["", "expired_or_canceled_card", "unknown"]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    again = draw(st.lists(st.sampled_from(story), max_size=4))
    return story, draw(st.permutations([*story, *again]))


@given(refund_stories())
def test_a_refund_ends_the_same_for_any_arrival(
    both: tuple[list[RefundNews], list[RefundNews]],
) -> None:
    """Whether it was asked for here or elsewhere: any order, any duplicates, ties of a second."""
    story, again = both
    assert heard(again) == heard(story)
    assert heard(again, a_refund()) == heard(story, a_refund())


def test_a_refund_that_fails_late_has_failed_in_every_order() -> None:
    """Its whole life, told in all 24 orders."""
    life = [
        refund_news(PENDING, second=1),
        refund_news(SUCCEEDED, second=1),
        refund_news(SUCCEEDED, second=5),
        refund_news(FAILED, second=5, failure_reason="unknown"),
    ]
    for order in permutations(life):
        refund = heard(order, a_refund())
        assert (refund.status, refund.failure_reason) == (FAILED, "unknown")
        assert refund.heard_time == START + timedelta(seconds=5)
        assert not refund.counts


def test_words_of_one_second_are_told_apart_by_how_far_they_are() -> None:
    """In the order in which the statuses are written down."""
    same = [refund_news(status, second=1) for status in RefundStatus]
    assert heard(same).status is heard(same[::-1]).status is RefundStatus.CANCELLED


def test_what_is_no_news_changes_nothing() -> None:
    """Not even the time of the last change."""
    known = heard([refund_news(SUCCEEDED, second=5)], a_refund())
    for old in (refund_news(SUCCEEDED, second=5), refund_news(FAILED, second=4)):
        assert hear_refund(known, old, LATER + timedelta(hours=1)) is known


def test_a_refund_of_ours_stays_ours() -> None:
    """It learns what the vendor calls it and keeps what it was asked for with."""
    asked = a_refund(amount=1250)
    told = hear_refund(asked, refund_news(SUCCEEDED, amount=1250, refund_id=asked.id), LATER)
    assert told == replace(
        asked,
        status=SUCCEEDED,
        stripe_refund_id="re_1",
        heard_time=START + timedelta(seconds=1),
        succeed_time=START + timedelta(seconds=1),
        update_time=LATER,
    )


def test_a_refund_has_succeeded_since_it_was_first_said() -> None:
    """What is said of it later, such as the bank's reference, is no second success."""
    words = [refund_news(SUCCEEDED, second=second) for second in (7, 3, 9)]
    for order in permutations(words):
        known = heard(order, a_refund())
        assert known.heard_time == START + timedelta(seconds=9)
        assert known.succeed_time == START + timedelta(seconds=3)
        assert full_refund_time([known], 1250) == START + timedelta(seconds=3)


def test_a_refund_made_elsewhere_has_the_same_id_for_ever() -> None:
    """It follows from the vendor's, so that whoever hears of it first makes the same record."""
    first, other = heard([refund_news(PENDING)]), heard([refund_news(FAILED, second=9)])
    assert first.id == other.id != heard([refund_news(number=2)]).id
    assert (first.payment_id, first.user_id) == ("pay_1", "user-1")
    assert first.create_time == START


@pytest.mark.parametrize("status", list(RefundStatus))
def test_only_what_succeeded_has_gone_back(status: RefundStatus) -> None:
    """What may still go back counts, so that it is not given twice."""
    refund = a_refund(amount=400, status=status, heard=1)
    assert refunded_amount([refund]) == (400 if status is SUCCEEDED else 0)
    assert refund.counts == (status not in {FAILED, RefundStatus.CANCELLED})


def test_all_has_gone_back_with_the_last_part() -> None:
    """By the vendor's clock, whichever part was heard of first; more than all is all too."""
    parts = [
        a_refund(1, amount=400, status=SUCCEEDED, heard=9),
        a_refund(2, amount=850, status=SUCCEEDED, heard=4),
        a_refund(3, amount=850, status=FAILED, heard=20),
    ]
    for order in permutations(parts):
        assert full_refund_time(order, 1250) == START + timedelta(seconds=9)
        assert full_refund_time(order, 1249) == START + timedelta(seconds=9)
        assert full_refund_time(order, 1251) is None
    assert full_refund_time(parts[1:], 1250) is None


def test_nothing_taken_is_never_all_gone_back() -> None:
    """A refund may be heard of before the capture it gives back."""
    assert full_refund_time([a_refund(status=SUCCEEDED, heard=1)], 0) is None
    assert full_refund_time([], 0) is None


# -- disputes -------------------------------------------------------------------------------------


@st.composite
def dispute_stories(draw: st.DrawFn) -> tuple[list[DisputeNews], list[DisputeNews]]:
    """Draw what is said about one dispute, and another arrival of it: any order, duplicates."""
    story = draw(
        st.lists(
            st.builds(
                dispute_news,
                st.sampled_from(DisputeStatus),
                second=st.integers(min_value=0, max_value=2),
                reason=st.sampled_from(["fraudulent", "general"]),
                due=st.sampled_from([None, 900, 1800]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    again = draw(st.lists(st.sampled_from(story), max_size=4))
    return story, draw(st.permutations([*story, *again]))


@given(dispute_stories())
def test_a_dispute_ends_the_same_for_any_arrival(
    both: tuple[list[DisputeNews], list[DisputeNews]],
) -> None:
    """Any order, any duplicates, ties of a second."""
    story, again = both
    assert disputed(again) == disputed(story)


def test_a_dispute_is_lost_in_every_order() -> None:
    """Its whole life, told in all 24 orders."""
    life = [
        dispute_news(DisputeStatus.NEEDS_RESPONSE, second=1),
        dispute_news(DisputeStatus.NEEDS_RESPONSE, second=1, due=1800),
        dispute_news(DisputeStatus.UNDER_REVIEW, second=7),
        dispute_news(DisputeStatus.LOST, second=7, due=None),
    ]
    for order in permutations(life):
        dispute = disputed(order)
        assert (dispute.status, dispute.evidence_due_time) == (DisputeStatus.LOST, None)
        assert dispute.stands


def test_a_dispute_that_is_no_news_changes_nothing() -> None:
    """Not even the time of the last change."""
    known = a_dispute()
    for old in (dispute_news(), dispute_news(DisputeStatus.LOST, second=0)):
        assert hear_dispute(known, old, LATER) is known


STANDING = {
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.WARNING_UNDER_REVIEW,
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
    DisputeStatus.LOST,
}


@pytest.mark.parametrize("status", list(DisputeStatus))
def test_a_dispute_stands_while_it_is_open_and_when_it_is_lost(status: DisputeStatus) -> None:
    """A warning that was closed, a dispute that was won or prevented is over."""
    assert a_dispute(status).stands == (status in STANDING)


def test_a_dispute_has_the_same_id_for_ever() -> None:
    """It follows from the vendor's, and the rest from what was said first."""
    dispute = a_dispute()
    assert dispute.id == disputed([dispute_news(DisputeStatus.WON, second=9)]).id
    assert dispute.evidence_due_time == START + timedelta(seconds=900)
