"""The tables, the same on SQLite and PostgreSQL.

Times are integers (times.py). Lists and objects that nothing searches are JSON text. Tags are kept
twice: in their order on the row, and one by one where they are searched. Those of subscriptions
are in subscription_tables.py.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    TextClause,
    UniqueConstraint,
    Uuid,
    text,
)

# Those of subscriptions are imported for what they add to the metadata.
from boxoffice_server.storage import columns, subscription_tables  # noqa: F401

metadata = columns.metadata
_Text = columns.Text
_Time = columns.Time

# SQLite numbers the rows of a table by itself only where the key is an INTEGER.
_RowNumber = BigInteger().with_variant(Integer(), "sqlite")

# Written as literals: SQLite uses a partial index only where a query says the same.
UNFINISHED = text("state IN ('pending', 'offered')")
UNNUMBERED = text("position IS NULL")
NUMBERED = text("position IS NOT NULL")
UNSETTLED = text("NOT settled AND answer IS NULL")
OVERDUE = text("action_deadline IS NOT NULL")

products = Table(
    "products",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("name", _Text, nullable=False),
    Column("prices", _Text, nullable=False),
    Column("schema", _Text, nullable=False),
    Column("task_function_name", _Text, nullable=False),
    Column("task_priority", Integer, nullable=False),
    Column("tags", _Text, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Column("delete_time", _Time),
)

product_tags = Table(
    "product_tags",
    metadata,
    Column("tag", _Text, primary_key=True),
    Column("product_id", _Text, ForeignKey(products.c.id), primary_key=True),
    Index(None, "product_id"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("user_id", _Text, nullable=False),
    Column("target_user_id", _Text, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", _Text, nullable=False),
    Column("product_id", _Text, nullable=False),
    Column("product", _Text, nullable=False),
    Column("data", _Text, nullable=False),
    Column("tags", _Text, nullable=False),
    Column("payment_id", _Text, nullable=False),
    Column("vendor_events", _Text, nullable=False),
    Column("manual", _Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Index(None, "user_id", "id"),
    Index(None, "target_user_id", "id"),
    Index(None, "status", "id"),
    Index(None, "product_id", "id"),
    Index(None, "create_time"),
)

order_tags = Table(
    "order_tags",
    metadata,
    Column("tag", _Text, primary_key=True),
    Column("order_id", _Text, ForeignKey(orders.c.id), primary_key=True),
    Index(None, "order_id"),
)

payments = Table(
    "payments",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("user_id", _Text, nullable=False),
    Column("order_id", _Text, nullable=False),
    Column("created_by", _Text, nullable=False),
    Column("description", _Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", _Text, nullable=False),
    Column("flow", _Text, nullable=False),
    Column("method_type", _Text, nullable=False),
    Column("capture_method", _Text, nullable=False),
    Column("reuse", _Text),
    Column("off_session", Boolean, nullable=False),
    Column("payment_method_id", _Text, nullable=False),
    # NULL until Stripe has answered, so that they can be unique.
    Column("stripe_payment_intent_id", _Text, unique=True),
    Column("stripe_charge_id", _Text, unique=True),
    Column("status", _Text, nullable=False),
    Column("pending_reason", _Text),
    Column("last_failure", _Text),
    Column("authorised", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("refund_time", _Time),
    Column("disputed", Boolean, nullable=False),
    Column("action_deadline", _Time),
    Column("version", BigInteger, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Index(None, "user_id", "id"),
    Index(None, "order_id"),
    Index(None, "status", "id"),
    Index(None, "create_time"),
)
Index(
    "ix_payments_overdue",
    payments.c.action_deadline,
    sqlite_where=OVERDUE,
    postgresql_where=OVERDUE,
)

payment_facts = Table(
    "payment_facts",
    metadata,
    Column("payment_id", _Text, ForeignKey(payments.c.id), primary_key=True),
    Column("fact_id", _Text, primary_key=True),
    Column("origin", _Text, nullable=False),
    Column("type", _Text, nullable=False),
    Column("resource_type", _Text, nullable=False),
    Column("resource_id", _Text, nullable=False),
    Column("event_time", _Time, nullable=False),
    Column("signal", _Text, nullable=False),
    Column("failure", _Text),
    Column("amount", BigInteger),
)

customers = Table(
    "customers",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("user_id", _Text, nullable=False, unique=True),
    # NULL until Stripe has answered.
    Column("stripe_customer_id", _Text, unique=True),
    Column("create_time", _Time, nullable=False),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("payment_id", _Text, ForeignKey(payments.c.id), nullable=False),
    Column("user_id", _Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("reason", _Text),
    Column("failure_reason", _Text, nullable=False),
    # NULL until Stripe has answered.
    Column("stripe_refund_id", _Text, unique=True),
    Column("heard_time", _Time),
    Column("succeed_time", _Time),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Index(None, "payment_id", "create_time"),
    Index(None, "user_id", "create_time"),
    Index(None, "create_time", "id"),
)

disputes = Table(
    "disputes",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("payment_id", _Text, ForeignKey(payments.c.id), nullable=False),
    Column("user_id", _Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("evidence_due_time", _Time),
    Column("stripe_dispute_id", _Text, nullable=False, unique=True),
    Column("heard_time", _Time, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Index(None, "payment_id", "create_time"),
    Index(None, "user_id", "create_time"),
    Index(None, "create_time", "id"),
)

payment_methods = Table(
    "payment_methods",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("user_id", _Text, nullable=False),
    Column("stripe_payment_method_id", _Text, nullable=False, unique=True),
    Column("type", _Text, nullable=False),
    Column("brand", _Text, nullable=False),
    Column("exp_month", Integer, nullable=False),
    Column("exp_year", Integer, nullable=False),
    Column("last4", _Text, nullable=False),
    Column("tags", _Text, nullable=False),
    Column("heard_time", _Time, nullable=False),
    Column("detach_time", _Time),
    Column("version", BigInteger, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("update_time", _Time, nullable=False),
    Index(None, "user_id", "create_time"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("order_id", _Text, nullable=False, unique=True),
    Column("function_name", _Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", _Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker_id", _Text, nullable=False),
    Column("lease_id", _Text, nullable=False),
    Column("lease_time", _Time),
    Column("available_time", _Time, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("acknowledge_time", _Time),
    Index(None, "function_name", "id"),
    Index(None, "state", "id"),
)
Index(
    "ix_tasks_unfinished",
    tasks.c.function_name,
    tasks.c.available_time,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("source", _Text, nullable=False),
    Column("vendor_event_id", _Text, nullable=False),
    Column("type", _Text, nullable=False),
    Column("resource_id", _Text, nullable=False),
    Column("event_time", _Time, nullable=False),
    Column("receive_time", _Time, nullable=False),
    Column("state", _Text, nullable=False),
    Column("order_id", _Text, nullable=False),
    Column("payment_id", _Text, nullable=False),
    Column("related_id", _Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("source", "vendor_event_id"),
    Index(None, "type", "id"),
    Index(None, "state", "id"),
    Index(None, "resource_id"),
    Index(None, "related_id"),
)

operations = Table(
    "operations",
    metadata,
    Column("caller", _Text, primary_key=True),
    Column("operation", _Text, primary_key=True),
    Column("request_id", _Text, primary_key=True),
    Column("id", _Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("resource_id", _Text, nullable=False),
    Column("details", _Text, nullable=False),
    Column("answer", LargeBinary),
    Column("failed", Boolean, nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("owner", _Text, nullable=False),
    Column("lease_time", _Time),
    Column("tries", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("key_spent", Boolean, nullable=False),
    Column("create_time", _Time, nullable=False),
)
for _column in (operations.c.resource_id, operations.c.lease_time):
    Index(
        f"ix_operations_unsettled_{_column.name}",
        _column,
        sqlite_where=UNSETTLED,
        postgresql_where=UNSETTLED,
    )

# `append_id` rises as records are made, `position` as they become visible: see log.py.
# `high_time` is the latest create_time among this record and all before it.
log = Table(
    "log",
    metadata,
    Column("append_id", _RowNumber, primary_key=True, autoincrement=True),
    Column("group_label", _Text, nullable=False),
    Column("position", BigInteger),
    Column("high_time", _Time),
    Column("event_id", _Text, nullable=False, unique=True),
    Column("kind", _Text, nullable=False),
    Column("subject_id", _Text, nullable=False),
    Column("user_id", _Text, nullable=False),
    Column("product_id", _Text, nullable=False),
    Column("status", _Text, nullable=False),
    Column("create_time", _Time, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    # Empty where the record tells of no subscription.
    Column("scope", _Text, nullable=False),
    Column("subscription_group", _Text, nullable=False),
    sqlite_autoincrement=True,
)


def _log_index(name: str, *columns: Column[Any], only: TextClause, unique: bool = False) -> None:
    """Index only the records that have a position, or only those that have none.

    A record enters the indexes for readers when it is numbered, not twice.
    """
    Index(f"ix_log_{name}", *columns, unique=unique, sqlite_where=only, postgresql_where=only)


_log_index("position", log.c.position, only=NUMBERED, unique=True)
_log_index("subject_id_position", log.c.subject_id, log.c.position, only=NUMBERED)
_log_index("user_id_position", log.c.user_id, log.c.position, only=NUMBERED)
_log_index("product_id_position", log.c.product_id, log.c.position, only=NUMBERED)
_log_index("status_position", log.c.status, log.c.position, only=NUMBERED)
_log_index("unnumbered", log.c.append_id, only=UNNUMBERED)
_log_index("unnumbered_groups", log.c.group_label, log.c.append_id, only=UNNUMBERED)

# One row. `head` is kept here, not found as the largest position, so that no deletion can make
# numbers come twice. `high_time` is the head's, `compacted_time` that of the last dropped record.
log_meta = Table(
    "log_meta",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("log_id", Uuid(native_uuid=False), nullable=False),
    Column("earliest", BigInteger, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("high_time", _Time, nullable=False),
    Column("compacted_time", _Time, nullable=False),
)

# One row, apart from log_meta: a transaction that moves the clock must not hold up the numbering.
business_clock = Table(
    "business_clock",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("offset_seconds", BigInteger, nullable=False),
)
