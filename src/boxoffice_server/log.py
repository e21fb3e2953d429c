"""How the service logs: one JSON object a line, on standard error. Never bodies, never secrets."""

import logging
import sys

import structlog


def configure_log() -> None:
    """Send every log line, the libraries' warnings included, to standard error as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=_LIBRARY_FORMAT)


_LIBRARY_FORMAT = '{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}'
