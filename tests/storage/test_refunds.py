"""Refunds, disputes and payment methods: kept as they were, listed by when they were made."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from boxoffice_server.domain.payment_method import MethodDetails, PaymentMethod
from boxoffice_server.domain.refund import DisputeStatus, RefundReason, RefundStatus
from boxoffice_server.ports import DisputeFilter, MethodFilter, RefundFilter, Repository, Store
from tests.storage.samples import a_dispute, a_method, a_payment, a_refund, at, keep

MANY = 20


@pytest.fixture
async def sold(store: Store) -> Store:
    """A store with two payments."""
    await keep(store, a_payment(1), a_payment(2))
    return store


def pages(
    find: Callable[[Repository, str, int], list[str]], size: int
) -> Callable[[Repository], list[list[int]]]:
    """Reads a list to its end, page by page; answers the numbers on each."""

    def body(repo: Repository) -> list[list[int]]:
        found: list[list[int]] = []
        before = ""
        while page := find(repo, before, size):
            found.append([int(each[4:]) for each in page])
            before = page[-1]
        return found

    return body


async def test_refund_comes_back_as_it_was(sold: Store) -> None:
    """Every field of a refund survives, before and after Stripe has answered."""
    await keep(sold, a_refund(1), a_refund(2))
    assert await sold.read(lambda repo: repo.refunds.get("rfd_000001")) == a_refund(1)
    answered = replace(
        a_refund(2),
        status=RefundStatus.FAILED,
        reason=RefundReason.DUPLICATE,
        failure_reason="lost_or_stolen_card",
        stripe_refund_id="re_2",
        heard_time=at(8),
        update_time=at(9),
    )
    await sold.write(lambda repo: repo.refunds.update(answered))
    assert await sold.read(lambda repo: repo.refunds.get("rfd_000002")) == answered
    assert await sold.read(lambda repo: repo.refunds.by_stripe_id("re_2")) == answered
    assert await sold.read(lambda repo: repo.refunds.by_stripe_id("re_1")) is None
    assert await sold.read(lambda repo: repo.refunds.get("rfd_none")) is None


async def test_refund_of_stripes_is_kept_once(sold: Store) -> None:
    """A second record of it is refused; several of ours may wait for their answer."""
    await keep(sold, a_refund(1), replace(a_refund(2), stripe_refund_id="re_2"), a_refund(3))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await keep(sold, replace(a_refund(4), stripe_refund_id="re_2"))
    assert await sold.read(lambda repo: repo.refunds.get("rfd_000004")) is None


async def test_refunds_of_a_payment_come_in_the_order_they_were_made(sold: Store) -> None:
    """Whatever their ids are, which may be hashes."""
    first, second = a_refund(9, made=1), a_refund(1, made=2)
    other = a_refund(5, payment=2)
    await keep(sold, second, first, other)
    assert await sold.read(lambda repo: repo.refunds.of_payment("pay_000001")) == [first, second]
    assert await sold.read(lambda repo: repo.refunds.of_payment("pay_000002")) == [other]
    assert await sold.read(lambda repo: repo.refunds.of_payment("pay_none")) == []


REFUND_FILTERS: list[tuple[RefundFilter, list[int]]] = [
    (RefundFilter(), [4, 3, 2, 1]),
    (RefundFilter(payment_id="pay_000002"), [3]),
    (RefundFilter(user_id="user-9"), [2]),
    (RefundFilter(statuses=(RefundStatus.FAILED, RefundStatus.SUCCEEDED)), [4]),
    (RefundFilter(from_time=at(3)), [4, 3]),
    (
        RefundFilter(
            payment_id="pay_000001",
            user_id="user-1",
            statuses=(RefundStatus.PENDING,),
            from_time=at(1),
        ),
        [1],
    ),
    (RefundFilter(payment_id="pay_none"), []),
]


async def test_refunds_are_found_by_every_filter(sold: Store) -> None:
    """Each filter finds its refunds, newest first."""
    await keep(
        sold,
        a_refund(1),
        replace(a_refund(2), user_id="user-9"),
        a_refund(3, payment=2),
        replace(a_refund(4), status=RefundStatus.SUCCEEDED),
    )

    def body(repo: Repository) -> list[list[int]]:
        found = [repo.refunds.find(wanted, before_id="", limit=9) for wanted, _ in REFUND_FILTERS]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await sold.read(body) == [expected for _, expected in REFUND_FILTERS]


async def test_refunds_of_one_moment_are_paged_through_by_their_ids(sold: Store) -> None:
    """Newest first, and no page repeats or leaves out one of those made at once."""
    made = {1: 7, 2: 5, 3: 7, 4: 7, 5: 6, 6: 1}
    await keep(sold, *(a_refund(number, made=second) for number, second in made.items()))

    def find(repo: Repository, before: str, limit: int) -> list[str]:
        found = repo.refunds.find(RefundFilter(user_id="user-1"), before_id=before, limit=limit)
        return [each.id for each in found]

    assert await sold.read(pages(find, 2)) == [[4, 3], [1, 5], [2, 6]]


# -- disputes -------------------------------------------------------------------------------------


async def test_dispute_comes_back_as_it_was(sold: Store) -> None:
    """Every field of a dispute survives, before and after a change."""
    await keep(sold, a_dispute(1), a_dispute(2, payment=2))
    assert await sold.read(lambda repo: repo.disputes.get("dsp_000001")) == a_dispute(1)
    closed = replace(
        a_dispute(2, payment=2),
        status=DisputeStatus.LOST,
        reason="general",
        evidence_due_time=None,
        heard_time=at(8),
        update_time=at(9),
    )
    await sold.write(lambda repo: repo.disputes.update(closed))
    assert await sold.read(lambda repo: repo.disputes.get("dsp_000002")) == closed
    assert await sold.read(lambda repo: repo.disputes.of_payment("pay_000002")) == [closed]
    assert await sold.read(lambda repo: repo.disputes.get("dsp_none")) is None


DISPUTE_FILTERS: list[tuple[DisputeFilter, list[int]]] = [
    (DisputeFilter(), [4, 3, 2, 1]),
    (DisputeFilter(payment_id="pay_000002"), [3]),
    (DisputeFilter(user_id="user-9"), [2]),
    (DisputeFilter(statuses=(DisputeStatus.WON, DisputeStatus.LOST)), [4]),
    (DisputeFilter(from_time=at(3)), [4, 3]),
    (DisputeFilter(user_id="user-9", payment_id="pay_000002"), []),
]


async def test_disputes_are_found_by_every_filter(sold: Store) -> None:
    """Each filter finds its disputes, newest first."""
    await keep(
        sold,
        a_dispute(1),
        replace(a_dispute(2), user_id="user-9"),
        a_dispute(3, payment=2),
        replace(a_dispute(4), status=DisputeStatus.WON),
    )

    def body(repo: Repository) -> list[list[int]]:
        found = [repo.disputes.find(wanted, before_id="", limit=9) for wanted, _ in DISPUTE_FILTERS]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await sold.read(body) == [expected for _, expected in DISPUTE_FILTERS]


async def test_disputes_of_one_moment_are_paged_through_by_their_ids(sold: Store) -> None:
    """Newest first, without gap or repetition."""
    made = {1: 7, 2: 5, 3: 7, 4: 7, 5: 6}
    await keep(sold, *(a_dispute(number, made=second) for number, second in made.items()))

    def find(repo: Repository, before: str, limit: int) -> list[str]:
        found = repo.disputes.find(DisputeFilter(), before_id=before, limit=limit)
        return [each.id for each in found]

    assert await sold.read(pages(find, 2)) == [[4, 3], [1, 5], [2]]


# -- payment methods ------------------------------------------------------------------------------


async def test_method_comes_back_as_it_was(store: Store) -> None:
    """Every field of a method survives, before and after a change; not all are cards."""
    await keep(store, a_method(1), a_method(2))
    assert await store.read(lambda repo: repo.methods.get("pmt_000001")) == a_method(1)
    changed = replace(
        a_method(2),
        details=MethodDetails(type="sepa_debit", last4="3000"),
        tags=("b", "ä"),
        heard_time=at(7),
        detach_time=at(8),
        version=4,
        update_time=at(9),
    )
    await store.write(lambda repo: repo.methods.update(changed))
    assert await store.write(lambda repo: repo.methods.get("pmt_000002", lock=True)) == changed
    assert await store.read(lambda repo: repo.methods.get("pmt_none")) is None


async def test_method_that_is_there_is_not_kept_again(store: Store) -> None:
    """Whoever keeps it second changes nothing."""
    await keep(store, a_method())
    again = replace(a_method(), user_id="user-9", tags=(), version=9)
    assert not await store.write(lambda repo: repo.methods.insert(again))
    assert await store.read(lambda repo: repo.methods.get(again.id)) == a_method()


async def test_concurrent_news_of_one_method_keep_it_once(store: Store) -> None:
    """Of many that hear of it at once, one keeps it, and none fails."""

    async def insert(number: int) -> bool:
        method = replace(a_method(), version=number)
        return await store.write(lambda repo: repo.methods.insert(method))

    answers = await asyncio.gather(*(insert(number) for number in range(MANY)))
    assert answers.count(True) == 1
    kept = await store.read(lambda repo: repo.methods.get("pmt_000001"))
    assert kept is not None
    assert kept.version == answers.index(True)


def some_methods() -> list[PaymentMethod]:
    """Seven methods of one user, some detached, some tagged, some of one moment; and another's."""
    return [
        a_method(1, made=5),
        a_method(2, made=5, tags=()),
        a_method(3, made=5),
        replace(a_method(4, made=6), detach_time=at(9)),
        a_method(5, made=2, tags=("b", "default")),
        a_method(6, made=2, tags=("defaul", "b")),
        a_method(7, made=1),
        a_method(8, made=7, user_id="user-2"),
    ]


METHOD_FILTERS: list[tuple[MethodFilter, list[int]]] = [
    (MethodFilter(user_id="user-1"), [3, 2, 1, 6, 5, 7]),
    (MethodFilter(user_id="user-1", detached=True), [4, 3, 2, 1, 6, 5, 7]),
    (MethodFilter(user_id="user-1", tag="default"), [3, 1, 5, 7]),
    (MethodFilter(user_id="user-1", tag="default", detached=True), [4, 3, 1, 5, 7]),
    (MethodFilter(user_id="user-1", tag="b"), [6, 5]),
    (MethodFilter(user_id="user-1", tag="none"), []),
    (MethodFilter(user_id="user-2"), [8]),
    (MethodFilter(user_id="nobody"), []),
]


@pytest.mark.parametrize(("wanted", "expected"), METHOD_FILTERS)
async def test_methods_of_a_user_are_found_and_paged_through(
    store: Store, wanted: MethodFilter, expected: list[int]
) -> None:
    """Newest first, whatever the size of a page: full ones but for the last, no gap, none twice."""
    await keep(store, *some_methods())

    def find(repo: Repository, before: str, limit: int) -> list[str]:
        found = repo.methods.find(wanted, before_id=before, limit=limit)
        return [each.id for each in found]

    for size in (1, 2, 3, 9):
        want = [expected[start : start + size] for start in range(0, len(expected), size)]
        assert await store.read(pages(find, size)) == want
