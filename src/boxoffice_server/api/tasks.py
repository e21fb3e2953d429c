"""The task methods of OrdersService: offers under leases, and what comes of them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.requests import Faults
from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.order import Order, OrderStatus
from boxoffice_server.domain.product import MAX_FUNCTION_NAME
from boxoffice_server.domain.stream import LogRecord, RecordKind, Token
from boxoffice_server.domain.task import (
    ALERT_AFTER_ATTEMPTS,
    LeasePolicy,
    Task,
    TaskState,
    acknowledge,
    offer,
)
from boxoffice_server.domain.text import MAX_USER_ID, text_violations
from boxoffice_server.ports import Clock, Repository, Store, TaskFilter
from boxoffice_server.settlement import Settlement, lock

Follow = Callable[[Callable[[Sequence[LogRecord]], None]], AbstractContextManager[None]]

MOST_FUNCTIONS = 50
MOST_IN_FLIGHT = 100
# However quiet the log is, workers look for tasks this often.
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One task offered to one worker, with its order."""

    task: Task
    order: Order


class TaskMethods:
    """Hands the tasks of paid orders to workers.

    `follow` calls back with what is new in the log, `draining` ends the streams; the workers then
    come back to another instance.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        follow: Follow,
        draining: asyncio.Event,
        leases: LeasePolicy,
        settlement: Settlement,
    ) -> None:
        self._store = store
        self._clock = clock
        self._follow = follow
        self._draining = draining
        self._leases = leases
        self._settlement = settlement
        self._log = structlog.get_logger(part="tasks")

    async def ReceiveTasks(self, request: pb.ReceiveTasksRequest, context: Context) -> None:
        wanted = _Worker.read(request)
        stirred = asyncio.Event()
        with self._follow(lambda records: _stir(stirred, records)):
            draining = asyncio.create_task(self._draining.wait())
            try:
                while not draining.done():
                    stirred.clear()
                    for each in await self._offers(wanted):
                        await context.write(_to_response(each))
                    await self._wait(wanted, stirred, draining)
            finally:
                draining.cancel()

    async def _offers(self, worker: "_Worker") -> list[Offer]:
        """Offer the worker as many tasks as it has room for. Writes only if there are any."""

        def look(repo: Repository) -> tuple[dict[str, Task], datetime | None]:
            held = _still_held(repo, worker, self._clock)
            return held, repo.tasks.next_available(worker.functions)

        worker.held, due = await self._store.read(look)
        worker.next_time = due
        room = worker.max_in_flight - len(worker.held)
        if not room or due is None or due > self._clock.real_now():
            return []

        def claim(repo: Repository) -> list[Offer]:
            now = self._clock.real_now()
            return [
                self._offer(repo, task, worker, now)
                for task in repo.tasks.claim(worker.functions, now=now, limit=room)
            ]

        offers = await self._store.write(claim)
        for each in offers:
            worker.held[each.task.id] = each.task
            if each.task.attempts >= ALERT_AFTER_ATTEMPTS:
                self._log.error(
                    "a task finds no worker that starts it",
                    task_id=each.task.id,
                    function_name=each.task.function_name,
                    attempts=each.task.attempts,
                )
        return offers

    def _offer(self, repo: Repository, task: Task, worker: "_Worker", now: datetime) -> Offer:
        lease_id = new_id(Prefix.LEASE, now)
        offered = offer(
            task, worker_id=worker.worker_id, lease_id=lease_id, now=now, policy=self._leases
        )
        repo.tasks.update(offered)
        order = repo.orders.get(task.order_id)
        if order is None:
            raise AssertionError(f"task {task.id} has no order")
        return Offer(task=offered, order=order)

    async def _wait(
        self, worker: "_Worker", stirred: asyncio.Event, draining: "asyncio.Task[bool]"
    ) -> None:
        """Wait until there may be something to offer: a new task, room, or a lease run out."""
        now = self._clock.real_now()
        times = [each.lease_time for each in worker.held.values() if each.lease_time]
        if worker.next_time is not None and len(worker.held) < worker.max_in_flight:
            times.append(worker.next_time)
        pause = min([POLL_SECONDS, *((time - now).total_seconds() for time in times)])
        stirring = asyncio.create_task(stirred.wait())
        try:
            await asyncio.wait(
                {stirring, draining},
                timeout=max(pause, 0.01),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stirring.cancel()

    async def AcknowledgeTask(
        self, request: pb.AcknowledgeTaskRequest, context: Context
    ) -> pb.AcknowledgeTaskResponse:
        del context
        faults = Faults()
        faults.id(request.task_id, "task_id")
        faults.id(request.lease_id, "lease_id")
        faults.refuse()

        def start(repo: Repository) -> tuple[Task, Order, Token]:
            known = repo.tasks.get(request.task_id)
            order = repo.orders.get(known.order_id, lock=True) if known else None
            # Read again under the order's lock: another worker may have started it meanwhile.
            task = repo.tasks.get(request.task_id, lock=True)
            if task is None or order is None:
                raise BoxofficeError(
                    Reason.TASK_NOT_FOUND,
                    f"there is no task {request.task_id}",
                    metadata={"task_id": request.task_id},
                )
            started = acknowledge(task, lease_id=request.lease_id, now=self._clock.now())
            if started is not task:
                repo.tasks.update(started)
            locked = lock(repo, order.payment_id)
            if locked is None:
                raise AssertionError(f"order {order.id} has no payment")
            settled = self._settlement.settle(repo, locked)
            return started, settled.order or order, repo.log.here()

        task, order, token = await self._store.write(start)
        return pb.AcknowledgeTaskResponse(
            task=convert.to_task(task),
            order=convert.to_order(order),
            resume_token=token.encode(),
        )

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        del context
        faults = Faults()
        faults.page_size(request.page_size)
        faults.optional_id(request.order_id, "order_id")
        faults.extend(
            text_violations(request.function_name, "function_name", least=0, most=MAX_FUNCTION_NAME)
        )
        faults.refuse()
        wanted = TaskFilter(
            function_name=request.function_name,
            states=convert.from_task_states(request.states, "states"),
            order_id=request.order_id,
        )
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)
        loaded = await self._store.read(
            lambda repo: repo.tasks.find(wanted, before_id=page.before_id, limit=page.fetch)
        )
        tasks, next_page_token = page.cut(loaded)
        return pb.ListTasksResponse(
            tasks=[convert.to_task(task) for task in tasks],
            next_page_token=next_page_token,
        )


@dataclass(slots=True, kw_only=True)
class _Worker:
    """One ReceiveTasks stream: what the worker can do, and what it holds."""

    functions: tuple[str, ...]
    worker_id: str
    max_in_flight: int
    held: dict[str, Task]
    next_time: datetime | None = None

    @classmethod
    def read(cls, request: pb.ReceiveTasksRequest) -> "_Worker":
        """Read the request, or refuse it."""
        faults = Faults()
        if not 1 <= len(request.function_names) <= MOST_FUNCTIONS:
            faults.add("function_names", f"must hold from 1 to {MOST_FUNCTIONS} names")
        faults.extend(_name_violations(request.function_names))
        faults.extend(text_violations(request.worker_id, "worker_id", most=MAX_USER_ID))
        if not 0 <= request.max_in_flight <= MOST_IN_FLIGHT:
            faults.add("max_in_flight", f"must be from 1 to {MOST_IN_FLIGHT}")
        faults.refuse()
        return cls(
            functions=tuple(dict.fromkeys(request.function_names)),
            worker_id=request.worker_id,
            max_in_flight=request.max_in_flight or 1,
            held={},
        )


def _name_violations(names: Iterable[str]) -> list[Any]:
    found = []
    for index, name in enumerate(names):
        if index <= MOST_FUNCTIONS:
            found += text_violations(name, f"function_names[{index}]", most=MAX_FUNCTION_NAME)
    return found


# A paid order may have a new task, and a started one may leave its worker with room.
_STIRRING = {OrderStatus.PAID, OrderStatus.TASK_STARTED}


def _stir(stirred: asyncio.Event, records: Sequence[LogRecord]) -> None:
    if any(each.kind is RecordKind.ORDER and each.status in _STIRRING for each in records):
        stirred.set()


def _still_held(repo: Repository, worker: _Worker, clock: Clock) -> dict[str, Task]:
    """Tell which of a worker's offers still take up room."""
    now = clock.real_now()
    held = {}
    for task_id, offered in worker.held.items():
        task = repo.tasks.get(task_id)
        if (
            task is not None
            and task.state is TaskState.OFFERED
            and task.lease_id == offered.lease_id
            and task.lease_time is not None
            and task.lease_time > now
        ):
            held[task_id] = task
    return held


def _to_response(offered: Offer) -> pb.ReceiveTasksResponse:
    task = offered.task
    if task.lease_time is None:
        raise AssertionError("an offered task has a lease")
    return pb.ReceiveTasksResponse(
        task=convert.to_task(task),
        lease_id=task.lease_id,
        lease_expire_time=convert.to_timestamp(task.lease_time),
        order=convert.to_order(offered.order),
    )
