"""How loud Ray's own loggers are in this process."""

import logging


def ray_level() -> int:
    """Errors alone; warnings too where this process shows details (`loray --verbose`).

    What a user has to know of Ray's warnings is said in words of ours: who waits for what, and for
    how long. An error of Ray's is raised, or logged as one.
    """
    return logging.WARNING if logging.getLogger().isEnabledFor(logging.INFO) else logging.ERROR
