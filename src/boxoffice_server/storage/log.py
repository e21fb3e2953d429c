"""The event log in SQL.

A record gets its `append_id` when it is inserted, and its `position` when it becomes visible. On
SQLite, where there is one writer, both happen in the same transaction. On PostgreSQL an id is taken
long before it is committed, so ids become visible out of order; there records are committed without
a position and numbered afterwards (sequencer.py). Readers look at positions only.
"""

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, assert_never

from sqlalchemy import Integer, Select, bindparam, delete, func, select, true, update

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.stream import (
    LogBounds,
    LogFilter,
    LogRecord,
    RecordKind,
    Token,
    TokenKind,
    check_position,
)
from boxoffice_server.ports import LogEvent
from boxoffice_server.storage.codecs import Values
from boxoffice_server.storage.log_keys import keys_of
from boxoffice_server.storage.rows import Statement
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import business_clock, log, log_meta
from boxoffice_server.storage.times import from_microseconds, to_microseconds

Encode = Callable[[LogEvent], bytes]
"""Serialises an event as callers get it, but for its position."""

_BOUNDS = (log_meta.c.log_id, log_meta.c.earliest, log_meta.c.head)
_KINDS = {kind.value: kind for kind in RecordKind}

# In the order of LogRecord's fields.
_RECORD = (
    log.c.position,
    log.c.group_label,
    log.c.event_id,
    log.c.kind,
    log.c.subject_id,
    log.c.user_id,
    log.c.product_id,
    log.c.status,
    log.c.create_time,
    log.c.payload,
    log.c.scope,
    log.c.subscription_group,
)


_PAGE = (
    select(*_RECORD)
    .where(log.c.position > bindparam("after"), log.c.position <= bindparam("head"))
    .order_by(log.c.position)
    .limit(bindparam("limit", type_=Integer))
)


_UNFILTERED = (
    select(*_RECORD)
    .where(
        log.c.position > bindparam("after"),
        log.c.position <= select(log_meta.c.head).scalar_subquery(),
    )
    .order_by(log.c.position)
    .limit(bindparam("limit", type_=Integer))
    .subquery()
)
# The log's bounds in front of each record, or alone: all of one moment, in one statement.
_NEXT = (
    select(*_BOUNDS, _UNFILTERED)
    .select_from(log_meta.outerjoin(_UNFILTERED, true()))
    .order_by(_UNFILTERED.c.position)
)


class SqlLog(ABC):
    """Implements ports.LogRepository, but for how records are placed."""

    def __init__(self, session: Session, encode: Encode) -> None:
        self._session = session
        self._encode = encode
        self._group = ""
        self._log_id: uuid.UUID | None = None
        self._furthest = 0
        self.appended = False

    @property
    def group(self) -> str:
        """Name the transaction whose records are numbered next to each other."""
        self._group = self._group or os.urandom(16).hex()
        return self._group

    @property
    @abstractmethod
    def _token_kind(self) -> TokenKind:
        """What the numbers of this store's tokens count."""

    @abstractmethod
    def _append(self, record: Values) -> None:
        """Insert a record, unless its event is there already."""

    def append(self, event: LogEvent) -> None:
        self._append({**keys_of(event), "payload": self._encode(event), "group_label": self.group})

    def append_clock(self, offset_seconds: int, now: datetime) -> None:
        self._session.connection.execute(
            update(business_clock).values(offset_seconds=offset_seconds)
        )
        self._append(
            {
                "event_id": new_id(Prefix.EVENT, now),
                "kind": RecordKind.CLOCK.value,
                "subject_id": "clock",
                "user_id": "",
                "product_id": "",
                "status": "",
                "create_time": to_microseconds(now),
                "payload": str(offset_seconds).encode(),
                "scope": "",
                "subscription_group": "",
                "group_label": self.group,
            }
        )

    def _reach(self, number: int) -> None:
        """Have tokens lie behind this one.

        An event that was there before may lie before others of this transaction; a token must lie
        behind them all.
        """
        self._furthest = max(self._furthest, number)

    def here(self) -> Token:
        self._session.flush()
        if not self._furthest:
            return self.bounds().head_token()
        log_id = self._log_id or self.bounds().log_id
        return Token(log_id=log_id, kind=self._token_kind, number=self._furthest)

    def clock_offset(self) -> int:
        offset: int = self._session.connection.execute(
            select(business_clock.c.offset_seconds)
        ).scalar_one()
        return offset

    def bounds(self) -> LogBounds:
        bounds = _bounds(self._session.dialect).row(self._session, {})
        if bounds is None:
            raise LookupError("the log has lost its row in log_meta")
        return LogBounds(**bounds)

    def read(
        self,
        *,
        after: int,
        limit: int,
        wanted: LogFilter | None = None,
        log_id: uuid.UUID | None = None,
    ) -> tuple[list[LogRecord], int]:
        if wanted is None:
            return self._next(after, limit, log_id)
        # The head first: what is numbered while the rows are read is left for the next page.
        bounds = self.bounds()
        check_position(bounds, log_id or bounds.log_id, after)
        place = {"after": after, "head": bounds.head, "limit": limit}
        rows = self._session.connection.execute(_matching(_PAGE, wanted), place).all()
        records = [_record(row) for row in rows]
        return records, bounds.head if len(records) < limit else records[-1].position

    def _next(
        self, after: int, limit: int, log_id: uuid.UUID | None
    ) -> tuple[list[LogRecord], int]:
        """Read on without a filter, in one statement."""
        place = {"after": after, "limit": limit}
        rows = _unfiltered(self._session.dialect).tuples(self._session, place)
        if not rows:
            raise LookupError("the log has lost its row in log_meta")
        known_id, earliest, head, position, *_ = rows[0]
        bounds = LogBounds(log_id=uuid.UUID(known_id), earliest=earliest, head=head)
        check_position(bounds, log_id or bounds.log_id, after)
        if position is None:
            return [], head
        records = [_record(row[len(_BOUNDS) :]) for row in rows]
        return records, head if len(records) < limit else records[-1].position

    def resolve(self, token: Token) -> int | None:
        match token.kind:
            case TokenKind.POSITION:
                return token.number
            case TokenKind.APPEND:
                named = log.c.append_id == token.number
            case TokenKind.EVENT:
                named = log.c.event_id == token.event_id
            case _:
                assert_never(token.kind)
        row = self._session.connection.execute(select(log.c.position).where(named)).one_or_none()
        if row is not None:
            position: int | None = row.position
            return position
        if token.kind is TokenKind.APPEND and token.number == 0:
            return 0
        # A token is given out once its write is committed. That the record isn't here means that it
        # was dropped since, or that the log was restored from before it.
        bounds = self.bounds()
        if token.number > self._last_known(token.kind, bounds):
            raise BoxofficeError(
                Reason.POSITION_AHEAD,
                "the token is ahead of the log",
                metadata={"head": str(bounds.head)},
            )
        raise _compacted(bounds)

    def _last_known(self, kind: TokenKind, bounds: LogBounds) -> int:
        """Answer the last number whose record, where it isn't here, has been dropped."""
        if kind is TokenKind.APPEND:
            newest = select(func.max(log.c.append_id))
            return self._session.connection.execute(newest).scalar_one() or 0
        return self._compacted_time() if bounds.earliest > 1 else -1

    def _compacted_time(self) -> int:
        time: int = self._session.connection.execute(select(log_meta.c.compacted_time)).scalar_one()
        return time

    def position_before(self, time: datetime) -> int:
        bounds = self.bounds()
        if bounds.earliest > 1 and to_microseconds(time) <= self._compacted_time():
            raise _compacted(bounds)
        return self._position_before(time)

    def _position_before(self, time: datetime) -> int:
        """Search by halves: the latest time up to a record only ever rises with the position."""
        bounds = self.bounds()
        low, high = bounds.earliest, bounds.head + 1
        while low < high:
            middle = (low + high) // 2
            if self._high_time(middle) >= to_microseconds(time):
                high = middle
            else:
                low = middle + 1
        return low - 1

    def _high_time(self, position: int) -> int:
        query = select(log.c.high_time).where(log.c.position == position)
        time: int = self._session.connection.execute(query).scalar_one()
        return time

    def compact(self, *, before: datetime) -> int:
        bounds = self.bounds()
        last = self._last_whole(min(self._position_before(before), bounds.head - 1))
        if last < bounds.earliest:
            return bounds.earliest
        dropped = self._high_time(last)
        self._session.connection.execute(delete(log).where(log.c.position <= last))
        # Last of all: the numbering waits for whoever holds this row.
        meta = update(log_meta).values(earliest=last + 1, compacted_time=dropped)
        self._session.connection.execute(meta)
        return last + 1

    def _last_whole(self, position: int) -> int:
        """Find the last position up to this one after which no transaction is torn apart."""
        while (label := self._label(position)) and label == self._label(position + 1):
            position -= 1
        return position

    def _label(self, position: int) -> str | None:
        query = select(log.c.group_label).where(log.c.position == position)
        label: str | None = self._session.connection.execute(query).scalar_one_or_none()
        return label


@cache
def _bounds(dialect: str) -> Statement:
    return Statement(dialect, select(*_BOUNDS), answers=_BOUNDS)


@cache
def _unfiltered(dialect: str) -> Statement:
    return Statement(dialect, _NEXT)


def _record(row: Sequence[Any]) -> LogRecord:
    position, group, event_id, kind, subject_id, user_id, product_id, status, time, *rest = row
    return LogRecord(
        position,
        group,
        event_id,
        _KINDS[kind],
        subject_id,
        user_id,
        product_id,
        status,
        from_microseconds(time),
        *rest,
    )


def _matching(query: Select[Any], wanted: LogFilter) -> Select[Any]:
    query = query.where(log.c.kind == wanted.kind.value)
    if wanted.subject_id:
        query = query.where(log.c.subject_id == wanted.subject_id)
    if wanted.user_id:
        query = query.where(log.c.user_id == wanted.user_id)
    if wanted.product_id:
        query = query.where(log.c.product_id == wanted.product_id)
    if wanted.statuses:
        query = query.where(log.c.status.in_(sorted(wanted.statuses)))
    if wanted.scopes:
        query = query.where(log.c.scope.in_(sorted(wanted.scopes)))
    if wanted.subscription_groups:
        groups = sorted(wanted.subscription_groups)
        query = query.where(log.c.subscription_group.in_(groups))
    return query


def _compacted(bounds: LogBounds) -> BoxofficeError:
    return BoxofficeError(
        Reason.POSITION_COMPACTED,
        f"the log begins at {bounds.earliest}, after what is asked for",
        metadata={"earliest": str(bounds.earliest), "head": str(bounds.head)},
    )
