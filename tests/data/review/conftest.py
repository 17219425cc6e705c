from pathlib import Path

import pytest

from loray.spec.run import RunSpec
from tests.data.review.made import make_dataset, small_spec


@pytest.fixture(scope="session")
def tokenizer_dir(tokenizer_dir: Path) -> Path:
    """The same, with what makes it a base model's folder."""
    (tokenizer_dir / "config.json").write_text("{}")
    return tokenizer_dir


@pytest.fixture(scope="session")
def made(tmp_path_factory, tokenizer_dir: Path) -> tuple[RunSpec, Path]:
    """A small dataset's spec and folder; nobody changes them."""
    spec = small_spec(tmp_path_factory.mktemp("made"), tokenizer_dir)
    return spec, make_dataset(spec)
