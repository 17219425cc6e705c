"""What loading takes of a worker that keeps some of the weights: by parts, and whole.

    python benchmarks/loading.py [--only 'fsdp, nf4'] [--whole] [--shape 1.1B] [--json FILE]

A random Llama of 1.03B parameters (or another shape of `memory.py`), stored in bfloat16. Workers
are processes of one gloo group and do what a worker does before its first step: load, put an
adapter on, measure the frozen weights, share them out. Measured is the largest resident size
(VmHWM) from when all libraries are imported, and the most of it that was no page of a file
(RssAnon, looked at every 5 ms). Freed memory goes back at once (MALLOC_MMAP_THRESHOLD_=65536).
`--whole`: every worker loads the whole base first. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import memory
from commit import commit
from memory_worker import KIB, forget, high_water

from loray.planner.configs import read_architecture
from loray.planner.memory import MIB
from loray.planner.moments import worker_moments
from loray.spec.run import RunSpec

HERE = Path(__file__).resolve().parent
STRATEGIES = {
    "fsdp": {"kind": "fsdp"},
    "zero-3": {"kind": "deepspeed", "zero_stage": 3},
    "pipeline": {"kind": "pipeline"},
}
SECONDS_BETWEEN = 0.005


def main() -> None:
    """Measure every setting, or, as a worker, this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shape", default="1.1B", choices=memory.SHAPES)
    parser.add_argument("--only", nargs="*", help="settings, by the start of their names")
    parser.add_argument("--whole", action="store_true", help="load the whole base first")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(int(options.worker[0]), Path(options.worker[1]), is_whole=options.whole)
        return
    print(commit(), flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / options.shape
        memory.write_model(model, options.shape)
        for title, spec in settings(model, options.workers).items():
            if options.only and not title.startswith(tuple(options.only)):
                continue
            lines.append(measure(title, spec, Path(name), is_whole=options.whole))
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def settings(model: Path, workers: int) -> dict[str, RunSpec]:
    """A spec by its name, such as `fsdp, nf4, bfloat16`."""
    found = {}
    for name, strategy in STRATEGIES.items():
        for quantization, dtype in (("none", "bfloat16"), ("none", "float32"), ("nf4", "bfloat16")):
            base = memory.Setting(
                model.name, "r16", dtype, 256, quantization=quantization, strategy="plain"
            )
            document = base.spec(model).model_dump(exclude_unset=True)
            document["train"]["strategy"] = strategy
            document["train"]["batch"] = {"global_size": workers, "micro_size": 1}
            document["resources"] = {"workers": workers}
            found[f"{name}, {quantization}, {dtype}"] = RunSpec.model_validate(document)
    return found


def measure(title: str, spec: RunSpec, folder: Path, *, is_whole: bool) -> dict[str, object]:
    """Start the workers; prints what is planned (by parts), and what the largest was."""
    (folder / "spec.json").write_text(spec.model_dump_json(exclude_unset=True), encoding="utf-8")
    (folder / "group").unlink(missing_ok=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "DS_ACCELERATOR": "cpu",
        "MALLOC_MMAP_THRESHOLD_": "65536",
    }
    command = [sys.executable, str(HERE / "loading.py"), *(["--whole"] if is_whole else [])]
    workers = [
        subprocess.Popen(  # noqa: S603 (our own command)
            [*command, "--worker", str(worker), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "LOCAL_RANK": str(worker)},
        )
        for worker in range(spec.resources.workers)
    ]
    found = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    largest = max(found, key=lambda one: one["peak"])
    planned = worker_moments(spec, read_architecture(spec.base_model))[0].device_total
    cells = [largest[key] for key in ("peak", "anonymous", "begin", "held")]
    sizes = " | ".join(f"{size / MIB:,.0f}" for size in ([] if is_whole else [planned]) + cells)
    print(f"| {title} | {sizes} | {largest['seconds']:.0f} s |", flush=True)
    return {"setting": title, "whole": is_whole, "planned": planned, "workers": found}


def work(worker: int, folder: Path, *, is_whole: bool) -> None:
    """Be a worker up to its first step; prints a line of JSON, bytes."""
    import torch  # noqa: PLC0415
    import torch.distributed as dist  # noqa: PLC0415

    from loray.train.learner import build_learner, causal_lm  # noqa: PLC0415
    from loray.train.loop import AnswerLoss  # noqa: PLC0415
    from loray.train.strategies import make_engine  # noqa: PLC0415
    from loray.train.vitals import Vitals  # noqa: PLC0415
    from loray.train.worker import train  # noqa: F401, PLC0415 (for all that it brings with it)

    spec = RunSpec.model_validate_json((folder / "spec.json").read_text(encoding="utf-8"))
    workers = spec.resources.workers
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=worker, world_size=workers
    )
    import bitsandbytes  # noqa: F401, PLC0415 (libraries are not what is measured)
    import deepspeed  # noqa: F401, PLC0415

    look = Look()
    begin = time.perf_counter()
    if is_whole:
        learner = build_learner(spec, device="cpu")
        vitals, module = Vitals(learner), AnswerLoss(causal_lm(learner))
        engine = make_engine(module, spec, workers=workers, device="cpu")
    else:
        from loray.train.learner import begin_learner  # noqa: PLC0415

        learner, read = begin_learner(spec, device="cpu")
        vitals, module = Vitals(learner), AnswerLoss(causal_lm(learner))

        def complete(part: torch.nn.Module) -> None:
            read(part)
            vitals.weigh(part)

        engine = make_engine(module, spec, workers=workers, device="cpu", complete=complete)
    found = look.end() | {"seconds": time.perf_counter() - begin}
    dist.barrier()
    assert engine.weights()  # noqa: S101 (it is there still)
    print(json.dumps(found))


class Look:
    """A thread that watches what this process holds."""

    def __init__(self) -> None:
        forget()
        self._begin, self._anonymous = high_water(), 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> dict[str, float]:
        """Bytes at most, of them anonymous ones at most, at the beginning, and now."""
        self._is_over.set()
        self._thread.join()
        return {
            "peak": high_water(),
            "anonymous": self._anonymous,
            "begin": self._begin,
            "held": resident(),
        }

    def _watch(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN):
            self._anonymous = max(self._anonymous, resident("RssAnon"))


def resident(field: str = "VmRSS") -> int:
    """What is resident of this process, bytes; `RssAnon` leaves out pages of files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * KIB


if __name__ == "__main__":
    main()
