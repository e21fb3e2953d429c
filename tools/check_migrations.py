"""Checks that the migrations lead to the tables that the code declares; prints what differs.

On SQLite, which needs no server. The tests check the same on PostgreSQL.
"""

import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from boxoffice_server.storage import migrate
from boxoffice_server.storage.schema import REVISION
from boxoffice_server.storage.tables import metadata

MIGRATIONS = Path(__file__).parents[1] / "src/boxoffice_server/storage/migrations"


def differences(connection: Connection) -> list[str]:
    """Tells how a migrated database differs from the declared tables; empty if it doesn't."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [str(difference) for difference in compare_metadata(context, metadata)]
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if newest != REVISION:
        found.append(f"the newest migration is {newest}, the code expects {REVISION}")
    return found


def main() -> None:
    """Migrates a new SQLite file, and ends with status 1 if it is not what the code declares."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/boxoffice.db"
        migrate(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            found = differences(connection)
        engine.dispose()
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
