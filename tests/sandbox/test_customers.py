"""Customers through the official SDK."""

import pytest
import stripe

from tests.sandbox.harness import Desk


async def test_created_customer_is_read_back(desk: Desk) -> None:
    """A customer has what it was made with."""
    made = await desk.stripe.v1.customers.create_async(
        {"email": "jenny@example.com", "metadata": {"user_id": "u1", "42": "x"}}
    )
    read = await desk.stripe.v1.customers.retrieve_async(made.id)
    assert read.email == "jenny@example.com"
    assert read.metadata is not None
    assert read.metadata.to_dict() == {"user_id": "u1", "42": "x"}


async def test_empty_value_takes_one_metadata_name_out(desk: Desk) -> None:
    """An empty value clears one name, an empty string for all of it clears everything."""
    customer = await desk.stripe.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    update = desk.stripe.v1.customers.update_async
    one = await update(customer.id, {"metadata": {"a": "", "c": "3"}})
    assert one.metadata is not None
    assert one.metadata.to_dict() == {"b": "2", "c": "3"}
    none = await update(customer.id, {"metadata": ""})
    assert none.metadata is not None
    assert none.metadata.to_dict() == {}


async def test_update_names_the_previous_values_in_its_event(desk: Desk) -> None:
    """The event of an update tells what it was before."""
    customer = await desk.stripe.v1.customers.create_async({"name": "Old"})
    await desk.stripe.v1.customers.update_async(customer.id, {"name": "New"})
    event = await desk.event("customer.updated")
    assert event["data"]["previous_attributes"] == {"name": "Old"}


async def test_deleted_customer_is_still_there_as_deleted(desk: Desk) -> None:
    """Reading a deleted customer answers 200 with `deleted`; using it is an error."""
    customer = await desk.new_customer()
    await desk.stripe.v1.customers.delete_async(customer)
    read = await desk.stripe.v1.customers.retrieve_async(customer)
    assert read.deleted
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.customers.update_async(customer, {"name": "x"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert (await desk.stripe.v1.customers.list_async()).data == []


async def test_unknown_customer_is_missing(desk: Desk) -> None:
    """An id in the path that names nothing is a 404, in a parameter a 400."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.stripe.v1.customers.retrieve_async("cus_nobody")
    assert refused.value.http_status == 404
    assert (refused.value.code, refused.value.param) == ("resource_missing", "id")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await desk.new_payment(customer="cus_nobody")
    assert refused.value.http_status == 400
    assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")


async def test_accounts_do_not_see_each_other(desk: Desk) -> None:
    """A key sees its own account's objects only."""
    customer = await desk.new_customer()
    other = desk.client("sk_test_boxoffice_other")
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await other.v1.customers.retrieve_async(customer)


@pytest.mark.parametrize("query", ['metadata["user_id"]:"u7"', "metadata['user_id']:'u7'"])
async def test_search_finds_by_metadata(desk: Desk, query: str) -> None:
    """Both kinds of quotes find a customer."""
    wanted = await desk.stripe.v1.customers.create_async({"metadata": {"user_id": "u7"}})
    await desk.stripe.v1.customers.create_async({"metadata": {"user_id": "u8"}})
    found = await desk.stripe.v1.customers.search_async({"query": query})
    assert [customer.id for customer in found.data] == [wanted.id]


async def test_customer_starts_with_a_payment_method(desk: Desk) -> None:
    """A customer can be made with a payment method attached."""
    customer = await desk.stripe.v1.customers.create_async({"payment_method": "pm_card_visa"})
    methods = await desk.stripe.v1.customers.payment_methods.list_async(customer.id)
    assert len(methods.data) == 1
    assert await desk.events() == ["customer.created", "payment_method.attached"]
