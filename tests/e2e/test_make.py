"""`make serve`, by the Makefile itself, on a database elsewhere."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.serving import START_SECONDS, Service
from tests.support.story import Client, Story

HERE = Path(__file__).parents[2]


class MadeService(Service):
    """A service under make."""

    def launch(self) -> Process:
        self.process = Process(["make", "serve"], cwd=HERE, env=self.environment)
        return self.process

    @property
    def pid(self) -> int:
        """The process of the service itself, as its lock on the database tells it."""
        return int((self.folder / "boxoffice.db.lock").read_text())


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MadeService]:
    """A running `make serve`, which leaves this folder as it is."""
    plan = subprocess.run(
        ["make", "-n", "serve"], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert "bootstrap" not in plan.stdout, "the environment is out of date: use `make test`"
    before = sorted(HERE.iterdir())
    with MadeService(tmp_path) as service:
        yield service
    assert sorted(HERE.iterdir()) == before


def test_make_serve_serves_a_sale(made: MadeService) -> None:
    """It prints three calls to paste, and a sale ends as it should."""
    made.running.wait_for(r"CreateProduct$")
    made.running.wait_for(r"WatchOrders$", seconds=START_SECONDS)
    with Client(made) as client, Story(client) as story:
        story.tell()
        story.check()


def test_sigterm_to_make_drains_the_service(made: MadeService) -> None:
    """Whoever stops make has stopped the service and its sandbox, in order."""
    made.running.terminate()
    made.running.wait()
    made.check_gone()
    assert "Traceback" not in made.running.output


def test_a_kill_of_the_service_ends_make(made: MadeService) -> None:
    """No make is left that waits for nothing, and no port is taken."""
    os.kill(made.pid, signal.SIGKILL)
    assert made.running.wait() == 2
    made.check_gone()


def test_sigterm_to_the_service_ends_make_well(made: MadeService) -> None:
    """Status 0: it was asked to end."""
    os.kill(made.pid, signal.SIGTERM)
    assert made.running.wait() == 0
    made.check_gone()
