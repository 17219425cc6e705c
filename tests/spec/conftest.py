"""A folder in which a sound spec is sound: its model's folder and its rows are there."""

from pathlib import Path

import pytest

SOUND = """\
name: my-bot
base_model: {path: base}
data:
  sources:
    - kind: jsonl
      uri: rows/*.jsonl
      fields: {prompt: question, completion: answer}
train:
  steps: 100
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory for the time of the test."""
    for name, text in {"base/config.json": "{}", "rows/a.jsonl": "", "spec.yaml": SOUND}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path
