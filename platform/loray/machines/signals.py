"""SIGINT and SIGTERM: say so, let go of what is held, end with 130 or 143.

The handler raises KeyboardInterrupt in the main thread, so that every `with` on the way out does
its part: leases are released, actors killed, Ray stopped. A second signal ends the process at once.
Libraries take these signals for themselves (Ray installs handlers of its own when it starts, in C++
too); `kept_signals` gives them back.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SECONDS = 1.0
"""A second signal so soon is the same one: `timeout` and shells send it to process and group."""


class Interruption:
    """Whether a signal came, and which."""

    def __init__(self, message: str) -> None:
        """Prepare; `message` is written to the error stream when a signal comes."""
        self.number: int | None = None
        self._message = message
        self._at = 0.0

    @property
    def exit_code(self) -> int | None:
        """As shells have it, 128 and the signal's number; None while no signal came."""
        return None if self.number is None else 128 + self.number

    def hear(self, number: int, _: FrameType | None = None) -> None:
        """Be told of a signal.

        Raises:
            KeyboardInterrupt: it is the first one.
        """
        if self.number is None:
            self.number, self._at = number, time.monotonic()
            # Not through a buffered stream, which the main thread may be writing to just now.
            os.write(2, f"{self._message}\n".encode())
            raise KeyboardInterrupt
        if time.monotonic() - self._at > SAME_SECONDS:
            os._exit(128 + number)


@contextmanager
def interruptible(message: str) -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM end the body in order; outside the main thread do nothing.

    Args:
        message: the one line that the user sees.
    """
    heard = Interruption(message)
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = {number: signal.signal(number, heard.hear) for number in SIGNALS}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def kept_signals() -> Iterator[None]:
    """Give back the handlers of SIGINT and SIGTERM that a library replaces in the body.

    Ray's own handler of SIGTERM raises SystemExit while Ray starts; that is the signal, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    except SystemExit:
        on_term = before[signal.SIGTERM]
        if callable(on_term):
            on_term(signal.SIGTERM, None)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
