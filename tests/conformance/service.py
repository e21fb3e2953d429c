"""The service as a subject of the conformance suite: the whole of it, on a real store."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from boxoffice_server.app import Application
from boxoffice_server.domain.order import OrderEvent, OrderStatus, created
from boxoffice_server.domain.product import DataValue
from boxoffice_server.domain.stream import LogBounds, Token, TokenKind
from boxoffice_server.ports import Repository, Store
from tests.conformance.checker import Written
from tests.storage.samples import an_order
from tests.streaming.reading import numbered
from tests.support.service import service_settings


class ServiceSubject:
    """Writes straight to the store of a running service, and watches it from outside."""

    def __init__(self, application: Application, address: str) -> None:
        self.address = address
        self.written: list[Written] = []
        self._application = application
        self.drained = False

    @property
    def store(self) -> Store:
        """The service's own store."""
        return self._application._store

    async def write(self, size: int = 1, *, user_id: str = "user-1", bytes_each: int = 0) -> str:
        transaction = self.written[-1].transaction + 1 if self.written else 1
        written = [Written(transaction, index, size) for index in range(size)]
        now = datetime.now(UTC)
        events = [event_of(each, now, user_id=user_id, size=bytes_each) for each in written]

        def body(repo: Repository) -> Token:
            return [repo.log.append(event) for event in events][-1]

        token = await self.store.write(body)
        self.written += written
        return token.encode()

    async def compact(self) -> None:
        # What was written last may not be numbered yet.
        await numbered(self.store, len(self.written))
        ahead = datetime.now(UTC) + timedelta(days=1)
        await self.store.write(lambda repo: repo.log.compact(before=ahead))

    async def drain(self) -> None:
        self.drained = True
        await self._application.stop()

    async def foreign_token(self) -> str:
        return Token(log_id=uuid.uuid4(), kind=TokenKind.POSITION, number=0).encode()

    async def token_ahead(self) -> str:
        bounds = await self._bounds()
        return replace(bounds.head_token(), number=bounds.head + 1000).encode()

    async def _bounds(self) -> LogBounds:
        return await self.store.read(lambda repo: repo.log.bounds())


def event_of(written: Written, now: datetime, *, user_id: str, size: int) -> OrderEvent:
    """The event that made the order which stands for what was written."""
    order = an_order(1, user_id=user_id, status=OrderStatus.CREATED)
    data: dict[str, DataValue] = {"seat": "x" * size}
    return created(
        replace(
            order,
            id=written.order_id(),
            data=data,
            vendor_events=(),
            create_time=now,
            update_time=now,
        )
    )


@asynccontextmanager
async def serving_service(database_url: str, **variables: str) -> AsyncIterator[ServiceSubject]:
    """Run a service on a database with all tables."""
    application = Application(service_settings(database_url, **variables))
    doors = await application.start()
    subject = ServiceSubject(application, str(doors.grpc))
    try:
        yield subject
    finally:
        if not subject.drained:
            await application.stop()
