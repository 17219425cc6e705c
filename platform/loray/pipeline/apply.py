"""Make what is stale, in order, and put what passed into the registry.

Every stage is made under a lease, committed by its manifest and never made again; a process that
dies leaves a work folder that the next one continues from.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from loray.artifacts.describe import describe
from loray.artifacts.manifest import Manifest, StageKind
from loray.artifacts.store import Store
from loray.errors import ArtifactError
from loray.machines.disk import refuse_unwritable
from loray.machines.passing import prefixed
from loray.machines.room import (
    Wanted,
    await_place,
    refuse_impossible,
    scorers_wanted,
    workers_wanted,
)
from loray.pipeline.inputs import InputWatch
from loray.pipeline.plan import Plan, StageState, make_plan, passes_over
from loray.pipeline.publish import Published, publish
from loray.pipeline.stages import MAKERS, Making
from loray.planner.notes import passes_words
from loray.planner.probe import check_base
from loray.registry import Registry, RunLedger
from loray.spec.run import RunSpec
from loray.train.trackers import check_trackers

Report = Callable[[str], None]


@dataclass
class Outcome:
    """What an `apply` did and where its results are."""

    stages: dict[str, Path] = field(default_factory=dict)
    """The local folder of every stage's artifact, by kind."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each stage took that was made; empty when everything was fresh."""
    published: Published | None = None
    """The registry version; None for a full training, which makes no adapter."""

    @property
    def scorecard(self) -> Path:
        """The JSON scorecard, where something `is_scored`; the HTML report lies beside it."""
        return self.stages["evaluation"] / "scorecard.json"

    @property
    def is_scored(self) -> bool:
        """Whether the evaluation was reached."""
        return "evaluation" in self.stages

    @property
    def passed(self) -> bool:
        """No gate refused the adapter."""
        return self.published is None or self.published.passed


def apply(spec: RunSpec, *, until: StageKind | None = None, report: Report = print) -> Outcome:
    """Bring `spec`'s artifacts and registry version into being.

    Args:
        until: the last stage to make; without it, what was evaluated is registered too.
        report: hears a line whenever something starts, goes on or ends.

    Raises:
        ModelError: the base model's files are damaged, or cannot be used.
        SpecError: a tracker that the training is to be told to cannot be started.
        ClusterError: Ray does not start, or has no room for the workers.
        LeaseError: another live process works on a stage of this spec.
        ArtifactError: the storage cannot be written, files of an artifact are missing or damaged,
            or an input changed while a stage read it.
        RegistryError: the registry could not take in a version; nothing was started.
        LorayError: a stage failed; applying again continues from what it left.
    """
    store, outcome = Store(spec.storage.root), Outcome()
    plan = make_plan(spec)
    wanted = stages_until(plan, until)
    dataset = store.location(plan.stages[0].stage)
    publishes = until is None and spec.method.kind == "lora"
    _check_before_start(spec, wanted)
    if publishes:  # hours before anything is registered
        Registry(spec.storage.registry, spec.storage.root).check_writable()
    with ExitStack() as stack:
        if stale := stale_kinds(Plan(wanted)):
            refuse_unwritable(store.scratch)
            from loray.pipeline.cluster import cluster  # noqa: PLC0415 (Ray takes 1 s to import)

            stack.enter_context(cluster(spec.resources, report=report))
            refuse_impossible(*needs(spec, stale))
            if "dataset" in stale:
                await_place(spec.resources, report)
        for state in wanted:
            if store.read_manifest(state.stage) is None:
                if state.stage.kind == "training":
                    _tell_passes(spec, store.read_manifest(plan.stages[0].stage), report)
                make_stage(
                    spec, state, store=store, dataset=dataset, outcome=outcome, report=report
                )
            else:
                report(f"{state.stage.kind}: fresh, {state.why}")
            outcome.stages[state.stage.kind] = store.fetch(state.stage, without="tokens/")
    if publishes:
        outcome.published = publish(spec, plan, outcome.stages, report=report)
    return outcome


def _tell_passes(spec: RunSpec, dataset: Manifest | None, report: Report) -> None:
    """How often the training will see its data, now that this is made."""
    passes = passes_over(dataset.statistics, spec) if dataset is not None else None
    if passes is not None:
        report(f"training: {passes_words(passes)}")


def stale_kinds(plan: Plan) -> list[StageKind]:
    """The stages that would be made."""
    return [state.stage.kind for state in plan.stages if not state.is_fresh]


def needs(spec: RunSpec, stages: Sequence[StageKind]) -> list[Wanted]:
    """What must find room in the cluster for these stages to be made."""
    wanted = {
        "training": workers_wanted(spec.resources),
        "evaluation": scorers_wanted(spec.resources),
    }
    return [wanted[stage] for stage in stages if stage in wanted]


def _check_before_start(spec: RunSpec, wanted: tuple[StageState, ...]) -> None:
    """Refuse what would fail later, before Ray starts."""
    for state in wanted:
        if state.damage is not None:
            raise ArtifactError(state.damage)
    if stale := [state for state in wanted if not state.is_fresh]:
        ledger = RunLedger(spec.storage.registry)
        for state in stale:
            ledger.refuse_held(state.stage.folder)
        check_base(spec.base_model)
    if any(s.stage.kind == "training" and not s.is_fresh for s in wanted):
        check_trackers(spec.tracking)
        if wanted[0].is_fresh:  # its tokens too, which training reads in place
            Store(spec.storage.root).verify(wanted[0].stage)


def stages_until(plan: Plan, last: StageKind | None) -> tuple[StageState, ...]:
    """The stages up to and with `last`; all of them when it is not given."""
    kinds = [state.stage.kind for state in plan.stages]
    return plan.stages if last is None else plan.stages[: kinds.index(last) + 1]


def make_stage(
    spec: RunSpec,
    state: StageState,
    *,
    store: Store,
    dataset: str,
    outcome: Outcome,
    report: Report,
) -> None:
    """Make one stage's artifact under its lease, unless another process just did."""
    stage = state.stage
    with RunLedger(spec.storage.registry).acquire(stage.folder) as lease:
        if store.read_manifest(stage) is not None:
            return
        report(f"{stage.kind}: making it, {state.why}")
        begin = time.monotonic()
        making = Making(
            spec=spec,
            work=store.work_folder(stage),
            inputs=outcome.stages,
            dataset=dataset,
            attempt=lease.attempt,
            check=lease.check,
            report=prefixed(stage.kind, report),
        )
        inputs = InputWatch(spec, state.recipe)
        statistics = MAKERS[stage.kind](making)
        inputs.check()
        seconds = time.monotonic() - begin
        manifest = describe(
            making.work,
            stage,
            stage_version=state.recipe.stage_version,
            recipe=state.recipe.blocks,
            inputs=state.recipe.inputs,
            statistics={**statistics, "stage_seconds": round(seconds, 2)},
        )
        store.commit(manifest, making.work, check=lease.check)  # only while the lease is ours
        outcome.seconds[stage.kind] = seconds
        report(f"{stage.kind}: done in {seconds:.1f} s")
