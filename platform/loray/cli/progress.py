"""How lines about long work are shown: in place on a terminal, sparsely in a pipe or a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loray.cli.hints import completed
from loray.cli.output import complain, harmless, say
from loray.machines.passing import Passing

Report = Callable[[str], None]
FIRST_SECONDS = 1.0
"""After so long the second passing line is shown; each further one after twice the time, up to:"""
EVERY_SECONDS = 30.0
SPINNER = 4
"""Columns beside the line that is updated."""
SHARE = 0.02
"""Of the time that has passed, in long work: ten hours are some 200 lines."""


class Sparse:
    """Passes on every line that is to stay, and of passing ones fewer and fewer.

    `clock` gives seconds that do not go back.
    """

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._wait = self._began = self._due = 0.0

    def __call__(self, line: str) -> None:
        """Show the line, or leave it out."""
        now = self._clock()
        if not isinstance(line, Passing):
            self._wait = self._due = 0.0
            self._report(line)
            return
        if not self._wait:  # something else was said: work of another kind
            self._began, self._wait = now, FIRST_SECONDS
        elif now < self._due:
            return
        else:
            self._wait = min(2 * self._wait, EVERY_SECONDS)
        self._due = now + max(self._wait, SHARE * (now - self._began))
        self._report(line)


@contextmanager
def progress(*, as_json: bool = False) -> Iterator[Report]:
    """Where lines about the work go.

    To the error stream when JSON is asked for; on a terminal above one line that is updated in
    place and has the time; else to the output.
    """
    if as_json or not sys.stdout.isatty():
        show = complain if as_json else say_at_once
        yield Sparse(show)
        return
    from rich.console import Console
    from rich.markup import escape

    console, begin = Console(highlight=False), time.monotonic()
    with console.status("starting") as status:

        def report(line: str) -> None:
            text = harmless(completed(line))
            status.update(escape(text[: console.width - SPINNER]))
            if not isinstance(line, Passing):
                console.print(f"[dim]{time.monotonic() - begin:7.1f} s[/dim]  {escape(text)}")

        yield report


def say_at_once(line: str) -> None:
    """Print a line, and let who reads a pipe have it."""
    say(line)
    sys.stdout.flush()
