"""What is wrong with a base is found before anything starts, all of it at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from loray.errors import UnsupportedError
from loray.planner.probe import check_base, probe_folder
from loray.spec.train import BaseModelSpec
from tests.bases import write_base
from tests.planner.broken_bases import BROKEN, SOUND, changed, config, text
from tests.planner.misnamed_bases import MISNAMED

WRONG = BROKEN | MISNAMED


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_base_is_named(tmp_path: Path, name: str) -> None:
    change, words = WRONG[name]
    found = probe_folder(changed(tmp_path / "base", change))
    told = "\n".join(found.faults)
    for word in words:
        assert word in told
    assert told.isascii()


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_base(tmp_path: Path, name: str) -> None:
    assert probe_folder(changed(tmp_path / "base", SOUND[name])).faults == []


def test_a_special_token_without_a_row_is_a_note(tmp_path: Path) -> None:
    change = SOUND["special token beyond the embedding, unused"]
    found = probe_folder(changed(tmp_path / "base", change))
    assert "'<more>' has no row in the embedding" in found.notes[0]


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base")
    config(rms_norm_eps=0, vocab_size=-1)(folder)
    text("model.safetensors", "")(folder)
    text("tokenizer_config.json", "[]")(folder)
    found = probe_folder(folder).faults
    assert len(found) == 3  # the tokenizer is not held against no vocabulary
    config(vocab_size=300)(folder)
    with pytest.raises(UnsupportedError, match=r"rms_norm_eps 0.*0 bytes.*tokenizer_config"):
        check_base(BaseModelSpec(path=str(folder)))


def test_a_base_that_is_not_here_is_not_judged() -> None:
    check_base(BaseModelSpec(path="org/model", revision="a" * 40))


def test_a_probe_takes_a_moment_and_neither_torch_nor_ray(repository: Path) -> None:
    probe_folder(repository / "models" / "tiny")
    begin = time.process_time()
    assert probe_folder(repository / "models" / "tiny").faults == []
    assert time.process_time() - begin < 0.3
    code = (
        "import sys; from loray.planner.probe import probe_folder; from pathlib import Path;"
        "probe_folder(Path(sys.argv[1]));"
        "print([m for m in ('torch', 'ray', 'transformers') if m in sys.modules])"
    )
    arguments = [sys.executable, "-c", code, str(repository / "models" / "tiny")]
    assert subprocess.check_output(arguments, text=True).strip() == "[]"
