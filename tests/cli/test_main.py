import subprocess
import sys
from pathlib import Path

import pytest

from loray import __version__
from loray.cli.exits import Exit, exit_for
from loray.cli.main import VERBS
from loray.cli.output import harmless
from loray.errors import LeaseError, RegistryError, SpecError


def test_help_lists_every_verb_and_the_exit_codes(loray):
    said = loray("--help")
    assert said.code == 0
    for verb in VERBS:
        assert f"  {verb.name} " in said.out
    assert "4 a gate refused the adapter" in " ".join(said.out.split())


def test_every_verb_has_help(loray):
    for verb in VERBS:
        said = loray(verb.name, "--help")
        assert said.code == 0
        assert said.out.startswith(f"Usage: loray {verb.name}")


def test_the_version_is_the_packages(loray):
    assert loray("--version").out == f"loray, version {__version__}\n"


@pytest.mark.parametrize("words", [[], ["nonsense"], ["validate"], ["plan", "a", "b"], ["--what"]])
def test_a_wrong_command_line_ends_with_2(loray, words: list[str]):
    assert loray(*words).code == Exit.WRONG_SPEC


def test_a_missing_spec_file_ends_with_2_and_says_how_to_get_one(loray):
    said = loray("validate", "gone.yaml")
    assert said.code == Exit.WRONG_SPEC
    assert said.err == (
        "gone.yaml: no such file or directory; wanted a YAML file; "
        "`loray init gone.yaml` writes a starter spec\n"
    )


def test_faults_are_told_without_a_traceback(loray):
    said = loray("validate", "spec.yaml", "--set", "train.steps=none", "--set", "nme=x")
    assert said.code == Exit.WRONG_SPEC
    assert said.out == ""
    assert said.err.splitlines() == [
        "spec.yaml: 2 faults in this spec",
        "  --set nme: nme: unknown field; did you mean `name`?",
        (
            "  --set train.steps: train.steps: found text 'none'; "
            "wanted a whole number from 1 to 1000000000; write a number"
        ),
    ]


def test_faults_can_be_had_as_json(loray):
    said = loray("validate", "spec.yaml", "--json", "--set", "train.steps=0")
    assert said.code == Exit.WRONG_SPEC
    (fault,) = said.document["error"]["faults"]
    assert fault["path"] == "train.steps"
    assert fault["source"] == "--set train.steps"
    assert fault["line"] is None


def test_a_sound_spec_is_called_sound(loray):
    said = loray("validate", "spec.yaml")
    assert said.code == 0
    assert said.out == (
        "spec.yaml is sound: my-bot, a LoRA of rank 16 on base, 100 steps of 16 sequences\n"
    )
    assert loray("validate", "spec.yaml", "--json").document["sound"] is True


def test_each_kind_of_error_has_its_exit_code():
    assert exit_for(SpecError("x")) == 2
    assert exit_for(LeaseError("x")) == 3
    assert exit_for(RegistryError("x")) == 1


def test_what_would_steer_a_terminal_is_shown_instead():
    assert harmless("a\x1b[31mred\x07\nb\u202e") == "a\\x1b[31mred\\x07\nb\\u202e"


def test_a_verb_whose_libraries_are_not_installed_says_which_extra_has_them(loray, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "loray.pipeline.cluster", raising=False)
    said = loray("apply", "spec.yaml")
    assert said.code == Exit.FAILED
    assert said.err == "found no module ray; this verb needs it; pip install 'loray[all]'\n"


def test_a_reader_that_closes_early_gets_no_traceback(workplace: Path):
    script = "import sys; from loray.cli.main import main; sys.exit(main(['schema']))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == Exit.FAILED
