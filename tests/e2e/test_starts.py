"""How the service starts, and how it says why it does not."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.serving import Service, fixed_address, is_free

BOXOFFICE = (sys.executable, "-m", "boxoffice_server")
SECONDS = 15


def boxoffice(
    *arguments: str, service: Service, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    return subprocess.run(
        [*BOXOFFICE, *arguments],
        env=environment(service.environment | variables),
        cwd=service.folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Nothing but what is needed to run Python, and these."""
    return {"PATH": "/usr/bin:/bin", **variables}


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Service]:
    """A service that was never started."""
    service = Service(tmp_path)
    yield service
    service.close()


@contextmanager
def taken(address: str) -> Iterator[None]:
    """Listen on an address that a service wants."""
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        yield


def test_a_second_start_serves_on_what_the_first_left(service: Service) -> None:
    """Stopped in order, it comes back on the same database and ports."""
    service.running.terminate()
    assert service.running.wait() == 0
    service.check_gone()
    service.start()


def test_a_second_service_on_one_file_is_refused(on_sqlite: Service, tmp_path: Path) -> None:
    """It names the file and who has it, and leaves no port taken and no sandbox behind."""
    second = Service(tmp_path, database_url=on_sqlite.environment["BOXOFFICE_DATABASE_URL"])
    refused = boxoffice("serve", "--migrate", "--sandbox", service=second)
    assert refused.returncode == 1
    file = on_sqlite.folder / "boxoffice.db"
    assert refused.stderr == f"boxoffice: {file} is in use by process {on_sqlite.running.pid}\n"
    second.check_gone()


def test_a_migration_of_a_file_in_use_is_refused(on_sqlite: Service) -> None:
    """It would pull the tables from under the service."""
    refused = boxoffice("migrate", service=on_sqlite)
    assert refused.returncode == 1
    assert "is in use by process" in refused.stderr


@pytest.mark.parametrize(
    ("variable", "door"),
    [
        ("BOXOFFICE_GRPC_ADDRESS", "grpc_address"),
        ("BOXOFFICE_HTTP_ADDRESS", "http_address"),
        ("BOXOFFICE_SANDBOX_ADDRESS", "sandbox_address"),
    ],
    ids=["grpc", "http", "sandbox"],
)
def test_a_taken_port_is_named(new: Service, variable: str, door: str) -> None:
    """Which variable to change, and no half of a service is left."""
    address = getattr(new, door)
    with taken(address):
        refused = boxoffice("serve", "--migrate", "--sandbox", service=new)
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("boxoffice: ")
    assert variable in last
    assert address in last
    assert "Traceback" not in refused.stderr
    new.check_gone()


def test_a_database_without_tables_is_refused_until_migrated(new: Service) -> None:
    """The message says what to do, and doing it is enough."""
    refused = boxoffice("serve", "--sandbox", service=new)
    assert refused.returncode == 1
    assert refused.stderr.startswith("boxoffice: the database has no revision of the schema")
    assert "boxoffice migrate" in refused.stderr
    migrated = boxoffice("migrate", service=new)
    assert (migrated.returncode, migrated.stdout) == (0, "the database is up to date\n")
    again = boxoffice("migrate", service=new)
    assert (again.returncode, again.stdout) == (0, "the database is up to date\n")
    new.start()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BOXOFFICE_GRPC_ADDRESS", "50051"),
        ("BOXOFFICE_HTTP_ADDRESS", "127.0.0.1:99999"),
        ("BOXOFFICE_HTTP_ADDRESS", "0.0.0.0:8080"),
        ("BOXOFFICE_SANDBOX_ADDRESS", "somewhere"),
        ("BOXOFFICE_DATABASE_URL", "mysql://root:hunter2@db/boxoffice"),
        ("BOXOFFICE_STRIPE_API_KEY", "hunter2"),
        ("BOXOFFICE_STRIPE_API_BASE", "ftp://api.stripe.com"),
        ("BOXOFFICE_STRIPE_WEBHOOK_SECRETS", "hunter2"),
        ("BOXOFFICE_DRAIN_SECONDS", "soon"),
    ],
)
def test_a_wrong_setting_is_named(new: Service, variable: str, value: str) -> None:
    """Exit status 2, the variable's name, no secret, and nothing was started or made."""
    refused = boxoffice("serve", "--migrate", "--sandbox", service=new, **{variable: value})
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"boxoffice: {variable} ")
    assert refused.stderr.count("\n") == 1
    assert "hunter2" not in refused.stderr + refused.stdout
    assert not list(new.folder.iterdir())


def test_a_database_that_is_away_is_told(new: Service) -> None:
    """No traceback, and no password."""
    url = "postgresql://someone:hunter2@127.0.0.1:1/boxoffice"
    refused = boxoffice("serve", "--migrate", service=new, BOXOFFICE_DATABASE_URL=url, **AWAY)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("boxoffice: "), refused.stderr
    assert "hunter2" not in refused.stderr + refused.stdout
    migrated = boxoffice("migrate", service=new, BOXOFFICE_DATABASE_URL=url)
    assert migrated.returncode == 1
    assert migrated.stderr.splitlines()[-1].startswith("boxoffice: "), migrated.stderr
    assert "hunter2" not in migrated.stderr + migrated.stdout


# Without a sandbox of its own, Stripe has to be named.
AWAY = {"BOXOFFICE_STRIPE_API_BASE": "http://127.0.0.1:9/stripe"}


def test_health_asks_the_service(service: Service) -> None:
    """SERVING and 0 from one that runs."""
    asked = boxoffice("health", service=service)
    assert (asked.returncode, asked.stdout) == (0, "SERVING\n")


def test_health_of_a_service_that_is_down(new: Service) -> None:
    """Anything but 0, and a word why."""
    assert is_free(new.grpc_address)
    asked = boxoffice("health", service=new)
    assert (asked.returncode, asked.stdout) == (1, "UNAVAILABLE\n")


def test_health_asks_where_the_service_listens(tmp_path: Path) -> None:
    """On another address of this machine than the usual one, too."""
    port = fixed_address().rpartition(":")[2]
    service = Service(tmp_path)
    service.grpc_address = service.environment["BOXOFFICE_GRPC_ADDRESS"] = f"[::1]:{port}"
    try:
        service.launch().wait_for(rf"^grpc \[::1\]:{port} SERVING$")
        asked = boxoffice("health", service=service)
        assert (asked.returncode, asked.stdout) == (0, "SERVING\n")
    finally:
        service.running.close()
