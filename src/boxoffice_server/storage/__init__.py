"""The store: everything that is kept, on SQLite or PostgreSQL.

A store is made by `create_store` and seen through `ports.Store`. What one of the two needs is
imported only where that one is used.
"""

import structlog

from boxoffice_server.ports import Store
from boxoffice_server.storage.errors import SchemaOutdated, StoreLocked
from boxoffice_server.storage.log import Encode
from boxoffice_server.storage.schema import Work, renew_log_id, upgrade_schema

__all__ = ["Encode", "SchemaOutdated", "StoreLocked", "create_store", "migrate", "renew_log"]


def create_store(
    url: str, *, encode: Encode, log: structlog.stdlib.BoundLogger | None = None
) -> Store:
    """Make the store at `sqlite:///path` or `postgresql://user@host/database`; not opened yet.

    `open` raises SchemaOutdated where `migrate` has to run first, and StoreLocked where another
    process works on the same SQLite file.
    """
    log = structlog.stdlib.get_logger(part="store") if log is None else log
    if _is_sqlite(url):
        from boxoffice_server.storage.sqlite import SqliteStore  # noqa: PLC0415 -- see above

        return SqliteStore(url, encode=encode, log=log)
    from boxoffice_server.storage.postgres import PostgresStore  # noqa: PLC0415 -- see above

    return PostgresStore(url, encode=encode, log=log)


def migrate(url: str) -> None:
    """Bring the database's schema up to what this release works with; a new database gets it all.

    Not to be called on an event loop. Raises StoreLocked where a service runs on the SQLite file.
    """
    _maintain(url, upgrade_schema)


def renew_log(url: str) -> None:
    """Give the log a new identity, as must be done once after a backup was restored.

    What was told after the backup is gone, and its positions will be given out again; tokens from
    before are then refused with LOG_CHANGED. Not to be called on an event loop.
    """
    _maintain(url, renew_log_id)


def _maintain(url: str, work: Work) -> None:
    if _is_sqlite(url):
        from boxoffice_server.storage.sqlite import maintain_sqlite  # noqa: PLC0415 -- see above

        maintain_sqlite(url, work)
    else:
        from boxoffice_server.storage.postgres import (  # noqa: PLC0415 -- see above
            maintain_postgres,
        )

        maintain_postgres(url, work)


def _is_sqlite(url: str) -> bool:
    if url.startswith("sqlite:///"):
        return True
    if url.startswith(("postgresql://", "postgres://")):
        return False
    raise ValueError("a database address starts with sqlite:/// or postgresql://")
