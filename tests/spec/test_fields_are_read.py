"""A field that no stage reads is a lie to whoever sets it."""

from pathlib import Path

from tests.house import REPOSITORY, code_files
from tests.spec.field_reads import declared_fields, fields_read

CHECKERS = ("spec", "planner", "cli")
"""Rooms that look at a spec without making anything of it."""


def stage_files() -> list[Path]:
    rooms = REPOSITORY / "platform" / "loray"
    return [
        path
        for path in code_files("platform", "jobs", "serve_apps")
        if not any(path.is_relative_to(rooms / room) for room in CHECKERS)
    ]


def test_every_field_of_the_spec_is_read_by_some_stage():
    assert sorted(declared_fields() - fields_read(stage_files())) == []


def test_only_a_read_of_the_right_model_counts(tmp_path: Path):
    code = tmp_path / "stage.py"
    code.write_text(
        "def train(spec: RunSpec, rank: int):\n"
        "    print(rank, other.rank, spec.unknown)\n"
        "    optimizer = spec.train.optimizer\n"
        "    for number, gate in enumerate(spec.gates):\n"
        "        print(gate.metric)\n"
        "    return optimizer.beta1, [s.uri for s in spec.data.sources], spec.accumulation_steps\n"
        "def mark(step: Step):\n"
        "    match step:\n"
        "        case LengthStep():\n"
        "            return step.min_chars\n"
        "        case PiiStep(entities=found):\n"
        "            return found\n"
    )
    assert fields_read([code]) == {
        ("RunSpec", "train"),
        ("TrainSpec", "optimizer"),
        ("OptimizerSpec", "beta1"),
        ("RunSpec", "gates"),
        ("GateSpec", "metric"),
        ("RunSpec", "data"),
        ("DataSpec", "sources"),
        ("JsonlSource", "uri"),
        ("ParquetSource", "uri"),
        ("CsvSource", "uri"),
        ("TextSource", "uri"),
        ("TrainSpec", "batch"),
        ("BatchSpec", "global_size"),
        ("RunSpec", "resources"),
        ("ResourceSpec", "workers"),
        ("ResourceSpec", "min_workers"),
        ("TrainSpec", "strategy"),
        ("DeepSpeedStrategy", "kind"),
        ("FsdpStrategy", "kind"),
        ("PipelineStrategy", "kind"),
        ("PlainStrategy", "kind"),
        ("BatchSpec", "micro_size"),
        ("LengthStep", "min_chars"),
        ("PiiStep", "entities"),
    }
