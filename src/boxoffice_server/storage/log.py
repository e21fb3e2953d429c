"""The event log in SQL.

A record gets its `append_id` when it is inserted, and its `position` when it becomes visible. On
SQLite, where there is one writer, both happen in the same transaction. On PostgreSQL an id is taken
long before it is committed, so ids become visible out of order; there records are committed without
a position and numbered afterwards (sequencer.py). Readers look at positions only.
"""

import secrets
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any

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
from boxoffice_server.storage.rows import Statement, insert_if_absent, insert_unless_there
from boxoffice_server.storage.session import GatheringSession, Session, Write
from boxoffice_server.storage.tables import business_clock, log, log_meta
from boxoffice_server.storage.times import from_microseconds, to_microseconds

Encode = Callable[[LogEvent], bytes]
"""Serialises an event as callers get it, but for its position."""

# Records that are inserted together at most.
_MOST_TOGETHER = 64
# A token's number, and the log it belongs to.
_PLACED = ("max(append_id)", "max((SELECT log_id FROM log_meta))")

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
        self._group = self._group or secrets.token_hex(16)
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

    def resolve(self, append_id: int) -> int | None:
        query = select(log.c.position).where(log.c.append_id == append_id)
        row = self._session.connection.execute(query).one_or_none()
        if row is not None:
            position: int | None = row.position
            return position
        if append_id == 0:
            return 0
        # A token is given out once its append is committed. That the append isn't here means that
        # it was dropped since, or that the log was restored from before it.
        bounds = self.bounds()
        newest = (
            self._session.connection.execute(select(func.max(log.c.append_id))).scalar_one() or 0
        )
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
        dropped = self._session.connection.execute(meta).scalar_one()
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


class NumberedLog(SqlLog):
    """The log of a store with one writer: a record is numbered as it is inserted."""

    @property
    def _token_kind(self) -> TokenKind:
        return TokenKind.POSITION

    def _append(self, record: Values) -> None:
        meta = _meta(self._session.dialect).row(self._session, {})
        if meta is None:
            raise LookupError("the log has lost its row in log_meta")
        self._log_id = meta["log_id"]
        position: int = meta["head"] + 1
        high_time = max(meta["high_time"], record["create_time"])
        values = {**record, "position": position, "high_time": high_time}
        if not insert_if_absent(self._session, log, values, "event_id"):
            self._reach(self._placed(record["event_id"]))
            return
        moved = {"head": position, "high_time": high_time}
        _advance(self._session.dialect).count(self._session, moved)
        self.appended = True
        self._reach(position)

    def _placed(self, event_id: str) -> int:
        query = select(log.c.position).where(log.c.event_id == event_id)
        return int(self._session.connection.execute(query).scalar_one())


class UnnumberedLog(SqlLog):
    """The log of a store with many writers: a record is numbered after its transaction.

    Records are inserted together, behind what they tell of: so all locks are there before any
    record takes its id.
    """

    def __init__(self, session: GatheringSession, encode: Encode) -> None:
        super().__init__(session, encode)
        self._records: list[Values] = []
        session.gather = self._gather

    @property
    def _token_kind(self) -> TokenKind:
        return TokenKind.APPEND

    def _append(self, record: Values) -> None:
        self._records.append(record)
        if len(self._records) == _MOST_TOGETHER:
            self._session.flush()

    def _gather(self) -> Sequence[Write]:
        if not self._records:
            return ()
        records, self._records = self._records, []
        statement = _append_all(self._session.dialect, tuple(records[0]), len(records))
        write = Write(
            sql=statement.sql,
            arguments=statement.arguments(
                {
                    f"{name}_{number}": value
                    for number, record in enumerate(records)
                    for name, value in record.items()
                }
            ),
            row=(log.name,),
            tell=partial(self._appended, records),
            answers=_PLACED,
        )
        return (write,)

    def _appended(
        self, records: Sequence[Values], count: int, last: int | None, log_id: str | None
    ) -> None:
        if last is not None and log_id is not None:
            self.appended = True
            self._log_id = uuid.UUID(log_id)
            self._reach(last)
        if count < len(records):
            events = [record["event_id"] for record in records]
            query = select(func.max(log.c.append_id)).where(log.c.event_id.in_(events))
            self._reach(self._session.connection.execute(query).scalar_one())


@cache
def _bounds(dialect: str) -> Statement:
    return Statement(dialect, select(*_BOUNDS), answers=_BOUNDS)


@cache
def _unfiltered(dialect: str) -> Statement:
    return Statement(dialect, _NEXT)


@cache
def _meta(dialect: str) -> Statement:
    return Statement(dialect, select(*_META), answers=_META)


@cache
def _advance(dialect: str) -> Statement:
    query = update(log_meta).values(head=bindparam("head"), high_time=bindparam("high_time"))
    return Statement(dialect, query)


@cache
def _append_all(dialect: str, written: tuple[str, ...], count: int) -> Statement:
    rows = [
        {name: bindparam(f"{name}_{number}", type_=log.c[name].type) for name in written}
        for number in range(count)
    ]
    statement = insert_unless_there(dialect, log, ("event_id",)).values(rows)
    return Statement(dialect, statement.returning(log.c.append_id))


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
