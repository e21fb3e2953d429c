"""Checks on the protos: compatible with what was committed, and generated code up to date."""

import filecmp
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

BUF = Path(".venv/bin/buf").absolute()
GENERATOR = Path(".venv-gen/bin/python").absolute()


def incompatibilities(root: Path = Path()) -> str:
    """What buf says of the protos of `root` against every version they must stay compatible with.

    A copy without history, or the first commit, has none: then there is nothing to break.
    """
    found = ""
    for revision in base_revisions(root):
        with tempfile.TemporaryDirectory() as folder:
            archive = git(root, "archive", "--format=zip", revision, "buf.yaml", "protos")
            with ZipFile(BytesIO(archive)) as files:
                files.extractall(folder)
            command = [str(BUF), "breaking", "--against", folder]
            result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                found += f"against {revision}:\n{result.stdout}{result.stderr}"
    return found


def base_revisions(root: Path) -> list[str]:
    """The newest release; before the first one, the last commit and the one before it.

    The one before it matters in a clean clone, where the last commit is what is checked.
    """
    tag = git(root, "describe", "--tags", "--abbrev=0", "--match", "v*").decode().strip()
    candidates = [tag] if tag else ["HEAD", "HEAD^"]
    return [
        revision
        for revision in candidates
        if len(git(root, "ls-tree", revision, "buf.yaml", "protos").splitlines())
        == len(("buf.yaml", "protos"))
    ]


def git(root: Path, *arguments: str) -> bytes:
    """What git prints, or nothing where git, the repository or the revision is missing."""
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        return b""
    return result.stdout if result.returncode == 0 else b""


def stale_files(generated: Path = Path("generated")) -> str:
    """Compares `generated` with what the generator makes of the protos now."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(GENERATOR), "tools/generate.py", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return result.stdout + result.stderr
        fresh, kept = files_below(Path(folder)), files_below(generated)
        differing = {
            name
            for name in fresh & kept
            if not filecmp.cmp(Path(folder, name), generated / name, shallow=False)
        }
        lines = [f"missing: {name}" for name in sorted(fresh - kept)]
        lines += [f"left behind: {name}" for name in sorted(kept - fresh)]
        lines += [f"out of date: {name}" for name in sorted(differing)]
    return "\n".join([*lines, "run `make gen`"]) if lines else ""


def files_below(root: Path) -> set[str]:
    """Every file below a folder by its relative name, without Python's caches."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
