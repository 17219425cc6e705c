"""Our log lines in a replica go where Serve's go; only Serve's own logger has handlers there."""

import logging

SERVE_LOGGER = "ray.serve"


class _ToServe(logging.Handler):
    """Hands records to Serve's logger, whatever handlers that has at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger(SERVE_LOGGER)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


def log_through_serve() -> None:
    """Call it once in a replica."""
    ours = logging.getLogger("loray")
    if not any(isinstance(handler, _ToServe) for handler in ours.handlers):
        ours.addHandler(_ToServe())
    ours.setLevel(logging.INFO)
    ours.propagate = False
