"""Tokens a second of a QLoRA step: loray's engine beside a plain transformers + PEFT loop.

    PYTHONPATH=platform:benchmarks python benchmarks/gpu/training.py --contender plain

Contenders: `plain` (transformers computes the loss, AdamW of torch), and loray's strategies
`loray`, `zero1`, `zero2`. Same model, same tokens: rank 64 on all projections, sequences of
`--tokens` in which `--documents` are packed and `--targets` of the positions learned, activations
recomputed.
Model FLOPs: 4 x parameters x tokens; the frozen weights have no gradient of their own, and what is
computed again does not count. Source: arXiv:2204.02311, appendix B, less the weight gradients.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from commit import commit
from peft import LoraConfig, get_peft_model
from shapes import build, config_of
from step import adapted, batch_of, engine_of, join_alone, spec_of, step_once

from loray.planner.configs import architecture_of
from loray.planner.memory import GIB
from loray.planner.parameters import count_base
from loray.train.batches import Batch


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contender", required=True)
    parser.add_argument("--shape", default="8b")
    parser.add_argument("--quantization", default="nf4")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--documents", type=int, default=1)
    parser.add_argument("--targets", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path, help="append a line there")
    options = parser.parse_args()
    print(commit(), flush=True)
    join_alone(options.device)
    config = config_of(options.shape)
    base = build(options.shape, options.quantization, options.device)
    base.gradient_checkpointing_enable({"use_reentrant": False})
    batch = batch_of(
        config.vocab_size,
        rows=options.rows,
        tokens=options.tokens,
        documents=options.documents,
        targets=options.targets,
    )
    step = plain_step(base, batch, options) if options.contender == "plain" else None
    if step is None:
        spec = spec_of(
            f"train.strategy={strategy_of(options.contender)}",
            f"train.batch.micro_size={options.rows}",
            f"train.batch.global_size={options.rows}",
        )
        engine = engine_of(adapted(base), spec, options.device)
        step = lambda: step_once(engine, batch)  # noqa: E731
    times = [step() for _ in range(options.steps)]
    seconds = statistics.median(times[2:] or times[-1:])
    tokens = batch.num_tokens / seconds
    parameters = count_base(architecture_of(config.to_dict())).total
    on_gpu = options.device == "cuda"
    line = {
        "commit": commit(),
        **{key: value for key, value in vars(options).items() if key != "json"},
        "seconds": round(seconds, 4),
        "all_seconds": [round(t, 4) for t in times],
        "tokens_per_second": round(tokens, 1),
        "model_tflops": round(4 * parameters * tokens / 1e12, 1),
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if on_gpu else None,
    }
    print(json.dumps(line), flush=True)
    if options.json:
        with options.json.open("a") as out:
            out.write(json.dumps(line) + "\n")


def strategy_of(contender: str) -> str:
    """The block of the spec."""
    if contender == "loray":
        return "{kind: plain}"
    return f"{{kind: deepspeed, zero_stage: {contender.removeprefix('zero')}}}"


def plain_step(
    base: torch.nn.Module, batch: Batch, options: argparse.Namespace
) -> Callable[[], float]:
    """What a user writes without a trainer."""
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(
        base, LoraConfig(task_type="CAUSAL_LM", r=64, lora_alpha=128, target_modules=targets)
    )
    model.train()
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-4)
    moved = batch.to(options.device)

    def step() -> float:
        if options.device == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.autocast(options.device, torch.bfloat16):
            loss = model(
                input_ids=moved.input_ids,
                labels=moved.labels,
                position_ids=moved.positions,
                use_cache=False,
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    return step


if __name__ == "__main__":
    main()
