"""Stores for tests: SQLite files, databases on the tests' PostgreSQL, and what is kept in them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import assert_never

import structlog

from boxoffice_server.domain.catalogue import CatalogueChange
from boxoffice_server.domain.order import OrderEvent
from boxoffice_server.domain.payment import PaymentEvent
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.stream import LogRecord, Token, TokenKind
from boxoffice_server.domain.subscription import EntitlementChange, SubscriptionEvent
from boxoffice_server.ports import LogEvent, Repository, Store
from boxoffice_server.storage import Encode, create_store


def sqlite_url(folder: Path, name: str = "boxoffice.db") -> str:
    """Names a SQLite file in a folder."""
    return f"sqlite:///{folder / name}"


def plain_encode(event: LogEvent) -> bytes:
    """Serialises an event so that a person can tell which one it is."""
    match event:
        case OrderEvent():
            return f"{event.order.id} {event.order.version} {event.order.status}".encode()
        case PaymentEvent():
            payment = event.payment
            return f"{payment.id} {payment.version} {payment.state.status}".encode()
        case Product():
            return f"{event.id} {event.version}".encode()
        case CatalogueChange():
            return f"{event.product.id} {event.product.name}".encode()
        case SubscriptionEvent():
            return f"{event.id} {event.type}".encode()
        case EntitlementChange():
            entitlement = event.entitlement
            return f"{entitlement.id} {entitlement.version} {entitlement.now.status}".encode()
        case _:
            assert_never(event)


def plain_log() -> structlog.stdlib.BoundLogger:
    """Makes a logger that prints errors shortly: structlog's own way takes a second for each."""
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return log


@asynccontextmanager
async def opened_store(url: str, *, encode: Encode = plain_encode) -> AsyncIterator[Store]:
    """Opens a store whose schema is up to date, and closes it in the end."""
    store = create_store(url, encode=encode, log=plain_log())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 15) -> None:
    """Waits for a condition; a condition that does not come in time fails the test."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 -- a database has no event to wait for
            await asyncio.sleep(0.005)


def appended(repo: Repository, *events: LogEvent) -> Token:
    """Appends events, and answers the token that lies behind them."""
    for event in events:
        repo.log.append(event)
    return repo.log.here()


def clock_moved(repo: Repository, offset_seconds: int, now: datetime) -> Token:
    """Sets the offset of business time, and answers the token that lies behind that."""
    repo.log.append_clock(offset_seconds, now)
    return repo.log.here()


async def position_of(store: Store, token: Token) -> int:
    """Answers the position that a write was given, once it is."""
    if token.kind is TokenKind.POSITION:
        return token.number
    found: list[int] = []

    async def numbered() -> bool:
        position = await store.read(lambda repo: repo.log.resolve(token))
        found.extend([] if position is None else [position])
        return bool(found)

    await until(numbered)
    return found[0]


async def whole_log(store: Store, *, page: int = 1000) -> list[LogRecord]:
    """Reads the log from its beginning to its present head."""
    bounds = await store.read(lambda repo: repo.log.bounds())
    found: list[LogRecord] = []

    def body(repo: Repository, after: int) -> tuple[list[LogRecord], int]:
        return repo.log.read(after=after, limit=page)

    through = bounds.earliest - 1
    while through < bounds.head:
        records, through = await store.read(partial(body, after=through))
        found += records
    return found
