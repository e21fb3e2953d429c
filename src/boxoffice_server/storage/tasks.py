"""Tasks in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from boxoffice_server.domain.task import Task
from boxoffice_server.ports import TaskFilter
from boxoffice_server.storage.codecs import from_task, to_task
from boxoffice_server.storage.rows import insert_row, newest_first, one_row, update_row
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import UNFINISHED, tasks
from boxoffice_server.storage.times import from_microseconds_or_none, to_microseconds


class SqlTasks:
    """Implements ports.TaskRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, task: Task) -> None:
        insert_row(self._session, tasks, from_task(task))

    def get(self, task_id: str, *, lock: bool = False) -> Task | None:
        row = one_row(self._session, tasks, lock=lock, id=task_id)
        return None if row is None else to_task(row)

    def by_order(self, order_id: str) -> Task | None:
        row = one_row(self._session, tasks, order_id=order_id)
        return None if row is None else to_task(row)

    def update(self, task: Task) -> None:
        update_row(self._session, tasks, from_task(task), "id")

    def claim(self, function_names: Sequence[str], *, now: datetime, limit: int) -> list[Task]:
        query = (
            select(tasks)
            .where(
                UNFINISHED,
                tasks.c.function_name.in_(function_names),
                tasks.c.available_time <= to_microseconds(now),
            )
            .order_by(tasks.c.priority.desc(), tasks.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [to_task(row) for row in self._session.connection.execute(query).mappings()]

    def next_available(self, function_names: Sequence[str]) -> datetime | None:
        query = select(func.min(tasks.c.available_time))
        query = query.where(UNFINISHED, tasks.c.function_name.in_(function_names))
        return from_microseconds_or_none(self._session.connection.execute(query).scalar_one())

    def find(self, wanted: TaskFilter, *, before_id: str, limit: int) -> list[Task]:
        conditions: list[ColumnElement[bool]] = []
        if wanted.function_name:
            conditions.append(tasks.c.function_name == wanted.function_name)
        if wanted.states:
            conditions.append(tasks.c.state.in_([state.value for state in wanted.states]))
        if wanted.order_id:
            conditions.append(tasks.c.order_id == wanted.order_id)
        rows = newest_first(
            self._session,
            select(tasks),
            key=tasks.c.id,
            before=before_id,
            limit=limit,
            wanted=conditions,
        )
        return [to_task(row) for row in rows]
