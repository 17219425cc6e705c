"""Every example is sound, fits the device that its page names, and its figures are the plan's."""

import re
import shlex
from pathlib import Path

import pytest

from loray.cli.main import cli, main
from loray.data.sources.peek import look_into
from loray.spec.load import load_run_spec
from tests.house import REPOSITORY

EXAMPLES = REPOSITORY / "configs" / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/spec.yaml"))
MOST_LINES = 30
_FIGURE = re.compile(r"(\d+(?:\.\d)?) GiB (?:a GPU )?at a step")


def commands(page: str) -> list[list[str]]:
    """The words of every `loray` command on a page."""
    lines = re.findall(r"^    (loray .*)$", page.replace("\\\n", ""), re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_is_sound_and_fits_the_device_that_it_names(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(REPOSITORY)
    page = (folder / "README.md").read_text(encoding="utf-8")
    planned = next(words for words in commands(page) if words[0] == "plan")
    assert planned[1] == f"configs/examples/{folder.name}/spec.yaml"
    assert f"#   loray {' '.join(planned)}\n" in (folder / "spec.yaml").read_text(encoding="utf-8")

    assert main(planned) == 0
    said = capsys.readouterr().out
    peak = re.search(r"a worker fits a device of \S+ GiB: at most (\S+) GiB, at step", said)
    told = _FIGURE.search(page)
    assert peak is not None
    assert told is not None
    assert f"{float(peak[1]):.1f}" == told[1]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_examples_page_is_short_and_names_verbs_that_there_are(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= MOST_LINES
    for part in ("**For:**", "**Data:**", "**Expect:** planned, not run here", "**Change:**"):
        assert part in page
    verbs = {words[0] for words in commands(page)}
    assert {"plan"} <= verbs <= set(cli.commands)
    assert f"]({folder.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["bank-requests", "tool-use"])
def test_the_rows_that_come_with_an_example_are_read_as_its_spec_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    spec = load_run_spec(EXAMPLES / name / "spec.yaml")
    looked = look_into(spec.data)
    assert (looked.findings, looked.notes) == ([], [])


def test_every_label_of_the_bank_is_in_its_system_turn() -> None:
    spec = load_run_spec(EXAMPLES / "bank-requests" / "spec.yaml")
    rows = (EXAMPLES / "bank-requests" / "sample.csv").read_text(encoding="utf-8").splitlines()
    labels = {row.rpartition(",")[2] for row in rows[1:]}
    listed = re.findall(r"[a-z]+_[a-z]+|balance", spec.data.chat.system or "")
    assert sorted(labels) == listed
