"""GetOrder, ListOrders and UpdateOrder: orders are found by everything that they say."""

from dataclasses import dataclass

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import (
    events_until,
    new_request_id,
    refused,
    refused_field,
    statuses_until,
)
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

CREATED, FAILED, STARTED = (
    pb.ORDER_STATUS_CREATED,
    pb.ORDER_STATUS_FAILED,
    pb.ORDER_STATUS_TASK_STARTED,
)

pytestmark = pytest.mark.parametrize(
    "store", ["sqlite", "postgresql"], indirect=True, scope="module"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Four orders: two products, two payers, different receivers, tags and statuses."""

    products: list[pb.Product]
    orders: list[pb.Order]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@pytest.fixture(scope="module")
def shop(grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub, account: Account) -> Shop:
    """The orders that the filters look for, oldest first."""
    one, two = create_product(grpc_stub, name="one"), create_product(grpc_stub, name="two")
    made = [
        create_intent(payments, one.id, user_id="anna", tags=["red", "big"]),
        create_intent(payments, one.id, user_id="anna", target_user_id="bert"),
        create_intent(payments, two.id, user_id="bert", tags=["red"]),
        create_intent(payments, two.id, user_id="anna", tags=["blue"]),
    ]
    account.press("pay", made[0].payment.stripe_payment_intent_id)
    account.press("decline", made[3].payment.stripe_payment_intent_id)
    statuses_until(grpc_stub, made[0].order.id, STARTED)
    statuses_until(grpc_stub, made[3].order.id, FAILED)
    account.wait_delivered()
    ids = [each.order.id for each in made]
    orders = [grpc_stub.GetOrder(pb.GetOrderRequest(order_id=id_)).order for id_ in ids]
    return Shop(products=[one, two], orders=orders)


def found(grpc_stub: OrdersServiceStub, shop: Shop, **filters: object) -> list[int]:
    """Tell which of the shop's orders are listed, newest first."""
    request = pb.ListOrdersRequest(**filters)  # type: ignore[arg-type]  # a filter's value each
    answer = grpc_stub.ListOrders(request)
    assert answer.next_page_token == ""
    return [shop.orders.index(order) for order in answer.orders if order in shop.orders]


def test_list_is_newest_first(grpc_stub: OrdersServiceStub, shop: Shop) -> None:
    """Without a filter all orders are there, each as GetOrder has it."""
    assert found(grpc_stub, shop) == [3, 2, 1, 0]


def test_filters_one_by_one(grpc_stub: OrdersServiceStub, shop: Shop) -> None:
    """Each filter finds what it names and nothing else."""
    ids = [order.id for order in shop.orders]
    assert found(grpc_stub, shop, order_ids=[ids[1], ids[2], "ord_none"]) == [2, 1]
    assert found(grpc_stub, shop, user_id="anna") == [3, 1, 0]
    assert found(grpc_stub, shop, target_user_id="bert") == [2, 1]
    assert found(grpc_stub, shop, statuses=[CREATED]) == [2, 1]
    assert found(grpc_stub, shop, statuses=[STARTED, FAILED]) == [3, 0]
    assert found(grpc_stub, shop, statuses=[pb.ORDER_STATUS_REFUNDED]) == []
    assert found(grpc_stub, shop, product_id=shop.products[1].id) == [3, 2]
    assert found(grpc_stub, shop, tag="red") == [2, 0]
    assert found(grpc_stub, shop, tag="re") == []


def test_time_filters_include_the_beginning_and_exclude_the_end(
    grpc_stub: OrdersServiceStub, shop: Shop
) -> None:
    """From is at or after, until is before, to the microsecond."""
    times = [order.create_time for order in shop.orders]
    assert found(grpc_stub, shop, from_time=times[1]) == [3, 2, 1]
    assert found(grpc_stub, shop, until_time=times[1]) == [0]
    assert found(grpc_stub, shop, from_time=times[1], until_time=times[3]) == [2, 1]
    assert found(grpc_stub, shop, from_time=times[3], until_time=times[0]) == []
    first, last = Timestamp(seconds=-62135596800), Timestamp(seconds=253402300799)
    assert found(grpc_stub, shop, from_time=first, until_time=last) == [3, 2, 1, 0]


def test_filters_together_must_all_match(grpc_stub: OrdersServiceStub, shop: Shop) -> None:
    """More filters find less."""
    one, two = (product.id for product in shop.products)
    assert found(grpc_stub, shop, user_id="anna", tag="red") == [0]
    assert found(grpc_stub, shop, user_id="anna", target_user_id="bert") == [1]
    assert found(grpc_stub, shop, user_id="anna", product_id=two, statuses=[FAILED]) == [3]
    assert found(grpc_stub, shop, user_id="bert", product_id=one) == []
    everything = {
        "order_ids": [order.id for order in shop.orders],
        "user_id": "anna",
        "target_user_id": "anna",
        "statuses": [STARTED],
        "product_id": one,
        "tag": "big",
        "from_time": shop.orders[0].create_time,
        "until_time": shop.orders[1].create_time,
    }
    assert found(grpc_stub, shop, **everything) == [0]


def test_most_ids_of_a_filter(grpc_stub: OrdersServiceStub, shop: Shop) -> None:
    """Five hundred ids are looked for, one more is refused."""
    ids = [shop.orders[0].id, *(f"ord_{number}" for number in range(499))]
    assert found(grpc_stub, shop, order_ids=ids) == [0]
    with refused_field("order_ids"):
        grpc_stub.ListOrders(pb.ListOrdersRequest(order_ids=[*ids, "ord_x"]))


BAD_FILTERS: dict[str, tuple[dict[str, object], str]] = {
    "empty id": ({"order_ids": ["ord_1", ""]}, "order_ids[1]"),
    "id of 65": ({"order_ids": ["x" * 65]}, "order_ids[0]"),
    "user of 65": ({"user_id": "x" * 65}, "user_id"),
    "NUL in the user": ({"user_id": "\0"}, "user_id"),
    "receiver of 65": ({"target_user_id": "x" * 65}, "target_user_id"),
    "product id of 65": ({"product_id": "x" * 65}, "product_id"),
    "tag of 65": ({"tag": "x" * 65}, "tag"),
    "no status": ({"statuses": [pb.ORDER_STATUS_UNSPECIFIED]}, "statuses[0]"),
    "unknown status": ({"statuses": [STARTED, 99]}, "statuses[1]"),
    "time before the calendar": (
        {"from_time": Timestamp(seconds=-62135596801)},
        "from_time",
    ),
    "time after the calendar": ({"until_time": Timestamp(seconds=253402300800)}, "until_time"),
    "nanoseconds of more than a second": ({"from_time": {"nanos": 1_000_000_000}}, "from_time"),
    "negative page size": ({"page_size": -1}, "page_size"),
}


@pytest.mark.parametrize(("filters", "field"), BAD_FILTERS.values(), ids=BAD_FILTERS.keys())
def test_bad_filter_is_refused(
    grpc_stub: OrdersServiceStub, filters: dict[str, object], field: str
) -> None:
    """A filter that nothing can match by its form is a fault of the caller's."""
    with refused_field(field):
        grpc_stub.ListOrders(pb.ListOrdersRequest(**filters))  # type: ignore[arg-type]


def test_unknown_order_is_not_found(grpc_stub: OrdersServiceStub) -> None:
    """An id that nothing has is told back; one that nothing can have is a fault."""
    with refused(Reason.ORDER_NOT_FOUND) as refusal:
        grpc_stub.GetOrder(pb.GetOrderRequest(order_id="ord_none"))
    assert refusal.metadata == {"order_id": "ord_none"}
    for bad in ("", "x" * 65, "\0"):
        with refused_field("order_id"):
            grpc_stub.GetOrder(pb.GetOrderRequest(order_id=bad))


def update_request(order: pb.Order, *paths: str) -> pb.UpdateOrderRequest:
    """Ask to change the fields that these paths name."""
    return pb.UpdateOrderRequest(
        request_id=new_request_id(), order=order, update_mask=FieldMask(paths=paths)
    )


def test_tags_are_replaced_and_found(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """UpdateOrder changes the tags, the etag and the time; everything else stays."""
    product = create_product(grpc_stub)
    old = create_intent(payments, product.id, tags=["old", "both"]).order
    sent = pb.Order(id=old.id, tags=["both", "new"], status=STARTED, etag=old.etag)
    new = grpc_stub.UpdateOrder(update_request(sent, "tags")).order
    assert list(new.tags) == ["both", "new"]
    assert new.etag != old.etag
    kept = pb.Order.FromString(new.SerializeToString())
    kept.MergeFrom(pb.Order(etag=old.etag, update_time=old.update_time))
    del kept.tags[:]
    kept.tags.extend(old.tags)
    assert kept == old
    assert not grpc_stub.ListOrders(pb.ListOrdersRequest(tag="old")).orders
    assert list(grpc_stub.ListOrders(pb.ListOrdersRequest(tag="new")).orders) == [new]


def test_same_tags_change_nothing(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """An update that asks for what is there makes no event and no new etag."""
    order = create_intent(payments, create_product(grpc_stub).id, tags=["a"]).order
    answer = grpc_stub.UpdateOrder(update_request(pb.Order(id=order.id, tags=["a"]), "tags"))
    assert answer.order == order
    grpc_stub.UpdateOrder(update_request(pb.Order(id=order.id, tags=["b"]), "tags"))
    told = events_until(grpc_stub, order.id, lambda event: list(event.order.tags) == ["b"])
    assert [list(event.order.tags) for event in told] == [["a"], ["b"]]


BAD_UPDATES: dict[str, tuple[pb.Order, tuple[str, ...], str]] = {
    "no mask": (pb.Order(id="ord_1"), (), "update_mask"),
    "status in the mask": (pb.Order(id="ord_1"), ("status",), "update_mask"),
    "no id": (pb.Order(), ("tags",), "order.id"),
    "51 tags": (pb.Order(id="ord_1", tags=[f"t{n}" for n in range(51)]), ("tags",), "order.tags"),
    "tag twice": (pb.Order(id="ord_1", tags=["t", "t"]), ("tags",), "order.tags"),
    "empty tag": (pb.Order(id="ord_1", tags=[""]), ("tags",), "order.tags[0]"),
    "NUL in a tag": (pb.Order(id="ord_1", tags=["\0"]), ("tags",), "order.tags[0]"),
}


@pytest.mark.parametrize(("order", "paths", "field"), BAD_UPDATES.values(), ids=BAD_UPDATES.keys())
def test_bad_update_is_refused(
    grpc_stub: OrdersServiceStub, order: pb.Order, paths: tuple[str, ...], field: str
) -> None:
    """The field that is at fault is named."""
    with refused_field(field):
        grpc_stub.UpdateOrder(update_request(order, *paths))


def test_unknown_order_and_old_etag_are_not_updated(
    grpc_stub: OrdersServiceStub, payments: PaymentsServiceStub
) -> None:
    """Nothing is changed that is not there, or that has changed since it was read."""
    with refused(Reason.ORDER_NOT_FOUND):
        grpc_stub.UpdateOrder(update_request(pb.Order(id="ord_none", tags=["x"]), "tags"))
    order = create_intent(payments, create_product(grpc_stub).id).order
    grpc_stub.UpdateOrder(update_request(pb.Order(id=order.id, tags=["x"]), "tags"))
    with refused(Reason.ETAG_MISMATCH) as refusal:
        grpc_stub.UpdateOrder(
            update_request(pb.Order(id=order.id, etag=order.etag, tags=["y"]), "tags")
        )
    now = grpc_stub.GetOrder(pb.GetOrderRequest(order_id=order.id)).order
    assert refusal.metadata == {"etag": now.etag}
    assert list(now.tags) == ["x"]
