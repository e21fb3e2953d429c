"""The event log, as seen by those who append to it and follow it."""

import uuid
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Protocol

from boxoffice_server.domain.catalogue import CatalogueChange
from boxoffice_server.domain.order import OrderEvent
from boxoffice_server.domain.payment import PaymentEvent
from boxoffice_server.domain.product import Product
from boxoffice_server.domain.stream import Frame, LogBounds, LogFilter, LogRecord, Start, Token
from boxoffice_server.domain.subscription import EntitlementChange, SubscriptionEvent

LogEvent = (
    OrderEvent | PaymentEvent | Product | CatalogueChange | SubscriptionEvent | EntitlementChange
)
"""What the log tells."""


class LogRepository(Protocol):
    """The one event log.

    Appends become visible to readers once they are numbered: within the transaction on SQLite,
    after the commit on PostgreSQL. Positions are dense and rise in the order of visibility.
    """

    def append(self, event: LogEvent) -> None:
        """Append an event to the transaction's group.

        All events of one transaction are numbered next to each other, in the order appended. An
        event whose id the log holds already is not appended again. Whoever appends several events
        locks what they are about first, so that the events of each subject keep commit order.
        """
        ...

    def here(self) -> Token:
        """Answer the token that lies behind all this transaction has appended; else the head's."""
        ...

    def append_clock(self, offset_seconds: int, now: datetime) -> None:
        """Set the offset of business time, and append that it was.

        The record's kind is CLOCK, and its payload the offset in decimal digits.
        """
        ...

    def clock_offset(self) -> int:
        """Answer the offset of business time, in seconds."""
        ...

    def bounds(self) -> LogBounds:
        """Answer what the log holds now."""
        ...

    def read(
        self,
        *,
        after: int,
        limit: int,
        wanted: LogFilter | None = None,
        log_id: uuid.UUID | None = None,
    ) -> tuple[list[LogRecord], int]:
        """Read on from a position: at most `limit` records, and how far they are complete.

        Complete up to the last record's position where the limit was reached, else up to the head
        as it was before the rows were read: nothing that matches and lies below is missing.
        Raises POSITION_COMPACTED and POSITION_AHEAD, and LOG_CHANGED if the log has another id.
        """
        ...

    def resolve(self, token: Token) -> int | None:
        """Answer the position that a token of this log stands for; None while it has none.

        Raises POSITION_COMPACTED where what it names was dropped since, and POSITION_AHEAD where
        the log never held it (a database restored from a backup). Of a position that the token
        names itself nothing is checked.
        """
        ...

    def position_before(self, time: datetime) -> int:
        """Answer the position just before the first record that was made at or after this time.

        Raises POSITION_COMPACTED where such a record may have been dropped.
        """
        ...

    def compact(self, *, before: datetime) -> int:
        """Drop the records made before this time, and answer the new earliest position.

        The head record always stays, so that numbering never starts again.
        """
        ...


class FrameSource(Protocol):
    """The log as streams of frames; DESIGN.md says in "The stream contract" what they promise."""

    def stream(
        self, wanted: LogFilter, start: Start, *, position_field: int, progress_interval: timedelta
    ) -> AsyncGenerator[Frame]:
        """Stream what is wanted, from a place in the log on, until it is drained.

        `position_field` is the number of the wire event's position field. Errors: LOG_CHANGED,
        POSITION_COMPACTED, POSITION_AHEAD; STORE_UNAVAILABLE, after which a resume goes on.
        """
        ...
