import json
from pathlib import Path

from loray.artifacts.diagnosis import Diagnosis, SuspectRow, to_lines
from loray.evaluate.history import (
    Pace,
    Vital,
    read_diagnoses,
    read_losses,
    read_paces,
    read_vitals,
    spread_of,
)


def write(path: Path, *records: object) -> None:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def test_losses_come_by_step_and_the_last_record_of_a_step_counts(tmp_path: Path) -> None:
    write(
        tmp_path / "history.jsonl",
        {"step": 2, "loss": 3.0},
        {"step": 1, "loss": 4.0},
        {"step": 2, "loss": 2.5},
    )
    assert read_losses(tmp_path) == [(1, 4.0), (2, 2.5)]


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(
        '{"step": 1, "loss": 4.0}\n[1]\nnull\n{"step": 2, "loss": NaN}\n{"step": true}\n'
        '{"step": 3, "loss": "x"}\n{"step": 4, "lo'
    )
    assert read_losses(tmp_path) == [(1, 4.0)]


def test_no_files_give_no_records(tmp_path: Path) -> None:
    assert read_losses(tmp_path) == []
    assert read_vitals(tmp_path) == []


def test_vitals_are_read_off_the_names_of_modules(tmp_path: Path) -> None:
    write(
        tmp_path / "vitals.jsonl",
        {
            "step": 20,
            "module": "model.layers.10.mlp.up_proj",
            "weight_norm_ratio": 0.02,
            "update_ratio": 0.001,
            "effective_rank": 3.5,
            "grad_sparsity": 0.5,
        },
        {"step": 20, "module": "model.layers.2.self_attn.q_proj", "weight_norm_ratio": 0.01},
        {"step": 20, "module": "lm_head", "weight_norm_ratio": 0.5},
    )
    assert read_vitals(tmp_path) == [
        Vital(20, 2, "q_proj", 0.01),
        Vital(20, 10, "up_proj", 0.02, update_ratio=0.001, effective_rank=3.5, grad_sparsity=0.5),
    ]


def test_the_spread_is_over_all_modules_of_a_step() -> None:
    vitals = [Vital(20, layer, "q_proj", ratio) for layer, ratio in enumerate((0.3, 0.1, 0.2))]
    assert spread_of(vitals, lambda vital: vital.ratio) == [(20, 0.1, 0.2, 0.3)]
    assert spread_of(vitals, lambda vital: vital.update_ratio) == [], "not recorded"


def test_paces_are_read_and_what_was_not_recorded_is_none(tmp_path: Path) -> None:
    write(
        tmp_path / "history.jsonl",
        {"step": 2, "loss": 1.0, "seconds": 0.5},
        {"step": 1, "seconds": 2.0, "data_seconds": 0.5, "peak_memory_bytes": 1 << 20},
        {"step": 3, "seconds": 0.0, "loss": 1.0},
    )
    first, second = read_paces(tmp_path)
    assert (first.step, first.data_share, first.peak_memory_bytes) == (1, 0.25, 1048576.0)
    assert second == Pace(2, 0.5)
    assert second.data_share is None


def test_diagnoses_are_read_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    found = Diagnosis("spike", 7, "high", "went on", (SuspectRow("00ff", "odd", "a:1"),))
    (tmp_path / "diagnoses.jsonl").write_text(to_lines([found]) + '{"kind": "spike"}\n{"rows": 3')
    assert read_diagnoses(tmp_path) == [found]
    assert read_diagnoses(tmp_path / "nowhere") == []
