"""Stripe Sources as a customer's device makes them, and orders that wait for one."""

from boxoffice.orders.v1 import orders_pb2
from boxoffice.payments.v1 import payments_pb2 as pb
from tests.support.calls import new_request_id, new_user
from tests.support.desk import Desk
from tests.support.sales import create_product
from tests.support.service import Json


def ordered(desk: Desk, **fields: object) -> orders_pb2.Order:
    """Make an order that waits for a Source; `fields` are more of the product's."""
    product = create_product(desk.orders, **fields)
    request = orders_pb2.CreateOrderRequest(
        request_id=new_request_id(), user_id=new_user(), product_id=product.id
    )
    return desk.orders.CreateOrder(request).order


def source_form(order: orders_pb2.Order, type_: str, card: str = "visa") -> dict[str, object]:
    """What a device sends to Stripe for an order."""
    form: dict[str, object] = {
        "type": type_,
        "amount": order.price.amount,
        "currency": order.price.currency_code,
        "metadata[boxoffice_order_id]": order.id,
        "metadata[boxoffice_user_id]": order.user_id,
    }
    if type_ == "card":
        return form | {"token": f"tok_{card}"}
    return form | {"redirect[return_url]": "https://example.com"}


def make_source(
    desk: Desk, order: orders_pb2.Order, type_: str = "bancontact", **changes: object
) -> Json:
    """Make a Source for an order. One of a card is chargeable at once, others at the bank."""
    form = source_form(order, type_) | changes
    return desk.account.call("POST", "sources", **form)


def authorise(desk: Desk, source: Json) -> None:
    """Send the customer to the bank, who agrees: the Source is chargeable."""
    desk.press(f"sources/{source['id']}", "authenticate")


def charge_source(order_id: str, source_id: str, request_id: str = "") -> pb.CreateChargeRequest:
    """Ask for a Source to be charged, under a new request id."""
    return pb.CreateChargeRequest(
        request_id=request_id or new_request_id(),
        order_id=order_id,
        stripe_source_id=source_id,
    )


def charges_for(desk: Desk, order: orders_pb2.Order) -> list[Json]:
    """Stripe's charges for an order, newest first."""
    return [
        each
        for each in desk.account.everything("charges")
        if each["metadata"].get("boxoffice_order_id") == order.id
    ]
