"""How many workers a run may have."""

import pytest

from loray.errors import SpecError
from loray.spec.load import parse_run_spec

TEXT = """\
name: wide
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}
train: {steps: 8, batch: {global_size: 16, micro_size: 2}}
resources: {workers: 8}
"""


def test_no_more_workers_may_be_needed_than_are_wanted() -> None:
    with pytest.raises(SpecError) as refusal:
        parse_run_spec(TEXT, overrides=["resources.min_workers=9"])
    (told,) = str(refusal.value).splitlines()[-1:]
    assert "resources.min_workers: found 9, more than workers 8; use at most 8" in told


def test_any_number_of_workers_down_to_the_fewest_may_train() -> None:
    def passes(fewest: int) -> int:
        spec = parse_run_spec(TEXT, overrides=[f"resources.min_workers={fewest}"])
        return spec.accumulation_steps

    # Eight micro-batches; 3, 5, 6 and 7 workers do not share them evenly.
    assert [passes(fewest) for fewest in range(1, 9)] == [8, 4, 3, 2, 2, 2, 2, 1]
    assert parse_run_spec(TEXT).accumulation_steps == 1
