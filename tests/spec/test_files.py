from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.spec.files import check_files
from loray.spec.load import load_checked, load_run_spec

COMMIT = "0123456789abcdef" * 2 + "01234567"


def missing(*overrides: str) -> dict[str, str]:
    """Messages by path, of the sound spec with overrides."""
    return {f.at: f.message for f in check_files(load_run_spec("spec.yaml", overrides))}


def test_a_spec_whose_files_are_there_has_no_faults(workplace: Path):
    assert missing() == {}


def test_a_base_model_that_is_no_folder_needs_a_revision(workplace: Path):
    found = missing("base_model.path=org/model")
    assert "add the revision" in found["base_model.path"]
    assert missing("base_model.path=org/model", f"base_model.revision='{COMMIT}'") == {}


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_revision_that_can_move_is_refused(workplace: Path, revision: str):
    found = missing("base_model.path=org/model", f"base_model.revision={revision}")
    assert "wanted a full commit of 40 hex digits" in found["base_model.revision"]


def test_a_local_folder_has_no_revision(workplace: Path):
    assert (
        "remove the revision" in missing(f"base_model.revision='{COMMIT}'")["base_model.revision"]
    )


@pytest.mark.parametrize("path", ["/nowhere/model", "a/b/c", "../x", "org//model", "org/"])
def test_what_cannot_be_a_hub_id_is_told_as_a_missing_folder(workplace: Path, path: str):
    found = missing(f"base_model.path={path}", f"base_model.revision='{COMMIT}'")
    assert "found no folder" in found["base_model.path"]


def test_a_file_is_no_base_model(workplace: Path):
    found = missing("base_model.path=rows/a.jsonl")["base_model.path"]
    assert found.startswith("found the file rows/a.jsonl; wanted a model's folder")


def test_the_home_folder_is_written_out(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/who/jane")
    found = missing("base_model.path=~/smol")["base_model.path"]
    assert found.endswith("write the home folder out: /who/jane/smol")


def test_where_a_relative_path_starts_is_said_and_only_there(workplace: Path):
    assert (
        f"no folder a/b/c under {workplace};" in missing("base_model.path=a/b/c")["base_model.path"]
    )
    assert "found no folder /a/b;" in missing("base_model.path=/a/b")["base_model.path"]


def test_a_folder_without_a_config_is_no_base_model(workplace: Path):
    assert "without a config.json" in missing("base_model.path=rows")["base_model.path"]


def test_a_glob_that_matches_nothing_is_a_missing_file(workplace: Path):
    assert (
        "found no file rows/*.gz" in missing("data.sources.0.uri=rows/*.gz")["data.sources.0.uri"]
    )


def test_a_folder_holds_files_of_the_sources_kind(workplace: Path):
    assert missing("data.sources.0.uri=rows") == {}
    found = missing("data.sources.0.uri=rows", "data.sources.0.kind=parquet")
    assert "without a file that kind: parquet reads" in found["data.sources.0.uri"]


def test_a_recursive_glob_is_followed(workplace: Path):
    assert missing("data.sources.0.uri='**/*.jsonl'") == {}


def test_files_on_s3_are_not_looked_for(workplace: Path):
    assert missing("data.sources.0.uri=s3://bucket/rows/*.jsonl") == {}


def test_the_replay_source_is_looked_for_too(workplace: Path):
    replay = "{source: {kind: jsonl, uri: gone.jsonl, fields: {text: text}}}"
    assert "found no file gone.jsonl" in missing(f"data.replay={replay}")["data.replay.source.uri"]


def test_a_storage_root_that_is_a_file_is_refused(workplace: Path):
    assert "found the file spec.yaml" in missing("storage.root=spec.yaml")["storage.root"]


def test_a_missing_file_has_the_line_where_it_is_named(workplace: Path):
    with pytest.raises(SpecError, match=r"spec.yaml:6:12: data.sources.0.uri: found no file"):
        Path("rows/a.jsonl").unlink()
        load_checked("spec.yaml")
