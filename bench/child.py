"""Programs of the benchmarks in processes of their own, told what to do by lines of JSON.

A program reads commands from its standard input until that ends, so none outlives who started it.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

from boxoffice_server.runtime import spare_what_stays

LONGEST_SECONDS = 120.0
CLOSE_SECONDS = 15.0

Answer: TypeAlias = dict[str, Any]


class ChildError(Exception):
    """A program ended, or gave no answer in time. The message holds the end of what it printed."""


class Child:
    """A running module of ours that takes commands."""

    def __init__(self, module: str, *, folder: Path) -> None:
        self._module = module
        self._errors = folder / f"{module}.{id(self)}.log"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Ctrl-C is for the benchmark, which then closes its programs.
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, command: str, **arguments: object) -> Answer:
        """Give a command and wait for its answer, for LONGEST_SECONDS."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(LONGEST_SECONDS, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            said = self._errors.read_text(errors="replace")[-3000:]
            raise ChildError(f"{self._module} did not answer {command!r}:\n{said}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """End the program: by the end of its input, else by force."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def obey(commands: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
    """Do what the lines of standard input say, one after the other, until they end."""
    # What a benchmark's own programs are held up by would count against the service.
    spare_what_stays()
    while line := await asyncio.to_thread(sys.stdin.readline):
        words = json.loads(line)
        answer = await commands[words.pop("command")](**words)
        print(json.dumps(answer), flush=True)
