"""What a stage makes of a fixed input, held beside the stage's version.

A stage version names what a stage would make, so a change of results without a new version would
leave old artifacts looking fresh. `golden.json` has one entry for each stage: its version, and what
that version makes. Results that change need both: a new `STAGE_VERSION` and a new entry.
"""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).with_name("golden.json")


def check_golden(stage: str, version: int, found: dict[str, Any], *, rel: float = 0.0) -> None:
    """Fail unless the entry of `stage` has this version and these results.

    Args:
        found: JSON values; numbers are compared to `rel`, since processors differ in the last bits.
    """
    known = json.loads(GOLDEN.read_text(encoding="utf-8"))[stage]
    entry = json.dumps({stage: {"version": version, "results": found}}, indent=1)
    is_same = (
        {**found} == pytest.approx(known["results"], rel=rel)
        if rel
        else (found == known["results"])
    )
    if is_same and version == known["version"]:
        return
    if is_same:
        pytest.fail(
            f"the version of {stage} is {version}, golden.json has {known['version']} with the "
            "same results; a version is raised where results change"
        )
    if version == known["version"]:
        pytest.fail(
            f"{stage} makes other results than version {version} did: raise its STAGE_VERSION, so "
            f"that old artifacts become stale, then put this into golden.json:\n{entry}"
        )
    pytest.fail(f"put the results of the new version into golden.json:\n{entry}")
