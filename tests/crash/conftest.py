"""One lab for all cases, and a pool that runs several of them at once."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.lab import Lab
from tests.crash.trials import Trial
from tests.support.postgres import PostgresServer
from tests.support.service import running_sandbox
from tests.support.zygote import Zygote

FIRST_PAUSE_SECONDS = 0.05
AT_ONCE = 4


@pytest.fixture(scope="session")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    sqlite_template: Path,
    postgres_template: str,
) -> Iterator[Lab]:
    """What all cases share."""
    folder = tmp_path_factory.mktemp("crash")
    with Zygote() as zygote, running_sandbox(folder) as sandbox:
        # Stripe comes again soon where nobody took a webhook.
        sandbox.control("webhooks", {"first_pause_seconds": FIRST_PAUSE_SECONDS})
        yield Lab(
            folder=folder,
            zygote=zygote,
            sandbox=sandbox,
            postgres=postgres_server,
            sqlite_template=sqlite_template,
            postgres_template=postgres_template,
        )


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, lab: Lab) -> Iterator[dict[Trial, Future[None]]]:
    """The outcomes of the module's trials, as far as they were chosen: several run at once.

    A trial mostly waits, and the tests only wait for it in turn.
    """
    asked = [
        item.callspec.params.get("trial")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
        if "outcomes" in item.fixturenames
    ]
    chosen = [trial for trial in asked if isinstance(trial, Trial)]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {trial: pool.submit(trial.run, lab) for trial in chosen}
    finally:
        pool.shutdown(cancel_futures=True)
