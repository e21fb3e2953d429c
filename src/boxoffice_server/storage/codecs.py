"""How the domain's objects are written as rows, and read from them.

Every column is written and read here, by name; an unknown word in a row is an error, never a guess.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import RowMapping

from boxoffice_server.domain.money import Money
from boxoffice_server.domain.notification import Notification, NotificationState, Source
from boxoffice_server.domain.order import ManualStatus, Order, OrderStatus
from boxoffice_server.domain.payment import FactOrigin, PaymentFact, PaymentFailure, PaymentSignal
from boxoffice_server.domain.product import Product, PropertyType, SchemaProperty
from boxoffice_server.domain.task import Task, TaskState
from boxoffice_server.ports import Operation, OperationKey
from boxoffice_server.storage.times import (
    from_microseconds,
    from_microseconds_or_none,
    to_microseconds,
    to_microseconds_or_none,
)

Values = dict[str, Any]
"""A row to be: columns by name."""

Row = RowMapping | Mapping[str, Any]
"""A row that was read."""


# How many products, as they were sold, are kept in memory.
_MOST_SOLD = 256

# json.dumps would make an encoder each time.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def text(value: object) -> str:
    """Write a list or an object that nothing searches."""
    return _encode(value)


# -- products -------------------------------------------------------------------------------------


def from_product(product: Product) -> Values:
    """Write a product as a row."""
    return {
        "id": product.id,
        "name": product.name,
        "prices": text([[price.currency, price.amount] for price in product.prices]),
        "schema": text([[each.name, each.type, each.required] for each in product.schema]),
        "task_function_name": product.task_function_name,
        "task_priority": product.task_priority,
        "tags": text(product.tags),
        "created_by": product.created_by,
        "version": product.version,
        "create_time": to_microseconds(product.create_time),
        "update_time": to_microseconds(product.update_time),
        "delete_time": to_microseconds_or_none(product.delete_time),
    }


def to_product(row: Row) -> Product:
    """Read a product from its row."""
    prices = json.loads(row["prices"])
    schema = json.loads(row["schema"])
    return Product(
        id=row["id"],
        name=row["name"],
        prices=tuple(Money(amount=amount, currency=currency) for currency, amount in prices),
        schema=tuple(
            SchemaProperty(name=name, type=PropertyType(type_), required=required)
            for name, type_, required in schema
        ),
        task_function_name=row["task_function_name"],
        task_priority=row["task_priority"],
        tags=tuple(json.loads(row["tags"])),
        created_by=row["created_by"],
        version=row["version"],
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
        delete_time=from_microseconds_or_none(row["delete_time"]),
    )


# -- orders and the facts that move them ----------------------------------------------------------


def from_order(order: Order) -> Values:
    """Write an order as a row. The product as it was sold is written as its row would be."""
    return {
        "id": order.id,
        "user_id": order.user_id,
        "target_user_id": order.target_user_id,
        "created_by": order.created_by,
        "status": order.status.value,
        "amount": order.price.amount,
        "currency": order.price.currency,
        "product_id": order.product.id,
        "product": _from_sold(order.product),
        "data": text(order.data),
        "tags": text(order.tags),
        "payment_id": order.payment_id,
        "vendor_events": text([from_fact(fact) for fact in order.vendor_events]),
        "manual": text([_from_manual(each) for each in order.manual]),
        "version": order.version,
        "create_time": to_microseconds(order.create_time),
        "update_time": to_microseconds(order.update_time),
    }


def to_order(row: Row) -> Order:
    """Read an order from its row."""
    return Order(
        id=row["id"],
        user_id=row["user_id"],
        target_user_id=row["target_user_id"],
        created_by=row["created_by"],
        status=OrderStatus(row["status"]),
        price=Money(amount=row["amount"], currency=row["currency"]),
        product=_to_sold(row["product"]),
        data=json.loads(row["data"]),
        tags=tuple(json.loads(row["tags"])),
        payment_id=row["payment_id"],
        vendor_events=tuple(to_fact(each) for each in json.loads(row["vendor_events"])),
        manual=tuple(_to_manual(each) for each in json.loads(row["manual"])),
        version=row["version"],
        create_time=from_microseconds(row["create_time"]),
        update_time=from_microseconds(row["update_time"]),
    )


# Many orders have the same product, which takes as long to write and read as the rest of them.
@lru_cache(maxsize=_MOST_SOLD)
def _from_sold(product: Product) -> str:
    return text(from_product(product))


@lru_cache(maxsize=_MOST_SOLD)
def _to_sold(value: str) -> Product:
    return to_product(json.loads(value))


def _from_manual(manual: ManualStatus) -> list[object]:
    time = to_microseconds(manual.create_time)
    over = None if manual.over is None else manual.over.value
    return [manual.status.value, manual.reason, manual.actor, time, over]


def _to_manual(value: list[Any]) -> ManualStatus:
    status, reason, actor, time, over = value
    return ManualStatus(
        status=OrderStatus(status),
        reason=reason,
        actor=actor,
        create_time=from_microseconds(time),
        over=None if over is None else OrderStatus(over),
    )


def from_fact(fact: PaymentFact) -> Values:
    """Write a fact as a row, but for its payment."""
    return {
        "fact_id": fact.id,
        "origin": fact.origin.value,
        "type": fact.type,
        "resource_type": fact.resource_type,
        "resource_id": fact.resource_id,
        "event_time": to_microseconds(fact.event_time),
        "signal": fact.signal.value,
        "failure": from_failure(fact.failure),
        "amount": fact.amount,
    }


def to_fact(row: Row) -> PaymentFact:
    """Read a fact from its row."""
    return PaymentFact(
        id=row["fact_id"],
        origin=FactOrigin(row["origin"]),
        type=row["type"],
        resource_type=row["resource_type"],
        resource_id=row["resource_id"],
        event_time=from_microseconds(row["event_time"]),
        signal=PaymentSignal(row["signal"]),
        failure=to_failure(row["failure"]),
        # A fact that is kept with an order from before amounts were told has none.
        amount=row.get("amount"),
    )


def from_failure(failure: PaymentFailure | None) -> str | None:
    """Write why an attempt failed."""
    if failure is None:
        return None
    return text([failure.code, failure.decline_code, failure.message])


def to_failure(value: str | None) -> PaymentFailure | None:
    """Read why an attempt failed."""
    if value is None:
        return None
    code, decline_code, message = json.loads(value)
    return PaymentFailure(code=code, decline_code=decline_code, message=message)


# -- tasks ----------------------------------------------------------------------------------------


def from_task(task: Task) -> Values:
    """Write a task as a row."""
    return {
        "id": task.id,
        "order_id": task.order_id,
        "function_name": task.function_name,
        "priority": task.priority,
        "state": task.state.value,
        "attempts": task.attempts,
        "worker_id": task.worker_id,
        "lease_id": task.lease_id,
        "lease_time": to_microseconds_or_none(task.lease_time),
        "available_time": to_microseconds(task.available_time),
        "create_time": to_microseconds(task.create_time),
        "acknowledge_time": to_microseconds_or_none(task.acknowledge_time),
    }


def to_task(row: Row) -> Task:
    """Read a task from its row."""
    return Task(
        id=row["id"],
        order_id=row["order_id"],
        function_name=row["function_name"],
        priority=row["priority"],
        state=TaskState(row["state"]),
        attempts=row["attempts"],
        worker_id=row["worker_id"],
        lease_id=row["lease_id"],
        lease_time=from_microseconds_or_none(row["lease_time"]),
        available_time=from_microseconds(row["available_time"]),
        create_time=from_microseconds(row["create_time"]),
        acknowledge_time=from_microseconds_or_none(row["acknowledge_time"]),
    )


# -- the inbox, and what was asked for ------------------------------------------------------------


def from_notification(notification: Notification) -> Values:
    """Write a notification as a row."""
    return {
        "id": notification.id,
        "source": notification.source.value,
        "vendor_event_id": notification.vendor_event_id,
        "type": notification.type,
        "resource_id": notification.resource_id,
        "event_time": to_microseconds(notification.event_time),
        "receive_time": to_microseconds(notification.receive_time),
        "state": notification.state.value,
        "order_id": notification.order_id,
        "payment_id": notification.payment_id,
        "related_id": notification.related_id,
        "body": notification.body,
    }


def to_notification(row: Row) -> Notification:
    """Read a notification from its row."""
    return Notification(
        id=row["id"],
        source=Source(row["source"]),
        vendor_event_id=row["vendor_event_id"],
        type=row["type"],
        resource_id=row["resource_id"],
        event_time=from_microseconds(row["event_time"]),
        receive_time=from_microseconds(row["receive_time"]),
        state=NotificationState(row["state"]),
        order_id=row["order_id"],
        payment_id=row["payment_id"],
        related_id=row["related_id"],
        body=row["body"],
    )


def from_operation(operation: Operation) -> Values:
    """Write an operation as a row."""
    return {
        "caller": operation.key.caller,
        "operation": operation.key.operation,
        "request_id": operation.key.request_id,
        "id": operation.id,
        "fingerprint": operation.fingerprint,
        "resource_id": operation.resource_id,
        "details": text(dict(operation.details)),
        "answer": operation.answer,
        "failed": operation.failed,
        "settled": operation.settled,
        "owner": operation.owner,
        "lease_time": to_microseconds_or_none(operation.lease_time),
        "tries": operation.tries,
        "attempt": operation.attempt,
        "key_spent": operation.key_spent,
        "create_time": to_microseconds(operation.create_time),
    }


def to_operation(row: Row) -> Operation:
    """Read an operation from its row."""
    return Operation(
        key=OperationKey(
            caller=row["caller"], operation=row["operation"], request_id=row["request_id"]
        ),
        id=row["id"],
        fingerprint=row["fingerprint"],
        resource_id=row["resource_id"],
        details=json.loads(row["details"]),
        answer=row["answer"],
        failed=row["failed"],
        settled=row["settled"],
        owner=row["owner"],
        lease_time=from_microseconds_or_none(row["lease_time"]),
        tries=row["tries"],
        attempt=row["attempt"],
        key_spent=row["key_spent"],
        create_time=from_microseconds(row["create_time"]),
    )


def tag_rows(owner: str, owner_id: str, tags: Iterable[str]) -> list[Values]:
    """Write the rows that tags are searched by."""
    return [{"tag": tag, owner: owner_id} for tag in tags]
