"""What the service logs, as it would be written."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import structlog

from boxoffice_server.log import PROCESSORS, LibraryFormatter


class ServiceLog:
    """The log of the services that were started inside the block."""

    def __init__(self, written: StringIO) -> None:
        self._written = written

    @property
    def text(self) -> str:
        """Everything that was logged so far."""
        return self._written.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line that was logged so far."""
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def recorded_log() -> Iterator[ServiceLog]:
    """Keep what is logged, every level of it, and what libraries warn of."""
    written = StringIO()
    libraries = logging.StreamHandler(written)
    libraries.setFormatter(LibraryFormatter())
    logging.getLogger().addHandler(libraries)
    structlog.configure(
        processors=PROCESSORS, logger_factory=structlog.WriteLoggerFactory(file=written)
    )
    try:
        yield ServiceLog(written)
    finally:
        structlog.reset_defaults()
        logging.getLogger().removeHandler(libraries)
