"""The log of a store with one writer: a record is numbered as it is inserted."""

from functools import cache

from sqlalchemy import bindparam, select, update

from boxoffice_server.domain.stream import TokenKind
from boxoffice_server.storage.codecs import Values
from boxoffice_server.storage.log import SqlLog
from boxoffice_server.storage.rows import Statement, insert_if_absent
from boxoffice_server.storage.tables import log, log_meta

_META = (log_meta.c.log_id, log_meta.c.head, log_meta.c.high_time)


class NumberedLog(SqlLog):
    """Places records by their positions."""

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


@cache
def _meta(dialect: str) -> Statement:
    return Statement(dialect, select(*_META), answers=_META)


@cache
def _advance(dialect: str) -> Statement:
    query = update(log_meta).values(head=bindparam("head"), high_time=bindparam("high_time"))
    return Statement(dialect, query)
