"""Each benchmark once, tiny: a name that moved or a figure that cannot be computed fails here.

`benchmarks/memory.py` with its worker is run by `tests/planner/test_resident.py`. What peers
need (`--trl`, `--datatrove`, `--rclone`) is left out by not asking for it.
"""

import json
from itertools import islice
from pathlib import Path

import pytest

from tests.benchmarks.running import FOLDER, benchmark, python
from tests.data.prose import Writer

GPU = sorted(path.stem for path in (FOLDER / "gpu").glob("*.py"))
TINY = ["--shape", "micro", "--device", "cpu"]
ONE_AFTER_ANOTHER = """\
import importlib, json, sys
import torch.distributed as dist
sys.path.insert(0, "benchmarks/gpu")
for name, arguments in json.loads(sys.argv[1]):
    module = importlib.import_module(name)
    if arguments:
        sys.argv = [name, *arguments]
        try:
            module.main()
        except SystemExit as ended:  # by --help
            assert not ended.code
    if dist.is_initialized():
        dist.destroy_process_group()
"""


def by_last(lines: list[str]) -> dict[str, object]:
    return json.loads(lines[-1])


@pytest.mark.slow
def test_inference_measures_the_engine_beside_peft(tmp_path: Path):
    found = tmp_path / "found.json"
    tiny = ["--hidden", "64", "--layers", "2", "--batch", "4", "--context", "8", "--rank", "4"]
    lines = benchmark("inference", *tiny, "--rounds", "2", "--json", found)
    numbers = json.loads(found.read_text(encoding="utf-8"))
    assert len([line for line in lines if line.startswith("  first round: ")]) == sum(
        len(numbers[part]) for part in ("decode", "prefill")
    )
    for part in ("decode", "prefill"):
        assert {"transformers, base", "engine, base", "engine, 1 adapter"} <= set(numbers[part])
        assert all(0 < least <= median for least, median in numbers[part].values())


@pytest.mark.slow
def test_what_a_gpu_is_asked_runs_on_a_cpu_and_the_whole_job_parses_its_arguments():
    base = ["--quantization", "none"]
    step = [*TINY, *base, "--rows", "1", "--tokens", "32", "--steps", "2"]
    asked = {
        "adapters": [*TINY, *base, "--batch", "2", "--context", "8", "--ranks", "4",
                     "--numbers", "1", "2", "--rounds", "2"],
        "end_to_end": ["--dtype", "float32", "--gpus", "0", "--help"],  # it needs a GPU: parsed
        "planned": [*TINY, *base, "--lengths", "32"],
        "training": ["--contender", "plain", *step],
    }  # fmt: skip
    runs = [(name, asked.get(name)) for name in GPU]
    told = python("-c", ONE_AFTER_ANOTHER, json.dumps(runs)).splitlines()
    cases = [json.loads(line) for line in told if line.startswith("{")]
    assert any(line.startswith("usage: end_to_end") for line in told)
    decoded = [(case["who"], case["adapters"]) for case in cases if "who" in case]
    assert decoded == [("engine", 0), ("engine", 1), ("engine", 2),
                       ("transformers", 0), ("PEFT", 1), ("PEFT", 2)]  # fmt: skip
    assert [case["recompute"] for case in cases if "planned_gib" in case] == [True, False]
    assert [len(case["all_seconds"]) for case in cases if "contender" in case] == [2]


@pytest.mark.slow
def test_loading_measures_each_worker(tmp_path: Path):
    found = tmp_path / "found.json"
    tiny = ["--shape", "4M", "--only", "fsdp, none, float32"]
    (line,) = (one for one in benchmark("loading", *tiny, "--json", found) if one[0] == "|")
    (row,) = json.loads(found.read_text(encoding="utf-8"))
    assert line.startswith("| fsdp, none, float32 |")
    assert len(row["workers"]) == 2
    assert all(0 < worker["anonymous"] <= worker["peak"] for worker in row["workers"])


@pytest.mark.slow
def test_reading_counts_every_row_once():
    lines = benchmark("buckets", "--megabytes", "0.1", "--objects", "5")
    assert [line.split()[:3] for line in lines] == [
        ["large", "from", "disk"],
        ["small", "from", "disk"],
    ]
    assert lines[1].split()[3:5] == ["5", "rows,"]


@pytest.mark.slow
def test_the_steps_that_a_peer_has_as_well_are_measured(tmp_path: Path):
    texts = tmp_path / "texts.jsonl"
    rows = [{"id": str(n), "text": f"Passage {n} of a handbook. " * 30} for n in range(20)]
    texts.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    rates = by_last(python(FOLDER / "data_steps.py", texts).splitlines())
    assert len(rates) == 8
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.slow
def test_a_checkout_is_measured_beside_another(tmp_path: Path):
    found = tmp_path / "found.json"
    tiny = ["--rounds", "1", "--scale", "0.01", "--kinds", "long code", "chats"]
    only = ["--only", "read", "credentials", "near_duplicates"]
    lines = benchmark("data_before", FOLDER.parent, *tiny, *only, "--json", found)
    numbers = json.loads(found.read_text(encoding="utf-8"))
    assert len(lines) == 1 + 2 * 4  # and the sum
    assert all(
        each["ratio"] > 0 for kind in ("long code", "chats") for each in numbers[kind].values()
    )


@pytest.mark.bench
def test_training_is_measured_beside_its_peers(tmp_path: Path):
    found = tmp_path / "found.json"
    tiny = ["--steps", "2", "--packs", "2", "--micro", "1", "--rows", "40"]
    only = ["--only", "trainer", "loray plain, 1"]
    lines = benchmark("train", *tiny, *only, "--json", found)
    (measured,) = json.loads(found.read_text(encoding="utf-8"))
    assert list(measured) == ["bare", "trainer", "loray plain, 1 worker(s)"]
    assert [line.split("  ")[0] for line in lines] == list(measured)
    assert all(one["tokens_per_second"] > 0 for one in measured.values())
    assert all(len(one["losses"]) == 2 for one in measured.values())


@pytest.mark.bench
def test_curation_is_measured_end_to_end_and_by_step(tmp_path: Path):
    found = tmp_path / "found.json"
    tiny = ["--megabytes", "0.1", "--workers", "1", "--store-mb", "128"]
    benchmark("data", *tiny, "--json", found)
    (run,) = json.loads(found.read_text(encoding="utf-8"))["runs"]
    assert run["rows"] == run["kept"] + sum(run["rejected_by"].values()) > 0
    assert run["step_seconds"]["encode"] > 0


@pytest.mark.bench
def test_damage_and_losses_account_for_every_row_and_a_whole_run_is_measured(tmp_path: Path):
    """Three in one process, which has one Ray."""
    corpus, found = tmp_path / "rows.jsonl", tmp_path / "found.json"
    rows = list(islice(Writer(0).pairs(0), 200))
    corpus.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    runs = [
        ("damage", ["--rows", "400", "--no-giants"]),
        ("losses", [f"{corpus}:ask,reply"]),
        ("memory_ray", ["--steps", "2", "--only", "4M | r16", "--json", str(found)]),
    ]
    lines = python("-c", ONE_AFTER_ANOTHER, json.dumps(runs)).splitlines()
    assert "every fault is found under its name; no other row is lost" in lines
    (lost,) = (line for line in lines if line.startswith("rows.jsonl"))
    assert "200 rows" in lost
    assert "NOT ALL" not in lost
    (row,) = json.loads(found.read_text(encoding="utf-8"))
    assert row["spec"]["train"]["steps"] == 2
    assert 0 < row["measured_mib"]["peak"] < 2 * row["planned_mib"]["peak"]
