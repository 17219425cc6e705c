"""What a worker on a CPU takes, measured: one quick setting of `benchmarks/memory.py`.

In bfloat16, which takes minutes on most CPUs, `make bench-memory` measures it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import REPOSITORY

pytestmark = pytest.mark.slow
AGREES = 0.15
"""Largest relative error of what is planned."""
RESERVE_MIB = 0.6 * 1024
SETTING = "20M | full | float32 | zero1"
"""Full training, so that weights, gradients, moments and checkpoint are most of it."""


def measure(out: Path, *options: str) -> dict:
    script = str(REPOSITORY / "benchmarks" / "memory.py")
    subprocess.run(
        [sys.executable, script, "--only", SETTING, "--json", str(out), *options],
        check=True,
        capture_output=True,
    )
    (row,) = json.loads(out.read_text(encoding="utf-8"))
    return row


def test_a_worker_is_as_large_as_planned(tmp_path: Path):
    row = measure(tmp_path / "found.json")
    assert row["planned_mib"]["peak"] == pytest.approx(row["measured_mib"]["peak"], rel=AGREES)


def test_a_worker_that_gives_back_what_it_frees_is_as_large_at_every_moment(tmp_path: Path):
    row = measure(tmp_path / "found.json", "--give-back")
    for moment in ("step", "checkpoint", "peak"):
        planned, measured = row["planned_mib"][moment], row["measured_mib"][moment]
        assert planned == pytest.approx(measured, rel=AGREES), row
    held = [row[kind]["peak"] - RESERVE_MIB for kind in ("planned_mib", "measured_mib")]
    assert held[0] == pytest.approx(held[1], rel=AGREES)  # and without what every process takes
