"""The same as `memory.py` of whole runs: workers of Ray Train, with all that stands around them.

    python benchmarks/memory_ray.py [--only '20M | full'] [--json FILE]

Planned is the greatest of the moments. Measured is what the journal says after the last step: the
largest resident size (VmHWM) of worker 0 from its start on, through loading, eight steps (or
`--steps`), and the checkpoint in their middle. glibc's allocator is as it is.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path

import ray
from commit import commit
from memory import SETTINGS, SHAPES, Setting, write_model
from train_ours import write_tokens

from loray.planner.configs import read_architecture
from loray.planner.memory import MIB
from loray.planner.moments import largest, worker_moments
from loray.spec.overrides import with_value
from loray.spec.run import RunSpec
from loray.train.run import train_to

CHOSEN = (
    *(setting for setting in SETTINGS if setting.workers == 1 and setting.shape != "1.1B"),
    Setting("50M", "full", "float32", 128, workers=2),
    Setting("50M", "full", "bfloat16", 128, accumulation=2, strategy="zero1", workers=2),
    Setting("50M", "r16", "float32", 256, 2, strategy="fsdp", workers=2),
    Setting("50M", "r16", "float32", 256, 2, strategy="pipeline", accumulation=4, workers=2),
)


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="settings, by the start of their names")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    print(commit(), flush=True)
    lines = []
    if not ray.is_initialized():
        ray.init(num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        for setting in CHOSEN:
            if options.only and not str(setting).startswith(tuple(options.only)):
                continue
            lines.append(compare(setting, Path(name), options.steps))
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def compare(setting: Setting, folder: Path, steps: int) -> dict[str, object]:
    """Plan and measure one setting, and print its line of the table."""
    model = folder / setting.shape
    if not model.exists():
        write_model(model, setting.shape)
    spec = spec_of(setting, model, steps)
    moment = largest(worker_moments(spec, read_architecture(spec.base_model)))
    planned = moment.device_total / MIB
    measured = peak_of(spec, Path(tempfile.mkdtemp(dir=folder))) / MIB
    error = planned / measured - 1.0
    cells = f"{planned:,.0f} at {moment.name} | {measured:,.0f} | {error:+.1%}"
    print(f"| {setting} | {cells} |", flush=True)
    return {
        "setting": str(setting),
        "shape": SHAPES[setting.shape],
        "spec": spec_of(setting, Path("model"), steps).model_dump(mode="json", exclude_unset=True),
        "planned_mib": {"peak": round(planned, 1)},
        "measured_mib": {"peak": round(measured, 1)},
    }


def spec_of(setting: Setting, model: Path, steps: int) -> RunSpec:
    """A run of `steps` with a checkpoint in their middle."""
    document: object = setting.spec(model).model_dump(mode="json", exclude_unset=True)
    changes = {"train.steps": steps, "train.checkpoint_every": max(1, steps // 2)}
    for path, value in changes.items():
        document = with_value(document, tuple(path.split(".")), value)
    return RunSpec.model_validate_json(json.dumps(document))


def peak_of(spec: RunSpec, out: Path) -> int:
    """Bytes that worker 0 had at most, until the last step was done."""
    length = spec.data.sequence.max_tokens
    row = length // 4 if spec.data.sequence.packing else length
    ids = [20 + at % 200 for at in range(length)]
    pack = {"input_ids": ids, "labels": ids, "positions": [at % row for at in range(length)]}
    write_tokens(out / "tokens", [pack] * spec.train.batch.global_size * 2)
    train_to(out / "run", spec, str(out / "tokens"), attempt=1, report=lambda _: None)
    history = (out / "run" / "history.jsonl").read_text(encoding="utf-8")
    return int(json.loads(history.splitlines()[-1])["peak_memory_bytes"])


if __name__ == "__main__":
    main()
