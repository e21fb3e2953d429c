"""Orders in SQL."""

from sqlalchemy import ColumnElement, delete, insert, select

from boxoffice_server.domain.order import Order
from boxoffice_server.ports import OrderFilter
from boxoffice_server.storage.codecs import from_order, tag_rows, to_order
from boxoffice_server.storage.rows import Row, insert_row, newest_first, one_row, update_row
from boxoffice_server.storage.session import Session
from boxoffice_server.storage.tables import order_tags, orders
from boxoffice_server.storage.times import to_microseconds


class SqlOrders:
    """Implements ports.OrderRepository."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # Those that nobody else can change before this transaction ends.
        self._held: dict[str, Order] = {}
        self._made: set[str] = set()
        # The tags that this transaction has seen in the database: most changes leave them alone.
        self._tags: dict[str, tuple[str, ...]] = {}

    def insert(self, order: Order) -> None:
        insert_row(self._session, orders, from_order(order))
        self._insert_tags(order)
        self._held[order.id] = order
        self._made.add(order.id)

    def get(self, order_id: str, *, lock: bool = False) -> Order | None:
        if order_id in self._held:
            return self._held[order_id]
        row = one_row(self._session, orders, lock=lock, id=order_id)
        if row is None:
            return None
        return self.locked(row) if lock else self._seen(row)

    def holds(self, order_id: str) -> bool:
        """Tell whether nobody else can change it before this transaction ends."""
        return order_id in self._held

    def hold(self, order: Order) -> None:
        """Take one to be as it is here, and locked."""
        self._held[order.id] = order
        self._tags[order.id] = order.tags

    def made(self, order_id: str) -> Order | None:
        """Answer an order that this transaction has inserted, as it is now."""
        return self._held[order_id] if order_id in self._made else None

    def locked(self, row: Row) -> Order:
        """Take in a row that was locked."""
        order = self._held[row["id"]] = self._seen(row)
        return order

    def _seen(self, row: Row) -> Order:
        order = to_order(row)
        self._tags[order.id] = order.tags
        return order

    def update(self, order: Order) -> None:
        update_row(self._session, orders, from_order(order), "id")
        if self._tags.get(order.id) != order.tags:
            self._session.connection.execute(
                delete(order_tags).where(order_tags.c.order_id == order.id)
            )
            self._insert_tags(order)
        self._held[order.id] = order

    def find(self, wanted: OrderFilter, *, before_id: str, limit: int) -> list[Order]:
        rows = newest_first(
            self._session,
            select(orders),
            key=orders.c.id,
            before=before_id,
            limit=limit,
            wanted=_conditions(wanted),
        )
        return [to_order(row) for row in rows]

    def _insert_tags(self, order: Order) -> None:
        if rows := tag_rows("order_id", order.id, order.tags):
            self._session.connection.execute(insert(order_tags), rows)
        self._tags[order.id] = order.tags


def _conditions(wanted: OrderFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.order_ids:
        found.append(orders.c.id.in_(wanted.order_ids))
    if wanted.user_id:
        found.append(orders.c.user_id == wanted.user_id)
    if wanted.target_user_id:
        found.append(orders.c.target_user_id == wanted.target_user_id)
    if wanted.statuses:
        found.append(orders.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.product_id:
        found.append(orders.c.product_id == wanted.product_id)
    if wanted.tag:
        tagged = select(order_tags.c.order_id).where(order_tags.c.tag == wanted.tag)
        found.append(orders.c.id.in_(tagged))
    if wanted.from_time is not None:
        found.append(orders.c.create_time >= to_microseconds(wanted.from_time))
    if wanted.until_time is not None:
        found.append(orders.c.create_time < to_microseconds(wanted.until_time))
    return found
