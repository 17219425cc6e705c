"""Evaluated trainings that only have to be published, and processes that do it."""

from multiprocessing.connection import Connection
from pathlib import Path

from loray.artifacts.manifest import Stage
from loray.pipeline.plan import Plan, StageState
from loray.pipeline.publish import Published, publish
from loray.pipeline.recipe import Recipe
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from tests.adapters import write_adapter
from tests.evaluate.cards import scorecard

SPEC = """\
name: bot
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}]}
train: {steps: 100}
"""


def spec_in(folder: Path, url: str) -> RunSpec:
    """A spec whose base and storage lie in the folder."""
    base = folder / "base"
    base.mkdir(exist_ok=True)
    (base / "config.json").write_text("{}")
    places = (f"base_model.path={base}", f"storage.root={folder / 'root'}")
    return parse_run_spec(SPEC, overrides=[*places, f"storage.registry={url}"])


def plan_of(seed: int) -> Plan:
    """Everything of it was made."""
    stages = [
        StageState(
            Recipe(
                stage=Stage(kind=kind, name="bot", fingerprint=f"{seed:012x}"),
                stage_version=1,
                blocks={},
                inputs={},
            ),
            is_fresh=True,
            why="made",
        )
        for kind in ("dataset", "training", "evaluation")
    ]
    return Plan(tuple(stages))


def publish_seed(
    spec: RunSpec, folder: Path, seed: int, *, passed: bool = True, said: list[str] | None = None
) -> Published:
    """Publish the adapter of that seed as `apply` does after its stages."""
    training, evaluation = folder / f"training-{seed}", folder / f"evaluation-{seed}"
    card = scorecard(name="bot", passed=passed, best_checkpoint="step-1", best_step=1)
    if not training.exists():
        training.mkdir()
        write_adapter(training / "step-1", seed=seed, base=spec.base_model.path)
        evaluation.mkdir()
        (evaluation / "scorecard.json").write_text(card.model_dump_json())
    folders = {"training": training, "evaluation": evaluation}
    hear = said.append if said is not None else lambda _: None
    return publish(spec, plan_of(seed), folders, report=hear)


def publish_seeds(index: int, sender: Connection, url: str, folder: str, num: int) -> None:
    """Publish `num` versions one after the other; sends each one's number."""
    spec = spec_in(Path(folder), url)
    for turn in range(num):
        seed = 100 * (index + 1) + turn
        sender.send(publish_seed(spec, Path(folder), seed).version.number)
