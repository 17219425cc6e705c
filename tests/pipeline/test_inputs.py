"""What a stage read must be what its fingerprint says, to the end."""

import os
from pathlib import Path

import pytest

from loray.artifacts.describe import describe
from loray.artifacts.store import Store
from loray.errors import ArtifactError
from loray.pipeline.inputs import InputWatch
from loray.pipeline.plan import make_plan
from loray.pipeline.recipe import libraries_of, recipes
from loray.spec.load import load_run_spec
from loray.spec.run import RunSpec
from tests.end_to_end.projects import write_project


@pytest.fixture
def spec(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    import shutil

    model = shutil.copytree(tiny_model_dir, tmp_path / "model")
    monkeypatch.chdir(write_project(tmp_path, model))
    return load_run_spec(tmp_path / "run.yaml")


def test_nothing_changed_is_fine(spec: RunSpec) -> None:
    for recipe in recipes(spec):
        InputWatch(spec, recipe).check()


def test_rows_edited_while_the_dataset_is_made_are_refused(spec: RunSpec) -> None:
    watch = InputWatch(spec, recipes(spec)[0])
    rows = Path("rows.jsonl")
    rows.write_text(rows.read_text().replace("green", "brown"))
    with pytest.raises(ArtifactError, match=r"inputs of the dataset changed.*sources\.0/rows"):
        watch.check()


def test_an_edit_that_was_undone_before_the_end_is_refused_too(spec: RunSpec) -> None:
    watch = InputWatch(spec, recipes(spec)[0])
    rows = Path("rows.jsonl")
    before, text = rows.stat(), rows.read_text()
    rows.write_text(text.replace("green", "brown"))
    rows.write_text(text)
    os.utime(rows, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ArtifactError, match=r"sources\.0/rows"):
        watch.check()


def test_rows_edited_between_the_plan_and_the_start_are_refused(spec: RunSpec) -> None:
    recipe = recipes(spec)[0]
    rows = Path("rows.jsonl")
    rows.write_text(rows.read_text().replace("green", "brown"))
    with pytest.raises(ArtifactError, match=r"sources\.0/rows"):
        InputWatch(spec, recipe).check()


def test_a_training_watches_its_base_model_and_not_the_corpus(spec: RunSpec) -> None:
    watch = InputWatch(spec, recipes(spec)[1])
    Path("rows.jsonl").write_text("")
    watch.check()  # it reads the dataset, which is committed
    config = Path("model/config.json")
    config.write_text(config.read_text() + " ")
    with pytest.raises(ArtifactError, match=r"inputs of the training changed.*base_model"):
        watch.check()


def test_libraries_that_a_spec_does_not_use_make_nothing_stale(spec: RunSpec) -> None:
    used = {kind: libraries_of(spec, kind) for kind in ("dataset", "training", "evaluation")}
    assert used["dataset"] == ["tokenizers", "transformers", "ftfy"]
    assert used["training"] == ["torch", "transformers", "peft", "bitsandbytes", "deepspeed"]
    assert "bitsandbytes" in used["evaluation"]
    plain = load_run_spec(
        Path("run.yaml"), ["base_model.quantization=none", "train.strategy.kind=plain"]
    )
    assert libraries_of(plain, "training") == ["torch", "transformers", "peft"]
    assert "bitsandbytes" not in libraries_of(plain, "evaluation")


def test_a_plan_says_what_is_damaged_and_calls_it_neither_fresh_nor_to_make(
    spec: RunSpec,
) -> None:
    store, recipe = Store(spec.storage.root), recipes(spec)[0]
    work = store.work_folder(recipe.stage)
    (work / "rows.txt").write_text("rows")
    manifest = describe(work, recipe.stage, stage_version=1, recipe={}, inputs={}, statistics={})
    store.commit(manifest, work)
    assert make_plan(spec).stages[0].is_fresh
    file = Path(store.location(recipe.stage)) / "rows.txt"
    file.unlink()
    for damage in ("rows.txt is missing", "manifest.json is no manifest"):
        state = make_plan(spec).stages[0]
        assert not state.is_fresh
        assert state.damage is not None
        assert damage in state.damage
        (file.parent / "manifest.json").write_text("{")
