"""Checks that the locks hold what pyproject.toml asks for, pinned and hashed.

Needs no network: it reads both sides. `make lock` resolves them anew.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Pins = Mapping[str, str]


def faults(root: Path = Path()) -> str:
    """Everything in which a lock and pyproject.toml disagree, one a line."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    extras: Mapping[str, list[str]] = project["project"]["optional-dependencies"]
    groups: Mapping[str, list[str]] = project["dependency-groups"]
    runtime: list[str] = project["project"]["dependencies"] + groups["build"]
    for extra in extras.values():
        runtime += extra
    wanted = {
        "requirements.lock": runtime,
        "requirements-dev.lock": runtime + groups["dev"],
        "requirements-gen.lock": groups["gen"],
    }
    found: list[str] = []
    pins: dict[str, Pins] = {}
    for name, requirements in wanted.items():
        text = (root / name).read_text("utf-8")
        pins[name] = read_pins(text)
        found += [f"{name}: {fault}" for fault in unhashed(text)]
        found += [f"{name}: {fault}" for fault in unmet(requirements, pins[name])]
    found += [
        f"{package} is {version} in requirements.lock alone"
        for package, version in pins["requirements.lock"].items()
        if pins["requirements-dev.lock"].get(package) != version
    ]
    return "\n".join(found)


def entries(text: str) -> Iterable[str]:
    """The requirements of a lock, each with its continuation lines joined."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def read_pins(text: str) -> Pins:
    """The version of every package that a lock pins."""
    found = (re.match(r"([\w.-]+)==(\S+)", line) for line in entries(text))
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def unhashed(text: str) -> Iterable[str]:
    """Lines that pip would not check against a hash, options included."""
    pattern = re.compile(r"[\w.-]+==\S+( ; [^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    return [f"no pin with hashes: {line}" for line in entries(text) if not pattern.fullmatch(line)]


def unmet(requirements: Iterable[str], pins: Pins) -> Iterable[str]:
    """Requirements that no pin meets."""
    for requirement in map(Requirement, requirements):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{requirement.name} is missing"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} is not {requirement.specifier}"
