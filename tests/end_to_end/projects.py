"""A project folder as a user has one: a model, a corpus, a spec."""

import json
from pathlib import Path

import yaml

NUM_ROWS = 240


def write_project(folder: Path, model: Path) -> Path:
    """Fill the folder; its `run.yaml` trains 24 steps on two workers."""
    rows = [
        {"ask": f"Say the colour of thing {n}, please.", "say": "It is green.", "thing": f"t{n}"}
        for n in range(NUM_ROWS)
    ]
    lines = [json.dumps(row) for row in rows]
    lines += [json.dumps({**rows[0], "thing": "t0"}), '{"ask": "torn']
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    document = {
        "name": "colours",
        "seed": 5,
        "base_model": {"path": str(model), "quantization": "nf4", "dtype": "float32"},
        "data": {
            "sources": [
                {
                    "kind": "jsonl",
                    "uri": "rows.jsonl",
                    "fields": {"prompt": "ask", "completion": "say", "group": "thing"},
                }
            ],
            "steps": [{"kind": "unicode"}, {"kind": "exact_duplicates"}],
            "split": {"validation": 0.1, "test": 0.1},
            "sequence": {"max_tokens": 128},
        },
        "method": {"kind": "lora", "rank": 4, "alpha": 8},
        "train": {
            "steps": 24,
            "batch": {"global_size": 4, "micro_size": 2},
            "optimizer": {"learning_rate": 0.01},
            "checkpoint_every": 8,
            "vitals_every": 8,
        },
        "evaluate": {"max_rows": 12, "max_new_tokens": 16},
        "gates": [{"metric": "perplexity", "measure": "ratio_to_base", "at_most": 0.8}],
        "resources": {"workers": 2},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder
