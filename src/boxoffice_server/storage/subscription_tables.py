"""The tables of subscriptions, the same on SQLite and PostgreSQL.

What vendors say is kept as facts, which never change; whose a lineage is as links and tokens. All
else but the catalogue and the grants follows from these, and can be made again.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    text,
)

from boxoffice_server.storage.columns import Text, Time, metadata

# Written as literals: SQLite uses a partial index only where a query says the same.
TICKING = text("next_time IS NOT NULL")
POLLED = text("poll_time IS NOT NULL")

subscription_products = Table(
    "subscription_products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("app", Text, nullable=False),
    # NULL for a product that is granted by hand, of which there may be several.
    Column("vendor_product_id", Text),
    Column("name", Text, nullable=False),
    Column("subscription_group", Text, nullable=False),
    Column("subscription_tier", Text, nullable=False),
    Column("rank", Integer),
    Column("create_time", Time, nullable=False),
    Column("update_time", Time, nullable=False),
    UniqueConstraint("source", "app", "vendor_product_id"),
    Index(None, "subscription_group"),
)

subscription_facts = Table(
    "subscription_facts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("lineage_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("sign_time", Time, nullable=False),
    Column("record_time", Time, nullable=False),
    Column("notification_id", Text, nullable=False),
    Column("account_token", Text, nullable=False),
    Column("token_time", Time),
    Column("vendor_product_id", Text, nullable=False),
    Column("previous_lineage", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index(None, "lineage_id", "sign_time"),
    Index(None, "previous_lineage"),
    Index(None, "vendor_product_id"),
    Index(None, "account_token"),
)

subscription_lineages = Table(
    "subscription_lineages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("next_time", Time),
    Column("poll_time", Time),
    Column("parked", Text),
    Index(None, "user_id", "id"),
    Index(
        "ix_subscription_lineages_ticking",
        "next_time",
        sqlite_where=TICKING,
        postgresql_where=TICKING,
    ),
    Index(
        "ix_subscription_lineages_polled",
        "poll_time",
        sqlite_where=POLLED,
        postgresql_where=POLLED,
    ),
)

subscription_links = Table(
    "subscription_links",
    metadata,
    Column("id", Text, primary_key=True),
    Column("lineage_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("time", Time, nullable=False),
    Column("record_time", Time, nullable=False),
    Column("actor", Text, nullable=False),
    Index(None, "lineage_id", "time"),
    Index(None, "user_id"),
)

account_tokens = Table(
    "account_tokens",
    metadata,
    Column("token", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("create_time", Time, nullable=False),
    Column("end_time", Time),
    Index(None, "user_id"),
)

subscription_events = Table(
    "subscription_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("lineage_id", Text, nullable=False),
    Column("entitlement_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("source_product_id", Text, nullable=False),
    Column("vendor_product_id", Text, nullable=False),
    Column("subscription_group", Text, nullable=False),
    Column("subscription_tier", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("event_time", Time, nullable=False),
    Column("create_time", Time, nullable=False),
    Column("expire_time", Time),
    Column("new_product_id", Text, nullable=False),
    Column("new_vendor_product_id", Text, nullable=False),
    Column("promotion_reference", Text, nullable=False),
    Column("fact_id", Text, nullable=False),
    Column("notification_id", Text, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Index(None, "event_time", "id"),
    Index(None, "user_id", "event_time", "id"),
    Index(None, "lineage_id", "event_time"),
    Index(None, "entitlement_id", "event_time"),
)

# What it is now stands in columns. `later` and `bands` are JSON: what follows if nothing more is
# heard, and all that was, is and will be, which only questions about other times read.
entitlements = Table(
    "entitlements",
    metadata,
    Column("id", Text, primary_key=True),
    Column("lineage_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("source_product_id", Text, nullable=False),
    Column("vendor_product_id", Text, nullable=False),
    Column("subscription_group", Text, nullable=False),
    Column("subscription_tier", Text, nullable=False),
    Column("rank", Integer),
    Column("version", BigInteger, nullable=False),
    # Taken back by facts that came later. The row stays, so that its versions go on.
    Column("removed", Boolean, nullable=False),
    Column("create_time", Time, nullable=False),
    Column("from_time", Time, nullable=False),
    Column("until_time", Time),
    Column("status", Text, nullable=False),
    Column("expire_time", Time, nullable=False),
    Column("access_until", Time, nullable=False),
    Column("new_product_id", Text, nullable=False),
    Column("new_vendor_product_id", Text, nullable=False),
    Column("event_type", Text),
    Column("event_id", Text, nullable=False),
    Column("fact_id", Text, nullable=False),
    Column("notification_id", Text, nullable=False),
    Column("later", Text, nullable=False),
    Column("bands", Text, nullable=False),
    Index(None, "user_id", "subscription_group", "environment"),
    Index(None, "lineage_id"),
    Index(None, "source_product_id"),
    Index(None, "create_time", "id"),
)

# What one replica does for all of them: who does, until when, and how far it has come.
duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease_time", Time, nullable=False),
    Column("done_time", Time),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("from_time", Time, nullable=False),
    Column("until_time", Time),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("create_time", Time, nullable=False),
    Column("revoke_time", Time),
    Column("revoke_reason", Text, nullable=False),
    Column("revoke_actor", Text, nullable=False),
    Index(None, "user_id", "id"),
    Index(None, "product_id"),
)
