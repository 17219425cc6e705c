"""The whole stage on a real Ray cluster and a tiny random model."""

import json
from pathlib import Path

import pytest

from loray.evaluate.run import evaluate_to
from loray.evaluate.scorecard import read_scorecard
from loray.models.adapter_files import adapter_digest
from loray.spec.evaluate import EvalSpec, GateSpec
from loray.spec.fingerprint import canonical_json
from loray.spec.run import ResourceSpec, RunSpec
from tests.evaluate.evaluations import make_rows, run_spec, write_suite

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
GATES = (
    GateSpec(metric="perplexity", measure="ratio_to_base", at_most=2.0),
    GateSpec(metric="rougeL", at_least=0.5),
)


def spec_of(folder: Path, *, actors: int) -> RunSpec:
    return run_spec(
        base=folder,
        evaluate=EvalSpec(max_new_tokens=8, batch_size=8, max_rows=70),
        gates=GATES,
        resources=ResourceSpec(eval_actors=actors),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_suite(folder, "validation", make_rows(20, prefix="v"))
    write_suite(folder, "test", make_rows(80, prefix="t"))
    write_suite(folder, "general", make_rows(12, prefix="g"))
    return folder


def test_an_evaluation_is_the_same_with_one_actor_and_with_two(
    tiny_model_dir: Path, training_dir: Path, dataset: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    statistics = {}
    for actors in (1, 2):
        (tmp_path / str(actors)).mkdir()
        statistics[actors] = evaluate_to(
            tmp_path / str(actors),
            spec_of(tiny_model_dir, actors=actors),
            dataset,
            training_dir,
            report=told.append,
        )
    for name in ("scorecard.json", "report.html"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()

    card = read_scorecard(tmp_path / "1")
    assert [checkpoint.step for checkpoint in card.checkpoints] == [10, 20, 30]
    by_step = {c.step: c.validation.metrics["perplexity"] for c in card.checkpoints}
    assert len(set(by_step.values())) == 3
    assert by_step[card.best_step] == min(by_step.values())
    assert card.best_digest == adapter_digest(training_dir / card.best_checkpoint)
    assert card.base["test"].rows == card.best["test"].answered == 70
    assert card.base["validation"].answered == 0
    assert [gate.passed for gate in card.gates] == [True, False], "random answers are refused"
    assert not card.passed
    assert len(card.samples) == 12

    found = statistics[1]
    assert found["passed"] is False
    assert found["best_step"] == card.best_step
    assert found["candidates"] == 4
    assert found["answers"] == 2 * 70
    assert found["rows_scored"] == 4 * 20 + 2 * 70 + 2 * 12
    assert json.loads(canonical_json(found)) == json.loads(json.dumps(found))
    assert told[0] == (
        "scoring the base and 3 checkpoint(s) on 20 validation, 70 test, 12 general rows"
    )
    assert any(line.startswith("scored ") for line in told)
    assert told[-1] == card.verdict
