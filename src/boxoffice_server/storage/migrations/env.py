# noqa: INP001 -- Alembic loads this file by its path
"""What Alembic runs: brings the schema of the connection it is given up to date."""

from alembic import context

from boxoffice_server.storage.tables import metadata

# `migrate` has begun the transaction and ends it: all revisions are applied, or none.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
