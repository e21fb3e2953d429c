"""Paid orders that wait for a worker, and workers that take them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import refused, statuses_until
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, wait_until

WORK_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """Sells products whose orders have a task, and takes the money."""

    orders: OrdersServiceStub
    payments: PaymentsServiceStub
    account: Account

    def paid(self, function_name: str, *, priority: int = 0) -> pb.Order:
        """An order that was just paid."""
        product = create_product(
            self.orders, task_function_name=function_name, task_priority=priority
        )
        made = create_intent(self.payments, product.id)
        self.account.press("pay", made.payment.stripe_payment_intent_id)
        statuses_until(self.orders, made.order.id, pb.ORDER_STATUS_PAID)
        return self.order(made.order.id)

    def order(self, order_id: str) -> pb.Order:
        """An order as it is now."""
        return self.orders.GetOrder(pb.GetOrderRequest(order_id=order_id)).order

    def task(self, order_id: str) -> pb.Task:
        """The task of an order as it is now."""
        (task,) = self.orders.ListTasks(pb.ListTasksRequest(order_id=order_id)).tasks
        return task


class Worker:
    """One ReceiveTasks stream."""

    def __init__(self, orders: OrdersServiceStub, request: pb.ReceiveTasksRequest) -> None:
        self.id = request.worker_id
        self._orders = orders
        self._stream = orders.ReceiveTasks(request, timeout=WORK_SECONDS)
        self._left = False

    def take(self) -> pb.ReceiveTasksResponse:
        """Wait for the next offer."""
        return next(iter(self._stream))

    def offers(self) -> Iterator[pb.ReceiveTasksResponse]:
        """Take one offer after the other, until the worker leaves."""
        try:
            yield from self._stream
        except grpc.RpcError:
            if not self._left:
                raise

    def start(self) -> pb.AcknowledgeTaskResponse:
        """Take offers until one could be acknowledged in time."""
        for offer in self.offers():
            answer = acknowledge_in_time(self._orders, offer)
            if answer is not None:
                return answer
        raise AssertionError("the worker has left")

    def leave(self) -> None:
        """End the stream, as a worker that dies does."""
        self._left = True
        self._stream.cancel()

    def ending(self) -> grpc.StatusCode:
        """Wait for the end of the stream, and tell its status."""
        for _ in self._stream:
            pass
        return self._stream.code()


@contextmanager
def working(
    orders: OrdersServiceStub, *function_names: str, worker_id: str = "w", max_in_flight: int = 0
) -> Iterator[Worker]:
    """A worker that asks for tasks until the end of the block."""
    request = pb.ReceiveTasksRequest(
        function_names=function_names, worker_id=worker_id, max_in_flight=max_in_flight
    )
    worker = Worker(orders, request)
    try:
        yield worker
    finally:
        worker.leave()


def acknowledge(
    orders: OrdersServiceStub, offer: pb.ReceiveTasksResponse
) -> pb.AcknowledgeTaskResponse:
    """Say that the work on an offer has started."""
    return orders.AcknowledgeTask(
        pb.AcknowledgeTaskRequest(task_id=offer.task.id, lease_id=offer.lease_id)
    )


def acknowledge_in_time(
    orders: OrdersServiceStub, offer: pb.ReceiveTasksResponse
) -> pb.AcknowledgeTaskResponse | None:
    """Say that the work on an offer has started; None if the lease was lost before."""
    try:
        return acknowledge(orders, offer)
    except grpc.RpcError:
        with refused(Reason.LEASE_LOST):
            acknowledge(orders, offer)
        return None


def wait_for_lease_end(offer: pb.ReceiveTasksResponse) -> None:
    """Wait until an offer's lease has run out."""
    end = offer.lease_expire_time.ToNanoseconds()
    wait_until(lambda: time.time_ns() > end, "the lease does not end")
