"""Pages: every list is walked from end to end, and takes no token but its own."""

import string
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1.orders_pb2_grpc import OrdersServiceStub
from boxoffice.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from boxoffice.webhooks.v1 import webhooks_pb2 as webhooks_pb
from boxoffice.webhooks.v1.webhooks_pb2_grpc import WebhooksServiceStub
from boxoffice_server.domain.errors import Reason
from tests.support.calls import refused, refused_field, statuses_until
from tests.support.notices import deliver, event_of
from tests.support.sales import create_intent, create_product
from tests.support.service import Account

COUNT = 7


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OrdersServiceStub]:
    """The stub that pytest-grpc makes."""
    return OrdersServiceStub


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list method: how it is called, and the filter that finds what the tests made."""

    call: Callable[..., tuple[list[str], str]]
    wanted: dict[str, Any]
    other: dict[str, Any]


@pytest.fixture(scope="module")
def listings(
    grpc_stub: OrdersServiceStub,
    payments: PaymentsServiceStub,
    webhooks: WebhooksServiceStub,
    account: Account,
) -> dict[str, Listing]:
    """All list methods, each with seven things to list."""
    for _ in range(COUNT):
        product = create_product(grpc_stub, tags=["paged"], task_function_name="paged")
        made = create_intent(payments, product.id, user_id="paged")
        account.press("pay", made.payment.stripe_payment_intent_id)
        statuses_until(grpc_stub, made.order.id, pb.ORDER_STATUS_PAID)
        deliver(webhooks, event_of("paged.test", {"object": "thing"}))

    def ids(items: Sequence[Any]) -> list[str]:
        return [item.id for item in items]

    def products(**filters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        page = grpc_stub.ListProducts(pb.ListProductsRequest(**filters))
        return ids(page.products), page.next_page_token

    def orders(**filters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        page = grpc_stub.ListOrders(pb.ListOrdersRequest(**filters))
        return ids(page.orders), page.next_page_token

    def tasks(**filters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        page = grpc_stub.ListTasks(pb.ListTasksRequest(**filters))
        return ids(page.tasks), page.next_page_token

    def notifications(**filters: Any) -> tuple[list[str], str]:  # noqa: ANN401
        page = webhooks.ListNotifications(webhooks_pb.ListNotificationsRequest(**filters))
        return ids(page.notifications), page.next_page_token

    return {
        "products": Listing(call=products, wanted={"tag": "paged"}, other={"tag": "other"}),
        "orders": Listing(call=orders, wanted={"user_id": "paged"}, other={}),
        "tasks": Listing(
            call=tasks,
            wanted={"function_name": "paged"},
            other={"function_name": "paged", "states": [pb.TASK_STATE_PENDING]},
        ),
        "notifications": Listing(call=notifications, wanted={"type": "paged.test"}, other={}),
    }


LISTS = ["products", "orders", "tasks", "notifications"]


@pytest.fixture
def listing(request: pytest.FixtureRequest, listings: dict[str, Listing]) -> Listing:
    """One list method after the other."""
    return listings[request.param]


every_list = pytest.mark.parametrize("listing", LISTS, indirect=True)


@every_list
@pytest.mark.parametrize("size", [1, 2, 3, COUNT - 1, COUNT, COUNT + 1])
def test_pages_together_are_the_whole_list(listing: Listing, size: int) -> None:
    """Page by page each thing comes once, newest first, and the last page has no token."""
    whole, rest = listing.call(**listing.wanted)
    assert len(whole) == COUNT
    assert rest == ""
    assert whole == sorted(whole, reverse=True)
    seen, token, pages = [], "", 0
    while pages == 0 or token:
        page, token = listing.call(**listing.wanted, page_size=size, page_token=token)
        seen += page
        pages += 1
        assert len(page) <= size
    assert seen == whole
    assert pages == -(-COUNT // size)


@every_list
def test_page_size_may_change_on_the_way(listing: Listing) -> None:
    """The token belongs to the filters, not to the size."""
    whole, _ = listing.call(**listing.wanted)
    first, token = listing.call(**listing.wanted, page_size=2)
    rest, end = listing.call(**listing.wanted, page_size=500, page_token=token)
    assert (first + rest, end) == (whole, "")


@every_list
def test_page_size_has_no_upper_fault_and_a_lower_one(listing: Listing) -> None:
    """More than 500 means 500; a negative number is refused."""
    assert listing.call(**listing.wanted, page_size=2**31 - 1) == listing.call(**listing.wanted)
    with refused_field("page_size"):
        listing.call(page_size=-1)


@every_list
def test_token_of_other_filters_is_refused(listing: Listing) -> None:
    """What it would go on with is another list."""
    _, token = listing.call(**listing.wanted, page_size=1)
    with refused(Reason.PAGE_TOKEN_INVALID) as refusal:
        listing.call(**listing.other, page_size=1, page_token=token)
    assert refusal.metadata == {}


@every_list
def test_token_of_another_list_is_refused(listing: Listing, listings: dict[str, Listing]) -> None:
    """Tokens of products don't page orders, with or without filters."""
    for each in listings.values():
        for filters in (each.wanted, {}):
            _, token = each.call(**filters, page_size=1)
            if each is not listing:
                with refused(Reason.PAGE_TOKEN_INVALID):
                    listing.call(**listing.wanted, page_token=token)


@every_list
def test_mangled_token_is_refused(listing: Listing) -> None:
    """One character changed, dropped or added anywhere is noticed."""
    _, token = listing.call(**listing.wanted, page_size=1)
    letters = string.ascii_letters + string.digits
    mangled = {"x", "====", "not a token", "ü", "\0", token[:-1], token[1:], f"{token}=", token * 2}
    for index, letter in enumerate(token):
        other = letters[(letters.find(letter) + 7) % len(letters)]
        mangled.add(token[:index] + other + token[index + 1 :])
    for each in mangled:
        with refused(Reason.PAGE_TOKEN_INVALID):
            listing.call(**listing.wanted, page_token=each)


@every_list
def test_what_comes_meanwhile_moves_no_page(
    listing: Listing, grpc_stub: OrdersServiceStub, webhooks: WebhooksServiceStub
) -> None:
    """The next page goes on after the last one, whatever was made in between."""
    whole, _ = listing.call(page_size=500)
    first, token = listing.call(page_size=2)
    create_product(grpc_stub)
    deliver(webhooks, event_of("meanwhile.test", {"object": "thing"}))
    second, _ = listing.call(page_size=2, page_token=token)
    assert first + second == whole[:4]


def test_default_page_holds_fifty_and_the_largest_five_hundred(
    grpc_stub: OrdersServiceStub,
) -> None:
    """A caller who asks for nothing gets 50, and who asks for too much gets 500."""
    with ThreadPoolExecutor(16) as callers:
        list(callers.map(lambda _: create_product(grpc_stub, tags=["many"]), range(501)))
    page = grpc_stub.ListProducts(pb.ListProductsRequest(tag="many"))
    assert len(page.products) == 50
    page = grpc_stub.ListProducts(pb.ListProductsRequest(tag="many", page_size=501))
    assert len(page.products) == 500
    last = grpc_stub.ListProducts(
        pb.ListProductsRequest(tag="many", page_size=501, page_token=page.next_page_token)
    )
    assert (len(last.products), last.next_page_token) == (1, "")
