"""One lab for all cases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.lab import FIRST_PAUSE_SECONDS, Lab
from tests.crash.stoppable import StoppableServer
from tests.support.postgres import PostgresServer
from tests.support.service import running_sandbox
from tests.support.zygote import Zygote


@pytest.fixture(scope="session")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    sqlite_template: Path,
    postgres_template: str,
) -> Iterator[Lab]:
    """What all cases share."""
    folder = tmp_path_factory.mktemp("crash")
    with StoppableServer() as stoppable, Zygote() as zygote, running_sandbox(folder) as sandbox:
        sandbox.control("webhooks", {"first_pause_seconds": FIRST_PAUSE_SECONDS})
        yield Lab(
            folder=folder,
            zygote=zygote,
            sandbox=sandbox,
            postgres=postgres_server,
            sqlite_template=sqlite_template,
            postgres_template=postgres_template,
            stoppable=stoppable,
        )
