"""Training as users run it: Ray Train's workers, checkpoints, vitals and the guard in place.

Prints a line of JSON. Run by `train.py`, which made the folder.
"""

import argparse
import hashlib
import json
import logging
import statistics
import tempfile
from pathlib import Path

import pyarrow as pa
import ray
from train_peers import RATE, held_out, read, warm

from loray.artifacts.tokens import TOKENS, Part, write_index
from loray.spec.run import RunSpec
from loray.train.run import train_to


def main() -> None:
    """Measure one strategy on some workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strategy", choices=["plain", "zero2"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--packs", type=int, required=True, help="packs a step")
    parser.add_argument("--micro", type=int, required=True, help="packs a worker takes at once")
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    spec = spec_of(options)
    out = Path(tempfile.mkdtemp(dir=options.folder))
    write_tokens(options.folder / "dataset" / "tokens", read(options.folder / "packs.json"))
    ray.init(num_cpus=options.workers, log_to_driver=False, logging_level=logging.ERROR)
    statistics_of_run = train_to(
        out, spec, str(options.folder / "dataset" / "tokens"), attempt=1, report=lambda _: None
    )
    ray.shutdown()
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    counted = lines[warm(len(lines)) :]
    speed = statistics.median(line["num_tokens"] / line["seconds"] for line in counted)
    found = {
        "tokens_per_second": round(speed, 1),
        "losses": [line["loss"] for line in lines],
        "held_out": score(options.folder, out / "checkpoints" / f"step-{options.steps:06d}"),
        "diagnoses": statistics_of_run["diagnoses"],
    }
    print(json.dumps(found))


def spec_of(options: argparse.Namespace) -> RunSpec:
    """The same model, adapter, rate and step as `train_peers`."""
    strategy: dict[str, object] = {"kind": "plain"}
    if options.strategy == "zero2":
        strategy = {"kind": "deepspeed", "zero_stage": 2}
    model = {"path": str(options.folder / "model"), "quantization": "none", "dtype": "float32"}
    return RunSpec.model_validate(
        {
            "name": "benchmark",
            "base_model": model,
            "data": {"sources": ({"kind": "jsonl", "uri": "none", "fields": {"text": "text"}},)},
            "method": {"kind": "lora", "rank": 16, "alpha": 32},
            "train": {
                "steps": options.steps,
                "strategy": strategy,
                "batch": {"global_size": options.packs, "micro_size": options.micro},
                "optimizer": {"learning_rate": RATE},
                "schedule": {"kind": "constant", "warmup_steps": 0},
                "checkpoint_every": options.steps,
            },
            "resources": {"workers": options.workers},
        }
    )


def write_tokens(folder: Path, packs: list[dict[str, list[int]]]) -> None:
    """The packs as a dataset holds them."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    columns: dict[str, list[list[int]] | list[list[str]]] = {
        name: [pack[name] for pack in packs] for name in ("input_ids", "labels", "positions")
    }
    columns["row_ids"] = [[f"{at:08x}{n:08x}" for n in range(p["positions"].count(0))]
                          for at, p in enumerate(packs)]  # fmt: skip
    path = folder / "part-00000.arrow"
    with pa.ipc.new_file(str(path), TOKENS) as writer:
        writer.write_table(pa.table(columns, schema=TOKENS))
    tokens = sum(len(pack["input_ids"]) for pack in packs)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_index(folder, [Part(file=path.name, sequences=len(packs), tokens=tokens, sha256=digest)])


def score(folder: Path, adapter: Path) -> float:
    """Held-out loss of the adapter in plain PEFT."""
    from peft import PeftModel  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    return held_out(PeftModel.from_pretrained(base, adapter), read(folder / "held_out.json"))


if __name__ == "__main__":
    main()
