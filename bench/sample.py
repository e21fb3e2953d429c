"""Orders as they really are, for benchmarks that write to a store themselves."""

from datetime import UTC, datetime

from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.order import Order, OrderEvent, OrderStatus, change
from boxoffice_server.domain.product import Product, PropertyType, SchemaProperty


def new_order(number: int) -> Order:
    """Make an order of a user of its own."""
    now = datetime.now(UTC)
    product = Product(
        id=new_id(Prefix.PRODUCT, now),
        name="Wellness exam",
        prices=(Money(amount=4900, currency="eur"), Money(amount=5200, currency="usd")),
        schema=(SchemaProperty(name="patient", type=PropertyType.STRING, required=True),),
        task_function_name="",
        task_priority=0,
        tags=("clinic",),
        created_by="development",
        version=1,
        create_time=now,
        update_time=now,
    )
    return Order(
        id=new_id(Prefix.ORDER, now),
        user_id=f"user-{number}",
        target_user_id=f"user-{number}",
        created_by="development",
        status=OrderStatus.CREATED,
        price=product.prices[0],
        product=product,
        data={"patient": f"patient {number}"},
        tags=(),
        payment_id=new_id(Prefix.PAYMENT, now),
        vendor_events=(),
        version=1,
        create_time=now,
        update_time=now,
    )


def next_event(order: Order) -> OrderEvent:
    """Change an order's status, there and back again."""
    paid = order.status is not OrderStatus.PAID
    event = change(
        order,
        now=datetime.now(UTC),
        status=OrderStatus.PAID if paid else OrderStatus.CREATED,
    )
    assert event is not None
    return event
