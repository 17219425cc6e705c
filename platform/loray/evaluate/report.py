"""The report: one HTML file that holds everything it shows and runs nothing.

No script, no font, no image from elsewhere; a content security policy says so to the browser.
Everything that came out of a corpus or a model is escaped, and what hides is made visible.
"""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from loray.artifacts.diagnosis import Diagnosis
from loray.evaluate.dataset_counts import DatasetCounts
from loray.evaluate.history import Vital, ratio_spread
from loray.evaluate.scorecard import REPORT_NAME, Comparison, Quality, Scorecard
from loray.evaluate.words import MEANINGS, TITLES, lower_is_better
from loray.pages.environment import environment_of
from loray.pages.figures import number
from loray.pages.plots import BarPair, Chart, Line, bar_pairs, heat_map, line_chart
from loray.spec.evaluate import GENERATED

QUALITIES: dict[Quality, str] = {
    "better": "better",
    "worse": "worse",
    "chance": "could be chance",
    "equal": "equal",
    "unknown": "not measured",
}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SMOOTHING = 0.9
"""Share of the old value in the running mean of the training loss."""
MOST_POINTS = 400
"""A training loss with more steps than this is thinned to about as many points."""


def write_report(
    folder: Path,
    card: Scorecard,
    *,
    losses: Sequence[tuple[int, float]],
    vitals: Sequence[Vital],
    counts: DatasetCounts | None,
    diagnoses: Sequence[Diagnosis] = (),
) -> None:
    """Write `report.html` under `folder`."""
    page = render_report(card, losses=losses, vitals=vitals, counts=counts, diagnoses=diagnoses)
    (folder / REPORT_NAME).write_text(page, encoding="utf-8")


def render_report(
    card: Scorecard,
    *,
    losses: Sequence[tuple[int, float]],
    vitals: Sequence[Vital],
    counts: DatasetCounts | None,
    diagnoses: Sequence[Diagnosis] = (),
) -> str:
    """The report's HTML; the same arguments give the same bytes.

    Args:
        losses: (step, nats per target token) of the training.
        counts: None when the dataset's rows are not at hand.
        diagnoses: what the training found wrong with itself.
    """
    page = _environment().get_template("report.html.j2")
    return page.render(
        card=card,
        counts=counts,
        diagnoses=diagnoses,
        tiles=tiles(card),
        loss_plot=loss_plot(losses, card.best_step) if losses else None,
        checkpoint_plot=checkpoint_plot(card),
        base_level=_base_on_validation(card),
        bar_plots=bar_plots(card),
        heat_plot=heat_plot(vitals, card.best_step) if vitals else None,
        heat_step=_step_shown(vitals, card.best_step) if vitals else None,
        spread_plot=spread_plot(list(vitals)) if vitals else None,
    )


def _environment() -> Environment:
    environment = environment_of("loray.evaluate")
    environment.filters |= {"signed": _signed}
    environment.globals |= {"titles": TITLES, "meanings": MEANINGS, "qualities": QUALITIES}
    return environment


def _signed(value: float) -> str:
    """A difference with its sign."""
    return ("+" if value > 0 else "") + number(value).replace("-", "\N{MINUS SIGN}")


def tiles(card: Scorecard) -> list[tuple[str, str, str]]:
    """(title, figure, caption) of the numbers at the top of the page."""
    found = []
    for comparison in card.comparisons:
        if comparison.pair is not None:
            before, after = comparison.pair
            where = "general text" if comparison.suite == "general" else "held-out rows"
            title = f"{TITLES[comparison.metric]}, {where}"
            arrow = f"{number(before)} \N{RIGHTWARDS ARROW} {number(after)}"
            found.append((title, arrow, _caption(comparison, before, after)))
    return found[:6]


def _caption(comparison: Comparison, before: float, after: float) -> str:
    if not lower_is_better(comparison.metric):
        return f"{_signed(after - before)} against the base"
    if comparison.suite == "general":
        change = 100.0 * (after / before - 1.0)
        return f"{change:+.1f}% against the base".replace("-", "\N{MINUS SIGN}")
    return f"{after / before:.2f} of the base's, lower is better"


def loss_plot(losses: Sequence[tuple[int, float]], best_step: int) -> Markup:
    """The training loss of every step, faint, and its running mean."""
    smooth: list[tuple[float, float]] = []
    mean = losses[0][1]
    for number_of, (step, loss) in enumerate(losses):
        keep = min(SMOOTHING, number_of / (number_of + 1))  # a plain mean over the first steps
        mean = keep * mean + (1 - keep) * loss
        smooth.append((float(step), mean))
    every = max(1, len(losses) // MOST_POINTS)
    raw = [(float(step), loss) for step, loss in losses]
    star = min(smooth, key=lambda point: abs(point[0] - best_step))
    lines = [
        Line("loss of the step", _thinned(raw, every), "faint"),
        Line("running mean", _thinned(smooth, every), "best"),
    ]
    return line_chart(Chart("step", "training loss", lines, star=star))


def _thinned(points: list[tuple[float, float]], every: int) -> list[tuple[float, float]]:
    """Every n-th point, and always the last."""
    return points[::every] + ([points[-1]] if (len(points) - 1) % every else [])


def checkpoint_plot(card: Scorecard) -> Markup | None:
    """The selecting metric of every checkpoint on the validation rows.

    The base's value gets a line of its own unless that would squeeze the checkpoints flat.
    """
    points = [
        (float(checkpoint.step), value)
        for checkpoint in card.checkpoints
        if checkpoint.validation is not None
        and (value := checkpoint.validation.metrics.get(card.selected_by)) is not None
    ]
    if not points:
        return None
    chosen = [point for point in points if point[0] == card.best_step]
    values = [value for _, value in points]
    level = _base_on_validation(card)
    if level is not None and abs(level - values[-1]) > 3 * (max(values) - min(values)):
        level = None
    return line_chart(
        Chart(
            "step",
            f"{TITLES[card.selected_by]} on validation rows",
            [Line("step", points, "best", has_marks=True)],
            level=None if level is None else ("base", level),
            star=chosen[0] if chosen else None,
            x_values=[x for x, _ in points] if len(points) <= 12 else (),
        )
    )


def _base_on_validation(card: Scorecard) -> float | None:
    score = card.base.get("validation")
    return None if score is None else score.metrics.get(card.selected_by)


def bar_plots(card: Scorecard) -> list[tuple[str, Markup]]:
    """(title, plot) of base against adapter: perplexities apart from scores between 0 and 1."""
    surprise: list[BarPair] = []
    answers: list[BarPair] = []
    for comparison in card.comparisons:
        suffix = "" if comparison.suite == "test" else ", general"
        pair = BarPair(f"{TITLES[comparison.metric]}{suffix}", comparison.base, comparison.best)
        if comparison.base is not None or comparison.best is not None:
            (answers if comparison.metric in GENERATED else surprise).append(pair)
    found = [("Surprise at the true answer (lower is better)", surprise)]
    found.append(("Likeness to the true answer, 0 to 1 (higher is better)", answers))
    return [(title, bar_pairs(pairs, trained=card.trained)) for title, pairs in found if pairs]


def heat_plot(vitals: Sequence[Vital], best_step: int) -> Markup:
    """The weight-norm ratio of every module at the recorded step nearest the best checkpoint."""
    step = _step_shown(vitals, best_step)
    shown = [vital for vital in vitals if vital.step == step]
    present = {vital.projection for vital in shown}
    rows = [name for name in PROJECTIONS if name in present]
    rows += sorted(present - set(PROJECTIONS))
    columns = [str(layer) for layer in sorted({vital.layer for vital in shown})]
    values = {(vital.projection, str(vital.layer)): vital.ratio for vital in shown}
    return heat_map(rows, columns, values)


def _step_shown(vitals: Sequence[Vital], best_step: int) -> int:
    return min((vital.step for vital in vitals), key=lambda step: (abs(step - best_step), step))


def spread_plot(vitals: list[Vital]) -> Markup:
    """How far the modules' weights have moved, over the steps: smallest, median and largest."""
    spread = ratio_spread(vitals)
    median = [(float(step), 100 * middle) for step, _, middle, _ in spread]
    band = [(float(step), 100 * low, 100 * high) for step, low, _, high in spread]
    lines = [Line("median module", median, "best")]
    return line_chart(Chart("step", "weight-norm ratio in %", lines, band=band))
