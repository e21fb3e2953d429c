"""Subscriptions: their catalogue, facts and links, and the events and entitlements they make.

The records of the log learn what a watcher of subscriptions asks for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_Time = sa.BigInteger()
_TICKING = sa.text("next_time IS NOT NULL")
_POLLED = sa.text("poll_time IS NOT NULL")


def upgrade() -> None:
    for column in ("scope", "subscription_group"):
        added = sa.Column(column, _Text, nullable=False, server_default="")
        op.add_column("log", added)
    _create_subscription_products()
    _create_subscription_facts()
    _create_subscription_lineages()
    _create_subscription_links()
    _create_account_tokens()
    _create_subscription_events()
    _create_entitlements()
    _create_grants()
    op.create_table(
        "duties",
        sa.Column("name", _Text, nullable=False),
        sa.Column("owner", _Text, nullable=False),
        sa.Column("lease_time", _Time, nullable=False),
        sa.Column("done_time", _Time),
        sa.PrimaryKeyConstraint("name", name="pk_duties"),
    )


def _create_subscription_products() -> None:
    op.create_table(
        "subscription_products",
        sa.Column("id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("app", _Text, nullable=False),
        sa.Column("vendor_product_id", _Text),
        sa.Column("name", _Text, nullable=False),
        sa.Column("subscription_group", _Text, nullable=False),
        sa.Column("subscription_tier", _Text, nullable=False),
        sa.Column("rank", sa.Integer()),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("update_time", _Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscription_products"),
        sa.UniqueConstraint(
            "source",
            "app",
            "vendor_product_id",
            name="uq_subscription_products_source_app_vendor_product_id",
        ),
    )
    _index("subscription_products", "subscription_group")


def _create_subscription_facts() -> None:
    op.create_table(
        "subscription_facts",
        sa.Column("id", _Text, nullable=False),
        sa.Column("lineage_id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("app", _Text, nullable=False),
        sa.Column("lineage", _Text, nullable=False),
        sa.Column("kind", _Text, nullable=False),
        sa.Column("vendor_id", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("sign_time", _Time, nullable=False),
        sa.Column("record_time", _Time, nullable=False),
        sa.Column("notification_id", _Text, nullable=False),
        sa.Column("account_token", _Text, nullable=False),
        sa.Column("token_time", _Time),
        sa.Column("vendor_product_id", _Text, nullable=False),
        sa.Column("previous_lineage", _Text, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscription_facts"),
    )
    _index("subscription_facts", "previous_lineage")
    _index("subscription_facts", "account_token")
    _index("subscription_facts", "lineage_id", "sign_time")
    _index("subscription_facts", "vendor_product_id")


def _create_subscription_lineages() -> None:
    op.create_table(
        "subscription_lineages",
        sa.Column("id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("app", _Text, nullable=False),
        sa.Column("lineage", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("next_time", _Time),
        sa.Column("poll_time", _Time),
        sa.Column("parked", _Text),
        sa.PrimaryKeyConstraint("id", name="pk_subscription_lineages"),
    )
    op.create_index(
        "ix_subscription_lineages_polled",
        "subscription_lineages",
        ["poll_time"],
        sqlite_where=_POLLED,
        postgresql_where=_POLLED,
    )
    op.create_index(
        "ix_subscription_lineages_ticking",
        "subscription_lineages",
        ["next_time"],
        sqlite_where=_TICKING,
        postgresql_where=_TICKING,
    )
    _index("subscription_lineages", "user_id", "id")


def _create_subscription_links() -> None:
    op.create_table(
        "subscription_links",
        sa.Column("id", _Text, nullable=False),
        sa.Column("lineage_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("time", _Time, nullable=False),
        sa.Column("record_time", _Time, nullable=False),
        sa.Column("actor", _Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscription_links"),
    )
    _index("subscription_links", "lineage_id", "time")
    _index("subscription_links", "user_id")


def _create_account_tokens() -> None:
    op.create_table(
        "account_tokens",
        sa.Column("token", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("end_time", _Time),
        sa.PrimaryKeyConstraint("token", name="pk_account_tokens"),
    )
    _index("account_tokens", "user_id")


def _create_subscription_events() -> None:
    op.create_table(
        "subscription_events",
        sa.Column("id", _Text, nullable=False),
        sa.Column("lineage_id", _Text, nullable=False),
        sa.Column("entitlement_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("source_product_id", _Text, nullable=False),
        sa.Column("vendor_product_id", _Text, nullable=False),
        sa.Column("subscription_group", _Text, nullable=False),
        sa.Column("subscription_tier", _Text, nullable=False),
        sa.Column("type", _Text, nullable=False),
        sa.Column("event_time", _Time, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("expire_time", _Time),
        sa.Column("new_product_id", _Text, nullable=False),
        sa.Column("new_vendor_product_id", _Text, nullable=False),
        sa.Column("promotion_reference", _Text, nullable=False),
        sa.Column("fact_id", _Text, nullable=False),
        sa.Column("notification_id", _Text, nullable=False),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscription_events"),
    )
    _index("subscription_events", "entitlement_id", "event_time")
    _index("subscription_events", "event_time", "id")
    _index("subscription_events", "lineage_id", "event_time")
    _index("subscription_events", "user_id", "event_time", "id")


def _create_entitlements() -> None:
    op.create_table(
        "entitlements",
        sa.Column("id", _Text, nullable=False),
        sa.Column("lineage_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("source", _Text, nullable=False),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("source_product_id", _Text, nullable=False),
        sa.Column("vendor_product_id", _Text, nullable=False),
        sa.Column("subscription_group", _Text, nullable=False),
        sa.Column("subscription_tier", _Text, nullable=False),
        sa.Column("rank", sa.Integer()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("from_time", _Time, nullable=False),
        sa.Column("until_time", _Time),
        sa.Column("status", _Text, nullable=False),
        sa.Column("expire_time", _Time, nullable=False),
        sa.Column("access_until", _Time, nullable=False),
        sa.Column("new_product_id", _Text, nullable=False),
        sa.Column("new_vendor_product_id", _Text, nullable=False),
        sa.Column("event_type", _Text),
        sa.Column("event_id", _Text, nullable=False),
        sa.Column("fact_id", _Text, nullable=False),
        sa.Column("notification_id", _Text, nullable=False),
        sa.Column("later", _Text, nullable=False),
        sa.Column("bands", _Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entitlements"),
    )
    _index("entitlements", "create_time", "id")
    _index("entitlements", "lineage_id")
    _index("entitlements", "source_product_id")
    _index("entitlements", "user_id", "subscription_group", "environment")


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", _Text, nullable=False),
        sa.Column("product_id", _Text, nullable=False),
        sa.Column("user_id", _Text, nullable=False),
        sa.Column("environment", _Text, nullable=False),
        sa.Column("from_time", _Time, nullable=False),
        sa.Column("until_time", _Time),
        sa.Column("reason", _Text, nullable=False),
        sa.Column("actor", _Text, nullable=False),
        sa.Column("create_time", _Time, nullable=False),
        sa.Column("revoke_time", _Time),
        sa.Column("revoke_reason", _Text, nullable=False),
        sa.Column("revoke_actor", _Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
    )
    _index("grants", "product_id")
    _index("grants", "user_id", "id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
