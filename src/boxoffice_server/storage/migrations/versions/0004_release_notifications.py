"""On PostgreSQL, notifications are released by a function: one way there and back does it all."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Each statement of a volatile function sees what was committed before it began, so the UPDATE sees
# what was kept while the locks were waited for. The statement that calls it might not.
# https://www.postgresql.org/docs/current/xfunc-volatility.html
# The lock's first number is that of storage/requests.py.
_RELEASE = """
CREATE FUNCTION release_notifications(locks integer[], related text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    released bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1, number) FROM unnest(locks) AS number;
    UPDATE notifications SET state = 'waiting'
        WHERE related_id = ANY (related) AND state = 'unrelated';
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END
$$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_RELEASE)
