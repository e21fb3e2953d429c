"""How the commands reach a running sandbox: JSON over HTTP, and its refusals in its words."""

import argparse
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


class RefusedError(Exception):
    """What the sandbox said no to, in its words."""


def command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    meaning: str,
    run: Callable[[argparse.Namespace], Json],
    *,
    show: Callable[[Json], str] | None = None,
) -> argparse.ArgumentParser:
    """Add a command; it prints an id and its status unless `show` says what else."""
    parser = commands.add_parser(name, help=meaning)
    parser.add_argument("--sandbox", default="http://127.0.0.1:12111", metavar="URL")
    parser.set_defaults(run=run, show=show or id_and_status)
    return parser


def id_and_status(answer: Json) -> str:
    """Return what most commands print."""
    return f"{answer['id']} {answer['status']}"


def control(parsed: argparse.Namespace, path: str, body: Json | None) -> Json:
    """Make a control call: with a body it changes something, without one it asks."""
    url = f"{parsed.sandbox}/control/{path}"
    data = None if body is None else json.dumps(body).encode()
    return send(url, data, {"Content-Type": "application/json"})


def send(url: str, data: bytes | None, headers: dict[str, str]) -> Json:
    """Send a request and return its answer; a refusal is raised."""
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  (asked for)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            answer: Json = json.load(response)
    except urllib.error.HTTPError as error:
        try:
            message = json.load(error)["error"]["message"]
        except (ValueError, KeyError):
            message = f"HTTP {error.code}"
        raise RefusedError(message) from error
    return answer
