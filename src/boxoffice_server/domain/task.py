"""Tasks: the work that a paid order asks for, offered under leases until a worker starts it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from boxoffice_server.domain.errors import BoxofficeError, Reason

# From this many offers on, every further one raises an alert.
ALERT_AFTER_ATTEMPTS = 10


class TaskState(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    OFFERED = "offered"
    ACKNOWLEDGED = "acknowledged"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePolicy:
    """How long an offer holds, and how long to wait before the next one."""

    lease: timedelta = timedelta(seconds=30)
    first_backoff: timedelta = timedelta(seconds=1)
    most_backoff: timedelta = timedelta(minutes=5)

    def backoff(self, attempts: int) -> timedelta:
        """Tell how long to wait after this many offers: doubles, up to the most."""
        doublings = min(max(attempts - 1, 0), 30)
        return min(self.first_backoff * (1 << doublings), self.most_backoff)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The work one paid order asks for.

    `available_time` is when it may be offered (again). While it is offered, `lease_id` names the
    offer and `lease_time` is when its lease runs out; both stay as they were afterwards, so that an
    acknowledgement can be told from a stranger's.
    """

    id: str
    order_id: str
    function_name: str
    priority: int
    state: TaskState
    attempts: int
    worker_id: str
    lease_id: str
    lease_time: datetime | None
    available_time: datetime
    create_time: datetime
    acknowledge_time: datetime | None = None


def offer(task: Task, *, worker_id: str, lease_id: str, now: datetime, policy: LeasePolicy) -> Task:
    """Offer the task to a worker: its lease runs, and the next offer comes a back-off after it."""
    attempts = task.attempts + 1
    lease_time = now + policy.lease
    return replace(
        task,
        state=TaskState.OFFERED,
        attempts=attempts,
        worker_id=worker_id,
        lease_id=lease_id,
        lease_time=lease_time,
        available_time=lease_time + policy.backoff(attempts),
    )


def acknowledge(task: Task, *, lease_id: str, now: datetime) -> Task:
    """Start the task under this lease, or raise LEASE_LOST.

    A lease that has run out still counts until the task is offered again; the lease that started
    the task may say so again.
    """
    if task.lease_id != lease_id or task.state in {TaskState.PENDING, TaskState.WITHDRAWN}:
        raise BoxofficeError(
            Reason.LEASE_LOST,
            f"task {task.id} is not held under this lease any more",
            metadata={"task_id": task.id},
        )
    if task.state is TaskState.ACKNOWLEDGED:
        return task
    return replace(task, state=TaskState.ACKNOWLEDGED, acknowledge_time=now)
