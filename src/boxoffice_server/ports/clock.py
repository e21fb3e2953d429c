"""The two clocks of the service."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The two clocks of the service. Both answer aware UTC times."""

    def now(self) -> datetime:
        """Business time: real time plus the store's offset. For facts, signatures and records."""
        ...

    def real_now(self) -> datetime:
        """Real time. For leases and back-off, which no sandbox may stretch."""
        ...
