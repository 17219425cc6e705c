"""Plots of what a training recorded of itself: its loss, its modules, its pace."""

from collections.abc import Callable, Sequence
from itertools import groupby
from statistics import median

from markupsafe import Markup

from loray.evaluate.history import Pace, Vital, spread_of
from loray.pages.figures import number
from loray.pages.plots import Chart, Line, Point, line_chart

SMOOTHING = 0.9
"""Share of the old value in a running mean."""
MOST_POINTS = 400
"""A curve with more steps than this is thinned to about as many points."""
GIB = 2**30
Captioned = tuple[str, Markup]
"""What is to be said above a plot, and the plot."""


def loss_plot(losses: Sequence[tuple[int, float]], best_step: int) -> Markup:
    """The training loss of every step, faint, and its running mean."""
    raw = [(float(step), loss) for step, loss in losses]
    smooth = smoothed(raw)
    star = min(smooth, key=lambda point: abs(point[0] - best_step))
    return line_chart(Chart("step", "training loss", _raw_and_mean(raw, "loss"), star=star))


def vital_plots(vitals: Sequence[Vital]) -> list[Captioned]:
    """What the modules did over the steps: median module, and range of all of them."""
    return [
        (caption, spread_plot(title, spread))
        for caption, title, value in (
            (
                "How far weights moved: norm of the update over that of the frozen weight, in %",
                "weight-norm ratio in %",
                lambda vital: 100 * vital.ratio,
            ),
            (
                "How far each recorded step moved them: norm of its change over the same, in %",
                "update ratio in %",
                _percent(lambda vital: vital.update_ratio),
            ),
            (
                "How many directions the update uses: effective rank, at most the adapter's rank",
                "effective rank",
                lambda vital: vital.effective_rank,
            ),
            (
                "Gradient sparsity: share of a module's gradient that is exactly zero, in %",
                "gradient sparsity in %",
                _percent(lambda vital: vital.grad_sparsity),
            ),
        )
        if (spread := spread_of(vitals, value))
    ]


def spread_plot(title: str, spread: Sequence[tuple[int, float, float, float]]) -> Markup:
    """A value over the steps: its median, and its range as a band."""
    middle = [(float(step), value) for step, _, value, _ in spread]
    band = [(float(step), low, high) for step, low, _, high in spread]
    return line_chart(Chart("step", title, [Line("median module", middle, "best")], band=band))


def pace_plots(paces: Sequence[Pace]) -> list[Captioned]:
    """How fast the steps were, what they waited for, and how much memory they took."""
    found = []
    for caption, title, value in (
        ("Tokens a second, of all workers", "tokens a second", lambda p: p.tokens_per_second),
        (
            "Share of the devices' peak FLOPs, recomputing counted, in %",
            "FLOPs utilization in %",
            _percent(lambda pace: pace.flops_utilization),
        ),
        (
            "Share of a step that worker 0 waited for batches, in %",
            "waiting for data in %",
            _percent(lambda pace: pace.data_share),
        ),
    ):
        points = [(float(p.step), v) for p in paces if (v := value(p)) is not None]
        if points:
            found.append((caption, line_chart(Chart("step", title, _raw_and_mean(points, title)))))
    memory = [(float(p.step), p.peak_memory_bytes / GIB) for p in paces if p.peak_memory_bytes]
    if memory:
        line = Line("peak memory", _thinned(memory, _every(memory)), "best")
        plot = line_chart(Chart("step", "peak memory in GiB", [line]))
        found.append(("Most memory of worker 0 so far, in GiB", plot))
    return found


def pace_in_words(paces: Sequence[Pace]) -> str:
    """The whole training's pace in a line; empty if it is not known."""
    seconds = sum(pace.seconds for pace in paces)
    speeds = [p.tokens_per_second for p in paces if p.tokens_per_second is not None]
    memory = max((p.peak_memory_bytes or 0 for p in paces), default=0)
    if not speeds:
        return ""
    shares = {
        "waiting for data": sum(pace.data_seconds or 0 for pace in paces) / seconds,
        "measuring modules": sum(pace.vitals_seconds or 0 for pace in paces) / seconds,
    }
    found = f"{len(paces):,} steps in {number(seconds)} s; {number(median(speeds))} tokens a second"
    found += " in the median step; " + ", ".join(f"{v:.1%} {k}" for k, v in shares.items())
    found += f"; at most {number(memory / GIB)} GiB on worker 0" if memory else ""
    return f"{found}{_workers_in_words(paces)}."


def _workers_in_words(paces: Sequence[Pace]) -> str:
    """How many workers took the steps, where their number changed; else nothing."""
    groups = [list(group) for _, group in groupby(paces, key=lambda pace: pace.workers)]
    if len(groups) <= 1:
        return ""
    return "; workers: " + ", ".join(
        f"{'not known' if (count := group[0].workers) is None else int(count)} to step "
        f"{group[-1].step}"
        for group in groups
    )


def smoothed(points: Sequence[Point]) -> list[Point]:
    """The running mean; a plain mean over the first points."""
    found, mean = [], 0.0
    for at, (step, value) in enumerate(points):
        keep = min(SMOOTHING, at / (at + 1))
        mean = keep * mean + (1 - keep) * value
        found.append((step, mean))
    return found


def _raw_and_mean(points: Sequence[Point], name: str) -> list[Line]:
    every = _every(points)
    return [
        Line(f"{name} of the step", _thinned(points, every), "faint"),
        Line("running mean", _thinned(smoothed(points), every), "best"),
    ]


def _every(points: Sequence[Point]) -> int:
    """Of how many points one is enough."""
    return max(1, len(points) // MOST_POINTS)


def _thinned(points: Sequence[Point], every: int) -> list[Point]:
    """Every n-th point, and always the last."""
    return [*points[::every], *(points[-1:] if (len(points) - 1) % every else [])]


def _percent(value: Callable[..., float | None]) -> Callable[..., float | None]:
    def found(each: Vital | Pace) -> float | None:
        share = value(each)
        return None if share is None else 100 * share

    return found
