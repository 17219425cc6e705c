from pathlib import Path

from loray.train.measure import measured_sequence_seconds
from tests.train.sequences import make_spec


def test_a_few_passes_say_how_long_a_sequence_takes(model: Path) -> None:
    spec = make_spec(model, data__sequence={"max_tokens": 64})
    assert 0 < measured_sequence_seconds(spec, learned=0.5, passes=1) < 60
