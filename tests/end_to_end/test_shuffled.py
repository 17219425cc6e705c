"""The gate knows learning from going through the motions."""

import json
import random
from pathlib import Path

import pytest

from loray.registry import Registry
from loray.spec.load import load_checked

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("here")]


def test_an_adapter_trained_on_shuffled_answers_is_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quickstart's own spec, whose answers went to other questions of the training modules."""
    from loray.pipeline.apply import apply
    from loray.quickstart.corpus import is_held_out, write_corpus

    monkeypatch.chdir(tmp_path)
    write_corpus(Path("workspace/corpus"))
    path = Path("workspace/corpus/call.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    learned = [row for row in rows if not is_held_out(row["module"])]
    answers = [row["call"] for row in learned]
    random.Random(1).shuffle(answers)
    for row, answer in zip(learned, answers, strict=True):
        row["call"] = answer
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    overrides = [
        f"base_model.path={repository / 'models' / 'tiny'}",
        "evaluate.max_rows=40",
        "resources.workers=1",
        "train.strategy={kind: plain}",
        "train.steps=100",  # enough to learn the right answers: see the first checkpoint of a run
    ]
    spec = load_checked(repository / "configs" / "runs" / "call.yaml", overrides)
    outcome = apply(spec, report=lambda _: None)
    assert not outcome.passed
    registry = Registry(spec.storage.registry, spec.storage.root)
    (version,) = registry.versions("call")
    assert version.state == "rejected"
    assert registry.alias("call", "champion").version is None
