"""Payments, their facts and customers: kept as they were, found by everything they are known by."""

from dataclasses import replace

import pytest

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.payment import (
    CaptureMethod,
    Payment,
    PaymentFailure,
    PaymentFlow,
    PaymentMethodType,
    PaymentState,
    PaymentStatus,
    Reuse,
)
from boxoffice_server.ports import PaymentFilter, Repository, Store
from tests.storage.samples import a_customer, a_fact, a_payment, at, keep

FAILURE = PaymentFailure(code="card_declined", decline_code="", message="No — “lost”.")
ACTION = PaymentState(status=PaymentStatus.REQUIRES_ACTION)
COMPLETE = PaymentState(status=PaymentStatus.COMPLETE)


async def test_payment_comes_back_as_it_was(store: Store) -> None:
    """Every field of a payment survives, before and after a change."""
    await keep(store, a_payment(1), a_payment(2))
    assert await store.read(lambda repo: repo.payments.get("pay_000001")) == a_payment(1)
    changed = replace(
        a_payment(2),
        amount=Money(amount=99999999, currency="usd"),
        method_type=PaymentMethodType.IDEAL,
        flow=PaymentFlow.LEGACY_CHARGE,
        capture_method=CaptureMethod.MANUAL,
        reuse=Reuse.OFF_SESSION,
        off_session=True,
        payment_method_id="pmt_1",
        stripe_payment_intent_id="pi_2",
        stripe_charge_id="ch_2",
        state=PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD, last_failure=FAILURE),
        authorised=7,
        captured=6,
        refunded=5,
        refund_time=at(50),
        disputed=True,
        action_deadline=at(60),
        version=9,
        update_time=at(70),
    )
    await store.write(lambda repo: repo.payments.update(changed))
    assert await store.write(lambda repo: repo.payments.get("pay_000002", lock=True)) == changed
    assert await store.read(lambda repo: repo.payments.get("pay_none")) is None


async def test_payment_is_found_by_its_intent_and_by_its_charge(store: Store) -> None:
    """Several payments may have neither yet; one that has it is found by it."""
    known = replace(a_payment(2, intent="pi_2"), stripe_charge_id="ch_2")
    await keep(store, a_payment(1), known, a_payment(3))
    assert await store.read(lambda repo: repo.payments.by_intent("pi_2")) == known
    assert await store.read(lambda repo: repo.payments.by_charge("ch_2")) == known
    assert await store.read(lambda repo: repo.payments.by_intent("ch_2")) is None
    assert await store.read(lambda repo: repo.payments.by_charge("pi_2")) is None


@pytest.mark.parametrize(
    "second",
    [a_payment(2, intent="pi_1"), replace(a_payment(2), stripe_charge_id="ch_1")],
    ids=["intent", "charge"],
)
async def test_two_payments_never_share_what_the_vendor_calls_them(
    store: Store, second: Payment
) -> None:
    """An intent or a charge is one payment's; a second one is refused and leaves nothing."""
    await keep(store, replace(a_payment(1, intent="pi_1"), stripe_charge_id="ch_1"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await keep(store, second)
    assert await store.read(lambda repo: repo.payments.get(second.id)) is None


def some_payments() -> list[Payment]:
    """Six payments that differ in what filters look at."""
    return [
        a_payment(1),
        replace(a_payment(2), user_id="user-9"),
        replace(a_payment(3), order_id=""),
        replace(a_payment(4), state=COMPLETE),
        replace(a_payment(5), state=ACTION, order_id="ord_000004"),
        a_payment(6),
    ]


PAYMENT_FILTERS: list[tuple[PaymentFilter, list[int]]] = [
    (PaymentFilter(), [6, 5, 4, 3, 2, 1]),
    (PaymentFilter(user_id="user-9"), [2]),
    (PaymentFilter(order_id="ord_000004"), [5, 4]),
    (PaymentFilter(statuses=(PaymentStatus.COMPLETE, PaymentStatus.REQUIRES_ACTION)), [5, 4]),
    (PaymentFilter(statuses=(PaymentStatus.PENDING,)), [6, 3, 2, 1]),
    (PaymentFilter(from_time=at(5)), [6, 5]),
    (PaymentFilter(until_time=at(3)), [2, 1]),
    (
        PaymentFilter(
            user_id="user-1",
            order_id="ord_000004",
            statuses=(PaymentStatus.COMPLETE,),
            from_time=at(4),
            until_time=at(5),
        ),
        [4],
    ),
    (PaymentFilter(user_id="user-9", order_id="ord_000004"), []),
]


async def test_payments_are_found_by_every_filter(store: Store) -> None:
    """Each filter finds its payments, newest first; `until_time` itself is left out."""
    await keep(store, *some_payments())

    def body(repo: Repository) -> list[list[int]]:
        found = [repo.payments.find(wanted, before_id="", limit=9) for wanted, _ in PAYMENT_FILTERS]
        return [[int(each.id[4:]) for each in page] for page in found]

    assert await store.read(body) == [expected for _, expected in PAYMENT_FILTERS]


async def test_payments_are_paged_through_without_gap_or_repetition(store: Store) -> None:
    """Each page begins below the last id of the page before, under a filter as well."""
    await keep(store, *some_payments())
    wanted = PaymentFilter(user_id="user-1")

    async def page(before_id: str) -> list[int]:
        found = await store.read(
            lambda repo: repo.payments.find(wanted, before_id=before_id, limit=3)
        )
        return [int(each.id[4:]) for each in found]

    assert await page("") == [6, 5, 4]
    assert await page("pay_000004") == [3, 1]
    assert await page("pay_000001") == []


async def test_overdue_payments_are_those_that_still_wait(store: Store) -> None:
    """Only where the deadline has come and the customer's action is still wanted, first due first.

    A deadline counts from its very moment on.
    """
    await keep(
        store,
        replace(a_payment(1), state=ACTION, action_deadline=at(30)),
        replace(a_payment(2), state=ACTION, action_deadline=at(20)),
        replace(a_payment(3), state=ACTION, action_deadline=at(40)),
        replace(a_payment(4), state=ACTION),
        replace(a_payment(5), state=COMPLETE, action_deadline=at(10)),
    )

    async def overdue(seconds: int, limit: int = 9) -> list[int]:
        found = await store.read(lambda repo: repo.payments.overdue(at(seconds), limit=limit))
        return [int(each.id[4:]) for each in found]

    assert await overdue(19) == []
    assert await overdue(20) == [2]
    assert await overdue(39) == [2, 1]
    assert await overdue(40) == [2, 1, 3]
    assert await overdue(40, 2) == [2, 1]


async def test_fact_is_kept_once_per_payment(store: Store) -> None:
    """A fact that was kept before changes nothing, but counts for another payment."""
    await keep(store, a_payment(1), a_payment(2))
    first, second = replace(a_fact(1), amount=1250), a_fact(2, failure=True)
    await store.write(lambda repo: repo.payments.add_fact("pay_000001", second))
    await store.write(lambda repo: repo.payments.add_fact("pay_000001", first))
    again = replace(first, type="something.else")
    await store.write(lambda repo: repo.payments.add_fact("pay_000001", again))
    await store.write(lambda repo: repo.payments.add_fact("pay_000002", again))
    assert await store.read(lambda repo: repo.payments.facts("pay_000001")) == [first, second]
    assert await store.read(lambda repo: repo.payments.facts("pay_000002")) == [again]
    assert await store.read(lambda repo: repo.payments.facts("pay_000003")) == []


async def test_fact_without_a_payment_is_refused(store: Store) -> None:
    """Facts hang on payments: one about nothing is a fault of the program and never silent."""
    with pytest.raises(Exception, match=r"(?i)foreign.?key"):
        await store.write(lambda repo: repo.payments.add_fact("pay_none", a_fact()))


# -- customers ------------------------------------------------------------------------------------


async def test_first_proposed_customer_stays(store: Store) -> None:
    """Who proposes a customer for a user that has one gets that one."""
    first, second = a_customer(1), a_customer(2)
    assert await store.read(lambda repo: repo.customers.get("user-1")) is None
    assert await store.write(lambda repo: repo.customers.keep(first)) == first
    assert await store.write(lambda repo: repo.customers.keep(second)) == first
    assert await store.read(lambda repo: repo.customers.get("user-1")) == first


async def test_first_learned_stripe_id_stays(store: Store) -> None:
    """Whatever else the vendor made because it had forgotten the key, the first one is used."""
    mine, other = a_customer(1), a_customer(2, user_id="user-2")
    await store.write(lambda repo: repo.customers.keep(mine))
    await store.write(lambda repo: repo.customers.keep(other))
    known = replace(mine, stripe_customer_id="cus_1")

    async def learn(stripe_id: str) -> object:
        return await store.write(lambda repo: repo.customers.learn_stripe_id("user-1", stripe_id))

    assert await learn("cus_1") == known
    assert await learn("cus_2") == known
    assert await store.write(lambda repo: repo.customers.keep(a_customer(3))) == known
    assert await store.read(lambda repo: repo.customers.by_stripe_id("cus_1")) == known
    assert await store.read(lambda repo: repo.customers.by_stripe_id("cus_2")) is None
    assert await store.read(lambda repo: repo.customers.get("user-2")) == other
