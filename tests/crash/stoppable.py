"""The PostgreSQL server that a case may stop: nothing else is on it, and cases take turns."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from boxoffice_server.storage import migrate
from tests.support.postgres import PostgresServer


class StoppableServer:
    """A server that is made when the first case asks for it. Threads take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._server: PostgresServer | None = None
        self._template = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._turn:
            if self._server is not None:
                self._server.close()

    @contextmanager
    def lent(self) -> Iterator[tuple[PostgresServer, str]]:
        """Lend the server, and name its database that has all tables; it must run at the end."""
        with self._turn:
            if self._server is None:
                self._make()
            assert self._server is not None
            yield self._server, self._template

    def _make(self) -> None:
        server = PostgresServer()
        try:
            server.start()
            url = server.create_database()
            migrate(url)
        except BaseException:
            server.close()
            raise
        self._server, self._template = server, url.partition("?")[0].rpartition("/")[2]
