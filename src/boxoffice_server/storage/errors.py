"""What can be wrong with a store, apart from what is asked of it."""

from pathlib import Path

from boxoffice_server.domain.errors import BoxofficeError, Reason


class SchemaOutdated(Exception):  # noqa: N818 -- named for the state it tells of
    """The database's schema is not the one that this release works with."""

    def __init__(self, *, found: str, needed: str) -> None:
        have = f"revision {found}" if found else "no revision"
        super().__init__(f"the database has {have} of the schema, this release needs {needed}")
        self.found = found
        self.needed = needed


class StoreLocked(Exception):  # noqa: N818 -- named for the state it tells of
    """Another process works on the same SQLite file."""

    def __init__(self, path: Path, *, holder: str) -> None:
        who = f"process {holder}" if holder else "another process"
        super().__init__(f"{path} is in use by {who}")
        self.path = path
        self.holder = holder


def unavailable() -> BoxofficeError:
    """Make the error that a caller gets for a store that can't be reached. It names no cause."""
    return BoxofficeError(Reason.STORE_UNAVAILABLE, "the store can't be reached right now")
