"""What every plot is drawn with: texts and the drawing they are in."""

from collections.abc import Iterable

from markupsafe import Markup

WIDTH = 640
LABELS = 132
"""Room for names left of bars and cells."""
BAR = 16
"""Height of a bar."""


def text(label: str, x: float, y: float, *, anchor: str = "start", css: str = "tick") -> Markup:
    """A label; `anchor` says which end of it is at `x`."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        css, x, y, anchor, label
    )


def drawing(width: float, height: float, parts: Iterable[Markup], *, title: str) -> Markup:
    """The whole plot; `title` is read out to those who do not see it."""
    body = Markup("\n").join(parts)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">\n{}\n</svg>').format(
        width, height, title, body
    )
