"""All tables as of the first release, an empty log, and the clock at real time."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_Time = sa.BigInteger()
_RowNumber = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNNUMBERED = sa.text("position IS NULL")
_NUMBERED = sa.text("position IS NOT NULL")
_UNFINISHED = sa.text("state IN ('pending', 'offered')")


def upgrade() -> None:
    _create_products()
    _create_orders()
    _create_payments()
    _create_requests()
    _create_log()
    _start_log()


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("id", _Text, nullable=False),
        sa.Column("name", _Text, nullable=False),
        sa.Column("prices", _Text, nullable=False),
        sa.Column("schema", _Text, nullable=False),
        sa.Column("task_function_name", _Text, nullable=False),
        sa.Column("task_priority", sa.Integer(), nullable=False),
        sa.Column("tags", _Text, nullable=False),
        sa.Column("created_by", _Text, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.Column("delete_time", _Time),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
    )
    op.create_table(
        "product_tags",
        sa.Column("tag", _Text, nullable=False),
        sa.Column("product_id", _Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name="fk_product_tags_product_id_products"
        ),
        sa.PrimaryKeyConstraint("tag", "product_id", name="pk_product_tags"),
    )
    op.create_index("ix_product_tags_product_id", "product_tags", ["product_id"])


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("target_user_id", _Text, nullable=False),
        sa.Column("created_by", _Text, nullable=False),
        sa.Column("status", _Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", _Text, nullable=False),
        sa.Column("product_id", _Text, nullable=False),
        sa.Column("product", _Text, nullable=False),
        sa.Column("data", _Text, nullable=False),
        sa.Column("tags", _Text, nullable=False),
        sa.Column("payment_id", _Text, nullable=False),
        sa.Column("vendor_events", _Text, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    op.create_index("ix_orders_create_time", "orders", ["create_time"])
    op.create_index("ix_orders_product_id_id", "orders", ["product_id", "id"])
    op.create_index("ix_orders_status_id", "orders", ["status", "id"])
    op.create_index("ix_orders_target_user_id_id", "orders", ["target_user_id", "id"])
    op.create_index("ix_orders_user_id_id", "orders", ["user_id", "id"])
    op.create_table(
        "order_tags",
        sa.Column("tag", _Text, nullable=False),
        sa.Column("order_id", _Text, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_order_tags_order_id_orders"),
        sa.PrimaryKeyConstraint("tag", "order_id", name="pk_order_tags"),
    )
    op.create_index("ix_order_tags_order_id", "order_tags", ["order_id"])
    op.create_table(
        "tasks",
        sa.Column("id", _Text, nullable=False),
        sa.Column("order_id", _Text, nullable=False),
        sa.Column("function_name", _Text, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", _Text, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker_id", _Text, nullable=False),
        sa.Column("lease_id", _Text, nullable=False),
        sa.Column("lease_time", _Time),
        sa.Column("available_time", _Time, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("acknowledge_time", _Time),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("order_id", name="uq_tasks_order_id"),
    )
    op.create_index("ix_tasks_function_name_id", "tasks", ["function_name", "id"])
    op.create_index("ix_tasks_state_id", "tasks", ["state", "id"])
    op.create_index(
        "ix_tasks_unfinished",
        "tasks",
        ["function_name", "available_time"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("order_id", _Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", _Text, nullable=False),
        sa.Column("method_type", _Text, nullable=False),
        sa.Column("vendor_idempotency_key", _Text, nullable=False),
        sa.Column("stripe_payment_intent_id", _Text),
        sa.Column("status", _Text, nullable=False),
        sa.Column("pending_reason", _Text),
        sa.Column("last_failure", _Text),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.UniqueConstraint(
            "stripe_payment_intent_id", name="uq_payments_stripe_payment_intent_id"
        ),
        sa.UniqueConstraint("vendor_idempotency_key", name="uq_payments_vendor_idempotency_key"),
    )
    op.create_table(
        "payment_facts",
        sa.Column("order_id", _Text, nullable=False),
        sa.Column("fact_id", _Text, nullable=False),
        sa.Column("origin", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("resource_type", _Text, nullable=False),
        sa.Column("resource_id", _Text, nullable=False),
        sa.Column("event_time", _Time, nullable=False),
        sa.Column("signal", _Text, nullable=False),
        sa.Column("failure", _Text),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name="fk_payment_facts_order_id_orders"
        ),
        sa.PrimaryKeyConstraint("order_id", "fact_id", name="pk_payment_facts"),
    )
    op.create_table(
        "customers",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("stripe_customer_id", _Text, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("user_id", name="uq_customers_user_id"),
    )


def _create_requests() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("vendor_event_id", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("resource_id", _Text, nullable=False),
        sa.Column("event_time", _Time, nullable=False),
        sa.Column("receive_time", _Time, nullable=False),
        sa.Column("state", _Text, nullable=False),
        sa.Column("order_id", _Text, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint(
            "source", "vendor_event_id", name="uq_notifications_source_vendor_event_id"
        ),
    )
    op.create_index("ix_notifications_state_id", "notifications", ["state", "id"])
    op.create_index("ix_notifications_type_id", "notifications", ["type", "id"])
    op.create_table(
        "operations",
        sa.Column("caller", _Text, nullable=False),
        sa.Column("operation", _Text, nullable=False),
        sa.Column("request_id", _Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", _Text, nullable=False),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("owner", _Text, nullable=False),
        sa.Column("lease_time", _Time),
        sa.Column("create_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("caller", "operation", "request_id", name="pk_operations"),
    )


def _create_log() -> None:
    op.create_table(
        "log",
        sa.Column("append_id", _RowNumber, autoincrement=True, nullable=False),
        sa.Column("group_label", _Text, nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("high_time", sa.BigInteger()),
        sa.Column("event_id", _Text, nullable=False),
        sa.Column("kind", _Text, nullable=False),
        sa.Column("subject_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("product_id", _Text, nullable=False),
        sa.Column("status", _Text, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("append_id", name="pk_log"),
        sa.UniqueConstraint("event_id", name="uq_log_event_id"),
        sqlite_autoincrement=True,
    )
    _create_log_index("position", "position", only=_NUMBERED, unique=True)
    _create_log_index("subject_id_position", "subject_id", "position", only=_NUMBERED)
    _create_log_index("user_id_position", "user_id", "position", only=_NUMBERED)
    _create_log_index("product_id_position", "product_id", "position", only=_NUMBERED)
    _create_log_index("status_position", "status", "position", only=_NUMBERED)
    _create_log_index("unnumbered", "append_id", only=_UNNUMBERED)
    _create_log_index("unnumbered_groups", "group_label", "append_id", only=_UNNUMBERED)
    op.create_table(
        "log_meta",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.Uuid(native_uuid=False), nullable=False),
        sa.Column("earliest", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("high_time", sa.BigInteger(), nullable=False),
        sa.Column("compacted_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_meta"),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.create_table(
        "business_clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("offset_seconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_business_clock"),
        sa.CheckConstraint("id = 1", name="one_row"),
    )


def _create_log_index(name: str, *columns: str, only: sa.TextClause, unique: bool = False) -> None:
    op.create_index(
        f"ix_log_{name}", "log", columns, unique=unique, sqlite_where=only, postgresql_where=only
    )


def _start_log() -> None:
    columns = ("id", "log_id", "earliest", "head", "high_time", "compacted_time")
    meta = sa.table("log_meta", *map(sa.column, columns))
    op.bulk_insert(meta, [dict(zip(columns, (1, uuid.uuid4().hex, 1, 0, 0, 0), strict=True))])
    clock = sa.table("business_clock", sa.column("id"), sa.column("offset_seconds"))
    op.bulk_insert(clock, [{"id": 1, "offset_seconds": 0}])
