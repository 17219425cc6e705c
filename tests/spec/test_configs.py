"""Every spec that the repository ships can be run as it is."""

from pathlib import Path

import pytest

from loray.spec.load import load_run_spec
from tests.house import REPOSITORY

SPECS = sorted((REPOSITORY / "configs" / "runs").glob("*.yaml"))


def test_there_are_specs():
    assert SPECS


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_shipped_spec_has_no_faults(path: Path):
    spec = load_run_spec(path)
    assert spec.storage.root == "workspace"


def test_shipped_specs_do_not_share_a_name():
    names = [load_run_spec(path).name for path in SPECS]
    assert len(names) == len(set(names))
