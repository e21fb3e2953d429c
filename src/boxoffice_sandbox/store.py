"""The sandbox's SQLite file: every object, event, delivery and idempotency record.

All calls run on the event loop's thread and take microseconds; one request is one
transaction, so a `kill -9` leaves either all of it or nothing.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, data TEXT NOT NULL, counter INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    hidden TEXT NOT NULL DEFAULT '{}',
    customer TEXT GENERATED ALWAYS AS (json_extract(data, '$.customer')) VIRTUAL,
    payment_intent TEXT GENERATED ALWAYS AS (json_extract(data, '$.payment_intent')) VIRTUAL
);
CREATE INDEX IF NOT EXISTS objects_newest ON objects (kind, position);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (account, kind, position);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (account, kind, customer, position);
CREATE INDEX IF NOT EXISTS objects_intent ON objects (account, kind, payment_intent, position);
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL, key TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    fingerprint TEXT NOT NULL, created INTEGER NOT NULL, request_id TEXT NOT NULL,
    status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, event TEXT NOT NULL, batch TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, answer TEXT, delay_seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS deliveries_state ON deliveries (state, id);
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL, remaining INTEGER NOT NULL
);
"""


class Store:
    """One open database file."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, creating it and its tables when they aren't there."""
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._connection.row_factory = sqlite3.Row
        # NORMAL loses nothing when the process is killed, only when the machine is.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    def add_tables(self, schema: str) -> None:
        """Create a vendor's own tables when they aren't there."""
        self._connection.executescript(schema)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit on a clean exit, roll back on an error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what happened inside on an error, and only that."""
        self._connection.execute("SAVEPOINT work")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            raise
        self._connection.execute("RELEASE work")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one statement and return all its rows."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Run one statement and return its first row, if any."""
        found: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and return the id of the row it inserted, or 0."""
        return self._connection.execute(statement, values).lastrowid or 0

    def setting(self, name: str) -> str | None:
        """Read one setting."""
        row = self.row("SELECT value FROM settings WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    def set_setting(self, name: str, value: str) -> None:
        """Write one setting."""
        self.run("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def find(self, object_id: str, *, account: str) -> Json | None:
        """Read an object of an account by id."""
        row = self.row("SELECT account, data FROM objects WHERE id = ?", (object_id,))
        if row is None or row["account"] != account:
            return None
        found: Json = json.loads(row["data"])
        return found

    def owner(self, object_id: str) -> str | None:
        """Return the account that has an object."""
        row = self.row("SELECT account FROM objects WHERE id = ?", (object_id,))
        return None if row is None else str(row["account"])

    def hidden(self, object_id: str) -> Json:
        """Read what the sandbox knows about an object and doesn't show."""
        row = self.row("SELECT hidden FROM objects WHERE id = ?", (object_id,))
        known: Json = {} if row is None else json.loads(row["hidden"])
        return known

    def save(self, data: Json, *, account: str) -> None:
        """Insert or replace an object; what is hidden with it stays."""
        self.run(
            "INSERT INTO objects (id, account, kind, data) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET data = excluded.data",
            (data["id"], account, data["object"], json.dumps(data)),
        )

    def hide(self, object_id: str, hidden: Json) -> None:
        """Replace what is hidden with an object."""
        self.run("UPDATE objects SET hidden = ? WHERE id = ?", (json.dumps(hidden), object_id))

    def remove(self, object_id: str) -> None:
        """Take an object out."""
        self.run("DELETE FROM objects WHERE id = ?", (object_id,))
