"""Where an order stands, and which events its changes make."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.order import (
    ManualStatus,
    Order,
    OrderEventType,
    OrderStatus,
    change,
    check_chargeable,
    check_order_cancellable,
    created,
    derive_status,
)
from boxoffice_server.domain.payment import (
    FactOrigin,
    PaymentFact,
    PaymentFlow,
    PaymentSignal,
    PaymentState,
    PaymentStatus,
    PendingReason,
    place,
)
from boxoffice_server.domain.product import Product
from tests.domain.facts import START, arrivals, fact, histories

PRODUCT = Product(
    id="prd_1",
    name="Ticket",
    prices=(Money(amount=1250, currency="eur"),),
    schema=(),
    task_function_name="",
    task_priority=0,
    tags=(),
    created_by="caller",
    version=1,
    create_time=START,
    update_time=START,
)
ORDER = Order(
    id="ord_1",
    user_id="user-1",
    target_user_id="user-2",
    created_by="caller",
    status=OrderStatus.CREATED,
    price=Money(amount=1250, currency="eur"),
    product=PRODUCT,
    data={},
    tags=("a",),
    payment_id="pay_1",
    vendor_events=(),
    version=1,
    create_time=START,
    update_time=START,
)
LATER = START + timedelta(minutes=1)
BEGINNINGS = (PaymentSignal.REQUIRES_PAYMENT_METHOD, PaymentSignal.REQUIRES_CONFIRMATION)


# -- the status -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "status"),
    [
        (PaymentSignal.RECORDED, OrderStatus.CREATED),
        (PaymentSignal.REQUIRES_PAYMENT_METHOD, OrderStatus.CREATED),
        (PaymentSignal.REQUIRES_CONFIRMATION, OrderStatus.CREATED),
        (PaymentSignal.REQUIRES_ACTION, OrderStatus.CREATED),
        (PaymentSignal.PROCESSING, OrderStatus.CREATED),
        (PaymentSignal.LEGACY_CHARGE_PENDING, OrderStatus.CHARGE_CREATED),
        (PaymentSignal.ATTEMPT_FAILED, OrderStatus.FAILED),
        (PaymentSignal.AUTHENTICATION_REQUIRED, OrderStatus.CREATED),
        (PaymentSignal.AUTHORISED, OrderStatus.CREATED),
        (PaymentSignal.REFUSED, OrderStatus.FAILED),
        (PaymentSignal.CANCELLED, OrderStatus.CANCELLED),
        (PaymentSignal.CAPTURED, OrderStatus.PAID),
    ],
)
def test_each_signal_leaves_an_order_in_one_status(
    signal: PaymentSignal, status: OrderStatus
) -> None:
    """A signal that is all there is; held money is no payment until it is captured."""
    assert derive_status([fact(signal)], task_started=False) is status


def test_an_order_of_which_nothing_was_said_is_created() -> None:
    """It is there before the vendor is asked."""
    assert derive_status([], task_started=False) is OrderStatus.CREATED


@given(arrivals(), st.booleans())
def test_the_order_of_arrival_changes_nothing(
    both: tuple[list[PaymentFact], list[PaymentFact]], started: object
) -> None:
    """Any order, any duplicates, told at once or one by one: the same status."""
    history, again = both
    task_started = started is True
    assert derive_status(again, task_started=task_started) is derive_status(
        history, task_started=task_started
    )


@given(history=histories(), second=st.integers(min_value=0, max_value=3))
def test_a_paid_order_stays_paid(history: list[PaymentFact], second: int) -> None:
    """A failure that is heard late or a cancellation that crossed it takes nothing back."""
    facts = [*history, fact(PaymentSignal.CAPTURED, second=second, id_="evt_captured")]
    assert derive_status(facts, task_started=False) is OrderStatus.PAID
    assert derive_status(facts, task_started=True) is OrderStatus.TASK_STARTED


@given(histories())
def test_no_task_starts_before_the_money_is_there(history: list[PaymentFact]) -> None:
    """A started task counts only for a paid order."""
    captured = any(each.signal is PaymentSignal.CAPTURED for each in history)
    status = derive_status(history, task_started=True)
    assert (status is OrderStatus.TASK_STARTED) == captured


def test_a_failed_order_can_still_be_paid() -> None:
    """The customer tries again with another card."""
    declined = fact(PaymentSignal.ATTEMPT_FAILED, second=1, id_="evt_1")
    asked = fact(PaymentSignal.REQUIRES_ACTION, second=2, id_="evt_2")
    paid = fact(PaymentSignal.CAPTURED, second=3, id_="evt_3")
    assert derive_status([declined], task_started=False) is OrderStatus.FAILED
    assert derive_status([asked, declined], task_started=False) is OrderStatus.CREATED
    assert derive_status([paid, asked, declined], task_started=False) is OrderStatus.PAID


# -- what may be done with it ---------------------------------------------------------------------

WAITS = PaymentState(status=PaymentStatus.REQUIRES_PAYMENT_METHOD)
PROCESSING = PaymentState(status=PaymentStatus.PENDING, pending_reason=PendingReason.PROCESSING)


@pytest.mark.parametrize("status", list(OrderStatus))
@pytest.mark.parametrize(
    "state", [WAITS, PROCESSING, PaymentState(status=PaymentStatus.COMPLETE)], ids=str
)
def test_an_order_is_cancelled_while_no_money_is_there_or_on_its_way(
    status: OrderStatus, state: PaymentState
) -> None:
    """What a person has said of it does not matter where the money says otherwise."""
    order = replace(ORDER, status=status)
    paid = {OrderStatus.PAID, OrderStatus.TASK_STARTED, OrderStatus.REFUNDED}
    if status not in paid and state is WAITS:
        check_order_cancellable(order, state)
        return
    with pytest.raises(BoxofficeError) as caught:
        check_order_cancellable(order, state)
    assert caught.value.reason is Reason.ORDER_NOT_CANCELLABLE
    assert caught.value.metadata == {"order_id": ORDER.id, "status": status.value}


@pytest.mark.parametrize("status", list(OrderStatus))
@pytest.mark.parametrize("flow", list(PaymentFlow))
@pytest.mark.parametrize("state", [WAITS, PROCESSING], ids=str)
def test_a_legacy_order_is_charged_while_it_waits(
    status: OrderStatus, flow: PaymentFlow, state: PaymentState
) -> None:
    """Created or failed, and with no charge on its way; an order of an intent never is."""
    order = replace(ORDER, status=status)
    waits = status in {OrderStatus.CREATED, OrderStatus.FAILED} and state is WAITS
    if waits and flow is PaymentFlow.LEGACY_CHARGE:
        check_chargeable(order, flow, state)
        return
    with pytest.raises(BoxofficeError) as caught:
        check_chargeable(order, flow, state)
    assert caught.value.reason is Reason.ORDER_NOT_CHARGEABLE


# -- its events -----------------------------------------------------------------------------------


def test_a_new_order_is_an_event() -> None:
    """It has no status before."""
    event = created(ORDER)
    assert event.type is OrderEventType.CREATED
    assert event.previous_status is None
    assert event.order == ORDER
    assert event.create_time == START


def test_what_changes_nothing_is_no_event() -> None:
    """The same status, tags and facts again."""
    assert change(ORDER, now=LATER) is None
    assert change(ORDER, now=LATER, status=OrderStatus.CREATED, tags=("a",), facts=[]) is None


def test_a_change_of_status_is_an_event() -> None:
    """It holds the order just after, and the status just before."""
    event = change(ORDER, now=LATER, status=OrderStatus.PAID)
    assert event is not None
    assert event.type is OrderEventType.STATUS_CHANGED
    assert event.previous_status is OrderStatus.CREATED
    assert event.order.status is OrderStatus.PAID
    assert (event.order.version, event.order.update_time) == (2, LATER)
    assert (event.order.create_time, event.create_time) == (START, LATER)


def test_a_change_of_anything_else_is_an_update() -> None:
    """The status stays, and the event says so."""
    event = change(ORDER, now=LATER, tags=("b",))
    assert event is not None
    assert event.type is OrderEventType.UPDATED
    assert event.previous_status is event.order.status is OrderStatus.CREATED
    assert event.order.tags == ("b",)


def test_what_a_person_said_is_an_event_although_the_status_stays() -> None:
    """It is kept on the order with who said it, when and why."""
    said = (ManualStatus(status=OrderStatus.CREATED, reason="why", actor="kim", create_time=LATER),)
    event = change(ORDER, now=LATER, manual=said)
    assert event is not None
    assert event.type is OrderEventType.UPDATED
    assert event.order.manual == said
    assert change(event.order, now=LATER, manual=said) is None


def test_a_change_leaves_the_order_before_it_alone() -> None:
    """Events hold the order as it was."""
    change(ORDER, now=LATER, status=OrderStatus.PAID)
    assert ORDER.status is OrderStatus.CREATED
    assert ORDER.version == 1


@given(arrivals())
def test_an_order_shows_the_same_vendor_events_for_any_arrival(
    both: tuple[list[PaymentFact], list[PaymentFact]],
) -> None:
    """Oldest first by the vendor's clock, each once; our own questions are not among them."""
    history, again = both
    event = change(ORDER, now=LATER, status=OrderStatus.PAID, facts=again)
    assert event is not None
    shown = event.order.vendor_events
    told = {
        each
        for each in history
        if each.origin is FactOrigin.NOTIFICATION and each.signal not in BEGINNINGS
    }
    assert set(shown) == told
    assert list(shown) == sorted(told, key=place)


@pytest.mark.parametrize("signal", BEGINNINGS)
def test_that_an_intent_was_made_is_no_event_of_the_order(signal: PaymentSignal) -> None:
    """The order tells of its own beginning."""
    assert change(ORDER, now=LATER, facts=[fact(signal)]) is None


def test_an_answer_of_our_own_alone_is_no_event() -> None:
    """What was learned by asking shows in the status or not at all."""
    answer = fact(PaymentSignal.REQUIRES_ACTION, origin=FactOrigin.ANSWER)
    assert change(ORDER, now=LATER, facts=[answer]) is None


def test_an_events_id_follows_from_the_order_and_its_version() -> None:
    """The same change made twice is the same event; another version is another one."""
    first = change(ORDER, now=LATER, status=OrderStatus.PAID)
    again = change(ORDER, now=LATER + timedelta(seconds=1), status=OrderStatus.PAID)
    assert first is not None
    assert again is not None
    assert first.id == again.id
    assert first.id != created(ORDER).id
