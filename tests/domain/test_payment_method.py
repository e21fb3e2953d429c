"""Saved payment methods: what is known of one follows from what was said, in whatever order."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.payment_method import (
    MethodDetails,
    MethodNews,
    PaymentMethod,
    change_tags,
    check_usable,
    hear_method,
    method_id,
    new_method,
)
from tests.domain.facts import START

LATER = START + timedelta(minutes=1)
OLD = MethodDetails(type="card", brand="visa", exp_month=1, exp_year=2027, last4="4242")
RENEWED = MethodDetails(type="card", brand="visa", exp_month=1, exp_year=2032, last4="4242")
OTHERS = [
    MethodDetails(type="card", brand="mastercard", exp_month=1, exp_year=2027, last4="4242"),
    MethodDetails(type="card", brand="visa", exp_month=2, exp_year=2027, last4="4242"),
    MethodDetails(type="card", brand="visa", exp_month=1, exp_year=2027, last4="0000"),
    MethodDetails(type="sepa_debit", last4="3000"),
]


def news(
    details: MethodDetails | None = OLD, *, second: int = 1, detached: bool = False
) -> MethodNews:
    """What the vendor says about a method."""
    return MethodNews(
        stripe_payment_method_id="pm_1",
        stripe_customer_id="" if detached else "cus_1",
        details=details,
        event_time=START + timedelta(seconds=second),
        detached=detached,
    )


def a_method(first: MethodNews | None = None) -> PaymentMethod:
    """A method as it was heard of first."""
    return new_method(first or news(), OLD, user_id="user-1", now=START)


def heard(story: Sequence[MethodNews]) -> tuple[object, ...]:
    """Hear one thing after the other; answers all that does not count the changes."""
    first = next(each for each in story if each.details is not None)
    rest = [each for each in story if each is not first]
    assert first.details is not None
    known = new_method(first, first.details, user_id="user-1", now=START)
    for each in rest:
        known = hear_method(known, each, LATER)
    return known.id, known.details, known.heard_time, known.detach_time


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[MethodNews], list[MethodNews]]:
    """Draw what is said about one method, and another arrival of it: any order, duplicates."""
    said = st.builds(
        news,
        st.none() | st.sampled_from([OLD, RENEWED, *OTHERS]),
        second=st.integers(min_value=0, max_value=2),
        detached=st.booleans(),
    )
    story = [news(draw(st.sampled_from([OLD, RENEWED]))), *draw(st.lists(said, max_size=5))]
    again = draw(st.lists(st.sampled_from(story), max_size=3))
    return story, draw(st.permutations([*story, *again]))


@given(stories())
def test_a_method_ends_the_same_for_any_arrival(
    both: tuple[list[MethodNews], list[MethodNews]],
) -> None:
    """Any order, any duplicates, ties of a second."""
    story, again = both
    assert heard(again) == heard(story)


def test_a_renewed_card_is_detached_in_every_order() -> None:
    """Its whole life, told in all 24 orders: the renewed card stays known, and unusable."""
    life = [
        news(OLD, second=1),
        news(None, second=2),
        news(RENEWED, second=5),
        news(RENEWED, second=9, detached=True),
    ]
    for order in permutations(life):
        at = START + timedelta(seconds=9)
        assert heard(order) == (method_id("pm_1"), RENEWED, at, at)


def test_a_detached_method_never_comes_back() -> None:
    """Whatever is said of it later; the earliest word of its end is when it ended."""
    gone = hear_method(a_method(), news(second=5, detached=True), LATER)
    assert gone.detach_time == START + timedelta(seconds=5)
    assert hear_method(gone, news(RENEWED, second=9), LATER).detach_time == gone.detach_time
    assert hear_method(gone, news(second=9, detached=True), LATER).detach_time == gone.detach_time
    earlier = hear_method(gone, news(second=3, detached=True), LATER)
    assert earlier.detach_time == START + timedelta(seconds=3)


def test_only_what_callers_see_makes_a_new_version() -> None:
    """The same details at a later time are remembered and told to nobody."""
    known = a_method()
    same = hear_method(known, news(second=4), LATER)
    assert (same.version, same.update_time) == (1, START)
    assert same.heard_time == START + timedelta(seconds=4)
    renewed = hear_method(same, news(RENEWED, second=5), LATER)
    assert (renewed.version, renewed.update_time) == (2, LATER)
    assert renewed.details == RENEWED


def test_old_news_change_nothing() -> None:
    """Nor do news that only name it."""
    known = a_method()
    assert hear_method(known, news(RENEWED, second=0), LATER) is known
    assert hear_method(known, news(None, second=9), LATER) is known


def test_a_new_method_is_its_users() -> None:
    """Its id follows from the vendor's; one that was heard of at its end is detached at once."""
    known = a_method()
    assert known.id == method_id("pm_1") != method_id("pm_2")
    assert (known.user_id, known.tags, known.detach_time) == ("user-1", (), None)
    gone = a_method(news(second=3, detached=True))
    assert gone.detach_time == START + timedelta(seconds=3)


def test_tags_are_changed_once() -> None:
    """The same tags again make no new version."""
    tagged = change_tags(a_method(), ("a", "b"), LATER)
    assert (tagged.tags, tagged.version, tagged.update_time) == (("a", "b"), 2, LATER)
    assert change_tags(tagged, ("a", "b"), LATER + timedelta(hours=1)) is tagged
    assert change_tags(tagged, ("b", "a"), LATER).version == 3


def test_a_method_is_usable_by_its_owner_until_it_is_detached() -> None:
    """Another user's is not told apart from one that is not there."""
    known = a_method()
    assert check_usable(known, "user-1", known.id) is known
    gone = hear_method(known, news(second=5, detached=True), LATER)
    refusals = []
    for method, user_id in ((None, "user-1"), (known, "user-2"), (gone, "user-1")):
        with pytest.raises(BoxofficeError) as caught:
            check_usable(method, user_id, "pm_1")
        refusals.append((caught.value.reason, caught.value.message, caught.value.metadata))
    assert refusals[0][0] is Reason.PAYMENT_METHOD_NOT_FOUND
    assert refusals[0][2] == {"payment_method_id": "pm_1"}
    assert refusals[1:] == [refusals[0]] * 2
