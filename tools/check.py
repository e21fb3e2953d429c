"""`make check`: every check that needs no running service, one line each.

All steps run even when one fails, so that one run shows everything there is to mend.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools import locks, protos, registries

BIN = Path(".venv/bin")


def program(*command: str) -> Callable[[], str]:
    """A step that runs a program of the environment; what it prints matters if it fails."""

    def run() -> str:
        result = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode == 0:
            return ""
        return result.stdout or f"{command[0]} ended with status {result.returncode}"

    return run


STEPS: Sequence[tuple[str, Callable[[], str]]] = (
    ("format", program("ruff", "format", "--check", "--diff", "--quiet", ".")),
    ("lint", program("ruff", "check", "--quiet", ".")),
    ("types", program("mypy")),
    ("imports", program("lint-imports", "--no-cache", "--no-logo")),
    ("proto lint", program("buf", "lint")),
    ("proto format", program("buf", "format", "--diff", "--exit-code")),
    ("proto compatibility", protos.incompatibilities),
    ("generated code is fresh", protos.stale_files),
    ("migrations match the tables", program("python", "tools/check_migrations.py")),
    ("Dockerfile", program("hadolint", "Dockerfile")),
    ("locks match pyproject.toml", locks.faults),
    ("no registry named", registries.faults),
)


def main() -> None:
    """Runs the steps and ends with status 1 if any of them found a fault."""
    failed = 0
    for name, step in STEPS:
        start = time.monotonic()
        found = step().rstrip()
        verdict = "FAILED" if found else "ok"
        print(f"{name:.<32} {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
        if found:
            failed += 1
            print(found, flush=True)
    print(f"check: {len(STEPS) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
