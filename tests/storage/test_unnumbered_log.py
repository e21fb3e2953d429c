"""A token that is told before its records are sent, and lies behind all of them all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from boxoffice_server.domain.order import OrderEvent, created
from boxoffice_server.domain.stream import Token, TokenKind
from boxoffice_server.ports import Repository, Store
from boxoffice_server.storage import renew_log
from tests.storage.samples import a_payment, an_order, events_of
from tests.support.stores import appended, opened_store, position_of, whole_log

FIRST, *LATER = events_of(an_order(1), 4)


@pytest.fixture
async def writing(postgres_database: str) -> AsyncIterator[Store]:
    """A store on PostgreSQL that has written to its log, and so knows it."""
    async with opened_store(postgres_database) as store:
        assert await position_of(store, await store.write(append(FIRST))) == 1
        yield store


def append(*events: OrderEvent) -> Callable[[Repository], Token]:
    """A transaction that appends events."""
    return lambda repo: appended(repo, *events)


async def test_token_names_the_last_event(writing: Store) -> None:
    """It is told before the events are sent, and leads behind all of them once they are there."""

    def body(repo: Repository) -> Token:
        repo.payments.insert(a_payment(1))
        return appended(repo, *LATER)

    token = await writing.write(body)
    assert (token.kind, token.event_id) == (TokenKind.EVENT, LATER[-1].id)
    assert token.log_id == (await writing.read(lambda repo: repo.log.bounds())).log_id
    assert await position_of(writing, token) == 4


async def test_event_that_was_there_makes_no_token_too_early(writing: Store) -> None:
    """Where the last event is an old one, the token names what was appended last of all."""
    token = await writing.write(append(LATER[0], FIRST))
    assert token.kind is TokenKind.APPEND
    assert await position_of(writing, token) == 2
    again = await writing.write(append(FIRST))
    assert await position_of(writing, again) == 1
    records = await whole_log(writing)
    assert [record.event_id for record in records] == [FIRST.id, LATER[0].id]


async def test_nothing_is_kept_of_a_try_whose_token_came_too_early(writing: Store) -> None:
    """The transaction is run again as a whole, and keeps what it writes once."""
    tries = []

    def body(repo: Repository) -> Token:
        tries.append(repo)
        repo.payments.insert(a_payment(len(tries)))
        return appended(repo, FIRST)

    await writing.write(body)
    assert len(tries) == 2
    assert await writing.read(lambda repo: repo.payments.get("pay_000001")) is None
    assert await writing.read(lambda repo: repo.payments.get("pay_000002")) is not None


async def test_log_that_was_renewed_meanwhile_is_noticed(
    writing: Store, postgres_database: str
) -> None:
    """No token is given out for a log that is no more."""
    await asyncio.to_thread(renew_log, postgres_database)
    tokens = [await writing.write(append(created(an_order(number)))) for number in (2, 3)]
    bounds = await writing.read(lambda repo: repo.log.bounds())
    assert [token.log_id for token in tokens] == [bounds.log_id] * 2
    assert [token.kind for token in tokens] == [TokenKind.APPEND, TokenKind.EVENT]
