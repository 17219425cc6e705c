"""From an evaluated checkpoint to a registry version, and to the alias when its gates allow."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import loray
from loray.errors import ArtifactError
from loray.evaluate.scorecard import Scorecard, read_scorecard
from loray.models.identity import base_digest
from loray.pipeline.leased import PUBLISHING
from loray.pipeline.plan import Plan
from loray.pipeline.promotion import promote_if_due
from loray.registry import Lineage, Registry, RunLedger, State, Version
from loray.spec.fingerprint import fingerprint
from loray.spec.run import WHERE, RunSpec

WAIT_SECONDS = 60.0
"""How long to wait for another process that publishes under the same name."""


@dataclass(frozen=True)
class Published:
    """One evaluated adapter in the registry."""

    version: Version
    passed: bool
    """Every gate let it through."""
    is_new: bool
    """This call registered it."""
    num_gates: int
    """How many it had to pass."""

    @property
    def words(self) -> str:
        """The version, and what the gates made of it."""
        verdict = "passed its gates" if self.num_gates else "had no gate to pass"
        return f"{self.version.ref} {verdict if self.passed else 'was refused by a gate'}"


def publish(
    spec: RunSpec, plan: Plan, stages: dict[str, Path], *, report: Callable[[str], None]
) -> Published:
    """Register the best checkpoint, note the gates' verdict, and promote what passed.

    Doing it twice changes nothing: the evaluation's fingerprint is the idempotency key, and
    `promotion` says when an alias moves. One process at a time publishes under a name.

    Raises:
        ArtifactError: what was evaluated is gone: it was cleaned away before the lease was ours.
        LeaseError: another process has been publishing under the name for a minute.
        RegistryError: the registry cannot be written, or belongs to another root.
    """
    registry = Registry(spec.storage.registry, spec.storage.root)
    ledger = RunLedger(spec.storage.registry)
    with ledger.acquire(f"{PUBLISHING}{spec.name}", wait_seconds=WAIT_SECONDS) as lease:
        _check_there(stages)
        card = read_scorecard(stages["evaluation"])
        known = {version.number for version in registry.versions(spec.name)}
        version = registry.register(
            spec.name,
            stages["training"] / card.best_checkpoint,
            idempotency_key=plan.stages[-1].stage.folder,
            lineage=lineage_of(spec, plan, step=card.best_step),
            scores=scores_of(card),
            lease=lease,
        )
        is_new = version.number not in known
        if version.state == "registered":
            version = registry.set_state(version, "evaluated", reason="scored on held-out rows")
        if version.state == "evaluated":
            verdict: State = "promotable" if card.passed else "rejected"
            version = registry.set_state(version, verdict, reason=card.verdict)
        report(f"registry: {version.ref} is {version.state}")
        if version.state == "promotable":
            promote_if_due(
                registry, version, alias=spec.serve.alias, check=lease.check, report=report
            )
    return Published(version=version, passed=card.passed, is_new=is_new, num_gates=len(card.gates))


def _check_there(stages: dict[str, Path]) -> None:
    """See that nothing was deleted while no lease kept it; `loray clean` heeds the one held now."""
    for kind in ("training", "evaluation"):
        if not stages[kind].is_dir():
            raise ArtifactError(
                f"{stages[kind]} was there when this run began and is gone (`loray clean`?); "
                "nothing was registered; run `loray apply` to make it again"
            )


def lineage_of(spec: RunSpec, plan: Plan, *, step: int) -> Lineage:
    """Where the adapter comes from, by digests and fingerprints."""
    dataset, training, evaluation = (state.stage.fingerprint for state in plan.stages)
    return Lineage(
        base_model=spec.base_model.path,
        base_digest=base_digest(spec.base_model.path, spec.base_model.revision),
        base_revision=spec.base_model.revision,
        spec_digest=fingerprint(spec.model_dump(mode="json", exclude=WHERE)),
        dataset=dataset,
        training=training,
        evaluation=evaluation,
        checkpoint_step=step,
        code_version=loray.__version__,
    )


def scores_of(card: Scorecard) -> dict[str, float]:
    """The best checkpoint's metrics by `suite/metric`, those that could be told."""
    return {
        f"{suite}/{metric}": value
        for suite, score in card.best.items()
        for metric, value in score.metrics.items()
        if value is not None
    }
