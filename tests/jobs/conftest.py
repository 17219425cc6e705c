import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.jobs.head import Head, started_cluster

COLOURS = ("red", "blue", "green", "white", "black", "grey")
NUM_ANIMALS = 30  # groups; by their hash some fall into each split


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A cluster of two nodes for all tests of jobs."""
    with started_cluster(cpus=4) as started:
        yield started


def run_document(rows: str, base_model: str) -> dict[str, Any]:
    """A small run: four steps of two workers over the rows at `rows`."""
    source = {
        "kind": "jsonl",
        "uri": rows,
        "fields": {"prompt": "prompt", "completion": "completion", "group": "animal"},
    }
    return {
        "name": "from-a-job",
        "base_model": {"path": base_model, "quantization": "none", "dtype": "float32"},
        "data": {
            "sources": [source],
            "steps": [{"kind": "unicode"}],
            "split": {"validation": 0.2, "test": 0.2},
            "sequence": {"max_tokens": 128},
        },
        "method": {"kind": "lora", "rank": 2, "alpha": 4},
        "train": {
            "steps": 4,
            "batch": {"global_size": 4, "micro_size": 2},
            "checkpoint_every": 2,
            "schedule": {"warmup_steps": 0},
        },
        "evaluate": {"metrics": ["perplexity"], "max_rows": 8},
        "resources": {"workers": 2, "eval_actors": 1},
    }


@pytest.fixture(scope="session")
def job_spec(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Path:
    """A run spec over 180 rows and a random model; it does not say where to keep things."""
    folder = tmp_path_factory.mktemp("job")
    rows = [
        {"prompt": f"What colour is {animal}?", "completion": colour, "animal": animal}
        for animal in (f"animal {number}" for number in range(NUM_ANIMALS))
        for colour in COLOURS
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    path = folder / "spec.yaml"
    document = run_document(str(folder / "rows.jsonl"), str(tiny_model_dir))
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
