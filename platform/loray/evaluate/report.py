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
from loray.evaluate.history import Pace, Vital
from loray.evaluate.scorecard import REPORT_NAME, Comparison, Quality, Scorecard
from loray.evaluate.training_plots import loss_plot, pace_in_words, pace_plots, vital_plots
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


def write_report(folder: Path, page: str) -> None:
    """Write what `render_report` made as `report.html` under `folder`."""
    (folder / REPORT_NAME).write_text(page, encoding="utf-8")


def render_report(
    card: Scorecard,
    *,
    losses: Sequence[tuple[int, float]],
    vitals: Sequence[Vital],
    counts: DatasetCounts | None,
    diagnoses: Sequence[Diagnosis] = (),
    paces: Sequence[Pace] = (),
) -> str:
    """The report's HTML; the same arguments give the same bytes.

    Args:
        losses: (step, nats per target token) of the training.
        counts: None when the dataset's rows are not at hand.
        diagnoses: what the training found wrong with itself.
        paces: what its steps took.
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
        vital_plots=vital_plots(vitals),
        pace=pace_in_words(paces),
        pace_plots=pace_plots(paces),
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
