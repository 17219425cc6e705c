"""Plots of counts: named bars from 0, and histograms with a limit marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from loray.pages.figures import number
from loray.pages.scale import Axis, tick_label
from loray.pages.svg import BAR, WIDTH, drawing, text
from loray.pages.visible import one_line

NAMES = 232
"""Room for names left of the bars."""
NAME_CHARS = 34
VALUES = 74
"""Room for figures right of the bars."""
STEP = BAR + 7
HEIGHT = 170
LEFT, RIGHT, TOP, BOTTOM = 54, 18, 18, 34


@dataclass(frozen=True)
class Histogram:
    """How many values lie between one edge and the next."""

    x_title: str
    counts: Sequence[int]
    edges: Sequence[float]
    """One more than `counts`, evenly apart."""
    limit: tuple[str, float] | None = None
    """A named value to mark; beyond the last edge, its name says so."""


def bar_list(values: Sequence[tuple[str, float]], *, title: str, css: str = "best") -> Markup:
    """A horizontal bar for each named value, all from 0.

    Args:
        css: class that gives the bars their colour, `best` or `base`.
    """
    longest = max((value for _, value in values), default=0.0)
    parts: list[Markup] = []
    for place, (name, value) in enumerate(values):
        y = place * STEP + 2
        width = max((WIDTH - NAMES - VALUES) * value / longest if longest else 0.0, 1.5)
        shown = one_line(name, longest=NAME_CHARS)
        figure = f"{value:,}" if isinstance(value, int) else number(value)
        parts.append(text(shown, NAMES - 10, y + BAR - 4, anchor="end", css="name"))
        parts.append(
            Markup(
                '<rect class="bar {}" x="{}" y="{}" width="{:.1f}" height="{}" rx="2">'
                "<title>{}: {}</title></rect>"
            ).format(css, NAMES, y, width, BAR, one_line(name, longest=200), figure)
        )
        parts.append(text(figure, NAMES + width + 7, y + BAR - 4, css="value"))
    return drawing(WIDTH, max(len(values), 1) * STEP, parts, title=title)


def histogram(shape: Histogram) -> Markup:
    """Counts as columns, with axes; the limit as a dashed line."""
    x_axis = Axis.over(shape.edges, start=LEFT, end=WIDTH - RIGHT, is_snug=True)
    y_axis = Axis.over([0.0, float(max(shape.counts, default=0))], start=HEIGHT - BOTTOM, end=TOP)
    parts = [*_grid(shape.x_title, x_axis, y_axis)]
    bottom = y_axis.place(0.0)
    for at, count in enumerate(shape.counts):
        left, right = x_axis.place(shape.edges[at]), x_axis.place(shape.edges[at + 1])
        if count:
            top = min(y_axis.place(count), bottom - 1)  # a single one is seen, too
            parts.append(
                Markup(
                    '<rect class="bar best" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{:,.0f} to {:,.0f}: {:,}</title></rect>"
                ).format(
                    left, top, max(right - left - 1, 0.7), bottom - top,
                    shape.edges[at], shape.edges[at + 1], count,
                )
            )  # fmt: skip
    if shape.limit is not None:
        parts.append(_limit(*shape.limit, x_axis))
    return drawing(WIDTH, HEIGHT, parts, title=f"how many by {shape.x_title}")


def _grid(x_title: str, x_axis: Axis, y_axis: Axis) -> list[Markup]:
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(line.format(LEFT, WIDTH - RIGHT, y, y))
        parts.append(text(tick_label(tick, y_axis.ticks), LEFT - 8, y + 4, anchor="end"))
    for tick in x_axis.ticks:
        label = tick_label(tick, x_axis.ticks)
        parts.append(text(label, x_axis.place(tick), HEIGHT - BOTTOM + 15, anchor="middle"))
    parts.append(text(x_title, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, anchor="middle"))
    return parts


def _limit(name: str, value: float, x_axis: Axis) -> Markup:
    """A dashed line at the value, or an arrow to the right where the axis ends before it."""
    if value > x_axis.high:
        label = f"{name} {value:,.0f} \N{RIGHTWARDS ARROW}"
        return text(label, WIDTH - RIGHT, TOP - 6, anchor="end", css="value")
    x = x_axis.place(value)
    line = Markup('<line class="level" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
        x, x, TOP - 4, HEIGHT - BOTTOM
    )
    return line + text(f"{name} {value:,.0f}", x - 4, TOP - 6, anchor="end", css="value")
