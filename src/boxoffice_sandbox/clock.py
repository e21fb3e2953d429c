"""The sandbox's virtual clock: real (or frozen) time plus an offset that only moves forward."""

import time
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Clock:
    """Seconds since the epoch as the sandbox sees them.

    `frozen` replaces real time, so that a script gives the same bytes whenever it runs.
    """

    offset_seconds: int = 0
    frozen: int | None = None

    def now(self) -> int:
        """Whole seconds, as Stripe's `created` fields have them."""
        real = int(time.time()) if self.frozen is None else self.frozen
        return real + self.offset_seconds

    def now_milliseconds(self) -> int:
        """Whole milliseconds, as Apple's dates have them."""
        real = int(time.time() * 1000) if self.frozen is None else self.frozen * 1000
        return real + self.offset_seconds * 1000
