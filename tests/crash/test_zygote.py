"""Forked services are services like any other, and end with whoever holds them."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxoffice_server.fail_points import FailPoint
from tests.crash.case import TIMINGS, Case
from tests.crash.lab import Lab
from tests.support.processes import Process
from tests.support.sales import create_product
from tests.support.service import service_environment, wait_until
from tests.support.serving import is_free
from tests.support.strikes import Deed, Plan
from tests.support.zygote import ROOT, Zygote

# A session of tests that has a zygote and a service, to be ended by force.
SESSION = """
import sys
from pathlib import Path
from tests.crash.case import TIMINGS
from tests.support.service import service_environment
from tests.support.zygote import Zygote

zygote = Zygote()
zygote.wait_ready()
environment = service_environment(sys.argv[1])
service = zygote.start(environment, log=Path(sys.argv[2]), timings=TIMINGS)
service.wait_serving()
print(zygote.pid, service.pid, zygote.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def case(lab: Lab) -> Iterator[Case]:
    """A case on SQLite, whose service was not started yet."""
    with lab.case("sqlite") as case:
        yield case


def is_there(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(*pids: int) -> None:
    """Wait until none of these processes is there any more."""
    wait_until(lambda: not any(is_there(pid) for pid in pids), f"one of {pids} is left over")


def test_drain_ends_well(case: Case) -> None:
    """SIGTERM drains it as it drains any service."""
    case.start()
    case.service.terminate()
    assert case.service.wait() == 0


def test_end_of_a_case_ends_a_service_that_is_stopped(case: Case) -> None:
    """Nothing is left of it, and its ports are free at once."""
    case.start()
    case.service.signal(signal.SIGSTOP)
    pid, (grpc_address, http_address) = case.service.pid, case.service.wait_serving()
    case.close()
    assert not is_there(pid)
    assert is_free(grpc_address)
    assert is_free(http_address)


def test_service_holds_nothing_of_another(lab: Lab, case: Case) -> None:
    """Each ends by itself, and has only its own connection, pipe and log."""
    case.start()
    with lab.case("sqlite") as other:
        other.start()
        mine, others = (
            {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
            for pid in (case.service.pid, other.service.pid)
        )
        # What has no name in common is told apart by nothing but what it is.
        named = {each for each in mine & others if not each.startswith("anon_inode:")}
        assert named == {"/dev/null"}
        case.service.kill()
        assert create_product(other.orders).id


def test_failed_start_says_why(case: Case) -> None:
    """The log of a service that can't start is in the error."""
    case.database_url = "sqlite:////nowhere/boxoffice.db"
    with pytest.raises(AssertionError, match="No such file or directory"):
        case.start()


def test_strike_waits_for_its_occurrence(case: Case) -> None:
    """A plan is carried out at the time it names, and only then."""
    name = "payment_intent.created"
    case.start(Plan(point=FailPoint.KEEPING, name=name, deed=Deed.ERROR, occurrence=2))
    for _ in range(3):
        case.account.call("POST", "payment_intents", amount=1000, currency="eur")
    case.account.wait_delivered()
    assert case.service.wait_struck().occurrence == 2
    assert case.log_text.count("webhook refused") == 1


def test_kill_of_the_tests_leaves_nothing(sqlite_database: str, tmp_path: Path) -> None:
    """After a kill -9 of the tests there is neither a zygote nor a service."""
    command = (sys.executable, "-c", SESSION, sqlite_database, tmp_path / "log")
    with Process(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}) as session:
        told = session.wait_for(r"^(\d+) (\d+) (.+)$", seconds=30)
        pids, folder = (int(told[1]), int(told[2])), Path(told[3])
        assert all(is_there(pid) for pid in pids)
        session.kill()
        wait_gone(*pids)
    assert not folder.exists()


def test_end_of_the_zygote_ends_its_services(sqlite_database: str, tmp_path: Path) -> None:
    """A zygote that is closed takes every service along, one that is stopped too."""
    environment = service_environment(sqlite_database)
    with Zygote() as zygote:
        service = zygote.start(environment, log=tmp_path / "log", timings=TIMINGS)
        service.wait_serving()
        service.signal(signal.SIGSTOP)
    wait_gone(service.pid)
    with service, pytest.raises(ConnectionError):
        service.wait()
