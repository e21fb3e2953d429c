"""WatchOrders at its edge: where a stream may start, what it may want, what is refused.

What a running stream promises is the conformance suite's to prove.
"""

import string
import uuid
from datetime import timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.common.v1 import streams_pb2
from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from boxoffice_server.domain.stream import TokenKind, decode_token
from tests.support.calls import (
    caught_up,
    frames,
    new_user,
    refused,
    refused_field,
    statuses_until,
)
from tests.support.sales import create_intent, create_product
from tests.support.service import Account
from tests.support.tokens import a_token

EARLIEST, LATEST = streams_pb2.START_POSITION_EARLIEST, streams_pb2.START_POSITION_LATEST
STARTED = pb.ORDER_STATUS_TASK_STARTED

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module")
def sold(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, account: Account
) -> list[pb.Order]:
    """Three orders of two products by two users; the first one is paid and started."""
    one, two = create_product(grpc_stub), create_product(grpc_stub)
    made = [
        create_intent(payments, one.id, user_id="anna"),
        create_intent(payments, one.id, user_id="bert"),
        create_intent(payments, two.id, user_id="anna"),
    ]
    account.press("pay", made[0].payment.stripe_payment_intent_id)
    statuses_until(grpc_stub, made[0].order.id, STARTED)
    account.wait_delivered()
    return [each.order for each in made]


def test_filters_choose_the_orders(grpc_stub: OrdersServiceStub, sold: list[pb.Order]) -> None:
    """By user, order, product and status, one by one and together."""

    def found(**filters: object) -> set[int]:
        ids = [order.id for order in sold]
        seen = caught_up(grpc_stub, start_position=EARLIEST, **filters)
        return {ids.index(event.order.id) for event in seen if event.order.id in ids}

    assert found() == {0, 1, 2}
    assert found(user_id="anna") == {0, 2}
    assert found(order_id=sold[1].id) == {1}
    assert found(product_id=sold[2].product.id) == {2}
    assert found(statuses=[STARTED, pb.ORDER_STATUS_PAID]) == {0}
    assert found(user_id="anna", product_id=sold[0].product.id) == {0}
    assert found(user_id="bert", statuses=[STARTED]) == set()


def test_status_filter_looks_at_each_change(
    grpc_stub: OrdersServiceStub, sold: list[pb.Order]
) -> None:
    """Only changes after which the order is in the status, not all changes of such an order."""
    seen = caught_up(
        grpc_stub,
        start_position=EARLIEST,
        order_id=sold[0].id,
        statuses=[pb.ORDER_STATUS_CREATED],
    )
    assert {event.order.status for event in seen} == {pb.ORDER_STATUS_CREATED}


def test_stream_starts_where_it_is_told_to(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, sold: list[pb.Order]
) -> None:
    """From the head, from the beginning, at a time, and after a write, a list or a frame."""
    user = new_user()
    listed = grpc_stub.ListOrders(pb.ListOrdersRequest(user_id=user)).resume_token
    first = create_intent(payments, sold[0].product.id, user_id=user)
    second = create_intent(payments, sold[0].product.id, user_id=user)
    both = [first.order, second.order]

    def found(**start: object) -> list[pb.Order]:
        return [event.order for event in caught_up(grpc_stub, user_id=user, **start)]

    # On PostgreSQL the second one may not be numbered yet; its token waits for that.
    assert found(resume_token=second.resume_token) == []
    assert found(resume_token=first.resume_token) == both[1:]
    assert found(resume_token=listed) == both
    assert found(start_position=EARLIEST) == both
    assert found(start_time=first.order.create_time) == both
    assert found(start_time=second.order.create_time) == both[1:]
    assert found(start_time=Timestamp(seconds=-62135596800)) == both
    assert found(start_time=Timestamp(seconds=253402300799)) == []
    assert found() == found(start_position=LATEST) == found(start_position=0) == []
    frame = next(frames(grpc_stub, user_id=user, resume_token=first.resume_token))
    assert found(resume_token=frame.resume_token) == both[1 + len(frame.events) :]


def test_latest_stream_tells_what_happens_from_now_on(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, sold: list[pb.Order]
) -> None:
    """Once it has caught up, a new order comes by itself."""
    watching = frames(grpc_stub, product_id=sold[1].product.id)
    assert next(watching).HasField("caught_up")
    order = create_intent(payments, sold[1].product.id).order
    live = next(frame for frame in watching if frame.events)
    assert [event.order for event in live.events] == [order]
    watching.close()


def test_silent_stream_tells_progress(grpc_stub: OrdersServiceStub) -> None:
    """After the interval that was asked for, which is a second at least."""
    silent = frames(grpc_stub, user_id="nobody", progress_interval=timedelta(seconds=1))
    marks = [next(silent).WhichOneof("marker") for _ in range(2)]
    assert marks == ["caught_up", "progress"]
    silent.close()


BAD: dict[str, tuple[dict[str, object], str]] = {
    "user of 65": ({"user_id": "u" * 65}, "user_id"),
    "NUL in the user": ({"user_id": "\0"}, "user_id"),
    "order id of 65": ({"order_id": "o" * 65}, "order_id"),
    "product id of 65": ({"product_id": "p" * 65}, "product_id"),
    "no status": ({"statuses": [0]}, "statuses[0]"),
    "unknown status": ({"statuses": [STARTED, 99]}, "statuses[1]"),
    "unknown position": ({"start_position": 99}, "start_position"),
    "time before the calendar": (
        {"start_time": Timestamp(seconds=-62135596801)},
        "start_time",
    ),
    "time after the calendar": ({"start_time": Timestamp(seconds=253402300800)}, "start_time"),
    "interval of zero": ({"progress_interval": timedelta()}, "progress_interval"),
    "interval below a second": (
        {"progress_interval": timedelta(microseconds=999_999)},
        "progress_interval",
    ),
    "interval over a minute": (
        {"progress_interval": timedelta(seconds=60, microseconds=1)},
        "progress_interval",
    ),
    "negative interval": ({"progress_interval": timedelta(seconds=-5)}, "progress_interval"),
    "interval of ages": ({"progress_interval": {"seconds": 2**62}}, "progress_interval"),
}


@pytest.mark.parametrize(("fields", "field"), BAD.values(), ids=BAD.keys())
def test_bad_field_is_refused(
    grpc_stub: OrdersServiceStub, fields: dict[str, object], field: str
) -> None:
    """The field that is at fault is named, before any frame."""
    with refused_field(field):
        next(frames(grpc_stub, **fields))


def token_of(orders: OrdersServiceStub) -> str:
    """A token of the log's head."""
    return orders.ListOrders(pb.ListOrdersRequest(page_size=1)).resume_token


def test_mangled_token_is_refused(grpc_stub: OrdersServiceStub, sold: list[pb.Order]) -> None:
    """One character changed, dropped or added anywhere is noticed; so is nothing at all."""
    token = token_of(grpc_stub)
    letters = string.ascii_letters + string.digits
    mangled = {"", "x", "====", "not a token", "ü", "\0", token[:-1], token[1:], token * 2}
    for index, letter in enumerate(token):
        other = letters[(letters.find(letter) + 7) % len(letters)]
        mangled.add(token[:index] + other + token[index + 1 :])
    for each in mangled:
        with refused(Reason.RESUME_TOKEN_INVALID):
            next(frames(grpc_stub, resume_token=each))


def test_page_token_resumes_no_stream(grpc_stub: OrdersServiceStub, sold: list[pb.Order]) -> None:
    """Tokens of pages are for pages."""
    page = grpc_stub.ListOrders(pb.ListOrdersRequest(page_size=1))
    with refused(Reason.RESUME_TOKEN_INVALID):
        next(frames(grpc_stub, resume_token=page.next_page_token))


@pytest.mark.parametrize("kind", TokenKind)
def test_token_of_another_log_is_refused(grpc_stub: OrdersServiceStub, kind: TokenKind) -> None:
    """A database that was made anew has another log, which the error names."""
    log_id = decode_token(token_of(grpc_stub)).log_id
    other = a_token(log_id=uuid.uuid4(), kind=kind, number=1)
    with refused(Reason.LOG_CHANGED) as refusal:
        next(frames(grpc_stub, resume_token=other.encode()))
    assert refusal.metadata == {"log_id": str(log_id)}


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize("ahead", [1000, 2**62])
def test_token_from_the_future_is_refused(
    grpc_stub: OrdersServiceStub, sold: list[pb.Order], kind: TokenKind, ahead: int
) -> None:
    """A database that was restored from a backup has not got there yet."""
    head = decode_token(token_of(grpc_stub))
    future = a_token(log_id=head.log_id, kind=kind, number=head.number + ahead)
    with refused(Reason.POSITION_AHEAD) as refusal:
        next(frames(grpc_stub, resume_token=future.encode()))
    assert int(refusal.metadata["head"]) >= head.number


def test_stream_needs_no_deadline(grpc_stub: OrdersServiceStub, grpc_channel: grpc.Channel) -> None:
    """A caller's deadline ends its own stream as gRPC does, and nothing else."""
    with pytest.raises(grpc.RpcError) as error:
        for _ in grpc_stub.WatchOrders(pb.WatchOrdersRequest(), timeout=0.2):
            pass
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    watch = grpc_stub.WatchOrders(pb.WatchOrdersRequest())
    assert next(iter(watch)).HasField("caught_up")
    watch.cancel()
