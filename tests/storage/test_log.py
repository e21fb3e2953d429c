"""The log, as every transaction sees it: numbers, tokens, filters, times and compaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.order import OrderEvent, OrderStatus, created
from boxoffice_server.domain.stream import LogFilter, LogRecord, RecordKind, Token, TokenKind
from boxoffice_server.ports import Repository, Store
from boxoffice_server.storage.times import to_microseconds
from tests.storage.samples import SECOND, START, a_product, an_order, at, events_of
from tests.support.stores import appended, clock_moved, position_of, whole_log


async def append(store: Store, *events: OrderEvent) -> Token:
    """Appends events in one transaction and waits until they are visible."""

    def body(repo: Repository) -> Token:
        return appended(repo, *events)

    token = await store.write(body)
    await position_of(store, token)
    return token


def positions(records: Sequence[LogRecord]) -> list[int]:
    """The positions of records."""
    return [record.position for record in records]


async def test_new_log_is_empty(store: Store) -> None:
    """A new log begins at 1, holds nothing, and has an id of its own."""
    bounds = await store.read(lambda repo: repo.log.bounds())
    assert (bounds.earliest, bounds.head) == (1, 0)
    assert await store.read(lambda repo: repo.log.read(after=0, limit=9)) == ([], 0)
    assert await store.read(lambda repo: repo.log.clock_offset()) == 0


async def test_record_holds_what_filters_look_at(store: Store) -> None:
    """A record of an order and one of a product carry their keys and the encoded event."""
    order = an_order(status=OrderStatus.PAID)
    product = a_product(7)
    await append(store, created(order))
    await position_of(store, await store.write(lambda repo: appended(repo, product)))
    first, second = await whole_log(store)
    assert first == LogRecord(
        position=1,
        group=first.group,
        event_id=created(order).id,
        kind=RecordKind.ORDER,
        subject_id=order.id,
        user_id="user-1",
        product_id="prd_000001",
        status="paid",
        create_time=order.create_time,
        payload=b"ord_000001 1 paid",
    )
    assert (second.kind, second.subject_id, second.product_id) == (
        RecordKind.PRODUCT,
        "prd_000007",
        "prd_000007",
    )
    assert second.payload == b"prd_000007 1"


async def test_events_of_one_transaction_stand_together(store: Store) -> None:
    """Twenty concurrent transactions of five events each: dense, and none among another's."""
    lives = [events_of(an_order(number), 5) for number in range(20)]
    await asyncio.gather(*(append(store, *life) for life in lives))
    records = await whole_log(store, page=7)
    assert positions(records) == list(range(1, 101))
    groups = [records[start : start + 5] for start in range(0, 100, 5)]
    assert len({group[0].group for group in groups}) == 20
    for group in groups:
        assert len({record.group for record in group}) == 1
        assert len({record.subject_id for record in group}) == 1
        assert [int(record.payload.split()[1]) for record in group] == [1, 2, 3, 4, 5]


async def test_event_that_is_there_is_not_appended_again(store: Store) -> None:
    """Within the same transaction or later, the same event id changes nothing."""
    one, two, three = events_of(an_order(), 3)
    await append(store, one, two, one)
    again = await append(store, two)
    assert await position_of(store, again) == 2
    # The token of a transaction lies behind all it appended, whatever it appended last.
    last = await append(store, three, one)
    assert await position_of(store, last) == 3
    records = await whole_log(store)
    assert [record.event_id for record in records] == [one.id, two.id, three.id]


async def test_token_names_the_log_and_the_write(store: Store) -> None:
    """A token belongs to this log, and everything it stands for is readable behind it."""
    token = await store.write(lambda repo: appended(repo, created(an_order())))
    bounds = await store.read(lambda repo: repo.log.bounds())
    assert token.log_id == bounds.log_id
    assert await position_of(store, token) == 1
    second = await append(store, created(an_order(2)))
    assert await position_of(store, second) == 2


async def test_append_that_the_log_never_held_is_ahead(store: Store) -> None:
    """A token from a lost future of this log is told from one that waits for its number."""
    token = await append(store, created(an_order()))
    for kind, event_id in ((TokenKind.APPEND, ""), (TokenKind.EVENT, "evt_none")):
        lost = replace(token, kind=kind, number=token.number + 1000, event_id=event_id)
        with pytest.raises(BoxofficeError) as caught:
            await store.read(partial(resolved, token=lost))
        assert caught.value.reason is Reason.POSITION_AHEAD
        assert caught.value.metadata == {"head": "1"}
    start = replace(token, kind=TokenKind.APPEND, number=0, event_id="")
    assert await store.read(partial(resolved, token=start)) == 0


async def test_page_is_complete_up_to_what_it_says(store: Store) -> None:
    """A full page is complete up to its last record, any other up to the head."""
    await append(store, *events_of(an_order(1, user_id="a"), 3))
    await append(store, *events_of(an_order(2, user_id="b"), 4))
    wanted = LogFilter(kind=RecordKind.ORDER, user_id="a")

    async def page(after: int, limit: int) -> tuple[list[int], int]:
        records, through = await store.read(
            lambda repo: repo.log.read(after=after, limit=limit, wanted=wanted)
        )
        return positions(records), through

    assert await page(0, 2) == ([1, 2], 2)
    assert await page(0, 3) == ([1, 2, 3], 3)
    assert await page(0, 4) == ([1, 2, 3], 7)
    assert await page(3, 4) == ([], 7)
    assert await page(7, 4) == ([], 7)


FILTERS: list[tuple[LogFilter, list[int]]] = [
    (LogFilter(kind=RecordKind.ORDER), [1, 2, 3, 4]),
    (LogFilter(kind=RecordKind.PRODUCT), [5]),
    (LogFilter(kind=RecordKind.CLOCK), [6]),
    (LogFilter(kind=RecordKind.ORDER, subject_id="ord_000002"), [2]),
    (LogFilter(kind=RecordKind.ORDER, user_id="user-9"), [2, 3]),
    (LogFilter(kind=RecordKind.ORDER, product_id="prd_000002"), [3]),
    (LogFilter(kind=RecordKind.PRODUCT, product_id="prd_000002"), [5]),
    (LogFilter(kind=RecordKind.ORDER, statuses=frozenset({"paid", "failed"})), [3, 4]),
    (LogFilter(kind=RecordKind.ORDER, user_id="user-9", statuses=frozenset({"paid"})), [3]),
    (LogFilter(kind=RecordKind.ORDER, user_id="nobody"), []),
]


async def test_log_is_read_by_every_filter(store: Store) -> None:
    """The store picks the same records as the filter itself."""
    other = a_product(2)
    await append(store, created(an_order(1)))
    await append(store, created(an_order(2, user_id="user-9")))
    paid = an_order(3, user_id="user-9", status=OrderStatus.PAID, product=other)
    await append(store, created(paid))
    await append(store, created(an_order(4, status=OrderStatus.FAILED)))
    await position_of(store, await store.write(lambda repo: appended(repo, other)))
    await position_of(store, await store.write(lambda repo: clock_moved(repo, 5, at(9))))
    log = await whole_log(store)

    def body(repo: Repository) -> list[tuple[list[int], int]]:
        pages = [repo.log.read(after=0, limit=99, wanted=wanted) for wanted, _ in FILTERS]
        return [(positions(records), through) for records, through in pages]

    assert await store.read(body) == [(expected, 6) for _, expected in FILTERS]
    for wanted, expected in FILTERS:
        assert positions([record for record in log if wanted.matches(record)]) == expected


async def test_clock_is_set_and_told(store: Store) -> None:
    """Every move of the clock is a record, also one to where the clock stood before."""

    async def set_clock(offset: int) -> Token:
        return await store.write(lambda repo: clock_moved(repo, offset, START))

    await set_clock(60)
    await set_clock(0)
    token = await set_clock(60)
    await position_of(store, token)
    assert await store.read(lambda repo: repo.log.clock_offset()) == 60
    assert [record.payload for record in await whole_log(store)] == [b"60", b"0", b"60"]


async def test_place_in_time_is_found(store: Store) -> None:
    """Nothing at or after a time lies at or below its place, even where clocks disagreed."""
    for seconds in (10, 30, 20, 40, 40):
        event = replace(created(an_order(seconds)), create_time=at(seconds))
        order = replace(event.order, id=f"ord_{seconds}_{len(await whole_log(store))}")
        await append(store, replace(event, order=order))

    async def before(seconds: float) -> int:
        time = START + timedelta(seconds=seconds)
        return await store.read(lambda repo: repo.log.position_before(time))

    assert [await before(s) for s in (0, 10, 10.000001, 20, 30, 31, 40)] == [0, 0, 1, 1, 1, 3, 3]
    assert await before(41) == 5


async def test_compaction_drops_a_prefix_and_never_the_head(store: Store) -> None:
    """What is dropped is refused by name, what is left stays, and numbering goes on."""
    tokens = [await append(store, created(an_order(number))) for number in range(1, 6)]
    assert await store.write(lambda repo: repo.log.compact(before=at(0))) == 1
    assert await store.write(lambda repo: repo.log.compact(before=at(3))) == 3
    assert positions(await whole_log(store)) == [3, 4, 5]
    for body in (
        lambda repo: repo.log.read(after=1, limit=9),
        lambda repo: repo.log.position_before(at(2)),
    ):
        with pytest.raises(BoxofficeError) as caught:
            await store.read(body)
        assert caught.value.reason is Reason.POSITION_COMPACTED
        assert caught.value.metadata == {"earliest": "3", "head": "5"}
    assert await store.read(lambda repo: repo.log.position_before(at(2) + SECOND / 2)) == 2
    assert await store.write(lambda repo: repo.log.compact(before=at(99))) == 5
    assert positions(await whole_log(store)) == [5]
    await append(store, created(an_order(6)))
    assert positions(await whole_log(store)) == [5, 6]
    assert await position_of(store, tokens[-1]) == 5


async def test_token_of_what_was_dropped_is_refused(store: Store) -> None:
    """Whatever it names it by, it can't be resolved, and says why; a younger one is ahead."""
    dropped = created(an_order(1))
    token = await append(store, dropped)
    await append(store, created(an_order(2)))
    by_append = replace(token, kind=TokenKind.APPEND, number=1, event_id="")
    by_event = replace(token, kind=TokenKind.EVENT, number=made(dropped), event_id=dropped.id)
    for known in (by_append, by_event):
        assert await position_of(store, known) == 1
    await store.write(lambda repo: repo.log.compact(before=at(2)))
    for gone in (by_append, by_event):
        with pytest.raises(BoxofficeError) as caught:
            await store.read(partial(resolved, token=gone))
        assert caught.value.reason is Reason.POSITION_COMPACTED
    lost = replace(by_event, number=made(created(an_order(3))), event_id="evt_none")
    with pytest.raises(BoxofficeError) as caught:
        await store.read(partial(resolved, token=lost))
    assert caught.value.reason is Reason.POSITION_AHEAD


def resolved(repo: Repository, token: Token) -> int | None:
    """The position that a token stands for."""
    return repo.log.resolve(token)


def made(event: OrderEvent) -> int:
    """When an event was made, as tokens tell it."""
    return to_microseconds(event.create_time)


async def test_position_ahead_of_the_head_is_refused(store: Store) -> None:
    """A reader that is ahead of the log is told so, and where the head is."""
    await append(store, created(an_order()))
    with pytest.raises(BoxofficeError) as caught:
        await store.read(lambda repo: repo.log.read(after=2, limit=9))
    assert (caught.value.reason, caught.value.metadata) == (Reason.POSITION_AHEAD, {"head": "1"})


async def test_listeners_hear_that_the_log_has_grown(store: Store) -> None:
    """A listener is called once records are visible, and not any more when it has stopped."""
    heard, unheard = asyncio.Event(), asyncio.Event()
    store.on_advance(heard.set)
    store.on_advance(unheard.set)()
    token = await store.write(lambda repo: appended(repo, created(an_order())))
    position = await position_of(store, token)
    async with asyncio.timeout(5):
        await heard.wait()
    assert position == 1
    assert not unheard.is_set()


async def test_token_names_what_the_store_knows(store: Store, database: str) -> None:
    """SQLite knows the position as it writes; PostgreSQL the event, once it knows the log."""
    kinds = [(await append(store, created(an_order(number)))).kind for number in (1, 2)]
    if database.startswith("sqlite"):
        assert kinds == [TokenKind.POSITION, TokenKind.POSITION]
    else:
        assert kinds == [TokenKind.APPEND, TokenKind.EVENT]


async def test_here_lies_behind_all_that_was_appended(store: Store) -> None:
    """The transaction's own token, whatever it appended last, several times over."""

    def body(repo: Repository) -> list[Token]:
        tokens = []
        for event in events_of(an_order(), 3):
            tokens.append(appended(repo, event))
            tokens.append(repo.log.here())
        return tokens

    tokens = await store.write(body)
    assert tokens[0::2] == tokens[1::2]
    assert await position_of(store, tokens[-1]) == 3


async def test_here_is_the_head_where_nothing_was_appended(store: Store) -> None:
    """A write that changes nothing answers a token all the same, in a new log too."""
    empty = await store.write(lambda repo: repo.log.here())
    assert empty == (await store.read(lambda repo: repo.log.bounds())).head_token()
    await append(store, *events_of(an_order(), 2))
    here = await store.write(lambda repo: repo.log.here())
    assert (here.kind, here.number) == (TokenKind.POSITION, 2)
    assert await store.read(lambda repo: repo.log.here()) == here
