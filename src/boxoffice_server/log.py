"""How the service logs: one JSON object a line, on standard error. Never bodies, never secrets."""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from structlog.tracebacks import ExceptionDictTransformer

PROCESSORS: Sequence[structlog.typing.Processor] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Without the variables of each frame, which hold requests and client secrets.
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
    structlog.processors.JSONRenderer(),
)


def configure_log() -> None:
    """Send every log line, the libraries' warnings included, to standard error as JSON."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class LibraryFormatter(logging.Formatter):
    """Writes what libraries log in the same form as what we do."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "logger": record.name,
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)
