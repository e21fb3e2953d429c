"""The schema's revision: which one this release works with, and whether a database has it."""

import uuid
from collections.abc import Callable

from sqlalchemy import Connection, column, inspect, select, table, update

from boxoffice_server.storage.errors import SchemaOutdated
from boxoffice_server.storage.tables import log_meta

REVISION = "0004"
Work = Callable[[Connection], None]
"""Something to do in one transaction on a database that is not served meanwhile."""

_VERSIONS = "alembic_version"


def check_schema(connection: Connection) -> None:
    """Raise SchemaOutdated unless the database has the revision this release works with.

    Alembic, which takes long to import, is left out of this.
    """
    found = ""
    if inspect(connection).has_table(_VERSIONS):
        versions = select(table(_VERSIONS, column("version_num")))
        found = connection.execute(versions).scalar() or ""
    if found != REVISION:
        raise SchemaOutdated(found=found, needed=REVISION)


def renew_log_id(connection: Connection) -> None:
    """Make up a new id for the log."""
    connection.execute(update(log_meta).values(log_id=uuid.uuid4()))


def upgrade_schema(connection: Connection) -> None:
    """Bring the database up to date, within the connection's transaction."""
    # Imported here because a service that is up to date never needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "boxoffice_server.storage:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
