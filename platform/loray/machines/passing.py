"""Lines that say how far something is, which the next such line replaces.

Whoever shows lines may show them in place, or only some of them; all others are to be kept.
"""

from collections.abc import Callable

Report = Callable[[str], None]


class Passing(str):
    """A line of this kind."""

    __slots__ = ()


def prefixed(prefix: str, report: Report) -> Report:
    """`report` of lines with `prefix: ` before them, of whatever kind."""

    def tell(line: str) -> None:
        report(type(line)(f"{prefix}: {line}"))

    return tell
