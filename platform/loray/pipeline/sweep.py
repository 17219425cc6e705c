"""Several trainings of one spec that differ in chosen fields, on one dataset, and the best of them.

A trial is an ordinary run up to its evaluation: it has its own training and evaluation artifacts,
named by what they were made from. So the dataset is made once, a trial that was made before is not
made again, and a sweep that was killed goes on where it stopped. Nothing is registered.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from loray.artifacts.store import Store
from loray.errors import EvaluationError, ModelError, SpecError, TrainingError
from loray.evaluate.scorecard import Scorecard, read_scorecard
from loray.evaluate.words import lower_is_better
from loray.machines.disk import refuse_unwritable
from loray.machines.passing import prefixed
from loray.machines.room import refuse_impossible
from loray.pipeline.apply import apply, needs, stale_kinds
from loray.pipeline.plan import Plan, make_plan
from loray.planner.report import forecast
from loray.spec.grid import Axis, end_of
from loray.spec.run import RunSpec

NEAR = 0.01
"""A trial whose metric is within this share of the best one's is as good as the best."""


@dataclass(frozen=True)
class Trial:
    """One setting of the fields that are swept."""

    overrides: tuple[str, ...]
    """As `--set` takes them."""
    spec: RunSpec

    @property
    def words(self) -> str:
        """What is particular about it."""
        return ", ".join(self.overrides)


@dataclass(frozen=True)
class PlannedTrial:
    """A trial that may start."""

    trial: Trial
    plan: Plan
    learned_parameters: int | None
    """None where the base model cannot be counted."""


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial."""

    planned: PlannedTrial
    card: Scorecard | None = None
    """None when it failed."""
    train_seconds: float = 0.0
    """All of its steps, whenever they were made."""
    failure: str = ""

    @property
    def value(self) -> float | None:
        """What trials are compared by: its best checkpoint's `evaluate.select_by`.

        On the validation rows, so that the test rows stay unseen; on those where nothing was held
        out for validation. None when it failed or the metric is not finite.
        """
        if self.card is None:
            return None
        validation = next(
            (c.validation for c in self.card.checkpoints if c.step == self.card.best_step), None
        )
        suite = validation or self.card.best.get("test")
        return suite.metrics.get(self.card.selected_by) if suite else None

    @property
    def test_value(self) -> float | None:
        """The same metric on the test rows."""
        test = self.card.best.get("test") if self.card else None
        return test.metrics.get(self.card.selected_by) if test and self.card else None


def plan_sweep(
    trials: Sequence[Trial], *, device_gib: float | None = None
) -> tuple[PlannedTrial, ...]:
    """Every trial, checked; starts nothing.

    Args:
        device_gib: memory of one worker's device, GiB; a trial that needs more is refused.

    Raises:
        SpecError: a trial does not fit, two are the same training, or datasets differ.
        SourceError: a source's files are missing.
        ModelError: the base model is missing, or cannot do what is asked on the device.
    """
    learned = _learned_parameters(trials, device_gib)
    planned = tuple(
        PlannedTrial(trial, make_plan(trial.spec), count)
        for trial, count in zip(trials, learned, strict=True)
    )
    _check_alike(planned)
    return planned


def run_sweep(
    planned: Sequence[PlannedTrial], *, report: Callable[[str], None]
) -> tuple[TrialResult, ...]:
    """Make every trial's evaluation, one trial after another; what is made already is read.

    A trial whose training or evaluation fails is noted, and the others go on.

    Raises:
        ArtifactError: the storage cannot be written.
        ClusterError: Ray does not start, or has no room for the workers.
        LeaseError: another process works on a stage of a trial.
        LorayError: the dataset cannot be made.
    """
    results = []
    with ExitStack() as stack:
        if stale := [each for each in planned if not each.plan.is_fresh]:
            spec = planned[0].trial.spec
            refuse_unwritable(Store(spec.storage.root).scratch)
            from loray.pipeline.cluster import cluster  # noqa: PLC0415 (Ray takes 1 s to import)

            stack.enter_context(cluster(spec.resources, report=report))
            for each in stale:
                refuse_impossible(*needs(each.trial.spec, stale_kinds(each.plan)))
        for number, each in enumerate(planned, start=1):
            mark = f"trial {number}/{len(planned)}"
            report(f"{mark}: {each.trial.words}")
            results.append(_run(each, mark, report))
    return tuple(results)


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The trial of the best value; None when every one failed."""
    scored = [result for result in results if result.value is not None]
    if not scored:
        return None
    sign = 1.0 if lower_is_better(scored[0].planned.trial.spec.evaluate.select_by) else -1.0
    return min(scored, key=lambda result: sign * (result.value or 0.0))


def cheapest_near(results: Sequence[TrialResult], best: TrialResult) -> TrialResult:
    """Of the trials as good as the best, the one that learns the fewest parameters."""
    if best.planned.learned_parameters is None:
        return best
    near = [result for result in results if _is_near(result, best)]
    return min(near, key=lambda result: (result.planned.learned_parameters, result is not best))


def advise(results: Sequence[TrialResult], axes: Sequence[Axis]) -> list[str]:
    """The best trial, a smaller one that is as good, and whether the best lies at an end.

    Args:
        axes: the fields that were swept, in the order of the trials' overrides.
    """
    failed = [result.planned.trial.words for result in results if result.failure]
    said = [f"{len(failed)} of {len(results)} trials failed: {'; '.join(failed)}"] if failed else []
    best = best_of(results)
    if best is None:
        return [*said, "no trial has a score to compare"]
    chosen = cheapest_near(results, best)
    metric = best.planned.trial.spec.evaluate.select_by
    said.append(f"best: {best.planned.trial.words} ({metric} {best.value:.4g})")
    if chosen is not best:
        said.append(
            f"as good with fewer parameters: {chosen.planned.trial.words} ({metric} "
            f"{chosen.value:.4g}, within {NEAR:.0%}; {chosen.planned.learned_parameters:,} learn "
            f"instead of {best.planned.learned_parameters:,})"
        )
    ends = [
        (axis.path, end_of(axis, override))
        for axis, override in zip(axes, best.planned.trial.overrides, strict=True)
    ]
    return said + [
        f"the best {path} is the {end} that was tried; try one beyond it, too"
        for path, end in ends
        if end
    ]


def _is_near(result: TrialResult, best: TrialResult) -> bool:
    if result.value is None or best.value is None:
        return False
    return abs(result.value - best.value) <= NEAR * abs(best.value)


def _run(planned: PlannedTrial, mark: str, report: Callable[[str], None]) -> TrialResult:
    try:
        outcome = apply(
            planned.trial.spec,
            until="evaluation",
            report=prefixed(mark, report),
        )
    except (TrainingError, EvaluationError) as error:
        report(f"{mark}: failed: {error}")
        return TrialResult(planned, failure=str(error))
    training = Store(planned.trial.spec.storage.root).read_manifest(planned.plan.stages[1].stage)
    return TrialResult(
        planned,
        card=read_scorecard(outcome.stages["evaluation"]),
        train_seconds=float(training.statistics["train_seconds"]) if training else 0.0,
    )


def _learned_parameters(trials: Sequence[Trial], device_gib: float | None) -> list[int | None]:
    """What each trial learns; all that do not fit the device are named at once."""
    found: list[int | None] = []
    too_large = []
    for trial in trials:
        try:
            taken = forecast(trial.spec, device_gib=device_gib)
        except ModelError:
            if device_gib is not None:
                raise
            found.append(None)
            continue
        found.append(taken.learned_parameters)
        if taken.fits is False:
            too_large.append(f"{trial.words}: {taken.notes[-1]}")
    if too_large:
        raise SpecError(
            f"{len(too_large)} of {len(trials)} trials do not fit a device of {device_gib:g} GiB, "
            "and none was started:\n  " + "\n  ".join(too_large)
        )
    return found


def _check_alike(planned: Sequence[PlannedTrial]) -> None:
    """One dataset, as many trainings as trials."""
    first = planned[0]
    made_by: dict[str, Trial] = {}
    for each in planned:
        dataset, training, _ = (state.stage.fingerprint for state in each.plan.stages)
        if dataset != first.plan.stages[0].stage.fingerprint:
            raise SpecError(
                f"the trials {first.trial.words!r} and {each.trial.words!r} have different "
                "datasets, so their scores are of different rows; sweep fields of method "
                "and train, and compare datasets by runs of their own"
            )
        if training in made_by:
            raise SpecError(
                f"the trials {made_by[training].words!r} and {each.trial.words!r} are the same "
                "training; sweep fields that change it, such as method.rank"
            )
        made_by[training] = each.trial
