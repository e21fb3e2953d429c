"""Payments without orders, refunds, disputes, saved methods, and operations that can be taken up.

Facts hang on payments from now on. What was there is kept: tables that change much are made anew
and filled from a copy, which is the same on SQLite and PostgreSQL.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_Time = sa.BigInteger()
_UNSETTLED = sa.text("NOT settled AND answer IS NULL")
_OVERDUE = sa.text("action_deadline IS NOT NULL")


def upgrade() -> None:
    op.add_column("orders", sa.Column("manual", _Text, nullable=False, server_default="[]"))
    for column in ("payment_id", "related_id"):
        added = sa.Column(column, _Text, nullable=False, server_default="")
        op.add_column("notifications", added)
    _index("notifications", "resource_id")
    _index("notifications", "related_id")
    op.execute(
        "UPDATE notifications SET payment_id = coalesce("
        "(SELECT payment_id FROM orders WHERE orders.id = notifications.order_id), '')"
    )
    _set_aside("payment_facts", "payments", "customers", "operations")
    _create_payments()
    _create_what_belongs_to_payments()
    _create_methods()
    _create_operations()
    _bring_back()


def _set_aside(*tables: str) -> None:
    for table in tables:
        op.execute(f"CREATE TABLE moved_{table} AS SELECT * FROM {table}")  # noqa: S608 -- ours
        op.drop_table(table)


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("order_id", _Text, nullable=False),
        sa.Column("created_by", _Text, nullable=False),
        sa.Column("description", _Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", _Text, nullable=False),
        sa.Column("flow", _Text, nullable=False),
        sa.Column("method_type", _Text, nullable=False),
        sa.Column("capture_method", _Text, nullable=False),
        sa.Column("reuse", _Text),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("payment_method_id", _Text, nullable=False),
        sa.Column("stripe_payment_intent_id", _Text),
        sa.Column("stripe_charge_id", _Text),
        sa.Column("status", _Text, nullable=False),
        sa.Column("pending_reason", _Text),
        sa.Column("last_failure", _Text),
        sa.Column("authorised", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("refund_time", _Time),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.Column("action_deadline", _Time),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.UniqueConstraint(
            "stripe_payment_intent_id", name="uq_payments_stripe_payment_intent_id"
        ),
        sa.UniqueConstraint("stripe_charge_id", name="uq_payments_stripe_charge_id"),
    )
    _index("payments", "user_id", "id")
    _index("payments", "order_id")
    _index("payments", "status", "id")
    _index("payments", "create_time")
    op.create_index(
        "ix_payments_overdue",
        "payments",
        ["action_deadline"],
        sqlite_where=_OVERDUE,
        postgresql_where=_OVERDUE,
    )
    op.create_table(
        "payment_facts",
        sa.Column("payment_id", _Text, nullable=False),
        sa.Column("fact_id", _Text, nullable=False),
        sa.Column("origin", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("resource_type", _Text, nullable=False),
        sa.Column("resource_id", _Text, nullable=False),
        sa.Column("event_time", _Time, nullable=False),
        sa.Column("signal", _Text, nullable=False),
        sa.Column("failure", _Text),
        sa.Column("amount", sa.BigInteger()),
        _of_payment("payment_facts"),
        sa.PrimaryKeyConstraint("payment_id", "fact_id", name="pk_payment_facts"),
    )


def _create_what_belongs_to_payments() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", _Text, nullable=False),
        sa.Column("payment_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", _Text, nullable=False),
        sa.Column("status", _Text, nullable=False),
        sa.Column("reason", _Text),
        sa.Column("failure_reason", _Text, nullable=False),
        sa.Column("stripe_refund_id", _Text),
        sa.Column("heard_time", _Time),
        sa.Column("succeed_time", _Time),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        _of_payment("refunds"),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.UniqueConstraint("stripe_refund_id", name="uq_refunds_stripe_refund_id"),
    )
    op.create_table(
        "disputes",
        sa.Column("id", _Text, nullable=False),
        sa.Column("payment_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", _Text, nullable=False),
        sa.Column("status", _Text, nullable=False),
        sa.Column("reason", _Text, nullable=False),
        sa.Column("evidence_due_time", _Time),
        sa.Column("stripe_dispute_id", _Text, nullable=False),
        sa.Column("heard_time", _Time, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        _of_payment("disputes"),
        sa.PrimaryKeyConstraint("id", name="pk_disputes"),
        sa.UniqueConstraint("stripe_dispute_id", name="uq_disputes_stripe_dispute_id"),
    )
    for table in ("refunds", "disputes"):
        _index(table, "payment_id", "create_time")
        _index(table, "user_id", "create_time")
        _index(table, "create_time", "id")


def _create_methods() -> None:
    op.create_table(
        "customers",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("stripe_customer_id", _Text),
        sa.Column("create_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("user_id", name="uq_customers_user_id"),
        sa.UniqueConstraint("stripe_customer_id", name="uq_customers_stripe_customer_id"),
    )
    op.create_table(
        "payment_methods",
        sa.Column("id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("stripe_payment_method_id", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("brand", _Text, nullable=False),
        sa.Column("exp_month", sa.Integer(), nullable=False),
        sa.Column("exp_year", sa.Integer(), nullable=False),
        sa.Column("last4", _Text, nullable=False),
        sa.Column("tags", _Text, nullable=False),
        sa.Column("heard_time", _Time, nullable=False),
        sa.Column("detach_time", _Time),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment_methods"),
        sa.UniqueConstraint(
            "stripe_payment_method_id", name="uq_payment_methods_stripe_payment_method_id"
        ),
    )
    _index("payment_methods", "user_id", "create_time")


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("caller", _Text, nullable=False),
        sa.Column("operation", _Text, nullable=False),
        sa.Column("request_id", _Text, nullable=False),
        sa.Column("id", _Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", _Text, nullable=False),
        sa.Column("details", _Text, nullable=False),
        sa.Column("answer", sa.LargeBinary()),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("owner", _Text, nullable=False),
        sa.Column("lease_time", _Time),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key_spent", sa.Boolean(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("caller", "operation", "request_id", name="pk_operations"),
    )
    for column in ("resource_id", "lease_time"):
        op.create_index(
            f"ix_operations_unsettled_{column}",
            "operations",
            [column],
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        )


def _bring_back() -> None:
    """Fill the new tables.

    An operation that was not answered keeps the key that it may have shown to Stripe, which was
    made of the payment's id.
    """
    name = "json_extract(orders.product, '$.name')"
    if op.get_bind().dialect.name == "postgresql":
        name = "orders.product::json ->> 'name'"
    _fill(
        "payments",
        f"""SELECT p.id, p.user_id, p.order_id, orders.created_by, {name}, p.amount, p.currency,
            'intent', p.method_type, 'automatic', NULL, false, '', p.stripe_payment_intent_id, NULL,
            p.status, p.pending_reason, p.last_failure,
            CASE WHEN p.status = 'requires_capture' THEN p.amount ELSE 0 END,
            CASE WHEN p.status = 'complete' THEN p.amount ELSE 0 END, 0, NULL, false, NULL, 1,
            p.create_time, p.update_time
            FROM moved_payments AS p JOIN orders ON orders.id = p.order_id""",  # noqa: S608 -- ours
    )
    _fill(
        "payment_facts",
        """SELECT orders.payment_id, f.fact_id, f.origin, f.type, f.resource_type, f.resource_id,
            f.event_time, f.signal, f.failure, NULL
            FROM moved_payment_facts AS f JOIN orders ON orders.id = f.order_id""",
    )
    _fill(
        "customers",
        """SELECT id, user_id, nullif(stripe_customer_id, ''), create_time
            FROM moved_customers""",
    )
    _fill(
        "operations",
        """SELECT caller, operation, request_id, resource_id, fingerprint, resource_id, '{}',
            answer, failed, answer IS NOT NULL, owner, lease_time, 0, 1, false, create_time
            FROM moved_operations""",
    )


def _fill(table: str, query: str) -> None:
    op.execute(f"INSERT INTO {table} {query}")
    op.drop_table(f"moved_{table}")


def _of_payment(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_payment_id_payments"
    return sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=name)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
