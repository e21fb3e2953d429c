"""The event log in SQL.

A record gets its `append_id` when it is inserted, and its `position` when it becomes visible. On
SQLite, where there is one writer, both happen in the same transaction. On PostgreSQL an id is taken
long before it is committed, so ids become visible out of order; there records are committed without
a position and numbered afterwards (sequencer.py). Readers look at positions only.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, delete, func, select, update

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
from boxoffice_server.storage.rows import Statement, insert_if_absent, insert_unless_there
from boxoffice_server.storage.tables import business_clock, log, log_meta
from boxoffice_server.storage.times import from_microseconds, to_microseconds

Encode = Callable[[LogEvent], bytes]
"""Serialises an event as callers get it, but for its position."""

_APPENDED = (log.c.append_id, select(log_meta.c.log_id).scalar_subquery())

_BOUNDS = (log_meta.c.log_id, log_meta.c.earliest, log_meta.c.head)
_META = (log_meta.c.log_id, log_meta.c.head, log_meta.c.high_time)

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


class SqlLog(ABC):
    """Implements ports.LogRepository, but for how records are placed."""

    def __init__(self, connection: Connection, encode: Encode) -> None:
        self._connection = connection
        self._encode = encode
        self._group = uuid.uuid4().hex
        self._log_id: uuid.UUID | None = None
        self._furthest = 0
        self.appended = False

    @property
    @abstractmethod
    def _token_kind(self) -> TokenKind:
        """What the numbers of this store's tokens count."""

    @abstractmethod
    def _place(self, record: Values) -> int | None:
        """Insert a record and answer its token's number; None if its event is there already."""

    @abstractmethod
    def _placed(self, event_id: str) -> int:
        """Answer the token's number of an event that is there already."""

    def append(self, event: LogEvent) -> Token:
        return self._append({**keys_of(event), "payload": self._encode(event)})

    def append_clock(self, offset_seconds: int, now: datetime) -> Token:
        self._connection.execute(update(business_clock).values(offset_seconds=offset_seconds))
        return self._append(
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
            }
        )

    def _append(self, values: Values) -> Token:
        number = self._place({**values, "group_label": self._group})
        if number is None:
            number = self._placed(values["event_id"])
        else:
            self.appended = True
        # An event that was there before may lie before others of this transaction; the token must
        # lie behind them all.
        self._furthest = max(self._furthest, number)
        return self.here()

    def here(self) -> Token:
        if not self._furthest:
            return self.bounds().head_token()
        log_id = self._log_id or self.bounds().log_id
        return Token(log_id=log_id, kind=self._token_kind, number=self._furthest)

    def clock_offset(self) -> int:
        offset: int = self._connection.execute(select(business_clock.c.offset_seconds)).scalar_one()
        return offset

    def bounds(self) -> LogBounds:
        bounds = _bounds(self._connection.dialect.name).row(self._connection, {})
        if bounds is None:
            raise LookupError("the log has lost its row in log_meta")
        return LogBounds(**bounds)

    def read(
        self, *, after: int, limit: int, wanted: LogFilter | None = None
    ) -> tuple[list[LogRecord], int]:
        # The head first: what is numbered while the rows are read is left for the next page.
        bounds = self.bounds()
        check_position(bounds, bounds.log_id, after)
        place = {"after": after, "head": bounds.head, "limit": limit}
        if wanted is None:
            rows = _read(self._connection.dialect.name).tuples(self._connection, place)
        else:
            rows = self._connection.execute(_matching(_PAGE, wanted), place).all()
        records = [_record(row) for row in rows]
        return records, bounds.head if len(records) < limit else records[-1].position

    def resolve(self, append_id: int) -> int | None:
        query = select(log.c.position).where(log.c.append_id == append_id)
        row = self._connection.execute(query).one_or_none()
        if row is not None:
            position: int | None = row.position
            return position
        if append_id == 0:
            return 0
        # A token is given out once its append is committed. That the append isn't here means that
        # it was dropped since, or that the log was restored from before it.
        bounds = self.bounds()
        newest = self._connection.execute(select(func.max(log.c.append_id))).scalar_one() or 0
        if append_id > newest:
            raise BoxofficeError(
                Reason.POSITION_AHEAD,
                "the token is ahead of the log",
                metadata={"head": str(bounds.head)},
            )
        raise _compacted(bounds)

    def position_before(self, time: datetime) -> int:
        bounds = self.bounds()
        meta = select(log_meta.c.compacted_time)
        dropped = self._connection.execute(meta).scalar_one()
        if bounds.earliest > 1 and to_microseconds(time) <= dropped:
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
        time: int = self._connection.execute(query).scalar_one()
        return time

    def compact(self, *, before: datetime) -> int:
        bounds = self.bounds()
        last = self._last_whole(min(self._position_before(before), bounds.head - 1))
        if last < bounds.earliest:
            return bounds.earliest
        dropped = self._high_time(last)
        self._connection.execute(delete(log).where(log.c.position <= last))
        # Last of all: the numbering waits for whoever holds this row.
        meta = update(log_meta).values(earliest=last + 1, compacted_time=dropped)
        self._connection.execute(meta)
        return last + 1

    def _last_whole(self, position: int) -> int:
        """Find the last position up to this one after which no transaction is torn apart."""
        while (label := self._label(position)) and label == self._label(position + 1):
            position -= 1
        return position

    def _label(self, position: int) -> str | None:
        query = select(log.c.group_label).where(log.c.position == position)
        label: str | None = self._connection.execute(query).scalar_one_or_none()
        return label


class NumberedLog(SqlLog):
    """The log of a store with one writer: a record is numbered as it is inserted."""

    @property
    def _token_kind(self) -> TokenKind:
        return TokenKind.POSITION

    def _place(self, record: Values) -> int | None:
        meta = _meta(self._connection.dialect.name).row(self._connection, {})
        if meta is None:
            raise LookupError("the log has lost its row in log_meta")
        self._log_id = meta["log_id"]
        position: int = meta["head"] + 1
        high_time = max(meta["high_time"], record["create_time"])
        values = {**record, "position": position, "high_time": high_time}
        if not insert_if_absent(self._connection, log, values, "event_id"):
            return None
        moved = {"head": position, "high_time": high_time}
        _advance(self._connection.dialect.name).count(self._connection, moved)
        return position

    def _placed(self, event_id: str) -> int:
        query = select(log.c.position).where(log.c.event_id == event_id)
        return int(self._connection.execute(query).scalar_one())


class UnnumberedLog(SqlLog):
    """The log of a store with many writers: a record is numbered after its transaction."""

    @property
    def _token_kind(self) -> TokenKind:
        return TokenKind.APPEND

    def _place(self, record: Values) -> int | None:
        statement = _append(self._connection.dialect.name, tuple(record))
        row = statement.row(self._connection, record)
        if row is None:
            return None
        self._log_id = row["log_id"]
        append_id: int = row["append_id"]
        return append_id

    def _placed(self, event_id: str) -> int:
        query = select(log.c.append_id).where(log.c.event_id == event_id)
        return int(self._connection.execute(query).scalar_one())


@cache
def _bounds(dialect: str) -> Statement:
    return Statement(dialect, select(*_BOUNDS), answers=_BOUNDS)


@cache
def _read(dialect: str) -> Statement:
    return Statement(dialect, _PAGE, answers=_RECORD)


@cache
def _meta(dialect: str) -> Statement:
    return Statement(dialect, select(*_META), answers=_META)


@cache
def _advance(dialect: str) -> Statement:
    query = update(log_meta).values(head=bindparam("head"), high_time=bindparam("high_time"))
    return Statement(dialect, query)


@cache
def _append(dialect: str, written: tuple[str, ...]) -> Statement:
    statement = insert_unless_there(dialect, log, ("event_id",)).returning(*_APPENDED)
    return Statement(
        dialect, statement, written=written, answers=(log.c.append_id, log_meta.c.log_id)
    )


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
