"""The `tracking` block says who hears of a run, never what it makes."""

from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.pipeline.recipe import recipes
from loray.spec.load import parse_run_spec
from loray.spec.run import WHERE, RunSpec

SPEC = """\
name: small
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}
train: {steps: 1}
"""
TRACKED = ["tracking.tensorboard=runs", "tracking.own=house.boards:Board"]


def test_a_folder_and_a_class_are_read():
    tracking = parse_run_spec(SPEC, overrides=TRACKED).tracking
    assert (tracking.tensorboard, tracking.own) == ("runs", "house.boards:Board")
    assert tracking.is_asked_for
    assert not parse_run_spec(SPEC).tracking.is_asked_for


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tracking.tensorboard=s3://lake/runs", "wanted a folder on local disk, such as runs"),
        ("tracking.tensorboard=true", "tracking.tensorboard"),
        ("tracking.own=house.Board", r"found .*house.Board.*; wanted package.module:name"),
        ("tracking.mlflow=true", "unknown field"),
    ],
)
def test_what_cannot_be_tracked_is_refused(override: str, message: str):
    with pytest.raises(SpecError, match=message):
        parse_run_spec(SPEC, overrides=[override])


def test_another_tracker_makes_nothing_stale(tiny_model_dir: Path, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"t": "some text"}\n', encoding="utf-8")
    overrides = [
        f"base_model.path={tiny_model_dir}", f"data.sources.0.uri={tmp_path / 'rows.jsonl'}",
        "base_model.quantization=none",
    ]  # fmt: skip
    plain = parse_run_spec(SPEC, overrides=overrides)
    tracked = parse_run_spec(SPEC, overrides=[*overrides, *TRACKED])
    assert plain != tracked
    assert recipes(plain) == recipes(tracked)
    assert plain.model_dump(exclude=WHERE) == tracked.model_dump(exclude=WHERE)
    assert set(RunSpec.model_fields) >= WHERE


def test_a_tracker_that_is_not_there_is_refused_before_anything_starts(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from loray.pipeline.apply import apply

    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"t": "some text"}\n', encoding="utf-8")
    overrides = [
        f"base_model.path={tiny_model_dir}", "data.sources.0.uri=rows.jsonl",
        "base_model.quantization=none", "tracking.own=no_such_house:Board",
    ]  # fmt: skip
    told: list[str] = []
    with pytest.raises(SpecError, match="module 'no_such_house' of the tracker"):
        apply(parse_run_spec(SPEC, overrides=overrides), report=told.append)
    assert told == []
    assert not (tmp_path / "workspace").exists()
