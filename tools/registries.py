"""Checks that no file of the repository names a package registry or a mirror.

Where packages come from is the business of whoever installs them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|proxy\.golang\.org|artifactory|/simple/"
    r"|--(extra-)?index-url[= ]|--find-links[= ]|PIP_(EXTRA_)?INDEX_URL|UV_(DEFAULT_)?INDEX",
    re.IGNORECASE,
)


# Made by make, never by hand, and not part of the repository.
OMITTED = re.compile(r"\.git|\.venv(-gen)?|\..*_cache|\.hypothesis|dist|__pycache__|.*\.db.*")


def faults(root: Path = Path()) -> str:
    """The lines that name one, as `file:line: text`."""
    found = []
    for path in files_below(root):
        if path.resolve() == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if REGISTRY.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()}")
    return "\n".join(found)


def files_below(folder: Path) -> Iterator[Path]:
    """The files of the repository, with or without git."""
    for path in sorted(folder.iterdir()):
        if OMITTED.fullmatch(path.name):
            continue
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path
