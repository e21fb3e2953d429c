"""ReceiveTasks, AcknowledgeTask and ListTasks: who is offered what, and what comes of it."""

import secrets

import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import events_until, refused, refused_field, statuses_until
from tests.support.service import Account
from tests.support.work import Till, acknowledge, working

PENDING, OFFERED, ACKNOWLEDGED = (
    pb.TASK_STATE_PENDING,
    pb.TASK_STATE_OFFERED,
    pb.TASK_STATE_ACKNOWLEDGED,
)
STARTED = pb.ORDER_STATUS_TASK_STARTED

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module")
def till(grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> Till:
    """Where orders are paid."""
    return Till(orders=grpc_stub, payments=payments, account=account)


@pytest.fixture
def function() -> str:
    """A function that no other test's worker asks for."""
    return f"function-{secrets.token_hex(4)}"


def test_task_of_a_paid_order_is_offered_until_it_is_started(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """The worker gets task, lease and order; its acknowledgement starts the order once."""
    with working(grpc_stub, function, worker_id="anna") as worker:
        order = till.paid(function, priority=4)
        offer = worker.take()
        till.account.wait_delivered()
        assert offer.order.id == order.id
        task = offer.task
        assert task.id.startswith("tsk_")
        assert offer.lease_id.startswith("lse_")
        assert (task.order_id, task.function_name, task.priority) == (order.id, function, 4)
        assert (task.state, task.attempts, task.worker_id) == (OFFERED, 1, "anna")
        assert task.available_time == offer.lease_expire_time
        assert not task.HasField("acknowledge_time")
        assert till.task(order.id) == task
        lease = offer.lease_expire_time.ToNanoseconds() - task.create_time.ToNanoseconds()
        assert 30e9 <= lease < 40e9
        answer = acknowledge(grpc_stub, offer)
    assert answer.task.state == ACKNOWLEDGED
    assert answer.task.HasField("acknowledge_time")
    assert answer.order.status == STARTED
    assert till.task(order.id) == answer.task
    assert till.order(order.id) == answer.order
    assert statuses_until(grpc_stub, order.id, STARTED) == ["created", "paid", "task_started"]


def test_task_that_waits_is_offered_to_who_comes(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Paid first, asked for later: it is there."""
    order = till.paid(function)
    assert till.task(order.id).state == PENDING
    with working(grpc_stub, function) as worker:
        assert worker.take().order.id == order.id


def test_highest_priority_comes_first_then_the_oldest(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Five tasks that wait are offered in this order."""
    waiting = [till.paid(function, priority=priority).id for priority in (0, 5, -1000, 5, 1000)]
    with working(grpc_stub, function, max_in_flight=100) as worker:
        taken = [worker.take().order.id for _ in waiting]
    assert taken == [waiting[index] for index in (4, 1, 3, 0, 2)]


def test_worker_gets_only_what_it_asks_for(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """A task of another function stays where it is, even with the highest priority."""
    other = till.paid(f"{function}-other", priority=1000)
    wanted = [till.paid(function), till.paid(f"{function}-too")]
    with working(grpc_stub, function, f"{function}-too", function, max_in_flight=9) as worker:
        assert [worker.take().order.id for _ in wanted] == [order.id for order in wanted]
        assert till.task(other.id).state == PENDING


def test_no_more_are_in_flight_than_the_worker_takes(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """With room for two, the third comes once one of them is acknowledged."""
    waiting = [till.paid(function) for _ in range(3)]
    with working(grpc_stub, function, max_in_flight=2) as worker:
        first, second = worker.take(), worker.take()
        # What is new makes the service look again, and changes nothing about the room.
        till.paid(f"{function}-other")
        assert till.task(waiting[2].id).state == PENDING
        acknowledge(grpc_stub, second)
        third = worker.take()
        assert third.order.id == waiting[2].id
        assert (third.task.attempts, till.task(first.order.id).attempts) == (1, 1)


def test_worker_takes_one_at_a_time_by_default(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Each acknowledgement brings the next one."""
    waiting = [till.paid(function) for _ in range(3)]
    with working(grpc_stub, function) as worker:
        for number, order in enumerate(waiting):
            offer = worker.take()
            assert offer.order.id == order.id
            states = [till.task(each.id).state for each in waiting]
            assert states == [ACKNOWLEDGED] * number + [OFFERED] + [PENDING] * (2 - number)
            acknowledge(grpc_stub, offer)


def test_acknowledging_twice_is_once(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """The same lease may say so again, also at the same moment; the order starts once."""
    order = till.paid(function)
    with working(grpc_stub, function) as worker:
        offer = worker.take()
    till.account.wait_delivered()
    request = pb.AcknowledgeTaskRequest(task_id=offer.task.id, lease_id=offer.lease_id)
    calls = [grpc_stub.AcknowledgeTask.future(request) for _ in range(8)]
    answers = [call.result() for call in calls]
    assert all(answer.task == answers[0].task for answer in answers)
    assert all(answer.order == answers[0].order for answer in answers)
    assert acknowledge(grpc_stub, offer).order == answers[0].order
    seen = events_until(grpc_stub, order.id, lambda event: event.order == answers[0].order)
    starts = [event for event in seen if event.type == pb.ORDER_EVENT_TYPE_STATUS_CHANGED]
    assert [event.order.status for event in starts] == [pb.ORDER_STATUS_PAID, STARTED]
    assert till.order(order.id) == answers[0].order


def test_lease_of_a_stranger_starts_nothing(
    grpc_stub: OrdersServiceStub, till: Till, function: str
) -> None:
    """Neither a pending task nor an offered one nor a started one is anyone's but its holder's."""
    order = till.paid(function)
    task = till.task(order.id)
    stranger = pb.AcknowledgeTaskRequest(task_id=task.id, lease_id="lse_stranger")
    with refused(Reason.LEASE_LOST) as refusal:
        grpc_stub.AcknowledgeTask(stranger)
    assert refusal.metadata == {"task_id": task.id}
    with working(grpc_stub, function) as worker:
        offer = worker.take()
    with refused(Reason.LEASE_LOST):
        grpc_stub.AcknowledgeTask(stranger)
    assert till.task(order.id) == offer.task
    acknowledge(grpc_stub, offer)
    with refused(Reason.LEASE_LOST):
        grpc_stub.AcknowledgeTask(stranger)


def test_unknown_task_is_not_found(grpc_stub: OrdersServiceStub) -> None:
    """An id that nothing has is told back; ids that nothing can have are faults."""
    with refused(Reason.TASK_NOT_FOUND) as refusal:
        grpc_stub.AcknowledgeTask(
            pb.AcknowledgeTaskRequest(task_id="tsk_none", lease_id="lse_none")
        )
    assert refusal.metadata == {"task_id": "tsk_none"}
    with refused_field("task_id", "lease_id"):
        grpc_stub.AcknowledgeTask(pb.AcknowledgeTaskRequest(task_id="", lease_id="x" * 65))


BAD_WORKERS: dict[str, tuple[dict[str, object], str]] = {
    "no functions": ({"function_names": []}, "function_names"),
    "51 functions": ({"function_names": [f"f{n}" for n in range(51)]}, "function_names"),
    "function without a name": ({"function_names": ["f", ""]}, "function_names[1]"),
    "function of 101": ({"function_names": ["f" * 101]}, "function_names[0]"),
    "NUL in a function": ({"function_names": ["\0"]}, "function_names[0]"),
    "no worker": ({"worker_id": ""}, "worker_id"),
    "worker of 65": ({"worker_id": "w" * 65}, "worker_id"),
    "NUL in the worker": ({"worker_id": "\0"}, "worker_id"),
    "room for 101": ({"max_in_flight": 101}, "max_in_flight"),
    "negative room": ({"max_in_flight": -1}, "max_in_flight"),
}


@pytest.mark.parametrize(("fields", "field"), BAD_WORKERS.values(), ids=BAD_WORKERS.keys())
def test_bad_worker_is_refused(
    grpc_stub: OrdersServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named, and the stream ends."""
    asked = {"function_names": ["f"], "worker_id": "w"} | fields
    with refused_field(field):
        next(iter(grpc_stub.ReceiveTasks(pb.ReceiveTasksRequest(**asked))))  # type: ignore[arg-type]


def test_list_filters(grpc_stub: OrdersServiceStub, till: Till, function: str) -> None:
    """By function, state and order, one by one and together, newest first."""
    waiting = [till.paid(function), till.paid(function), till.paid(f"{function}-other")]
    with working(grpc_stub, function) as worker:
        acknowledge(grpc_stub, worker.take())
    tasks = [till.task(order.id) for order in waiting]

    def found(**filters: object) -> list[int]:
        request = pb.ListTasksRequest(**filters)  # type: ignore[arg-type]  # a filter's value each
        listed = [task.id for task in grpc_stub.ListTasks(request).tasks]
        ours = [task.id for task in tasks]
        return [ours.index(id_) for id_ in listed if id_ in ours]

    assert found() == [2, 1, 0]
    assert found(function_name=function) == [1, 0]
    assert found(states=[ACKNOWLEDGED]) == [0]
    assert found(states=[PENDING, OFFERED]) == [2, 1]
    assert found(order_id=waiting[2].id) == [2]
    assert found(function_name=function, states=[PENDING, OFFERED], order_id=waiting[1].id) == [1]
    assert found(function_name=function, order_id=waiting[2].id) == []


BAD_FILTERS: dict[str, tuple[dict[str, object], str]] = {
    "no state": ({"states": [pb.TASK_STATE_UNSPECIFIED]}, "states[0]"),
    "unknown state": ({"states": [PENDING, 99]}, "states[1]"),
    "function of 101": ({"function_name": "f" * 101}, "function_name"),
    "NUL in the function": ({"function_name": "\0"}, "function_name"),
    "order id of 65": ({"order_id": "o" * 65}, "order_id"),
}


@pytest.mark.parametrize(("filters", "field"), BAD_FILTERS.values(), ids=BAD_FILTERS.keys())
def test_bad_filter_is_refused(
    grpc_stub: OrdersServiceStub, filters: dict[str, object], field: str
) -> None:
    """What nothing can match by its form is a fault of the caller's."""
    with refused_field(field):
        grpc_stub.ListTasks(pb.ListTasksRequest(**filters))  # type: ignore[arg-type]
