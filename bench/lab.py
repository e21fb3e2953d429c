"""What a benchmark works with: how much to do, a folder, databases, and programs it started."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.child import Child
from boxoffice_server.storage import migrate
from tests.support.postgres import PostgresServer

SQLITE = "SQLite"
POSTGRESQL = "PostgreSQL"
STORES = (SQLITE, POSTGRESQL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured. Counts are per round and store."""

    rounds: int
    payments: int
    reads: int
    appends: int
    open_seconds: float
    crowd: int
    crowd_seconds: float
    live_seconds: float
    live_rate: int
    live_streams: int
    log_events: int


FULL = Scale(
    rounds=5,
    payments=300,
    reads=2000,
    appends=1000,
    open_seconds=3.0,
    crowd=2048,
    crowd_seconds=8.0,
    live_seconds=3.0,
    live_rate=500,
    live_streams=100,
    log_events=1_000_000,
)
QUICK = Scale(
    rounds=3,
    payments=60,
    reads=400,
    appends=150,
    open_seconds=0.5,
    crowd=1024,
    crowd_seconds=4.0,
    live_seconds=0.8,
    live_rate=200,
    live_streams=50,
    log_events=50_000,
)
SMOKE = Scale(
    rounds=1,
    payments=10,
    reads=20,
    appends=20,
    open_seconds=0.1,
    crowd=100,
    crowd_seconds=1.5,
    live_seconds=0.2,
    live_rate=100,
    live_streams=3,
    log_events=1200,
)


class Lab:
    """One benchmark's own corner: everything in it is gone when the benchmark is over."""

    def __init__(self, scale: Scale, postgres: PostgresServer, folder: Path) -> None:
        self.scale = scale
        self.folder = folder
        self._postgres = postgres
        self._names = count(1)
        self._opened = ExitStack()

    def close(self) -> None:
        """End the programs that were started, the last one first."""
        self._opened.close()

    def child(self, module: str) -> Child:
        """Start a program."""
        return self._opened.enter_context(Child(module, folder=self.folder))

    def database(self, store: str) -> str:
        """Make a database with all tables, and answer its address."""
        if store == SQLITE:
            url = f"sqlite:///{self.folder / f'{next(self._names)}.db'}"
        else:
            url = self._postgres.create_database()
            self._opened.callback(self._postgres.drop_database, url)
        migrate(url)
        return url


@contextmanager
def opened_lab(scale: Scale, postgres: PostgresServer) -> Iterator[Lab]:
    """Open a lab in a temporary folder until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="boxoffice-bench-") as folder:
        lab = Lab(scale, postgres, Path(folder))
        try:
            yield lab
        finally:
            lab.close()
