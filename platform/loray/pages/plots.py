"""Plots as inline SVG: no script, no file beside the report, colours from the page's own palette.

Every colour is a CSS class (`series-0`, `base`, `best`, `heat`), so a plot follows light and dark.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from loray.pages.figures import number
from loray.pages.scale import Axis, tick_label
from loray.pages.svg import BAR, LABELS, WIDTH, drawing, text

HEIGHT = 250
LEFT, RIGHT, TOP, BOTTOM = 54, 18, 14, 36
GAP = 22
CELL_HEIGHT = 24
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[Point]
    css: str
    has_marks: bool = False
    """Draw a dot, with its value on hover, at each point."""


@dataclass(frozen=True)
class Chart:
    """Lines over a common x axis."""

    x_title: str
    y_title: str
    lines: Sequence[Line]
    band: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): a shaded area behind the lines."""
    level: tuple[str, float] | None = None
    """A named horizontal line to compare with."""
    star: Point | None = None
    """A point to ring, such as the checkpoint that was chosen."""
    x_values: Sequence[float] = field(default_factory=tuple)
    """Where the x axis has ticks; chosen when not given."""


def line_chart(chart: Chart) -> Markup:
    """A chart of lines, with axes, grid and legend."""
    x_axis, y_axis = _axes(chart)
    parts = [*_grid(chart, x_axis, y_axis)]
    if chart.band:
        upper = [(x, high) for x, _, high in chart.band]
        lower = [(x, low) for x, low, _ in reversed(chart.band)]
        outline = _points([*upper, *lower], x_axis, y_axis)
        parts.append(Markup('<polygon class="band" points="{}"/>').format(outline))
    if chart.level is not None:
        parts.append(_level(chart.level, y_axis))
    for line in chart.lines:
        parts.extend(_line(line, x_axis, y_axis))
    if chart.star is not None:
        x, y = x_axis.place(chart.star[0]), y_axis.place(chart.star[1])
        parts.append(Markup('<circle class="star" cx="{:.1f}" cy="{:.1f}" r="8"/>').format(x, y))
    return drawing(WIDTH, HEIGHT, parts, title=f"{chart.y_title} over {chart.x_title}")


def _axes(chart: Chart) -> tuple[Axis, Axis]:
    xs = [x for line in chart.lines for x, _ in line.points]
    ys = [y for line in chart.lines for _, y in line.points]
    ys += [y for _, low, high in chart.band for y in (low, high)]
    ys += [chart.level[1]] if chart.level is not None else []
    x_axis = Axis.over(xs, start=LEFT, end=WIDTH - RIGHT, is_snug=True, ticks=chart.x_values)
    return x_axis, Axis.over(ys, start=HEIGHT - BOTTOM, end=TOP)


def _grid(chart: Chart, x_axis: Axis, y_axis: Axis) -> Iterable[Markup]:
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            LEFT, WIDTH - RIGHT, y, y
        )
        yield text(tick_label(tick, y_axis.ticks), LEFT - 8, y + 4, anchor="end")
    for tick in x_axis.ticks:
        label = tick_label(tick, x_axis.ticks)
        yield text(label, x_axis.place(tick), HEIGHT - BOTTOM + 17, anchor="middle")
    yield text(chart.x_title, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, anchor="middle")


def _level(level: tuple[str, float], y_axis: Axis) -> Markup:
    name, value = level
    y = y_axis.place(value)
    line = Markup('<line class="level" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
        LEFT, WIDTH - RIGHT, y, y
    )
    above = y - 5 if y > TOP + 16 else y + 13
    return line + text(f"{name} {number(value)}", WIDTH - RIGHT - 2, above, anchor="end")


def _line(line: Line, x_axis: Axis, y_axis: Axis) -> Iterable[Markup]:
    points = _points(line.points, x_axis, y_axis)
    yield Markup('<polyline class="line {}" points="{}"><title>{}</title></polyline>').format(
        line.css, points, line.name
    )
    for x, y in line.points if line.has_marks or len(line.points) == 1 else ():
        yield Markup(
            '<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="4.5">'
            "<title>{} {}: {}</title></circle>"
        ).format(line.css, x_axis.place(x), y_axis.place(y), line.name, f"{x:g}", number(y))


def _points(points: Iterable[Point], x_axis: Axis, y_axis: Axis) -> str:
    return " ".join(f"{x_axis.place(x):.1f},{y_axis.place(y):.1f}" for x, y in points)


@dataclass(frozen=True)
class BarPair:
    """The base's value of one thing, and that of the best checkpoint."""

    name: str
    base: float | None
    best: float | None


def bar_pairs(pairs: Sequence[BarPair], *, trained: str) -> Markup:
    """Two horizontal bars per pair, the base's above that of what was trained, from 0.

    Args:
        trained: how the latter is called.
    """
    longest = max((v for pair in pairs for v in (pair.base, pair.best) if v is not None), default=0)
    room = WIDTH - LABELS - 70
    parts: list[Markup] = []
    for place, pair in enumerate(pairs):
        top = place * (2 * BAR + GAP) + 4
        parts.append(text(pair.name, LABELS - 12, top + BAR + 4, anchor="end", css="name"))
        for line, (who, value) in enumerate((("base", pair.base), (trained, pair.best))):
            width = 0.0 if value is None or longest == 0 else room * value / longest
            y = top + line * (BAR + 1)
            parts.append(_bar(who, pair.name, value, width, y))
    height = len(pairs) * (2 * BAR + GAP) - GAP + 10
    return drawing(
        WIDTH, height, parts, title=f"base and {trained}: " + ", ".join(p.name for p in pairs)
    )


def _bar(who: str, name: str, value: float | None, width: float, y: float) -> Markup:
    css = "base" if who == "base" else "best"
    bar = Markup(
        '<rect class="bar {}" x="{}" y="{}" width="{:.1f}" height="{}" rx="2">'
        "<title>{} of the {}: {}</title></rect>"
    ).format(css, LABELS, y, max(width, 1.5), BAR, name, who, number(value))
    return bar + text(number(value), LABELS + max(width, 1.5) + 7, y + BAR - 4, css="value")


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Mapping[tuple[str, str], float]
) -> Markup:
    """A cell per row and column, stronger for larger values, which show on hover and if they fit.

    Args:
        values: by (row, column); a cell without a value stays empty.
    """
    largest = max(values.values(), default=0.0)
    step = (WIDTH - LABELS) / max(len(columns), 1)
    parts: list[Markup] = []
    for line, row in enumerate(rows):
        y = line * CELL_HEIGHT
        parts.append(text(row, LABELS - 12, y + 16, anchor="end", css="name"))
        for place, column in enumerate(columns):
            if (row, column) in values:
                value = values[row, column]
                share = value / largest if largest > 0 else 0.0
                parts.append(_cell(f"{row}, layer {column}", value, share, (place * step, y, step)))
    bottom = len(rows) * CELL_HEIGHT
    every = max(1, len(columns) // 16)
    for place, column in list(enumerate(columns))[::every]:
        parts.append(text(column, LABELS + (place + 0.5) * step, bottom + 14, anchor="middle"))
    parts.append(text("layer", LABELS - 12, bottom + 14, anchor="end"))
    return drawing(WIDTH, bottom + 20, parts, title="weight-norm ratio by projection and layer")


def _cell(name: str, value: float, share: float, place: tuple[float, float, float]) -> Markup:
    x, y, step = place
    cell = Markup(
        '<rect class="heat" style="--share: {:.1f}%" x="{:.1f}" y="{}" width="{:.1f}" height="{}">'
        "<title>{}: {:.2%}</title></rect>"
    ).format(100 * share, LABELS + x, y, max(step - 1.5, 0.5), CELL_HEIGHT - 1.5, name, value)
    if step < 46:
        return cell
    css = "on-heat" if share > 0.65 else "value"
    middle = LABELS + x + step / 2
    return cell + text(f"{value:.1%}", middle, y + 16, anchor="middle", css=css)
