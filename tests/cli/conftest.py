"""A working directory with a model's files, rows and a spec; what `loray` finds on a laptop."""

import json
from pathlib import Path

import pytest

from loray.cli.main import main
from tests.bases import write_base

NARROW = {
    "hidden_size": 8, "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": 1,
}  # fmt: skip
"""A base that the adapters of `tests.adapters` fit."""
SPEC = """\
name: my-bot
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}]}
train: {steps: 100}
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory for the time of the test."""
    write_base(tmp_path / "base")
    write_base(tmp_path / "narrow", **NARROW)
    (tmp_path / "rows.jsonl").write_text('{"q": "what?", "a": "that"}\n')
    (tmp_path / "spec.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Said:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self):
        """The output as JSON."""
        return json.loads(self.out)


@pytest.fixture
def loray(workplace: Path, capsys: pytest.CaptureFixture[str]):
    """Call the command line in the workplace: `loray("plan", "spec.yaml")`."""

    def call(*words: str) -> Said:
        code = main(words)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call
