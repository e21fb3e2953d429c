"""What a transaction gathers before it sends it: as good as if each row had been sent at once."""

from dataclasses import replace

import pytest

from boxoffice_server.domain.order import OrderStatus, created
from boxoffice_server.ports import KeyTakenError, OvertakenError, Repository, Store
from boxoffice_server.storage.session import MOST_TOGETHER
from tests.storage.samples import a_payment, an_operation, an_order, events_of
from tests.support.stores import appended, opened_store, position_of, whole_log


async def test_what_was_written_is_read_in_the_same_transaction(store: Store) -> None:
    """A row that was not sent yet is sent before anything looks for it."""

    def body(repo: Repository) -> bool:
        repo.payments.insert(a_payment(intent="pi_1"))
        return repo.payments.by_intent("pi_1") == a_payment(intent="pi_1")

    assert await store.write(body)


async def test_of_two_writes_to_a_row_the_last_one_holds(store: Store) -> None:
    """An order that is inserted and changed twice by one transaction is as it was left."""
    order = an_order()
    paid = replace(order, status=OrderStatus.PAID, version=2)
    started = replace(paid, status=OrderStatus.TASK_STARTED, version=3)

    def body(repo: Repository) -> None:
        repo.orders.insert(order)
        repo.orders.update(paid)
        repo.orders.update(started)

    await store.write(body)
    assert await store.read(lambda repo: repo.orders.get(order.id)) == started


async def test_more_rows_than_are_sent_together_are_all_there(store: Store) -> None:
    """A transaction may write any number of rows, and its records keep their order."""
    numbers = range(1, 10 * MOST_TOGETHER)

    def body(repo: Repository) -> None:
        for number in numbers:
            repo.orders.insert(an_order(number))
            repo.log.append(created(an_order(number)))

    await store.write(body)
    token = await store.write(lambda repo: appended(repo, created(an_order(10_000))))
    assert await position_of(store, token) == numbers[-1] + 1
    told = [record.subject_id for record in await whole_log(store)]
    assert told[:-1] == [an_order(number).id for number in numbers]


async def test_missing_row_fails_all_of_its_transaction(store: Store) -> None:
    """What was gathered with a change to a row that is not there is not kept either."""

    def body(repo: Repository) -> None:
        repo.orders.insert(an_order(1))
        repo.orders.update(an_order(2))
        repo.log.append(created(an_order(1)))

    with pytest.raises(LookupError):
        await store.write(body)
    assert await store.read(lambda repo: repo.orders.get(an_order(1).id)) is None
    assert await whole_log(store) == []


async def test_event_that_is_there_is_not_appended_with_a_new_one(store: Store) -> None:
    """Of events that are appended together, those that the log holds are left out."""
    first, second = events_of(an_order(), 2)
    await position_of(store, await store.write(lambda repo: appended(repo, first)))
    token = await store.write(lambda repo: appended(repo, first, second))
    assert await position_of(store, token) == 2
    assert [record.event_id for record in await whole_log(store)] == [first.id, second.id]


async def test_taken_key_fails_all_of_its_transaction(store: Store) -> None:
    """An operation that is recorded again keeps nothing of what was to be recorded with it."""

    def body(repo: Repository, *, number: int) -> None:
        repo.operations.record(an_operation())
        repo.orders.insert(an_order(number))

    await store.write(lambda repo: body(repo, number=1))
    with pytest.raises(KeyTakenError):
        await store.write(lambda repo: body(repo, number=2))
    assert await store.read(lambda repo: repo.orders.get(an_order(1).id)) is not None
    assert await store.read(lambda repo: repo.orders.get(an_order(2).id)) is None


async def test_operation_ends_once(store: Store) -> None:
    """Its first answer is the one that is kept."""
    begun = an_operation()
    ended = replace(begun, answer=b"first", settled=True, owner="", lease_time=None)
    await store.write(lambda repo: repo.operations.record(begun))
    await store.write(lambda repo: repo.operations.end(ended))
    again = replace(ended, answer=b"second")
    with pytest.raises(OvertakenError):
        await store.write(lambda repo: repo.operations.end(again))
    assert await store.read(lambda repo: repo.operations.get(begun.key)) == ended


async def test_nothing_is_kept_with_an_end_that_comes_too_late(store: Store) -> None:
    """Nor with a change of what is not there, where the transaction is one statement as well."""
    begun = an_operation()
    ended = replace(begun, answer=b"first", settled=True)
    await store.write(lambda repo: repo.operations.record(ended))

    def end(repo: Repository) -> None:
        repo.payments.insert(a_payment(1))
        repo.operations.end(replace(ended, answer=b"second"))

    def change(repo: Repository) -> None:
        repo.payments.insert(a_payment(1))
        repo.payments.update(a_payment(2))

    for body, error in ((end, OvertakenError), (change, LookupError)):
        with pytest.raises(error):
            await store.write(body)
        assert await store.read(lambda repo: repo.payments.get("pay_000001")) is None


async def test_operation_that_was_taken_up_is_not_ended_by_who_was_refused(store: Store) -> None:
    """Its end may depend on how often it was taken up; what else has changed of it is kept."""
    begun = an_operation()
    taken = replace(begun, tries=begun.tries + 1, attempt=begun.attempt + 1)
    ended = replace(begun, answer=b"no", failed=True, settled=True)
    await store.write(lambda repo: repo.operations.record(begun))
    await store.write(lambda repo: repo.operations.update(taken))
    with pytest.raises(OvertakenError):
        await store.write(lambda repo: repo.operations.end(ended, if_tries=begun.tries))
    await store.write(lambda repo: repo.operations.end(ended, if_tries=taken.tries))
    kept = await store.read(lambda repo: repo.operations.get(begun.key))
    assert kept == replace(ended, tries=taken.tries, attempt=taken.attempt)


async def test_one_thing_is_read_without_a_transaction(store: Store) -> None:
    """And it is as it would be read in one."""
    await store.write(lambda repo: repo.orders.insert(an_order()))
    assert await store.read_once(lambda repo: repo.orders.get(an_order().id)) == an_order()


async def test_two_things_are_not_read_without_a_transaction(postgres_database: str) -> None:
    """They may be of two moments; nor is anything written."""

    def both(repo: Repository) -> None:
        repo.orders.get(an_order(1).id)
        repo.orders.get(an_order(2).id)

    async with opened_store(postgres_database) as store:
        with pytest.raises(AssertionError, match="two states"):
            await store.read_once(both)
        with pytest.raises(AssertionError, match="read-only"):
            await store.read_once(lambda repo: repo.orders.insert(an_order()))
        assert await store.read(lambda repo: repo.orders.get(an_order().id)) is None
