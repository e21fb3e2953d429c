"""Leases of tasks: workers that die, that are slow, and that race; an order starts once."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.task import LeasePolicy
from tests.support.calls import refused, statuses_until
from tests.support.logs import recorded_log
from tests.support.service import Account
from tests.support.work import (
    Till,
    Worker,
    acknowledge,
    acknowledge_in_time,
    wait_for_lease_end,
    working,
)

LEASE, BACKOFF = timedelta(milliseconds=150), timedelta(milliseconds=50)
STARTED = pb.ORDER_STATUS_TASK_STARTED

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """Short times, so that leases run out while a test waits."""
    return Timings(leases=LeasePolicy(lease=LEASE, first_backoff=BACKOFF, most_backoff=BACKOFF * 2))


@pytest.fixture(scope="module")
def till(grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> Till:
    """Where orders are paid."""
    return Till(orders=grpc_stub, payments=payments, account=account)


@pytest.fixture
def function() -> str:
    """A function that no other test's worker asks for."""
    return f"function-{secrets.token_hex(4)}"


def test_lease_that_runs_out_is_followed_by_another_after_a_back_off(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Each offer has its own lease, and begins a back-off after the end of the one before."""
    till.paid(function)
    with working(grpc_stub, function) as worker:
        offers = [worker.take() for _ in range(4)]
    assert [offer.task.attempts for offer in offers] == [1, 2, 3, 4]
    assert len({offer.lease_id for offer in offers}) == 4
    ends = [offer.lease_expire_time.ToDatetime() for offer in offers]
    for attempts, (before, after) in enumerate(pairwise(ends), start=1):
        begun = after - LEASE
        assert begun >= before + min(BACKOFF * 2 ** (attempts - 1), BACKOFF * 2)


def test_late_acknowledgement_counts_until_the_task_is_offered_again(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """The lease has run out and nobody else has asked: the work that was started is accepted."""
    order = till.paid(function)
    with working(grpc_stub, function) as worker:
        offer = worker.take()
    wait_for_lease_end(offer)
    assert acknowledge(grpc_stub, offer).order.status == STARTED
    assert statuses_until(grpc_stub, order.id, STARTED) == ["created", "paid", "task_started"]


def test_lease_is_lost_once_the_task_is_offered_again(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """The old holder is told to stop; the new one starts the order."""
    order = till.paid(function)
    with working(grpc_stub, function, worker_id="slow") as slow:
        old = slow.take()
    with working(grpc_stub, function, worker_id="quick") as quick:
        new = quick.take()
        assert new.lease_id != old.lease_id
        with refused(Reason.LEASE_LOST) as refusal:
            acknowledge(grpc_stub, old)
        assert refusal.metadata == {"task_id": old.task.id}
        assert quick.start().task.worker_id == "quick"
    with refused(Reason.LEASE_LOST):
        acknowledge(grpc_stub, old)
    assert statuses_until(grpc_stub, order.id, STARTED) == ["created", "paid", "task_started"]


def test_task_of_a_worker_that_dies_goes_to_another(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Its stream breaks off in the middle; who asks already gets the task after the lease."""
    with working(grpc_stub, function, worker_id="first") as first:
        order = till.paid(function)
        taken = first.take()
        with working(grpc_stub, function, worker_id="second") as second:
            first.leave()
            answer = second.start()
    assert (answer.order.id, answer.order.status) == (order.id, STARTED)
    assert (answer.task.id, answer.task.worker_id) == (taken.task.id, "second")
    assert answer.task.attempts > taken.task.attempts


def test_lease_that_runs_out_makes_room_for_another_task(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """A worker that lets a task lie is offered the next one."""
    first, second = till.paid(function, priority=1), till.paid(function)
    with working(grpc_stub, function) as worker:
        assert worker.take().order.id == first.id
        taken = {worker.take().order.id for _ in range(2)}
    assert second.id in taken


def test_task_that_finds_no_worker_raises_an_alert(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """From the tenth offer on every further one is an error in the log."""
    with recorded_log() as log, working(grpc_stub, function) as worker:
        till.paid(function)
        offers = [worker.take() for _ in range(11)]
    alerts = [line for line in log.lines if line["event"].startswith("a task finds no worker")]
    assert [alert["attempts"] for alert in alerts][:2] == [10, 11]
    assert {alert["task_id"] for alert in alerts} == {offers[0].task.id}
    assert {alert["level"] for alert in alerts} == {"error"}


def test_racing_workers_start_each_order_once(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Six workers, some slow, take twelve tasks: each order has one event of having started."""
    waiting = [till.paid(function) for _ in range(12)]

    def work(worker: Worker, *, slow: bool) -> int:
        started = 0
        for offer in worker.offers():
            if slow and offer.task.attempts < 3:
                wait_for_lease_end(offer)
            started += acknowledge_in_time(grpc_stub, offer) is not None
        return started

    requests = [
        pb.ReceiveTasksRequest(function_names=[function], worker_id=f"worker-{number}")
        for number in range(6)
    ]
    workers = [Worker(grpc_stub, request) for request in requests]
    with ThreadPoolExecutor(len(workers)) as threads:
        working_ = [
            threads.submit(work, worker, slow=number < 3) for number, worker in enumerate(workers)
        ]
        for order in waiting:
            seen = statuses_until(grpc_stub, order.id, STARTED)
            assert seen == ["created", "paid", "task_started"]
        for worker in workers:
            worker.leave()
        assert sum(each.result() for each in working_) == len(waiting)
    for order in waiting:
        assert till.task(order.id).state == pb.TASK_STATE_ACKNOWLEDGED
