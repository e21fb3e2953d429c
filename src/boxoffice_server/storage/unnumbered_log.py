"""The log of a store with many writers: a record is numbered after its transaction."""

import uuid
from collections.abc import Sequence
from functools import cache, partial

from sqlalchemy import bindparam, func, select

from boxoffice_server.domain.stream import Token, TokenKind
from boxoffice_server.storage.codecs import Values
from boxoffice_server.storage.log import Encode, SqlLog
from boxoffice_server.storage.rows import Statement, insert_unless_there
from boxoffice_server.storage.session import GatheringSession, RefusedError, Write
from boxoffice_server.storage.tables import log

# Records that are inserted together at most.
_MOST_TOGETHER = 64
_LOG_ID = "max((SELECT log_id FROM log_meta))"
# A token's number, the log it belongs to, and who writes.
_PLACED = ("max(append_id)", _LOG_ID, "max(pg_current_xact_id()::text)")


class UnnumberedLog(SqlLog):
    """Places records by their appends, or by an event where those are not known yet.

    Records are inserted together, behind what they tell of: so all locks are there before any
    record takes its id. With the `log_id` that the log had last, a token is told before that, by
    the last record's event. Where it turns out not to lie behind all of them, because an event was
    there before or the log is another one, the transaction is refused: RefusedError.
    """

    def __init__(
        self, session: GatheringSession, encode: Encode, *, log_id: uuid.UUID | None = None
    ) -> None:
        super().__init__(session, encode)
        self._expected_id = log_id
        self._records: list[Values] = []
        self._is_told = False
        # What the rows of this transaction have as their xmin, once something was appended.
        self.writer: int | None = None
        session.gather = self._gather

    @property
    def log_id(self) -> uuid.UUID | None:
        """The log's id, once something was appended."""
        return self._log_id

    def here(self) -> Token:
        if self._expected_id is None or not self._records:
            return super().here()
        self._is_told = True
        last = self._records[-1]
        return Token(
            log_id=self._expected_id,
            kind=TokenKind.EVENT,
            number=last["create_time"],
            event_id=last["event_id"],
        )

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
            must=self._as_told(len(records)),
        )
        return (write,)

    def _as_told(self, count: int) -> str:
        """Write the condition that the token which was told lies behind so many records."""
        if not self._is_told or self._expected_id is None:
            return ""
        log_id = self._expected_id.hex
        return f"count(*) = {count} AND {_LOG_ID} = '{log_id}'"

    def _appended(
        self,
        records: Sequence[Values],
        count: int,
        last: int | None,
        log_id: str | None,
        writer: str | None,
    ) -> None:
        self.writer = self.writer if writer is None else int(writer) % (1 << 32)
        if last is not None and log_id is not None:
            self.appended = True
            self._log_id = uuid.UUID(log_id)
            self._reach(last)
        if self._is_told and (count < len(records) or self._log_id != self._expected_id):
            raise RefusedError
        if count < len(records):
            events = [record["event_id"] for record in records]
            query = select(func.max(log.c.append_id)).where(log.c.event_id.in_(events))
            self._reach(self._session.connection.execute(query).scalar_one())


@cache
def _append_all(dialect: str, written: tuple[str, ...], count: int) -> Statement:
    rows = [
        {name: bindparam(f"{name}_{number}", type_=log.c[name].type) for name in written}
        for number in range(count)
    ]
    statement = insert_unless_there(dialect, log, ("event_id",)).values(rows)
    return Statement(dialect, statement.returning(log.c.append_id))
