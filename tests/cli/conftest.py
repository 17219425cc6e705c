"""A working directory with a model's files, rows and a spec; what `loray` finds on a laptop."""

import json
from pathlib import Path

import pytest

from loray.cli.main import main

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "tie_word_embeddings": True,
}
SPEC = """\
name: my-bot
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: rows.jsonl, fields: {prompt: q, completion: a}}]}
train: {steps: 100}
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory for the time of the test."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    (tmp_path / "base" / "model.safetensors").write_bytes(b"")
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
