"""What all cases share, and is slow to make: it is made once.

The process that services are forked from, the sandbox, the PostgreSQL server and another one that
may be stopped, and a database with all tables on each store, to be copied.
"""

import asyncio
import random
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import asyncpg

from tests.crash.case import PATIENCE_SECONDS, TIMINGS, Case
from tests.crash.stoppable import StoppableServer
from tests.support.postgres import PostgresServer
from tests.support.service import Sandbox, running_sandbox
from tests.support.serving import FIXED_PORTS, is_free
from tests.support.stores import sqlite_url
from tests.support.zygote import Zygote

# Stripe comes again soon where nobody took a webhook.
FIRST_PAUSE_SECONDS = 0.05


class Lab:
    """What all cases share; threads may share it."""

    def __init__(
        self,
        *,
        folder: Path,
        zygote: Zygote,
        sandbox: Sandbox,
        postgres: PostgresServer,
        sqlite_template: Path,
        postgres_template: str,
        stoppable: StoppableServer,
    ) -> None:
        self.zygote = zygote
        self.sandbox = sandbox
        self._folder = folder
        self._postgres = postgres
        self._sqlite_template = sqlite_template
        self._postgres_template = postgres_template
        self._stoppable = stoppable
        self._numbers = count(1)
        # Each port is given to one case only: they come and go while others look for theirs.
        self._ports = random.sample(FIXED_PORTS, len(FIXED_PORTS))

    def address(self) -> str:
        """An address that no other case has, and that stays free while its service is down."""
        while not is_free(address := f"127.0.0.1:{self._ports.pop()}"):
            pass
        return address

    @contextmanager
    def case(
        self,
        store: str,
        *,
        timings: Mapping[str, float] | None = None,
        own_sandbox: bool = False,
        own_server: bool = False,
        sabotage: str = "",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Iterator[Case]:
        """Make a case; nothing of it is left running at the end. An error tells its log.

        With a sandbox of its own it may move the clock, and with a server of its own stop that.
        """
        folder = self._folder / f"case-{next(self._numbers)}"
        folder.mkdir()
        with ExitStack() as stack:
            sandbox = self.sandbox
            if own_sandbox:
                sandbox = stack.enter_context(running_sandbox(folder))
                sandbox.control("webhooks", {"first_pause_seconds": FIRST_PAUSE_SECONDS})
            server, template = self._postgres, self._postgres_template
            if own_server and store != "sqlite":
                server, template = stack.enter_context(self._stoppable.lent())
            case = Case(
                zygote=self.zygote,
                account=sandbox.account(f"sk_test_boxoffice_{secrets.token_hex(8)}"),
                address=self.address,
                log=folder / "log",
                database_url=stack.enter_context(
                    self._on_sqlite(folder)
                    if store == "sqlite"
                    else self._on_postgres(server, folder.name, template)
                ),
                server=server,
                may_stop_server=server is not self._postgres,
                timings={**TIMINGS, **(timings or {})},
                sabotage=sabotage,
                patience_seconds=patience_seconds,
            )
            try:
                yield case
            except BaseException as error:
                error.add_note(f"-- the service's log --\n{case.log_text}")
                raise
            finally:
                case.close()

    @contextmanager
    def _on_sqlite(self, folder: Path) -> Iterator[str]:
        shutil.copy(self._sqlite_template, folder / "boxoffice.db")
        yield sqlite_url(folder)

    @contextmanager
    def _on_postgres(self, server: PostgresServer, name: str, template: str) -> Iterator[str]:
        _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield server.url(name)
        finally:
            _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server: PostgresServer, statement: str) -> None:
    """Execute a statement. Not by psql: threads had better not start programs all the time."""

    async def execute() -> None:
        connection = await asyncpg.connect(server.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())
