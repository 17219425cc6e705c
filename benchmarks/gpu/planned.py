"""Does the planner tell the truth: planned against measured peak memory of a training step.

    PYTHONPATH=platform:benchmarks python benchmarks/gpu/planned.py --shape 8b [--json FILE]

A model of the shape is made in place, an adapter of rank 64 trained for two steps at every length,
with and without recomputing activations; every token is a target, as the planner assumes. Measured
is what the allocator reserved at its peak and what the device holds beside it (CUDA's context).
"""

import argparse
import gc
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from commit import commit
from shapes import build, config_of
from step import adapted, batch_of, engine_of, join_alone, spec_of, step_once

from loray.planner.configs import architecture_of
from loray.planner.memory import GIB, train_memory
from loray.train.batches import Batch
from loray.train.engine import Engine


@dataclass(frozen=True)
class Row:
    """One setting."""

    shape: str
    quantization: str
    tokens: int
    recompute: bool
    planned_gib: float
    allocated_gib: float
    reserved_gib: float
    """Reserved by the allocator at its peak, and the context."""
    seconds: float

    @property
    def error(self) -> float:
        """Planned over measured, minus one."""
        return self.planned_gib / max(self.reserved_gib, 1e-9) - 1.0


def main() -> None:
    """Measure one shape and one quantization."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", required=True)
    parser.add_argument("--quantization", default="nf4", choices=["nf4", "none"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(commit(), flush=True)
    join_alone(options.device)
    limit = torch.cuda.mem_get_info()[1] / GIB if options.device == "cuda" else 1e9
    config = config_of(options.shape)
    shape = architecture_of(config.to_dict())
    base = build(options.shape, options.quantization, options.device)
    first = spec_of()
    model = adapted(base)
    engine = engine_of(model, first, options.device)
    rows = []
    for tokens in options.lengths:
        for recompute in (True, False):
            spec = spec_of(
                f"base_model.quantization={options.quantization}",
                f"data.sequence.max_tokens={tokens}",
                "data.sequence.packing=false",
                "train.batch.global_size=1",
                f"train.gradient_checkpointing={str(recompute).lower()}",
            )
            planned = train_memory(spec, shape).total / GIB
            if planned > 0.97 * limit:
                print(f"{options.shape} {tokens} recompute={recompute}: {planned:.1f} GiB: no room")
                continue
            if recompute:
                base.gradient_checkpointing_enable({"use_reentrant": False})
            else:
                base.gradient_checkpointing_disable()
            batch = batch_of(config.vocab_size, rows=1, tokens=tokens, documents=1, targets=1.0)
            allocated, taken, seconds = measure(engine, batch)
            rows.append(
                Row(
                    shape=options.shape,
                    quantization=options.quantization,
                    tokens=tokens,
                    recompute=recompute,
                    planned_gib=round(planned, 3),
                    allocated_gib=round(allocated, 3),
                    reserved_gib=round(taken, 3),
                    seconds=round(seconds, 4),
                )
            )
            print(json.dumps(asdict(rows[-1]) | {"error": round(rows[-1].error, 4)}), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def measure(engine: Engine, batch: Batch) -> tuple[float, float, float]:
    """GiB allocated and GiB taken of the device, at the peak of two steps, and a step's seconds.

    The first step makes Adam's moments. Taken is what the allocator reserved, and what lies beside
    it: CUDA's context. Both are zero on a CPU.
    """
    gc.collect()
    if not torch.cuda.is_available():
        return 0.0, 0.0, min(step_once(engine, batch) for _ in range(2))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    seconds = min(step_once(engine, batch) for _ in range(2))
    taken = torch.cuda.max_memory_reserved() + beside
    return torch.cuda.max_memory_allocated() / GIB, taken / GIB, seconds


if __name__ == "__main__":
    main()
