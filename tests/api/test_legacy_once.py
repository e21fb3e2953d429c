"""A Source is charged once, whoever asks for it, how often, and whatever is lost in between."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from boxoffice.orders.v1 import orders_pb2
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.app import Timings
from boxoffice_server.domain.errors import Reason
from boxoffice_server.vendors.stripe.client import Patience
from tests.support.calls import refused, statuses_until
from tests.support.desk import Desk, order_status_name, status_name
from tests.support.service import Account
from tests.support.sources import authorise, charge_source, charges_for, make_source, ordered

STARTED = orders_pb2.ORDER_STATUS_TASK_STARTED
REPEATS = 1


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[PaymentsServiceStub]:
    """The stub that pytest-grpc makes."""
    return PaymentsServiceStub


@pytest.fixture(scope="module")
def timings() -> Timings:
    """A janitor that looks often, and a gateway that gives up soon."""
    return Timings(
        look_every=timedelta(milliseconds=50),
        patience=Patience(pauses=(timedelta(),) * REPEATS),
    )


@pytest.fixture(autouse=True)
def legacy(account: Account) -> Iterator[None]:
    """The account may still use Sources; its webhooks come again after each test."""
    account.sandbox.control(f"accounts/{account.key}", {"legacy": True})
    yield
    account.release()
    account.webhooks("normal")


def events_about(account: Account, type_: str, source_id: str) -> list[str]:
    """The ids of the events of a type that tell of a Source."""
    return [
        each["id"]
        for each in account.everything("events", type=type_)
        if each["data"]["object"]["id"] == source_id
    ]


@pytest.mark.parametrize("type_", ["bancontact", "card"])
def test_word_that_comes_twice_charges_once(
    desk: Desk, orders: OrdersServiceStub, account: Account, type_: str
) -> None:
    """Two deliveries of one event, and then a third."""
    account.webhooks("duplicate")
    order = ordered(desk)
    source = make_source(desk, order, type_)
    if type_ != "card":
        authorise(desk, source)
    statuses_until(orders, order.id, STARTED)
    (event,) = events_about(account, "source.chargeable", source["id"])
    account.sandbox.control(f"events/{event}/redeliver", {})
    account.wait_delivered()
    assert len(charges_for(desk, order)) == 1


@pytest.mark.parametrize("type_", ["bancontact", "card"])
def test_word_that_comes_after_the_call_charges_nothing(
    desk: Desk, account: Account, type_: str
) -> None:
    """CreateCharge was first; what Stripe says about the Source later changes nothing."""
    account.webhooks("hold")
    order = ordered(desk)
    source = make_source(desk, order, type_)
    if type_ != "card":
        authorise(desk, source)
    desk.payments.CreateCharge(charge_source(order.id, source["id"]))
    account.release()
    account.wait_delivered()
    # Told after all of these, so that what they have set off has been looked at.
    other = ordered(desk)
    account.webhooks("normal")
    make_source(desk, other, "card")
    statuses_until(desk.orders, other.id, STARTED)
    assert len(charges_for(desk, order)) == 1
    assert order_status_name(desk.order(order.id)) == "task_started"


def test_word_that_comes_during_the_call_charges_nothing(desk: Desk, account: Account) -> None:
    """A card's Source may be charged any number of times, so it is ours to do it once."""
    account.webhooks("hold")
    order = ordered(desk)
    source = make_source(desk, order, "card")
    account.fault("latency", "/v1/charges", seconds=0.7)
    call = desk.payments.CreateCharge.future(charge_source(order.id, source["id"]))
    account.wait_struck()
    account.release()
    assert status_name(call.result().payment) == "complete"
    account.webhooks("normal")
    account.release()
    # Told after all of these, so that what they have set off has been looked at.
    other = ordered(desk)
    make_source(desk, other, "card")
    statuses_until(desk.orders, other.id, STARTED)
    account.wait_delivered()
    assert [each["status"] for each in charges_for(desk, order)] == ["succeeded"]


def test_two_sources_for_one_order_are_one_charge(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """The customer's device made two: the order is paid by one of them."""
    account.webhooks("hold")
    order = ordered(desk)
    for _ in range(2):
        make_source(desk, order, "card")
    account.webhooks("normal")
    account.release()
    statuses_until(orders, order.id, STARTED)
    other = ordered(desk)
    make_source(desk, other, "card")
    statuses_until(orders, other.id, STARTED)
    account.wait_delivered()
    assert [each["status"] for each in charges_for(desk, order)] == ["succeeded"]


def test_unknown_charge_is_found_out(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """OUTCOME_UNKNOWN, then the truth, by the same request or by nobody's."""
    account.webhooks("drop")
    order = ordered(desk)
    source = make_source(desk, order, "card")
    account.fault("reset_after", "/v1/charges", times=REPEATS + 1)
    request = charge_source(order.id, source["id"])
    with refused(Reason.OUTCOME_UNKNOWN) as refusal:
        desk.payments.CreateCharge(request)
    assert refusal.metadata["payment_id"] == order.payment_id
    statuses_until(orders, order.id, STARTED)
    assert status_name(desk.payments.CreateCharge(request).payment) == "complete"
    assert len(charges_for(desk, order)) == 1


def test_declined_first_source_is_not_taken_for_the_second_ones_answer(
    desk: Desk, orders: OrdersServiceStub, account: Account
) -> None:
    """The second one's question was lost: it is asked again, and the order is paid."""
    account.webhooks("drop")
    order = ordered(desk)
    poor = make_source(desk, order, "card", token="tok_chargeDeclined")
    with refused(Reason.CARD_DECLINED):
        desk.payments.CreateCharge(charge_source(order.id, poor["id"]))
    good = make_source(desk, order, "card")
    account.fault("reset_before", "/v1/charges", times=REPEATS + 1)
    request = charge_source(order.id, good["id"])
    with refused(Reason.OUTCOME_UNKNOWN):
        desk.payments.CreateCharge(request)
    statuses_until(orders, order.id, STARTED)
    assert status_name(desk.payments.CreateCharge(request).payment) == "complete"
    assert [each["status"] for each in charges_for(desk, order)] == ["succeeded", "failed"]
