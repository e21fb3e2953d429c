"""Between generated messages and the domain: one function per direction and type, all total.

Enums convert by name: the proto's words are the domain's, with the enum's own prefix.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import TypeVar

from google.protobuf import struct_pb2, timestamp_pb2

from boxoffice.common.v1 import money_pb2
from boxoffice.orders.v1 import orders_pb2
from boxoffice.webhooks.v1 import webhooks_pb2
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.order import (
    ManualStatus,
    Order,
    OrderEvent,
    OrderEventType,
    OrderStatus,
)
from boxoffice_server.domain.payment import PaymentFact
from boxoffice_server.domain.product import DataValue, Product, PropertyType, SchemaProperty
from boxoffice_server.domain.task import Task, TaskState

E = TypeVar("E", bound=StrEnum)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(time: datetime) -> timestamp_pb2.Timestamp:
    """Write an aware time."""
    # FromDatetime takes five times as long, and there are several times in most answers.
    since = time - _EPOCH
    return timestamp_pb2.Timestamp(
        seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000
    )


def from_timestamp(stamp: timestamp_pb2.Timestamp, field: str) -> datetime:
    """Read a time, or refuse one that no calendar has."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid_field(field, "must be a time from year 1 to 9999") from error


def enum_name(member: StrEnum, prefix: str) -> str:
    """Name a domain's word as its enum does."""
    return f"{prefix}_{member.name}"


def member(type_: type[E], name: str, prefix: str, field: str) -> E:
    """Find the domain's word for an enum's name, or refuse one that is none of ours."""
    try:
        return type_[name.removeprefix(f"{prefix}_")]
    except KeyError as error:
        known = ", ".join(enum_name(each, prefix) for each in type_)
        raise invalid_field(field, f"must be one of {known}") from error


def to_money(money: Money) -> money_pb2.Money:
    """Write money."""
    return money_pb2.Money(amount=money.amount, currency_code=money.currency)


def from_money(message: money_pb2.Money) -> Money:
    """Read money as it stands; whether it is a price is the domain's to say."""
    return Money(amount=message.amount, currency=message.currency_code)


def to_product(product: Product) -> orders_pb2.Product:
    """Write a product."""
    message = orders_pb2.Product(
        id=product.id,
        name=product.name,
        prices=[to_money(price) for price in product.prices],
        task_function_name=product.task_function_name,
        task_priority=product.task_priority,
        tags=product.tags,
        etag=str(product.version),
        created_by=product.created_by,
        create_time=to_timestamp(product.create_time),
        update_time=to_timestamp(product.update_time),
    )
    for each in product.schema:
        message.schema.properties.add(
            name=each.name,
            type=orders_pb2.SchemaPropertyType.Value(enum_name(each.type, "SCHEMA_PROPERTY_TYPE")),
            required=each.required,
        )
    if product.delete_time is not None:
        message.delete_time.CopyFrom(to_timestamp(product.delete_time))
    return message


def from_schema(message: orders_pb2.ProductSchema) -> tuple[SchemaProperty, ...]:
    """Read a product's schema."""
    return tuple(
        SchemaProperty(
            name=each.name,
            type=member(
                PropertyType,
                enum_text(orders_pb2.SchemaPropertyType, each.type),
                "SCHEMA_PROPERTY_TYPE",
                f"product.schema.properties[{index}].type",
            ),
            required=each.required,
        )
        for index, each in enumerate(message.properties)
    )


def enum_text(enum: object, number: int) -> str:
    """Name an enum's number; a number without a name stays a number, which no word matches."""
    try:
        return str(enum.Name(number))  # type: ignore[attr-defined]  # every generated enum has it
    except ValueError:
        return str(number)


def to_data(data: dict[str, DataValue]) -> struct_pb2.Struct:
    """Write an order's data."""
    message = struct_pb2.Struct()
    message.update(data)
    return message


def from_data(message: struct_pb2.Struct) -> dict[str, object]:
    """Read an order's data as it stands; whether it fits is the product's to say."""
    values: dict[str, object] = {}
    for name, value in message.fields.items():
        match value.WhichOneof("kind"):
            case "string_value":
                values[name] = value.string_value
            case "bool_value":
                values[name] = value.bool_value
            case "number_value":
                values[name] = value.number_value
            case _:
                values[name] = None
    return values


def to_order(order: Order) -> orders_pb2.Order:
    """Write an order."""
    return orders_pb2.Order(
        id=order.id,
        user_id=order.user_id,
        target_user_id=order.target_user_id,
        created_by=order.created_by,
        status=to_order_status(order.status),
        price=to_money(order.price),
        product=_to_sold(order.product),
        data=to_data(order.data),
        tags=order.tags,
        payment_id=order.payment_id,
        vendor_events=[_to_vendor_event(fact) for fact in order.vendor_events],
        etag=str(order.version),
        create_time=to_timestamp(order.create_time),
        update_time=to_timestamp(order.update_time),
        manual_statuses=[_to_manual_status(each) for each in order.manual],
    )


# Many orders have the same product, which takes as long to write as the rest of them. The message
# is copied into each order's.
_to_sold = lru_cache(maxsize=256)(to_product)


def _to_manual_status(manual: ManualStatus) -> orders_pb2.ManualStatus:
    return orders_pb2.ManualStatus(
        status=to_order_status(manual.status),
        reason=manual.reason,
        actor=manual.actor,
        create_time=to_timestamp(manual.create_time),
    )


@cache
def to_order_status(status: OrderStatus) -> orders_pb2.OrderStatus.ValueType:
    """Write an order's status."""
    return orders_pb2.OrderStatus.Value(enum_name(status, "ORDER_STATUS"))


def from_order_status(number: orders_pb2.OrderStatus.ValueType, field: str) -> OrderStatus:
    """Read a status, which must be one."""
    return member(OrderStatus, enum_text(orders_pb2.OrderStatus, number), "ORDER_STATUS", field)


def from_order_statuses(
    numbers: Iterable[orders_pb2.OrderStatus.ValueType], field: str
) -> tuple[OrderStatus, ...]:
    """Read the statuses of a filter."""
    return tuple(
        from_order_status(number, f"{field}[{index}]") for index, number in enumerate(numbers)
    )


def _to_vendor_event(fact: PaymentFact) -> orders_pb2.VendorEvent:
    return orders_pb2.VendorEvent(
        type=fact.type,
        vendor_event_id=fact.id,
        resource_id=fact.resource_id,
        resource_type=fact.resource_type,
        event_time=to_timestamp(fact.event_time),
    )


def to_order_event(event: OrderEvent) -> orders_pb2.OrderEvent:
    """Write an order event, without the position that the log gives it."""
    previous = event.previous_status
    return orders_pb2.OrderEvent(
        id=event.id,
        type=_to_order_event_type(event.type),
        previous_status=(
            orders_pb2.ORDER_STATUS_UNSPECIFIED if previous is None else to_order_status(previous)
        ),
        order=to_order(event.order),
        create_time=to_timestamp(event.create_time),
    )


@cache
def _to_order_event_type(type_: OrderEventType) -> orders_pb2.OrderEventType.ValueType:
    return orders_pb2.OrderEventType.Value(enum_name(type_, "ORDER_EVENT_TYPE"))


def to_task(task: Task) -> orders_pb2.Task:
    """Write a task."""
    offered = task.state is TaskState.OFFERED and task.lease_time is not None
    available = task.lease_time if offered and task.lease_time else task.available_time
    message = orders_pb2.Task(
        id=task.id,
        order_id=task.order_id,
        function_name=task.function_name,
        priority=task.priority,
        state=orders_pb2.TaskState.Value(enum_name(task.state, "TASK_STATE")),
        attempts=task.attempts,
        worker_id=task.worker_id,
        available_time=to_timestamp(available),
        create_time=to_timestamp(task.create_time),
    )
    if task.acknowledge_time is not None:
        message.acknowledge_time.CopyFrom(to_timestamp(task.acknowledge_time))
    return message


def from_task_states(
    numbers: Iterable[orders_pb2.TaskState.ValueType], field: str
) -> tuple[TaskState, ...]:
    """Read the states of a filter."""
    return tuple(
        member(
            TaskState, enum_text(orders_pb2.TaskState, number), "TASK_STATE", f"{field}[{index}]"
        )
        for index, number in enumerate(numbers)
    )


def to_notification(notification: Notification) -> webhooks_pb2.Notification:
    """Write a notification, without its body."""
    return webhooks_pb2.Notification(
        id=notification.id,
        source=webhooks_pb2.NotificationSource.Value(
            enum_name(notification.source, "NOTIFICATION_SOURCE")
        ),
        vendor_event_id=notification.vendor_event_id,
        type=notification.type,
        state=webhooks_pb2.NotificationState.Value(
            enum_name(notification.state, "NOTIFICATION_STATE")
        ),
        resource_id=notification.resource_id,
        order_id=notification.order_id,
        payment_id=notification.payment_id,
        event_time=to_timestamp(notification.event_time),
        receive_time=to_timestamp(notification.receive_time),
    )


def from_notification_source(
    number: webhooks_pb2.NotificationSource.ValueType, field: str
) -> Source:
    """Read a vendor's name."""
    name = enum_text(webhooks_pb2.NotificationSource, number)
    return member(Source, name, "NOTIFICATION_SOURCE", field)


def from_notification_state(
    number: webhooks_pb2.NotificationState.ValueType, field: str
) -> NotificationState:
    """Read the state of a filter."""
    name = enum_text(webhooks_pb2.NotificationState, number)
    return member(NotificationState, name, "NOTIFICATION_STATE", field)


def order_not_found(order_id: str) -> BoxofficeError:
    """Refuse an order that is not there."""
    return BoxofficeError(
        Reason.ORDER_NOT_FOUND,
        f"there is no order {order_id}",
        metadata={"order_id": order_id},
    )
