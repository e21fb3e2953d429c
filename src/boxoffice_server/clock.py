"""The service's clock: real time, plus an offset that only the sandbox moves."""

from datetime import UTC, datetime, timedelta


class BusinessClock:
    """Real time, and business time at an offset from it that is kept in the store."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def set_offset(self, seconds: int) -> None:
        """Put business time this many seconds ahead of real time."""
        self._offset = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def real_now(self) -> datetime:
        return datetime.now(UTC)
