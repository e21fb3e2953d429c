"""Executes the code blocks of a document as a reader would, in order, in two or more shells.

In the document:

- Blocks of `sh` and `console` run in one shell, so that variables carry over. In `console`, lines
  that start with `$ ` are commands (a trailing backslash continues them), the rest is what they
  print. Blocks of `python` run with the Python of the project's environment.
- A block of `text` directly after an executed block is what that one prints: every line of it,
  in this order, though other lines may come in between. `…` in a line stands for anything, and
  the comma after a field of JSON may be left out.
- An HTML comment right before a block changes what happens:
  `<!-- background: NAME -->` runs it in a shell of its own, which goes on running;
  `<!-- output: NAME -->` before a block of `text` waits until that shell has printed it;
  `<!-- not executed: REASON -->` leaves it out.
"""

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.processes import Process

FENCE = re.compile(
    r"(?:^[ ]*<!--[ ]*(?P<marker>[^\n]*?)[ ]*-->\n+)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
MARKER = re.compile(r"(?P<kind>background|output|not executed): *(?P<value>\S.*)")
EXECUTABLE = {"bash", "console", "python", "sh", "shell"}
OUR_VARIABLES = re.compile(r"BOXOFFICE_|COVERAGE_|PYTEST_|PYTHON(HOME|PATH)$|VIRTUAL_ENV$")
# What `make` writes, and git: none of it is part of a fresh clone.
NOT_CLONED = (
    *(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "dist"),
    *("*.db*", "boxoffice-sandbox-app-store-*"),
)
# Enough for `make serve` to install everything on a slow connection.
SECONDS = 120
STOP_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a document, with the comment that stood right before it.

    `line` is where its fence opens.
    """

    line: int
    language: str
    code: str
    marker: str = ""
    value: str = ""

    @property
    def executable(self) -> bool:
        """Whether the block is of a language that readers would run."""
        return self.language in EXECUTABLE


def read_blocks(text: str) -> Sequence[Block]:
    """The fenced blocks of a document in order."""
    blocks = []
    for found in FENCE.finditer(text):
        marker = MARKER.fullmatch(found["marker"] or "")
        indent = len(found["indent"])
        blocks.append(
            Block(
                line=text.count("\n", 0, found.start("code")),
                language=found["language"],
                code="".join(line[indent:] for line in found["code"].splitlines(keepends=True)),
                marker=marker["kind"] if marker else "",
                value=marker["value"] if marker else "",
            )
        )
    return blocks


def clone(source: Path, target: Path) -> Path:
    """Copies the working tree as a fresh clone would have it."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*NOT_CLONED))
    return target


@dataclass(slots=True)
class Reader:
    """Someone who works through a document in `folder`, believing every word of it."""

    folder: Path
    _exit: ExitStack = field(default_factory=ExitStack)
    _shells: dict[str, Process] = field(default_factory=dict)
    _scripts: int = 0

    def __enter__(self) -> Self:
        self._shells[""] = self._open_shell()
        self._shells[""].send("set -eo pipefail\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def follow(self, document: Path) -> int:
        """Executes the document and answers how many blocks are marked as not executed."""
        left_out = 0
        printed: str | None = None
        for block in read_blocks(document.read_text("utf-8")):
            place = f"{document.name}:{block.line}"
            if block.marker == "not executed":
                left_out += 1
                printed = None
            elif block.language == "text" and block.marker == "output":
                self._expect_from(block.value, block.code, place)
            elif block.language == "text" and printed is not None:
                expect(block.code, printed, place)
                printed = None
            elif block.executable and block.marker == "background":
                self._start(block, place)
                printed = None
            elif block.executable:
                printed = self._run(block, place)
            else:
                printed = None
        return left_out

    def _run(self, block: Block, place: str) -> str:
        """Runs a block in the first shell to its end."""
        if block.language == "console":
            printed = ""
            for command, expected in read_console(block.code):
                answer = self._run_script(command, place)
                expect(expected, answer, place)
                printed += answer
            return printed
        return self._run_script(self._as_shell(block), place)

    def _run_script(self, code: str, place: str) -> str:
        shell = self._shells[""]
        start = len(shell.output)
        end = f"--- {place} done ---"
        # Sourced, so that variables stay, and with nothing to read but the script.
        shell.send(f". {self._write_script(code)} </dev/null; echo; echo '{end}'\n")
        try:
            found = shell.wait_for(f"^{re.escape(end)}$", seconds=SECONDS, after=start)
        except AssertionError:
            message = f"{place}: this failed:\n{code}\n{shell.output[start:]}"
            raise AssertionError(message) from None
        return shell.output[start : found.start()]

    def _start(self, block: Block, place: str) -> None:
        """Runs a block in a new shell and leaves it running until the document ends."""
        if block.value in self._shells:
            message = f"{place}: a shell named {block.value!r} is open already"
            raise AssertionError(message)
        shell = self._open_shell()
        script = self._write_script(self._as_shell(block))
        shell.send(f"exec bash -eo pipefail {script} </dev/null\n")
        self._shells[block.value] = shell

    def _expect_from(self, name: str, expected: str, place: str) -> None:
        if not name or name not in self._shells:
            message = f"{place}: no background shell is named {name!r}"
            raise AssertionError(message)
        shell = self._shells[name]
        try:
            shell.wait_for(lines_pattern(expected), seconds=SECONDS)
        except AssertionError:
            expect(expected, shell.output, place)
            raise

    def _as_shell(self, block: Block) -> str:
        if block.language == "python":
            return f".venv/bin/python {self._write_script(block.code)}\n"
        return block.code

    def _write_script(self, code: str) -> Path:
        self._scripts += 1
        script = self.folder.with_name(f"{self.folder.name}-block-{self._scripts}")
        script.write_text(code, "utf-8")
        return script

    def _open_shell(self) -> Process:
        # What the tests themselves were started with is nothing that a reader would have.
        unset = [f"-u{name}" for name in os.environ if OUR_VARIABLES.match(name)]
        path = os.pathsep.join(
            folder
            for folder in os.environ["PATH"].split(os.pathsep)
            if ".venv" not in Path(folder).parts
        )
        command = ["env", *unset, f"PATH={path}", "bash", "--noprofile", "--norc"]
        shell = Process(command, cwd=self.folder)
        self._exit.callback(leave, shell)
        return shell


def leave(shell: Process) -> None:
    """Ends what runs in a shell the way Ctrl-C does, and does not wait forever."""
    with shell:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(shell.pid, signal.SIGINT)
        shell.wait(seconds=STOP_SECONDS)


def read_console(code: str) -> Sequence[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    found: list[tuple[str, str]] = []
    continued = False
    for line in code.splitlines(keepends=True):
        if continued:
            command, _ = found.pop()
            found.append((command + line.removeprefix("> "), ""))
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), ""))
        elif found:
            command, expected = found.pop()
            found.append((command, expected + line))
        else:
            message = f"a console block starts with output: {line!r}"
            raise AssertionError(message)
        continued = line.endswith("\\\n") and (continued or line.startswith("$ "))
    return found


def expect(expected: str, printed: str, place: str) -> None:
    """Asserts that the lines of `expected` are found in `printed`, in their order."""
    start = 0
    for line in filter(str.strip, expected.splitlines()):
        found = re.compile(line_pattern(line), re.MULTILINE).search(printed, start)
        if found is None:
            message = f"{place}: the document promises\n{line}\nbut this was printed:\n{printed}"
            raise AssertionError(message)
        start = found.end()


def lines_pattern(expected: str) -> str:
    """A pattern for all lines of a text, in order, others in between."""
    lines = filter(str.strip, expected.splitlines())
    return r"(?:.*\n)*?".join(f"{line_pattern(line)}\n?" for line in lines)


def line_pattern(line: str) -> str:
    """A pattern for one line: `…` is anything, space around and a comma after it are nothing."""
    parts = line.strip().removesuffix(",").split("…")
    return r"^[ \t]*" + "[^\n]*".join(map(re.escape, parts)) + r",?[ \t]*$"
