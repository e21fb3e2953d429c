"""The sandbox's clock: when it moves, business time moves along, and stays moved."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from tests.support.calls import statuses_until
from tests.support.notices import deliver, event_of, now
from tests.support.sales import create_intent, create_product
from tests.support.service import Account, Sandbox, running_sandbox, running_service

FORTY_DAYS = timedelta(days=40)
ADVANCED = "boxoffice.sandbox.clock_advanced"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of the module's own, for its clock is everyone's."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


def ahead(orders: OrdersServiceStub) -> timedelta:
    """How far business time is ahead of real time, to the minute."""
    seconds = create_product(orders).create_time.ToSeconds() - now()
    return timedelta(minutes=round(seconds / 60))


def pay(orders: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> None:
    """Sell something, all the way to task_started."""
    made = create_intent(payments, create_product(orders).id)
    account.press("pay", made.payment.stripe_payment_intent_id)
    last = statuses_until(orders, made.order.id, orders_pb2.ORDER_STATUS_TASK_STARTED)[-1]
    assert last == "task_started"


def test_clock_moves_business_time_for_good(
    sandbox: Sandbox, account: Account, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Signatures keep verifying while it moves and afterwards, in this process and the next."""
    url = f"sqlite:///{tmp_path_factory.mktemp('service') / 'boxoffice.db'}"
    environment = {
        "BOXOFFICE_STRIPE_API_KEY": account.key,
        "BOXOFFICE_STRIPE_API_BASE": sandbox.stripe_api_base,
    }
    for start in range(2):
        with (
            running_service(url, timings=None, **environment) as service,
            grpc.insecure_channel(service.grpc_address) as channel,
        ):
            orders, payments = OrdersServiceStub(channel), PaymentsServiceStub(channel)
            webhooks = WebhooksServiceStub(channel)
            account.point_webhooks(service)
            assert ahead(orders) == FORTY_DAYS * start
            pay(orders, payments, account)
            account.wait_delivered()
            sandbox.control("clock", {"advance_seconds": int(FORTY_DAYS.total_seconds())})
            assert ahead(orders) == FORTY_DAYS * (start + 1)
            pay(orders, payments, account)
            told = webhooks.ListNotifications(pb.ListNotificationsRequest(type=ADVANCED))
            assert len(told.notifications) == start + 1
            assert told.notifications[0].state == pb.NOTIFICATION_STATE_APPLIED


def test_notice_counts_once(
    service: object, orders: OrdersServiceStub, webhooks: WebhooksServiceStub
) -> None:
    """A duplicate of an older notice does not take the clock back."""
    notices = [
        event_of(ADVANCED, {"object": "clock", "offset_seconds": seconds}) for seconds in (60, 120)
    ]
    for notice in notices:
        assert not deliver(webhooks, notice).duplicate
    assert deliver(webhooks, notices[0]).duplicate
    assert ahead(orders) == timedelta(seconds=120)
