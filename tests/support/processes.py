"""Programs under test in processes of their own: started, waited for, signalled, never left over.

Everything here blocks the calling thread, so an async test goes through asyncio.to_thread.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

CLOSE_SECONDS = 15


class Process:
    """A running program whose output is collected, standard error included.

    It leads a process group, and close() ends the whole group. Its standard input stays open
    until then.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = [str(word) for word in command]
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._popen = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def output(self) -> str:
        """Everything the program has printed so far."""
        with self._news:
            return "".join(self._lines)

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal, or None while the program runs."""
        return self._popen.poll()

    def wait_for(self, pattern: str, *, seconds: float = 15, after: int = 0) -> re.Match[str]:
        """Waits until the output matches, from the character `after` on, line by line anchored."""
        compiled = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                text = "".join(self._lines)
                if match := compiled.search(text, after):
                    return match
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    what = "ended" if self._ended else f"was silent for {seconds:g} s"
                    message = f"{self.command} {what} before it printed {pattern!r}:\n{text}"
                    raise AssertionError(message)
                self._news.wait(left)

    def send(self, text: str) -> None:
        """Writes to the program's standard input."""
        assert self._popen.stdin is not None
        # Past the buffer, which would keep what could not be written and fail again on close.
        os.write(self._popen.stdin.fileno(), text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the program alone, not to its children."""
        self._popen.send_signal(number)

    def terminate(self) -> None:
        """Asks the program to end: SIGTERM."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the program as a crash would: SIGKILL, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def wait(self, *, seconds: float = 15) -> int:
        """Waits for the end and answers the exit status."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            message = f"{self.command} still runs after {seconds:g} s:\n{self.output}"
            raise AssertionError(message) from None

    def close(self) -> None:
        """Ends the program and its group, if they still run, and lets go of its pipes."""
        with contextlib.suppress(ProcessLookupError):  # the group may have ended by itself
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._reader.join(CLOSE_SECONDS)
        assert not self._reader.is_alive(), f"{self.command} left a process that holds its output"
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def free_address(host: str = "127.0.0.1") -> str:
    """An address that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"
