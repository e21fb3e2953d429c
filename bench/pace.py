"""How fast this machine calculates while something is measured on it.

A virtual machine's cores are shared with its neighbours: the same calculation may take half as long
again, for minutes, and nothing else tells of that. So a small one is made now and then, as long as
a round takes, and what it takes of its core is compared with its fastest in the whole run.
"""

import threading
import time
from typing import Self

EVERY_SECONDS = 0.05
# Takes about 0.7 ms.
STEPS = 20_000


class Pace:
    """Calculates in a thread of its own until the block ends. The program's others must be idle."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        """Milliseconds of a core that each calculation took."""

        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while True:
            self.taken.append(calculation_milliseconds())
            if self._ended.wait(EVERY_SECONDS):
                return


def calculation_milliseconds() -> float:
    """Make the calculation, and answer what it took of its core; to wait for one doesn't count."""
    began, value = time.thread_time(), 0
    for step in range(STEPS):
        value += step * step & 7
    return (time.thread_time() - began) * 1000
