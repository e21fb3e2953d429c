"""Lists, pages and searches."""

from typing import Any

import pytest
import stripe

from tests.sandbox.harness import Desk


async def test_pages_go_both_ways_newest_first(desk: Desk) -> None:
    """Forward with starting_after, back with ending_before."""
    made = [(await desk.new_payment()).id for _ in range(5)][::-1]
    list_page = desk.stripe.v1.payment_intents.list_async
    first = await list_page({"limit": 2})
    assert ([item.id for item in first.data], first.has_more) == (made[:2], True)
    second = await list_page({"limit": 3, "starting_after": made[1]})
    assert ([item.id for item in second.data], second.has_more) == (made[2:], False)
    back = await list_page({"limit": 2, "ending_before": made[4]})
    assert ([item.id for item in back.data], back.has_more) == (made[2:4], True)
    newest = await list_page({"ending_before": made[0]})
    assert (newest.data, newest.has_more) == ([], False)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await list_page({"starting_after": "pi_nothing"})
    assert refused.value.param == "starting_after"


async def test_auto_paging_sees_everything_once(desk: Desk) -> None:
    """The SDK's iterator walks all pages."""
    made = [(await desk.new_payment()).id for _ in range(7)][::-1]
    page = await desk.stripe.v1.payment_intents.list_async({"limit": 3})
    assert [item.id async for item in page.auto_paging_iter()] == made


@pytest.mark.parametrize("limit", [0, 101])
async def test_limit_has_bounds(desk: Desk, limit: int) -> None:
    """From 1 to 100."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.payment_intents.list_async({"limit": limit})
    assert refused.value.param == "limit"


async def test_history_is_filtered_and_expanded(desk: Desk) -> None:
    """By customer and time, with charges and their bookings in it."""
    customer = await desk.new_customer()
    paid = await desk.new_payment(customer=customer, payment_method="pm_card_visa", confirm=True)
    await desk.new_payment()
    page = await desk.stripe.v1.payment_intents.list_async(
        {
            "customer": customer,
            "created": {"gte": paid.created, "lt": paid.created + 60},
            "expand": ["data.latest_charge.balance_transaction", "data.customer"],
        }
    )
    (found,) = page.data
    assert isinstance(found.latest_charge, stripe.Charge)
    assert isinstance(found.latest_charge.balance_transaction, stripe.BalanceTransaction)
    assert isinstance(found.customer, stripe.Customer)
    more = [await desk.new_payment(customer=customer) for _ in range(2)]
    window: Any = {"gte": paid.created, "lte": more[-1].created}
    pages = await desk.stripe.v1.payment_intents.list_async(
        {"customer": customer, "created": window, "limit": 1}
    )
    assert [item.id async for item in pages.auto_paging_iter()] == [
        more[1].id,
        more[0].id,
        paid.id,
    ]
    later = await desk.stripe.v1.payment_intents.list_async({"created": {"gt": paid.created + 9}})
    assert later.data == []
    charges = await desk.stripe.v1.charges.list_async({"payment_intent": paid.id})
    assert [charge.id for charge in charges.data] == [found.latest_charge.id]


async def test_search_reads_stripes_language(desk: Desk) -> None:
    """Metadata, status and amount, joined and negated."""
    first = await desk.new_payment(metadata={"order_id": "o'1"}, amount=500)
    second = await desk.new_payment(
        metadata={"order_id": "o2"}, payment_method="pm_card_visa", confirm=True
    )
    for query, expected in (
        ('metadata["order_id"]:"o2"', [second.id]),
        ("metadata['order_id']:'o2'", [second.id]),
        ("metadata['order_id']:'o\\'1'", [first.id]),
        ("metadata['order_id']~'o'", [second.id, first.id]),
        ("status:'succeeded' AND amount>900", [second.id]),
        ("status:'succeeded' OR amount<=500", [second.id, first.id]),
        ("-status:'succeeded'", [first.id]),
        ("metadata['order_id']:null", []),
    ):
        found = await desk.stripe.v1.payment_intents.search_async({"query": query})
        assert [item.id for item in found.data] == expected, query


async def test_search_pages(desk: Desk) -> None:
    """A search goes on where its page ended."""
    made = [(await desk.new_payment()).id for _ in range(3)][::-1]
    query = "currency:'eur'"
    first = await desk.stripe.v1.payment_intents.search_async({"query": query, "limit": 2})
    assert first.next_page is not None
    second = await desk.stripe.v1.payment_intents.search_async(
        {"query": query, "limit": 2, "page": first.next_page}
    )
    assert [item.id for item in first.data + second.data] == made


@pytest.mark.parametrize(
    "query",
    ["", "status", "status:", "planet:'x'", "status:'a' AND", "a AND b", "status:'a' status"],
)
async def test_unreadable_search_is_refused(desk: Desk, query: str) -> None:
    """A query that isn't Stripe's language."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.payment_intents.search_async({"query": query})
    assert refused.value.param == "query"
