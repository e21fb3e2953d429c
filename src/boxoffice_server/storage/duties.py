"""Duties: what one replica does for all of them."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from boxoffice_server.storage.rows import insert_if_absent
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.subscription_tables import duties
from boxoffice_server.storage.times import from_microseconds_or_none, to_microseconds


class SqlDuties:
    """Implements ports.DutyRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, name: str, owner: str, *, now: datetime, lease: timedelta) -> bool:
        until = to_microseconds(now + lease)
        new = {"name": name, "owner": owner, "lease_time": until, "done_time": None}
        if insert_if_absent(self._session, duties, new, "name"):
            return True
        mine = or_(duties.c.owner == owner, duties.c.lease_time <= to_microseconds(now))
        query = update(duties).where(duties.c.name == name, mine)
        taken = self._session.connection.execute(query.values(owner=owner, lease_time=until))
        return taken.rowcount == 1

    def leave(self, name: str, owner: str) -> None:
        query = update(duties).where(duties.c.name == name, duties.c.owner == owner)
        self._session.connection.execute(query.values(lease_time=0))

    def done(self, name: str) -> datetime | None:
        query = select(duties.c.done_time).where(duties.c.name == name)
        return from_microseconds_or_none(
            self._session.connection.execute(query).scalar_one_or_none()
        )

    def mark_done(self, name: str, time: datetime) -> None:
        query = update(duties).where(duties.c.name == name)
        self._session.connection.execute(query.values(done_time=to_microseconds(time)))
